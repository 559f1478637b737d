"""Which trainings a change will repeat although it is none of theirs, because the checkpoints to measure are gone."""

from pathlib import Path

import yaml

from normlab.scheduling.digests import Digests
from normlab.scheduling.lock_reader import Loader, read_lock
from normlab.scheduling.pipeline import Writers, read_stages
from normlab.scheduling.staleness import changed_inputs
from normlab.specs.strict import load_params

SHOWN = 20  # names of runs in a line


def repeated_trainings(root: Path) -> list[str]:
    """The finished runs with `checkpoints: few` that the next reproduction will train again, a line for each reason.

    A reason is what has changed since they were made: sections of params.yaml, sources (also the file of a normalizer
    that only some of them use). What other stages write is not looked at: it may be missing, and come out the same.

    Args:
        root: the repository, with dvc.yaml, params.yaml and runs.yaml.
    """
    recorded = {name: last for name, last in read_lock(root / "dvc.lock").items() if name.startswith("measure@")}
    if not recorded:
        return []
    stages = read_stages(root / "dvc.yaml", yaml.load((root / "runs.yaml").read_bytes(), Loader))
    params, digests, writers = load_params(root / "params.yaml"), Digests(root), Writers(stages.values())
    reasons: dict[tuple[str, ...], list[str]] = {}
    for name in recorded.keys() & stages.keys():
        changed = changed_inputs(stages[name], recorded[name], params, digests)
        if own := tuple(change for change in changed if not writers.of(change)):
            reasons.setdefault(own, []).append(stages[name].key)
    digests.save()
    return [_line(changed, sorted(runs)) for changed, runs in sorted(reasons.items())]


def _line(changed: tuple[str, ...], runs: list[str]) -> str:
    names = ", ".join(runs[:SHOWN]) + (f" and {len(runs) - SHOWN} more" if len(runs) > SHOWN else "")
    return f"{', '.join(changed)} changed; trained again for it, because they keep few checkpoints: {names}"
