"""The only module that knows MLflow: opens a store, and writes and finds runs in it.

A store is the file `mlflow.db` beside params.yaml, or a server. What a run means is decided elsewhere.
"""

import hashlib
import importlib
import json
import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from normlab.tracking import local
from normlab.tracking.names import Series
from normlab.tracking.tracked import STUDIES, TRAININGS

KEY = "normlab.key"  # what a whole run is: the digest of its settings and outputs
SHOWN = "normlab.shown"  # the digest of its labels and attachments
UNFINISHED = "normlab.unfinished"  # a run that is being written, or trains
ATTACHED = "normlab.attached"  # a run with files of its own
CHECKOUT = "normlab.checkout"  # where a run was published from: a server may be shared
PROCESS = "normlab.process"  # which process of this machine trains
CURRENT = "current"  # "true" for what belongs to the present parameters, "false" for history
SYSTEM = "system/"  # MLflow's name for the load of the machine
BATCH = 1000  # the most metrics that MLflow takes at once
PARAMETERS = 100  # and the most parameters

# a server that is away costs seconds, not the minutes of the default retries; nothing is reported to anyone
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")


def store_uri(root: Path = Path()) -> str:
    """`MLFLOW_TRACKING_URI` if it is set, else the sqlite store `mlflow.db` in `root`, as an absolute address."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve() / 'mlflow.db'}"


def artifact_folder(root: Path) -> Path:
    """Where the local store keeps files."""
    return root.resolve() / "mlruns"


def checkout(root: Path) -> str:
    """A name of the folder `root` on this machine that tells neither."""
    return hashlib.sha256(f"{socket.gethostname()}:{root.resolve()}".encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Store:
    """An opened store.

    Attributes:
        client: MLflow's client.
        uri: the store's address.
        root: the folder of params.yaml.
    """

    client: Any
    uri: str
    root: Path

    @property
    def shared(self) -> bool:
        """Whether others may write there, too."""
        return local.path_of(self.uri) is None

    def experiment(self, study: str) -> str:
        """The id of the experiment of a study, which is made if it is missing."""
        from filelock import FileLock

        name = f"normlab-{study}"
        with FileLock(_lock(self.root)):
            found = self.client.get_experiment_by_name(name)
            if found is not None:
                return str(found.experiment_id)
            place = None if self.shared else (artifact_folder(self.root) / name).as_uri()
            # the second tag says that these are trainings, which MLflow shows otherwise than chat programs
            note = STUDIES.get(study, TRAININGS.format(study=study))
            tags = {"mlflow.note.content": note, "mlflow.experimentKind": "custom_model_development"}
            return str(self.client.create_experiment(name, artifact_location=place, tags=tags))

    def experiments(self) -> dict[str, str]:
        """Name and id of ours."""
        found = self.client.search_experiments(filter_string="name LIKE 'normlab-%'")
        return {one.name: str(one.experiment_id) for one in found}

    def runs(self) -> Iterator[Any]:
        """Every run of ours, deleted ones too; on a server those that were published from this folder, or are whole."""
        view_all = importlib.import_module("mlflow.entities").ViewType.ALL
        experiments, token = list(self.experiments().values()), None
        while experiments:
            page = self.client.search_runs(experiments, run_view_type=view_all, max_results=1000, page_token=token)
            yield from (run for run in page if {KEY, UNFINISHED} & set(run.data.tags))
            token = page.token
            if not token:
                return

    def is_ours(self, run: Any) -> bool:
        """Whether this folder may say that a run is history, or take it out."""
        return not self.shared or run.data.tags.get(CHECKOUT) == checkout(self.root)

    def begin(
        self, study: str, name: str, tags: Mapping[str, str], params: Mapping[str, object], start: int | None = None
    ) -> str:
        """A new run of a study with these tags and parameters; returns its id."""
        experiment = self.experiment(study)
        tags = {**tags, CHECKOUT: checkout(self.root)}
        run_id = self.client.create_run(experiment, start_time=start, tags=tags, run_name=name).info.run_id
        param = importlib.import_module("mlflow.entities").Param
        values = [param(key, json.dumps(v) if isinstance(v, list | tuple) else str(v)) for key, v in params.items()]
        for first in range(0, len(values), PARAMETERS):
            self.client.log_batch(run_id, params=values[first : first + PARAMETERS])
        return str(run_id)

    def log(self, run_id: str, series: Series, timestamp: int) -> None:
        """Add points to a run."""
        metric = importlib.import_module("mlflow.entities").Metric
        self._log_metrics(
            run_id, [metric(name, value, timestamp, step) for name, points in series.items() for step, value in points]
        )

    def copy_system_metrics(self, source: Any, run_id: str) -> None:
        """Give a run the load of the machine that another one, which it replaces, has seen."""
        for name in source.data.metrics:
            if name.startswith(SYSTEM):
                self._log_metrics(run_id, self.client.get_metric_history(source.info.run_id, name))

    def _log_metrics(self, run_id: str, metrics: Sequence[Any]) -> None:
        for first in range(0, len(metrics), BATCH):
            self.client.log_batch(run_id, metrics=metrics[first : first + BATCH])

    def name_dataset(self, run_id: str, source: str, digest: str) -> None:
        """Say which images a run used."""
        entities = importlib.import_module("mlflow.entities")
        described = json.dumps({"uri": "data/prepared"})
        short = digest.rpartition(":")[2][:12]
        dataset = entities.Dataset(name=source, digest=short, source_type="local", source=described)
        context = entities.InputTag("mlflow.data.context", "training")
        self.client.log_inputs(run_id, [entities.DatasetInput(dataset, [context])])

    def watch_system(self, run_id: str, every: float) -> Any:
        """Start to note the load of the machine every so many seconds; call `finish()` of what is returned."""
        monitor = importlib.import_module("mlflow.system_metrics.system_metrics_monitor").SystemMetricsMonitor(
            run_id, sampling_interval=every, tracking_uri=self.uri
        )
        monitor.start()
        return monitor


def open_store(uri: str, root: Path) -> Store:
    """The store at `uri`; a local one is made if it is missing, and told where its files are if it was moved."""
    from filelock import FileLock

    mlflow = importlib.import_module("mlflow")
    for noisy in ("mlflow", "alembic", "urllib3"):  # they announce every table and retry, and print what they raise
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    path = local.path_of(uri)
    with FileLock(_lock(root)):  # two processes that create one store destroy each other
        if path is not None and not path.exists():
            local.create(path, lambda address: mlflow.MlflowClient(tracking_uri=address))
        elif path is not None:
            local.move_artifacts(path, artifact_folder(root))
        return Store(mlflow.MlflowClient(tracking_uri=uri), uri, root)


def _lock(root: Path) -> Path:
    return root.resolve() / "mlflow.db.lock"
