"""What the stage outputs say, as the runs that a tracker stores; the files stay the truth, the tracker is a view.

One `TrackedRun` is one training (a cell of the grid and a seed), one seed of a deep linear network, or the table of
claims. Reading the settings and digesting the files is quick; the numbers are read when a tracker asks for them.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from normlab.specs.dln import DlnGridSpec
from normlab.specs.grid import planned_runs
from normlab.specs.strict import build, load_params
from normlab.specs.training import TrainSpec
from normlab.tables.summaries import read_summary
from normlab.tracking.names import FIT, Series, metric_name, thin
from normlab.tracking.tracked import TrackedRun, digest_of, flatten, labels, training_note


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
        tables = [folder / f"{probe}.parquet" for probe in FIT]
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
            labels=labels(params, training_note(trained, planned.stage("train"))),
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
        note = (
            f"The deep linear network with normalizer {point['norm_layer']} at learning rate {point['learning_rate']}, "
            f"seed {point['seed']}, by full-batch gradient descent. Made by `dvc repro dln@{cell}`."
        )
        name = f"dln-{cell}-{point['seed']}"
        yield TrackedRun("dln", name, settings, tags, (path,), load, labels=labels(params, note))


def _claims(root: Path, params: dict[str, Any]) -> Iterator[TrackedRun]:
    files = root / "reports/claims.json", root / "reports/metrics.json"
    if not all(path.exists() for path in files):
        return
    tags = {f"claim.{claim['id']}": claim["verdict"] for claim in json.loads(files[0].read_text())}
    settings = flatten(params)
    tags |= {"dvc_stage": "analyze", "spec_digest": digest_of(settings)}
    note = (
        "Verdicts on the claims (tags `claim.C1` …), the numbers of all cells (metrics), and the pages of the report "
        "(artifacts). Made by `dvc repro`."
    )
    attached = {"": files, "pages": tuple(sorted((root / "reports/html").glob("*.html")))}
    load = partial(_numbers, files[1])
    yield TrackedRun(
        "claims", _claims_name(params), settings, tags, files, load, attachments=attached, labels=labels(params, note)
    )


def _claims_name(params: dict[str, Any]) -> str:
    """`claims-quick-vgg11-0.1`: history has many of them, of other presets and rates."""
    report, spec = params.get("report") or {}, params.get("analyze") or {}
    parts = (report.get("preset"), spec.get("network"), spec.get("learning_rate"))
    return "-".join(["claims", *(str(part) for part in parts if part is not None)])


def _training_series(folder: Path, probes: Path) -> Series:
    import pandas as pd

    series: Series = {}
    for path in (folder / f"{probe}.parquet" for probe in FIT):
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
    values = flatten(json.loads(path.read_text()), separator="/")  # the dot of a rate is no folder
    return {
        name: [(0, float(value))]
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
