"""The only module that knows MLflow: a view of the stage outputs, which can be deleted and rebuilt from them.

Runs are flat and carry their key, the digest of their settings and outputs, as the tag `normlab.key`. What the store
holds is decided by these keys alone, so that publishing twice adds nothing.
"""

import importlib
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from normlab.specs.training import RunSpec
from normlab.tracking import local
from normlab.tracking.collected import STUDIES, TRAININGS, Series, TrackedRun, flatten, full_tags, live_series, thin

KEY, UNFINISHED, ATTACHED = "normlab.key", "normlab.unfinished", "normlab.attached"
BATCH = 1000  # the most metrics that MLflow takes at once
LIVE_POINTS = 20  # steps that one flush of a live run stores: the rest follows when the run is published

# a server that is away costs seconds, not the minutes of the default retries; nothing is reported to anyone
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")


@dataclass(frozen=True)
class StoreChanges:
    """How many runs `publish` found in the store, wrote, brought back, and took out as no longer true.

    Attributes:
        redrawn: of those found, how many had lost their pictures and files and got them again.
        notes: a line each for what was put right before.
    """

    kept: int
    added: int = 0
    restored: int = 0
    removed: int = 0
    redrawn: int = 0
    notes: tuple[str, ...] = ()


def store_uri(root: Path = Path()) -> str:
    """`MLFLOW_TRACKING_URI` if it is set, else the sqlite store `mlflow.db` in `root`, as an absolute address."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve() / 'mlflow.db'}"


def publish(
    runs: Sequence[TrackedRun], root: Path = Path(), draw: Callable[[TrackedRun, Path], None] | None = None
) -> StoreChanges:
    """Make the store show exactly `runs`: missing ones are written, changed ones replaced, others left as they are.

    In the local store a run of ours that no longer stands for any output is deleted (MLflow keeps it under "deleted"
    and it comes back with the outputs); on a server, which may be shared, only an older version of the same run is.

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
    # importing mlflow takes seconds, reading two columns takes none
    elif local.active(path, KEY) == Counter(run.key for run in runs) and not _without_files(path, root):
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


def _synchronize(
    runs: Sequence[TrackedRun], uri: str, root: Path, draw: Callable[[TrackedRun, Path], None] | None
) -> StoreChanges:
    client = _open(uri, root)
    experiments = {study: _experiment(client, study, uri, root) for study in sorted({run.study for run in runs})}
    stored = list(_stored(client))
    active = {old.data.tags[KEY]: old.info.run_id for old in stored if _is_active(old) and KEY in old.data.tags}
    deleted = {old.data.tags[KEY]: old.info.run_id for old in stored if not _is_active(old) and KEY in old.data.tags}
    added = [run for run in runs if run.key not in active and run.key not in deleted]
    restored = [run for run in runs if run.key not in active and run.key in deleted]
    for run in added:
        _write(client, experiments[run.study], run, root, draw)
    for run in restored:
        client.restore_run(deleted[run.key])
    path = local.path_of(uri)
    lost = _without_files(path, root) if path else set()
    bare = [(id, run) for run in runs if (id := active.get(run.key) or deleted.get(run.key)) in lost]
    for run_id, run in bare:
        _attach(client, run_id, run, draw)
    kept = {active.get(run.key) for run in runs}
    gone = [old for old in stored if _is_active(old) and old.info.run_id not in kept]
    stale = [old for old in gone if _is_stale(old, runs, shared=path is None)]
    for old in stale:
        client.delete_run(old.info.run_id)
    same = len(runs) - len(added) - len(restored)
    return StoreChanges(same, len(added), len(restored), len(stale), redrawn=len(bare))


def _without_files(path: Path, root: Path) -> set[str]:
    return local.lost_artifacts(path, ATTACHED, root.resolve() / "mlruns")


def _open(uri: str, root: Path) -> Any:
    import logging

    from filelock import FileLock

    mlflow = importlib.import_module("mlflow")
    for noisy in ("mlflow", "alembic"):  # they announce every table, and print each error beside raising it
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    path = local.path_of(uri)
    with FileLock(root.resolve() / "mlflow.db.lock"):  # two processes that create one store destroy each other
        if path is not None and not path.exists():
            local.create(path, lambda address: mlflow.MlflowClient(tracking_uri=address))
        return mlflow.MlflowClient(tracking_uri=uri)


def _experiment(client: Any, study: str, uri: str, root: Path) -> str:
    from filelock import FileLock

    name = f"normlab-{study}"
    with FileLock(root.resolve() / "mlflow.db.lock"):
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        place = (root.resolve() / "mlruns" / name).as_uri() if local.path_of(uri) else None
        # the second tag says that these are trainings, which MLflow shows otherwise than chat programs
        note = STUDIES.get(study, TRAININGS.format(study=study))
        tags = {"mlflow.note.content": note, "mlflow.experimentKind": "custom_model_development"}
        return str(client.create_experiment(name, artifact_location=place, tags=tags))


def _stored(client: Any) -> Iterator[Any]:
    view_all = importlib.import_module("mlflow.entities").ViewType.ALL
    experiments = [e.experiment_id for e in client.search_experiments(filter_string="name LIKE 'normlab-%'")]
    token = None
    while experiments:
        page = client.search_runs(experiments, run_view_type=view_all, max_results=1000, page_token=token)
        yield from (run for run in page if {KEY, UNFINISHED} & set(run.data.tags))
        token = page.token
        if not token:
            return


