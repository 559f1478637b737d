"""What the next reproduction will do with each stage, without DVC's walk; what changed is what `dvc status` says."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import yaml

from normlab.scheduling.digests import Cache, Digests
from normlab.scheduling.lock_reader import LockLoader, Recorded, recorded
from normlab.scheduling.pipeline import Stage, Writers

MISSING = object()
Fate = Literal["there", "restored", "runs", "follows"]


@dataclass(frozen=True)
class Judged:
    """A stage and what will become of it.

    Attributes:
        stage: the stage.
        changes: what is not as it was when the stage last ran: `cmd`, sections of params.yaml, paths that it reads or
            writes (or whose content the cache has lost); `new` where it never ran. `dvc status` lists the stage if and
            only if there is one.
        fate: there: nothing is done; restored: its outputs come from DVC's cache; runs; follows: it runs after others
            that run, unless what they write turns out as it was.
    """

    stage: Stage
    changes: tuple[str, ...]
    fate: Fate


def judge(
    stages: Mapping[str, Stage],
    params: Mapping[str, Any],
    lock: Mapping[str, Recorded],
    digests: Digests,
    cache: Cache,
    known: Mapping[str, str] = MappingProxyType({}),
) -> list[Judged]:
    """What becomes of every stage, in order.

    Args:
        stages: all stages, each after those whose outputs it reads.
        params: the content of params.yaml.
        lock: what dvc.lock says.
        digests: of what is on disk; afterwards also of what will be restored.
        cache: DVC's.
        known: path → digest of outputs that have one content whenever they are written, so that nothing follows.
    """
    changes = {}
    for name, stage in stages.items():
        last = lock.get(name)
        if last is None:
            changes[name] = ["new"]
        else:
            changes[name] = [*changed_inputs(stage, last, params, digests), *_changed_outs(stage, last, digests, cache)]
    writers, fates = Writers(stages.values()), dict[str, Fate]()
    open_ended: set[str] = set()  # stages of which it is not known what they will have written
    for name, stage in stages.items():
        unknown = {path for path in stage.deps if writers.of(path) & open_ended}
        if unknown:
            fates[name] = "runs" if set(changes[name]) - unknown else "follows"
        else:
            fates[name] = _fate(stage, lock.get(name), params, digests, cache)
        if fates[name] in ("runs", "follows"):
            for path in known.keys() & set(stage.outs):
                digests.place(path, known[path])
            open_ended |= set() if known.keys() >= set(stage.outs) else {name}
    return [Judged(stage, tuple(changes[name]), fates[name]) for name, stage in stages.items()]


def changed_inputs(stage: Stage, last: Recorded, params: Mapping[str, Any], digests: Digests) -> list[str]:
    """What the stage is asked to do otherwise than when it last ran: `cmd`, sections of params.yaml, paths."""
    command = ["cmd"] if stage.cmd != last.cmd else []
    sections = [key for key in stage.params if _setting(params, key) != last.params.get(key, MISSING)]
    paths = [path for path in stage.deps if digests.digest(path) != last.deps.get(path, MISSING)]
    return [*command, *sections, *paths]


def _setting(params: Mapping[str, Any], key: str) -> Any:
    """The value at a key such as `train` or `report.preset`; MISSING where there is none."""
    value: Any = params
    for name in key.split("."):
        value = value.get(name, MISSING) if isinstance(value, Mapping) else MISSING
    return value


def _changed_outs(stage: Stage, last: Recorded, digests: Digests, cache: Cache) -> list[str]:
    return [
        path
        for path in stage.outs
        if path not in last.outs
        or digests.digest(path) != last.outs[path]
        or not (path in stage.uncached or cache.holds([last.outs[path]]))
    ]


def _fate(stage: Stage, last: Recorded | None, params: Mapping[str, Any], digests: Digests, cache: Cache) -> Fate:
    """Of a stage whose inputs are known. What it restores, the digests take for present from here on."""
    same = last is not None and not changed_inputs(stage, last, params, digests)
    if last is not None and same and not _changed_outs(stage, last, digests, cache):
        return "there"
    complete = last is not None and same and last.outs.keys() >= set(stage.outs)
    found = last if complete else _from_run_cache(stage, params, digests, cache)
    if found is None or not cache.holds(found.outs.values()):
        return "runs"
    for path, digest in found.outs.items():
        digests.place(path, cache.content(digest))
    return "restored"


def _from_run_cache(stage: Stage, params: Mapping[str, Any], digests: Digests, cache: Cache) -> Recorded | None:
    """The newest entry of the run cache for the stage's command, inputs and settings; the key is DVC's."""
    deps = [{"path": path, "hash": "md5", "md5": digests.digest(path)} for path in sorted(stage.deps)]
    settings = {name: _setting(params, name) for name in stage.params}
    if any(dep["md5"] is None for dep in deps) or MISSING in settings.values():
        return None
    key: dict[str, Any] = {"cmd": stage.cmd, "deps": deps, "outs": sorted(stage.outs)}
    if stage.params:
        key["params"] = {"params.yaml": settings}
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    entries = sorted((cache.folder / "runs" / name[:2] / name).glob("*"), key=lambda path: path.stat().st_mtime)
    return recorded(yaml.load(entries[-1].read_bytes(), LockLoader)) if entries else None
