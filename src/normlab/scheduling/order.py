"""Which stage first, where several can start: the one that the longest chain of work waits for."""

import json
import os
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

# of the quick preset on one core; only their proportions matter, and only until a stage has been measured here
SECONDS = {
    "check": 2, "data": 3, "train": 10, "probe": 14, "measure": 24, "assumptions": 3, "reparametrization": 4, "dln": 25,
    "dln_scan": 8, "theory": 10, "analyze": 15, "report": 10, "index": 4,
}  # fmt: skip
OTHER = 5.0  # of a program that is not listed
MEASURED = Path("logs/stages/seconds.json")


def kind(name: str) -> str:
    """The stage of dvc.yaml that `name` is an item of: `train` for `train@vgg11-batch-0.1-0`."""
    return name.partition("@")[0]


class Durations:
    """How long stages took here, kept in an untracked file.

    Args:
        path: that file; a missing or damaged one holds nothing.
    """

    def __init__(self, path: Path = MEASURED) -> None:
        self._path = path
        try:
            self._seconds: dict[str, float] = {key: float(value) for key, value in json.loads(path.read_text()).items()}
        except (OSError, ValueError, AttributeError, TypeError):
            self._seconds = {}

    def expected(self, names: Iterable[str]) -> dict[str, float]:
        """Seconds of each stage: its own last time, else the mean of its kind, else the table's."""
        kinds: dict[str, list[float]] = {}
        for name, seconds in self._seconds.items():
            kinds.setdefault(kind(name), []).append(seconds)
        means = {one: sum(values) / len(values) for one, values in kinds.items()}
        return {name: self._seconds.get(name, means.get(kind(name), SECONDS.get(kind(name), OTHER))) for name in names}

    def measured(self, name: str, seconds: float) -> None:
        """Remember how long a stage took."""
        self._seconds[name] = round(seconds, 2)

    def save(self) -> None:
        """Write the file, whole or not at all."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_name(f".{self._path.name}.partial")
        partial.write_text(json.dumps(self._seconds, indent=0, sort_keys=True))
        os.replace(partial, self._path)


def ranks(needs: Mapping[str, set[str]], seconds: Mapping[str, float]) -> dict[str, float]:
    """For each stage the time of the longest chain of stages that begins with it.

    Example:
        >>> found = ranks({"data": set(), "train": {"data"}, "dln": set()}, {"data": 1, "train": 10, "dln": 25})
        >>> dict(sorted(found.items()))
        {'data': 11, 'dln': 25, 'train': 10}
    """
    followers: dict[str, list[str]] = {name: [] for name in needs}
    for name, needed in needs.items():
        for one in needed:
            followers[one].append(name)
    found: dict[str, float] = {}
    for name in reversed(list(TopologicalSorter(needs).static_order())):
        found[name] = seconds[name] + max((found[one] for one in followers[name]), default=0)
    return found
