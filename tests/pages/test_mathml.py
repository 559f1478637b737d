import re

import nbformat
import pytest
from tests.architecture.imports import SOURCE

from normlab.pages.mathml import to_mathml

NOTEBOOKS = sorted((SOURCE.parent / "notebooks").glob("*.ipynb"))


def test_formulas_become_elements_that_browsers_draw_themselves() -> None:
    markup = to_mathml(r"\frac{\lVert\nabla f\rVert_2}{\eta_k}", block=True)
    assert markup.startswith('<span class="formula"><math')
    assert 'display="block"' in markup
    assert "<mfrac>" in markup
    assert "http" not in markup
    assert 'display="inline"' in to_mathml("x", block=False)
    assert "msup" not in to_mathml("G'", block=False)
    assert "msup" in to_mathml("G^2", block=False)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_formula_of_the_pages_leaves_a_command_unread(path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    formulas = [f for cell in cells if cell.cell_type == "markdown" for f in re.findall(r"\$([^$]+)\$", cell.source)]
    for formula in formulas:
        assert "\\" not in re.sub(r"&#?\w+;", "", to_mathml(formula, block=False)), formula
