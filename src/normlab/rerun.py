"""Repeat the study in a clean clone and compare what it says with what is committed."""

import fnmatch
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from normlab.specs.grid import PlannedRun, planned_runs
from normlab.specs.strict import InputError, build, load_params
from normlab.specs.yaml12 import load_yaml

METRICS, CLAIMS = "reports/metrics.json", "reports/claims.json"
REPEATED = ("train", "probe")  # the programs that make a run's numbers
THREADS = 1  # with which the committed numbers were computed: another number sums in another order


@dataclass(frozen=True)
class Tolerance:
    """An allowed change of metrics whose name fits `pattern`: absolute + relative · |committed value|."""

    pattern: str
    absolute: float
    relative: float
    reason: str

    def allows(self, committed: float, now: float) -> bool:
        """Whether `now` may stand in for `committed`; NaN and ±inf stand in for themselves only."""
        if not (math.isfinite(committed) and math.isfinite(now)):
            return committed == now or (math.isnan(committed) and math.isnan(now))
        return abs(now - committed) <= self.absolute + self.relative * abs(committed)


@dataclass(frozen=True)
class Difference:
    """A number or verdict that differs; `allowed` names the rule that accepts it, None if nothing does."""

    name: str
    committed: object
    now: object
    allowed: str | None


def load_tolerances(name: str = "rerun_tolerances.yaml") -> list[Tolerance]:
    """The rules of `rerun_tolerances.yaml`, or of another file beside it, in order."""
    with resources.as_file(resources.files("normlab") / name) as path:
        return [build(Tolerance, rule, f"rules[{i}]") for i, rule in enumerate(load_params(path)["rules"])]


def canary_of(params: Mapping[str, Any], week: int, name: str = "") -> PlannedRun:
    """The run to repeat: `name`, or this ISO week's, so that every run of the grids has its turn.

    Raises:
        InputError: no run of a grid has this name.
    """
    runs = {run.spec.name: run for run in planned_runs(params)}
    if name and name not in runs:
        raise InputError(f"CANARY: no run {name!r} in a grid; there are: {', '.join(runs)}")
    return runs[name] if name else list(runs.values())[week % len(runs)]


def flat_numbers(values: object, prefix: str = "") -> dict[str, float]:
    """Every number in nested mappings and lists under its dotted name; null is NaN, booleans are 0 and 1."""
    if isinstance(values, Mapping):
        pairs = list(values.items())
    elif isinstance(values, list):
        pairs = list(enumerate(values))
    elif values is None:
        return {prefix: math.nan}
    else:
        return {prefix: float(values)} if isinstance(values, int | float) else {}
    parts = [flat_numbers(value, f"{prefix}.{name}" if prefix else str(name)) for name, value in pairs]
    return {name: number for part in parts for name, number in part.items()}


def compare_metrics(committed: object, now: object, tolerances: Sequence[Tolerance]) -> list[Difference]:
    """What changed between two contents of metrics.json; one that came, went, or has no rule is not allowed."""
    before, after = flat_numbers(committed), flat_numbers(now)
    changes = []
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            changes.append(Difference(name, before.get(name, "missing"), after.get(name, "missing"), None))
            continue
        if before[name] != after[name] and not (math.isnan(before[name]) and math.isnan(after[name])):
            rule = rule_for(name, tolerances)
            allowed = rule.pattern if rule and rule.allows(before[name], after[name]) else None
            changes.append(Difference(name, before[name], after[name], allowed))
    return changes


def rule_for(name: str, tolerances: Sequence[Tolerance]) -> Tolerance | None:
    """The first rule whose pattern fits the dotted name of a metric."""
    return next((rule for rule in tolerances if fnmatch.fnmatchcase(name, rule.pattern)), None)


