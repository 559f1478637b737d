"""What the stage outputs say, as the runs that a tracker stores; the files stay the truth, the tracker is a view.

One `TrackedRun` is one training (a cell of the grid and a seed), one seed of a deep linear network, or the table of
claims. Reading the settings and digesting the files is quick; the numbers are read when a tracker asks for them.
"""

import hashlib
import json
import math
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from normlab.specs.dln import DlnGridSpec
from normlab.specs.grid import planned_runs
from normlab.specs.strict import build, load_params
from normlab.specs.training import TrainSpec
from normlab.tables.summaries import read_summary

MAX_POINTS = 500
FORMAT = 2  # part of every key: a change of what is published publishes everything anew
PREFIXES = {"history": "train"}
FIT_TABLES = ("history", "test", "held_out")  # what a training writes beside its summary and checkpoints
# of the runs that are no trainings of the grid; those are called by the family of their network
STUDIES = {
    "dln": "Deep linear networks by full-batch gradient descent: one run a normalizer, learning rate and seed.",
    "claims": "The paper's claims: verdicts as tags `claim.C1` …, the numbers behind them as metrics.",
}

TRAININGS = "Networks of the family {study} with and without normalizers: one run a normalizer, learning rate and seed."

Series = dict[str, list[tuple[int, float]]]
Point = TypeVar("Point")


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
        attachments: files stored with the run as they are.
    """

    study: str
    name: str
    params: Mapping[str, object]
    tags: Mapping[str, str]
    files: tuple[Path, ...]
    load: Callable[[], Series]
    dataset: tuple[str, str] | None = None
    seconds: float = 0.0
    attachments: tuple[Path, ...] = ()
    key: str = field(init=False)

    def __post_init__(self) -> None:
        content = hashlib.sha256(json.dumps([self.study, self.name, self.params, self.tags]).encode())
        for path in self.files:
            content.update(hashlib.sha256(path.read_bytes()).digest())
        object.__setattr__(self, "key", f"{FORMAT}-{self.tags['spec_digest']}-{content.hexdigest()[:16]}")


def metric_name(probe: str, quantity: str, layer: str = "") -> str:
    """`train/loss`, `test/accuracy`, `landscape/effective_beta`, `shift/features.conv5/cosine`, …"""
    group = PREFIXES.get(probe, probe)
    return "/".join(part for part in (group, layer, quantity.removeprefix(f"{group}_")) if part)


def thin(points: Sequence[Point], most: int = MAX_POINTS) -> list[Point]:
    """Every n-th point with the smallest n that leaves at most `most`, and the last one; no averaging."""
    every = math.ceil(len(points) / most)
    return [*points[:-1:every], *points[-1:]] if every > 1 else list(points)


def digest_of(settings: Mapping[str, object]) -> str:
    """SHA-256 over the canonical JSON of `settings`, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level with dotted names, in order."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
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


def live_series(steps: Sequence[tuple[int, Mapping[str, float]]]) -> Series:
    """What a training reports, step by step, as series."""
    series: Series = {}
    for step, values in steps:
        for quantity, value in values.items():
            series.setdefault(metric_name("history", quantity), []).append((step, value))
    return series


def collect(root: Path) -> list[TrackedRun]:
    """The runs of the studies that params.yaml names and whose outputs exist, and the claims.

    Args:
        root: the folder of params.yaml.

    Raises:
        InputError: params.yaml cannot be used.
    """
    params = load_params(root / "params.yaml")
    return [*_trainings(root, params), *_deep_linear(root, params), *_claims(root, params)]


def _trainings(root: Path, params: dict[str, Any]) -> Iterator[TrackedRun]:
    dataset = _dataset(root / "data/prepared/manifest.json")
    for planned in planned_runs(params):
        run = planned.spec
        folder, probes = root / "models/runs" / run.name, root / "data/probes" / run.name / "probes.parquet"
        tables = [folder / f"{probe}.parquet" for probe in FIT_TABLES]
        files = tuple(path for path in (folder / "summary.json", *tables, probes) if path.exists())
        if folder / "summary.json" not in files:
            continue
        summary = read_summary(folder / "summary.json")
        trained = replace(run, train=build(TrainSpec, summary["spec"]["train"], str(folder / "summary.json")))
        point = {key: value for key, value in run.keys.items() if key != "study" and value != ""}
        settings = point | {"parameters": summary["parameters"]} | flatten({"train": trained.settings["train"]})
        settings |= flatten({section: params[section] for section in ("data", "probe") if section in params})
        tags = {key: str(value) for key, value in point.items()} | {
            "dvc_stage": planned.stage("train"),
            "spec_digest": summary["spec_digest"],
            "device": summary["device"],
            "diverged_at": "never" if summary["diverged_at"] is None else str(summary["diverged_at"]),
        }
        yield TrackedRun(
            run.study,
            run.name,
            settings,
            tags,
            files,
            partial(_training_series, folder, probes),
            dataset,
            _wall_time(root / "logs/wall-times" / f"{run.name}.csv"),
        )


