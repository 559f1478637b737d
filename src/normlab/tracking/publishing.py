"""A tracker as a view of the stage outputs: what they say is tagged `current`, what they said before stays as history.

Runs are flat and carry their key, the digest of their settings and outputs, as a tag. What the store holds is decided
by these keys alone, so that publishing twice adds nothing.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from normlab.tracking import local
from normlab.tracking.store import (
    ATTACHED,
    CHECKOUT,
    CURRENT,
    KEY,
    PROCESS,
    SHOWN,
    UNFINISHED,
    Store,
    artifact_folder,
    checkout,
    open_store,
    store_uri,
)
from normlab.tracking.tracked import TrackedRun, full_tags

Draw = Callable[[TrackedRun, Path], None]
Identity = tuple[str | None, str | None, str | None]  # study, name, digest of the settings


@dataclass(frozen=True)
class StoreChanges:
    """What `publish` did, in numbers of runs.

    Attributes:
        kept: current before and now.
        added: written.
        restored: history, or deleted, before, and current again.
        retired: current before, and history now.
        removed: what trainings wrote while they ran, or publishing before it was interrupted, replaced by whole runs.
        redrawn: of those kept or restored, those that got their pictures and files again.
        notes: a line each for what was put right before.
    """

    kept: int
    added: int = 0
    restored: int = 0
    retired: int = 0
    removed: int = 0
    redrawn: int = 0
    notes: tuple[str, ...] = ()


def publish(runs: Sequence[TrackedRun], root: Path = Path(), draw: Draw | None = None) -> StoreChanges:
    """Make `runs` the current ones of the store: missing ones are written, others of before become history.

    Nothing that was whole is deleted. On a server, which may be shared, only what was published from this folder
    becomes history.

    Args:
        runs: what the outputs say.
        root: the repository; the local store is in it.
        draw: writes the figures of a run into a folder.
    """
    uri = store_uri(root)
    path = local.path_of(uri)
    if path is None:
        return _synchronize(runs, uri, root, draw)
    reason, notes = local.damage(path), []
    if reason is not None:
        notes = [local.set_aside(path, reason)]
    # importing mlflow takes seconds, reading a few columns takes none
    elif _is_up_to_date(path, runs, root):
        return StoreChanges(kept=len(runs))
    try:
        changes = _synchronize(runs, uri, root, draw)
    except Exception as error:
        if not local.tells_damage(error, path):
            raise
        notes.append(local.set_aside(path, str(error)))
        # MLflow keeps one connection an address, to the file that has just been renamed: so, another spelling of it
        changes = _synchronize(runs, f"{local.SCHEME}{path.parent}/./{path.name}", root, draw)
    return replace(changes, notes=tuple(notes))


def prune(root: Path = Path()) -> int:
    """Move what is not current to MLflow's deleted runs, from where it can be restored; returns how many runs."""
    store = open_store(store_uri(root), root)
    old = [
        run
        for run in store.runs()
        if _is_active(run) and store.is_ours(run) and run.data.tags.get(CURRENT) != "true"
        if not _trains(run, store)
    ]
    for run in old:
        store.client.delete_run(run.info.run_id)
    return len(old)


def _is_up_to_date(path: Path, runs: Sequence[TrackedRun], root: Path) -> bool:
    folder = artifact_folder(root)
    if not path.exists() or local.moved_artifacts(path, folder) or local.lost_artifacts(path, ATTACHED):
        return False
    stored = local.current(path, (KEY, SHOWN), CURRENT)
    whole = Counter({tags: count for tags, count in stored.items() if tags[0] is not None})  # trainings have no key yet
    return whole == Counter((run.key, run.shown) for run in runs)


