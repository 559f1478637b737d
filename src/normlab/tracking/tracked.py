"""One run as a tracker stores it: its identity, its settings, and where its numbers are."""

import hashlib
import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from normlab.specs.grid import PlannedRun
from normlab.specs.strict import InputError, load_params
from normlab.specs.training import RunSpec
from normlab.tracking.names import Series

FORMAT = 3  # part of every key: a change of what is published publishes everything anew
NOTE = "mlflow.note.content"  # MLflow shows this tag as a description
# of the runs that are no trainings of the grid; those are called by the family of their network
STUDIES = {
    "dln": "Deep linear networks by full-batch gradient descent: one run a normalizer, learning rate and seed.",
    "claims": "The paper's claims: verdicts as tags `claim.C1` …, the numbers behind them as metrics.",
}

TRAININGS = "Networks of the family {study} with and without normalizers: one run a normalizer, learning rate and seed."


@dataclass(frozen=True)
class TrackedRun:
    """One flat run of a tracker.

    Attributes:
        study: the family of runs, such as vgg or dln.
        name: unique within the study.
        params: every setting behind the run, flat, such as `train.width`.
        tags: what runs are filtered by.
        files: the outputs that the numbers come from.
        load: reads the metric series, name → (step, value) in order.
        dataset: the manifest's source and digest, None if the run uses no images.
        seconds: how long the run took where it was made, 0 if unknown.
        attachments: files stored with the run as they are, by the folder that they are stored in.
        labels: tags that may change while the run stays the same: its preset, its description.

    Its `key` is the digest of settings, tags and files; `shown`, that of labels and attachments.
    """

    study: str
    name: str
    params: Mapping[str, object]
    tags: Mapping[str, str]
    files: tuple[Path, ...]
    load: Callable[[], Series]
    dataset: tuple[str, str] | None = None
    seconds: float = 0.0
    attachments: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    key: str = field(init=False)
    shown: str = field(init=False)

    def __post_init__(self) -> None:
        content = hashlib.sha256(json.dumps([self.study, self.name, self.params, self.tags]).encode())
        for path in self.files:
            content.update(bytes.fromhex(_file_digest(path)))
        object.__setattr__(self, "key", f"{FORMAT}-{self.tags['spec_digest']}-{content.hexdigest()[:16]}")
        stored = {place: list(map(_file_digest, paths)) for place, paths in self.attachments.items()}
        object.__setattr__(self, "shown", digest_of({"labels": dict(self.labels), "attachments": stored}))


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digest_of(settings: Mapping[str, object]) -> str:
    """SHA-256 over the canonical JSON of `settings`, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def flatten(values: Mapping[str, Any], prefix: str = "", separator: str = ".") -> dict[str, Any]:
    """Nested mappings as one level with names such as `train.width`, in order."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}{separator}", separator)
        else:
            flat[prefix + name] = value
    return flat


def full_tags(study: str, tags: Mapping[str, str], root: Path) -> dict[str, str]:
    """`tags` with the study, the commit that is checked out in `root`, and the command, as MLflow's pages name them."""
    head = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    )
    commit = head.stdout.strip() or "unknown"
    source = {"name": f"dvc repro {tags['dvc_stage'].partition('@')[0]}", "type": "PROJECT", "git.commit": commit}
    described = {f"mlflow.source.{key}": value for key, value in source.items()}
    return {**tags, "study": study, "git_commit": commit, **described}


def labels(params: Mapping[str, Any], note: str) -> dict[str, str]:
    """The preset that `params` call themselves, and a description."""
    report = params.get("report")
    return {"preset": str(report.get("preset", "") if isinstance(report, Mapping) else ""), NOTE: note}


def training_note(run: RunSpec, stage: str) -> str:
    """A description of a training."""
    variant = f", {run.variant}" if run.variant else ""
    return (
        f"{run.network} with normalizer {run.norm_layer} at learning rate {run.learning_rate:g}, seed {run.seed}"
        f"{variant}: {run.train.steps} updates with batches of {run.train.batch_size}. "
        f"Made by `dvc repro {stage}`."
    )


def training_labels(run: RunSpec, root: Path) -> dict[str, str]:
    """The labels of a training that runs in `root`; no preset where params.yaml cannot be read."""
    try:
        params = load_params(root / "params.yaml")
    except InputError:
        params = {}
    stage = PlannedRun(run).stage("train")
    return labels(params, training_note(run, stage))
