import re

import pytest
from tests.architecture.imports import SOURCE

from normlab.figures.landscape import figure_4
from normlab.pages import sources
from normlab.pages.paper_figures import PAPER_FIGURES, definitions


def test_a_function_is_named_by_module_and_attribute() -> None:
    assert sources.name_of(figure_4) == "normlab.figures.landscape:figure_4"
    assert sources.dotted(figure_4) == "figures.landscape.figure_4"
    assert sources.path_of(figure_4) == "src/normlab/figures/landscape.py"
    assert sources.html_link(figure_4) == (
        '<a href="../../src/normlab/figures/landscape.py"><code>figures.landscape.figure_4</code></a>'
    )
    assert sources.markdown_link(figure_4) == "[`figures.landscape.figure_4`](src/normlab/figures/landscape.py)"


def test_the_repository_s_address_is_set_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "REPOSITORY", "https://example.org/files/")
    for link in (sources.html_link(figure_4), sources.markdown_link(figure_4)):
        assert "https://example.org/files/src/normlab/figures/landscape.py" in link
        assert "../" not in link


def test_no_address_is_invented() -> None:
    assert sources.REPOSITORY == "" or re.fullmatch(r"https://.+/", sources.REPOSITORY)


def test_figures_of_the_paper_know_what_defines_them() -> None:
    assert definitions(figure_4, "02-landscape") == [
        "normlab.probes.landscape:LandscapeProbe.loss_range",
        "normlab.probes.landscape:LandscapeProbe.gradient_distance_high",
        "normlab.probes.landscape:LandscapeProbe.effective_beta",
    ]
    assert definitions(figure_4, "07-theory") == []
    assert all((SOURCE.parent / sources.path_of(figure.definition)).is_file() for figure in PAPER_FIGURES)