def _deep_linear(root: Path, params: dict[str, Any]) -> Iterator[TrackedRun]:
    cells = build(DlnGridSpec, params["dln_grid"], "dln_grid").cells if "dln_grid" in params else []
    for cell in cells:
        path = root / "data/studies/dln" / cell.name / "measurements.parquet"
        if path.exists():
            yield from _deep_linear_cell(path, cell.name, params)


def _deep_linear_cell(path: Path, cell: str, params: dict[str, Any]) -> Iterator[TrackedRun]:
    import pyarrow.parquet as parquet

    columns = ["norm_layer", "learning_rate", "variant", "seed"]
    keys = parquet.read_table(path, columns=columns).group_by(columns)
    for row in sorted(keys.aggregate([]).to_pylist(), key=lambda row: row["seed"]):
        point = {key: value for key, value in row.items() if value != ""}  # no variant, no tag
        settings = {"network": "dln", **point} | flatten({"dln": params["dln"]})
        tags = {key: str(value) for key, value in {"network": "dln", **point}.items()}
        tags |= {"dvc_stage": f"dln@{cell}", "spec_digest": digest_of(settings)}
        load = partial(_tidy_series, path, point["seed"])
        yield TrackedRun("dln", f"dln-{cell}-{point['seed']}", settings, tags, (path,), load)


def _claims(root: Path, params: dict[str, Any]) -> Iterator[TrackedRun]:
    files = root / "reports/claims.json", root / "reports/metrics.json"
    if not all(path.exists() for path in files):
        return
    tags = {f"claim.{claim['id']}": claim["verdict"] for claim in json.loads(files[0].read_text())}
    settings = flatten(params)
    tags |= {"dvc_stage": "analyze", "spec_digest": digest_of(settings)}
    yield TrackedRun("claims", "claims", settings, tags, files, partial(_numbers, files[1]), attachments=files)


def _training_series(folder: Path, probes: Path) -> Series:
    import pandas as pd

    series: Series = {}
    for path in (folder / f"{probe}.parquet" for probe in FIT_TABLES):
        if not path.exists():  # nothing was held out
            continue
        frame, probe = pd.read_parquet(path), path.stem
        for quantity in frame.columns.drop("step"):
            points = list(zip(frame["step"].tolist(), frame[quantity].tolist(), strict=True))
            series[metric_name(probe, quantity)] = thin(points)
    return series | (_tidy_series(probes) if probes.exists() else {})


def _tidy_series(path: Path, seed: int | None = None) -> Series:
    import pandas as pd

    frame = pd.read_parquet(path)
    if seed is not None:
        frame = frame[frame["seed"] == seed]
    # a value per step size belongs in a landscape figure; a tracker draws one value a step
    frame = frame[frame["step_size"].isna() & (frame["batch"] == 0)].sort_values("step", kind="stable")
    return {
        metric_name(probe, quantity, layer): thin(list(zip(part["step"].tolist(), part["value"].tolist(), strict=True)))
        for (probe, layer, quantity), part in frame.groupby(["probe", "layer", "quantity"], sort=False)
    }


def _numbers(path: Path) -> Series:
    values = flatten(json.loads(path.read_text()))
    return {
        name.replace(".", "/"): [(0, float(value))]
        for name, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _dataset(manifest: Path) -> tuple[str, str] | None:
    if not manifest.exists():
        return None
    values = json.loads(manifest.read_text())
    return str(values["source"]), str(values["digest"])


def _wall_time(path: Path) -> float:
    lines = path.read_text().split() if path.exists() else []
    return float(lines[-1].rpartition(",")[2]) if len(lines) > 1 else 0.0