def compare_verdicts(committed: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """The claims whose verdict changed, or that came or went; none of it is allowed."""
    before, after = ({claim["id"]: claim["verdict"] for claim in claims} for claims in (committed, now))
    names = sorted(before.keys() | after.keys(), key=lambda name: (len(name), name))
    pairs = [(name, before.get(name, "missing"), after.get(name, "missing")) for name in names]
    return [Difference(name, old, new, None) for name, old, new in pairs if old != new]


def clone_head(root: Path, clone: Path) -> None:
    """Clone the last commit of `root` to `clone`; results that this machine holds already are shared with it.

    Raises:
        InputError: `clone` exists and is not empty.
        subprocess.CalledProcessError: git or DVC failed; what they said is on the terminal.
    """
    if clone.exists() and any(clone.iterdir()):
        raise InputError(f"CLONE: expected a folder that does not exist yet or is empty, got {clone}")
    subprocess.run(["git", "clone", "--quiet", str(root), str(clone)], check=True)
    cache = root / ".dvc/cache"
    if cache.is_dir():  # elsewhere the results come from a remote, or are made anew
        _dvc(clone, "cache", "dir", "--local", str(cache.resolve()))


def repeat(clone: Path, canary: PlannedRun) -> bool:
    """Reproduce `clone`, then train and probe `canary` whatever the cache holds, and all that follows from it.

    Returns:
        Whether the repeated run is bit-identical to the one before.

    Raises:
        subprocess.CalledProcessError: DVC failed; what it said is on the terminal.
    """
    _dvc(clone, "repro", "--pull")
    before = _outputs(clone, canary)
    _dvc(clone, "repro", "--force", "--single-item", *_stages(canary))
    identical = _outputs(clone, canary) == before
    _dvc(clone, "repro")
    return identical


def _outputs(clone: Path, canary: PlannedRun) -> list[str]:
    stages = load_yaml(clone / "dvc.lock")["stages"]
    return [str(out["md5"]) for name in _stages(canary) for out in stages[name]["outs"]]


def _stages(canary: PlannedRun) -> list[str]:
    """The stages that make its numbers: two, or one for a run that is probed while it trains."""
    return list(dict.fromkeys(canary.stage(program) for program in REPEATED))


def _dvc(clone: Path, *arguments: str) -> None:
    # the clone's own code and this environment's programs, whatever the surroundings say; its chatter goes to stderr
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(THREADS))
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": str(clone / "src"),
    }
    environment |= one_thread  # other libraries than torch, for which every stage asks for one itself
    command = [sys.executable, "-m", "dvc", *arguments]
    subprocess.run(command, cwd=clone, env=environment, stdout=sys.stderr.fileno(), check=True)


def compare(root: Path, clone: Path) -> tuple[list[Difference], list[Difference]]:
    """The changed metrics and verdicts of `clone` against the commit that it was cloned from."""

    def committed(path: str) -> Any:
        show = subprocess.run(["git", "show", f"HEAD:{path}"], cwd=root, capture_output=True, text=True, check=False)
        if show.returncode:
            raise InputError(
                f"{path}: is not committed, so there is nothing to compare with; run make repro, commit it"
            )
        return json.loads(show.stdout)

    def now(path: str) -> Any:
        return json.loads((clone / path).read_text())

    metrics = compare_metrics(committed(METRICS), now(METRICS), load_tolerances())
    return metrics, compare_verdicts(committed(CLAIMS), now(CLAIMS))


def summary(canary: str, identical: bool, metrics: Sequence[Difference], verdicts: Sequence[Difference]) -> str:
    """The outcome in Markdown."""
    refused = [change for change in (*metrics, *verdicts) if change.allowed is None]
    outcome = f"**{len(refused)} differences that are not allowed**" if refused else "**no difference that matters**"
    cores = f"{THREADS} thread on {os.cpu_count()} cores"
    versions = f"Python {platform.python_version()}, {platform.machine()}, {cores}"
    same = "bit-identical" if identical else "not bit-identical"
    lines = [
        "## Rerun in a clean clone",
        "",
        f"{outcome}; canary `{canary}` is {same} to the committed run ({versions}).",
    ]
    for title, changes in (("Verdicts", verdicts), ("Metrics", metrics)):
        if changes:
            lines += ["", f"| {title} | committed | now | allowed by |", "|---|---|---|---|"]
            lines += [
                f"| {_cell(c.name)} | {_cell(c.committed)} | {_cell(c.now)} | {_rule(c.allowed)} |" for c in changes
            ]
    return "\n".join([*lines, ""])


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")


def _rule(allowed: str | None) -> str:
    return "**nothing**" if allowed is None else f"`{allowed}`"
