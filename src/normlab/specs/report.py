"""The `report` section of params.yaml: which pages are rendered, and what the index calls the preset."""

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