def _is_active(run: Any) -> bool:
    return bool(run.info.lifecycle_stage == "active")


def _is_stale(old: Any, runs: Sequence[TrackedRun], shared: bool) -> bool:
    tags, name = old.data.tags, old.info.run_name
    if shared or KEY not in tags:  # another version of one of `runs`, or its live run
        return any(
            (tags.get("study"), name) == (run.study, run.name)
            and (not shared or tags.get("spec_digest") == run.tags["spec_digest"])
            for run in runs
        )
    return True


def _write(
    client: Any, experiment: str, run: TrackedRun, root: Path, draw: Callable[[TrackedRun, Path], None] | None
) -> None:
    entities = importlib.import_module("mlflow.entities")
    ended = max(path.stat().st_mtime for path in run.files)
    begun = round((ended - run.seconds) * 1000)
    tags = {**full_tags(run.study, run.tags, root), UNFINISHED: "true"}
    run_id = client.create_run(experiment, start_time=begun, tags=tags, run_name=run.name).info.run_id
    params = [entities.Param(name, json.dumps(v) if isinstance(v, list) else str(v)) for name, v in run.params.items()]
    for start in range(0, len(params), 100):
        client.log_batch(run_id, params=params[start : start + 100])
    _log_series(client, run_id, run.load(), round(ended * 1000))
    if run.dataset is not None:
        source, digest = run.dataset
        described = json.dumps({"uri": "data/prepared"})
        dataset = entities.Dataset(
            name=source, digest=digest.rpartition(":")[2][:12], source_type="local", source=described
        )
        context = entities.InputTag("mlflow.data.context", "training")
        client.log_inputs(run_id, [entities.DatasetInput(dataset, [context])])
    _attach(client, run_id, run, draw)
    client.set_tag(run_id, KEY, run.key)  # last: an interrupted run has no key and is written again
    client.delete_tag(run_id, UNFINISHED)
    client.set_terminated(run_id, end_time=round(ended * 1000))


def _attach(client: Any, run_id: str, run: TrackedRun, draw: Callable[[TrackedRun, Path], None] | None) -> None:
    """Store the run's attachments and figures, and a tag that says that there are some."""
    for path in run.attachments:
        client.log_artifact(run_id, str(path))
    drawn = False
    if draw is not None:
        with tempfile.TemporaryDirectory() as folder:
            draw(run, Path(folder))
            drawn = any(Path(folder).iterdir())
            if drawn:
                client.log_artifacts(run_id, folder, "figures")
    if run.attachments or drawn:
        client.set_tag(run_id, ATTACHED, "true")


def _log_series(client: Any, run_id: str, series: Series, timestamp: int) -> None:
    metric = importlib.import_module("mlflow.entities").Metric
    metrics = [metric(name, value, timestamp, step) for name, points in series.items() for step, value in points]
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH])


class LiveRun:
    """A run that is visible while it trains; `publish` replaces it by the complete one from the files.

    Whatever goes wrong with the tracker is said once on stderr and ends the tracking, never the training.

    Args:
        run: the run that trains.
        root: the repository.
        every: seconds between two writes.
    """

    def __init__(self, run: RunSpec, root: Path = Path(), every: float = 10.0) -> None:
        self.run, self.root, self.every = run, root, every
        self._client: Any = None
        self._run_id = ""
        self._pending: list[tuple[int, Mapping[str, float]]] = []
        self._flushed = time.monotonic()

    def __enter__(self) -> "LiveRun":
        self._attempt(self._start)
        return self

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Note the values of `step`; they are written together with others, at most `LIVE_POINTS` steps a write."""
        if self._client is not None:
            self._pending.append((step, dict(values)))
            if time.monotonic() - self._flushed >= self.every:
                self._attempt(self._flush)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status = "FINISHED" if kind is None else "FAILED" if issubclass(kind, Exception) else "KILLED"
        if self._client is not None:
            self._attempt(self._flush)
        if self._client is not None:
            self._attempt(lambda: self._client.set_terminated(self._run_id, status))

    def _attempt(self, action: Callable[[], object]) -> None:
        try:
            action()
        except ModuleNotFoundError as error:
            self._client = None
            if error.name not in ("mlflow", "filelock"):  # a machine without MLflow trains in silence
                self._warn(error)
        except Exception as error:
            self._client = None
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        reason = " ".join(str(error).split())[:300]
        print(f"{self.run.name}: live tracking is off, the training goes on: {reason}", file=sys.stderr)

    def _start(self) -> None:
        uri = store_uri(self.root)
        client = _open(uri, self.root)
        experiment = _experiment(client, self.run.study, uri, self.root)
        point = {key: str(value) for key, value in self.run.keys.items() if key != "study" and value != ""}
        tags = {**point, "dvc_stage": f"train@{self.run.name}", "spec_digest": self.run.digest, UNFINISHED: "true"}
        all_tags = full_tags(self.run.study, tags, self.root)
        self._run_id = client.create_run(experiment, tags=all_tags, run_name=self.run.name).info.run_id
        param = importlib.import_module("mlflow.entities").Param
        params = [param(name, str(value)) for name, value in flatten(self.run.settings).items()]
        client.log_batch(self._run_id, params=params)
        self._client = client

    def _flush(self) -> None:
        series = live_series(thin(self._pending, LIVE_POINTS))
        self._pending = []
        _log_series(self._client, self._run_id, series, round(time.time() * 1000))
        self._flushed = time.monotonic()
