"""The `report` section of params.yaml: which pages are rendered, and what the index calls the preset."""

import re
from dataclasses import dataclass

from normlab.specs.strict import require


@dataclass(frozen=True)
class ReportSpec:
    """Section `report`.

    Attributes:
        preset: the name that the index page shows.
        notebooks: names in `notebooks/`, without suffix; one stage and one page each.
    """

    preset: str
    notebooks: tuple[str, ...]

    def __post_init__(self) -> None:
        require(bool(self.preset), "report.preset", "must not be empty", self.preset)
        require(len(self.notebooks) > 0, "report.notebooks", "expected at least one notebook", list(self.notebooks))
        once = len(set(self.notebooks)) == len(self.notebooks)
        require(once, "report.notebooks", "every entry may appear once", list(self.notebooks))
        for i, name in enumerate(self.notebooks):  # it becomes part of a command and of a file's name
            plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name) is not None
            require(plain, f"report.notebooks[{i}]", "expected a name in notebooks/ of letters, digits, - and _", name)