def _synchronize(runs: Sequence[TrackedRun], uri: str, root: Path, draw: Draw | None) -> StoreChanges:
    store = open_store(uri, root)
    stored = list(store.runs())
    whole = {old.data.tags[KEY]: old for old in sorted(stored, key=_is_active) if KEY in old.data.tags}
    added = [run for run in runs if run.key not in whole]
    found = [(whole[run.key], run) for run in runs if run.key in whole]
    restored = [(old, run) for old, run in found if not _is_current(old)]
    path = local.path_of(uri)
    lost = local.lost_artifacts(path, ATTACHED) if path else set()
    parts: dict[Identity, list[Any]] = {}
    for old in stored:
        if KEY not in old.data.tags:
            parts.setdefault(_identity_of(old), []).append(old)
    for run in added:
        _write(store, run, draw, parts.get(_identity(run), []))
    for old, _ in restored:
        if not _is_active(old):
            store.client.restore_run(old.info.run_id)
    redrawn = [(old, run) for old, run in found if old.info.run_id in lost or old.data.tags.get(SHOWN) != run.shown]
    for old, run in redrawn:
        _attach(store, old.info.run_id, run, draw)
    for old, _ in restored:
        store.client.set_tag(old.info.run_id, CURRENT, "true")
    kept = {old.info.run_id for old, _ in found}
    others = [old for old in stored if _is_active(old) and old.info.run_id not in kept and store.is_ours(old)]
    whole_now = {_identity(run) for run in runs}
    replaced = {old.info.run_id for old in others if KEY not in old.data.tags and _identity_of(old) in whole_now}
    removed = [old for old in others if old.info.run_id in replaced]
    retired = [old for old in others if old.info.run_id not in replaced and old.data.tags.get(CURRENT) != "false"]
    retired = [old for old in retired if not _trains(old, store)]
    for old in removed:
        store.client.delete_run(old.info.run_id)
    for old in retired:
        store.client.set_tag(old.info.run_id, CURRENT, "false")
    same = len(runs) - len(added) - len(restored)
    return StoreChanges(same, len(added), len(restored), len(retired), len(removed), len(redrawn))


def _is_active(run: Any) -> bool:
    return bool(run.info.lifecycle_stage == "active")


def _is_current(run: Any) -> bool:
    return _is_active(run) and run.data.tags.get(CURRENT) == "true"


def _trains(run: Any, store: Store) -> bool:
    """Whether a training is still writing: what a killed one left says RUNNING for ever."""
    tags = run.data.tags
    if KEY in tags or run.info.status != "RUNNING" or PROCESS not in tags:
        return False
    if tags.get(CHECKOUT) != checkout(store.root):
        return True  # on another machine: who knows
    try:
        os.kill(int(tags[PROCESS]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _identity(run: TrackedRun) -> Identity:
    """What a run has in common with its live run, and with a part of it that was written before."""
    return run.study, run.name, run.tags["spec_digest"]


def _identity_of(old: Any) -> Identity:
    return old.data.tags.get("study"), old.info.run_name, old.data.tags.get("spec_digest")


def _write(store: Store, run: TrackedRun, draw: Draw | None, parts: Sequence[Any]) -> None:
    """Write a run; `parts` are those that it replaces."""
    ended = max(path.stat().st_mtime for path in run.files)
    begun = round((ended - run.seconds) * 1000)
    tags = {**full_tags(run.study, run.tags, store.root), CURRENT: "true", UNFINISHED: "true"}
    run_id = store.begin(run.study, run.name, tags, run.params, begun)
    store.log(run_id, run.load(), round(ended * 1000))
    for old in parts:
        store.copy_system_metrics(old, run_id)
    if run.dataset is not None:
        store.name_dataset(run_id, *run.dataset)
    _attach(store, run_id, run, draw)
    store.client.set_tag(run_id, KEY, run.key)  # last: an interrupted run has no key and is written again
    store.client.delete_tag(run_id, UNFINISHED)
    store.client.set_terminated(run_id, end_time=round(ended * 1000))


def _attach(store: Store, run_id: str, run: TrackedRun, draw: Draw | None) -> None:
    """Store the run's labels, attachments and figures, and a tag that says that there are some."""
    for name, value in run.labels.items():
        store.client.set_tag(run_id, name, value)
    for place, paths in run.attachments.items():
        for path in paths:
            store.client.log_artifact(run_id, str(path), place or None)
    drawn = False
    if draw is not None:
        with tempfile.TemporaryDirectory() as folder:
            draw(run, Path(folder))
            drawn = any(Path(folder).iterdir())
            if drawn:
                store.client.log_artifacts(run_id, folder, "figures")
    if any(run.attachments.values()) or drawn:
        store.client.set_tag(run_id, ATTACHED, "true")
    store.client.set_tag(run_id, SHOWN, run.shown)
