"""Section `report`: names of pages become commands and files, so they are plain."""

import pytest

from normlab.specs.report import ReportSpec
from normlab.specs.strict import InputError


@pytest.mark.parametrize("name", ["x; touch owned", "$(touch owned)", "../x", "a b", "", "-x", "a'b", "a\nb", ".x"])
def test_a_page_s_name_is_no_shell(name: str) -> None:
    with pytest.raises(InputError, match=r"report.notebooks\[1\]: expected a name in notebooks/"):
        ReportSpec("tiny", ("01-training", name))


def test_the_committed_names_are_accepted() -> None:
    assert ReportSpec("tiny", ("01-training", "08-probe-your-own-model")).preset == "tiny"
