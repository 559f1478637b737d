"""Which stage first, where several can start: the one that the longest chain of work waits for."""

import json
import os
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

# of the quick preset on one core; only their proportions matter, and only until a stage has been measured here
SECONDS = {
    "check": 2, "data": 3, "train": 10, "probe": 14, "measure": 24, "assumptions": 3, "reparametrization": 4, "dln": 25,
    "dln_scan": 8, "dln_lottery": 8, "theory": 10, "analyze": 15, "report": 10, "index": 4,
}  # fmt: skip
OTHER = 5.0  # of a program that is not listed
MEASURED = Path("logs/stages/seconds.json")


def kind(name: str) -> str:
    """The stage of dvc.yaml that `name` is an item of: `train` for `train@vgg11-batch-0.1-0`."""
    return name.partition("@")[0]


def item(name: str) -> str:
    """Which of its stage's items `name` is: `vgg11-batch-0.1-0` for `train@vgg11-batch-0.1-0`."""
    return name.partition("@")[2]


def _means(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for key, value in pairs:
        values.setdefault(key, []).append(value)
    return {key: sum(found) / len(found) for key, found in values.items()}


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
        """Seconds of each stage: its own last time, else the mean of its kind or the table's, times its item's factor.

        An item (a run) that took twice as long as others in one kind of stage is taken to do so in the next.
        """
        means = _means((kind(name), seconds) for name, seconds in self._seconds.items())
        ratios = ((item(name), seconds / (means[kind(name)] or 1.0)) for name, seconds in self._seconds.items())
        factors = _means(pair for pair in ratios if pair[0])

        def guess(name: str) -> float:
            return means.get(kind(name), SECONDS.get(kind(name), OTHER)) * factors.get(item(name), 1.0)

        return {name: self._seconds.get(name) or guess(name) for name in names}

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
