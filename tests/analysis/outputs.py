"""Synthetic stage outputs on disk, as the stages write them."""

import json
from pathlib import Path

import pandas as pd
from tests.analysis.synthetic import STEPS, Kind, deep_linear_run, theory_table, training_run

from normlab.specs.grid import planned_runs
from normlab.specs.strict import load_params
from normlab.specs.training import RunSpec
from normlab.tables.frames import HISTOGRAM_COLUMNS, select
from normlab.tables.rows import KEYS

PARAMS = f"""
grid: [{{network: [vgg11], norm_layer: [none, batch], learning_rate: [1.0e-1], seed: [0, 1]}}]
train: {{width: 0.25, batch_size: 16, steps: {STEPS}, test_every: 5000, checkpoint_every: 100}}
assumptions: {{norm_layer: [batch], steps: [0], layers: 0, units: 1}}
reparametrization: {{norm_layer: [none], steps: [0], step_sizes: [1.0]}}
dln_grid: {{norm_layer: [none, batch], learning_rate: [1.0e-6]}}
analyze:
  studies: [training, dln, theory, reparametrization]
  network: vgg11
  learning_rate: 1.0e-1
  dln_learning_rate: 1.0e-6
  window: 5
  confidence: 0.95
  resamples: 200
  seed: 0
"""
KINDS = {"none": Kind(reach=6000.0, rough=3.0, plateau=True), "batch": Kind(reach=2000.0, test=0.85, plateau=True)}


def write_outputs(root: Path, params: str = PARAMS, kinds: dict[str, Kind] = KINDS) -> Path:
    """params.yaml and the outputs of every study it names, under `root`; the path of params.yaml."""
    path = root / "params.yaml"
    path.write_text(params)
    for planned in planned_runs(load_params(path)):
        write_run(root, planned.spec, kinds[planned.spec.norm_layer])
    for norm_layer in ("none", "batch"):
        folder = root / "data/studies/dln" / f"{norm_layer}-1e-06"
        folder.mkdir(parents=True)
        frames = [deep_linear_run(norm_layer, 1e-6, seed, kinds[norm_layer]) for seed in range(2)]
        pd.concat(frames).to_parquet(folder / "measurements.parquet", index=False)
        histogram(frames[0]).to_parquet(folder / "histograms.parquet", index=False)
    theory = root / "data/studies/theory"
    theory.mkdir(parents=True)
    table = theory_table(theorem_4_1__holds_printed=0.0)
    table[table["source"] == "random"].to_parquet(theory / "random.parquet", index=False)
    for seed in range(2):
        rows = table[(table["source"] == "checkpoint") & (table["seed"] == seed)]
        folder = root / f"data/studies/assumptions/vgg11-batch-0.1-{seed}"
        folder.mkdir(parents=True)
        rows.to_parquet(folder / "checkpoints.parquet", index=False)
        walks = pd.concat([training_run(norm_layer, 0.1, seed, kinds[norm_layer]) for norm_layer in kinds])
        inserted = walks[walks["probe"] == "landscape"].assign(study="reparametrization")
        folder = root / f"data/studies/reparametrization/vgg11-none-0.1-{seed}"
        folder.mkdir(parents=True)
        inserted.to_parquet(folder / "measurements.parquet", index=False)
    return path


def write_run(root: Path, run: RunSpec, kind: Kind) -> None:
    """Outputs of the stages train and probe for one run."""
    frame = training_run(run.norm_layer, run.learning_rate, run.seed, kind).assign(variant=run.variant)
    frame = frame[frame["step"] <= run.train.steps]
    models, probes = root / "models/runs" / run.name, root / "data/probes" / run.name
    models.mkdir(parents=True)
    probes.mkdir(parents=True)
    for probe in ("history", "test"):
        rows = select(frame, probe=probe)
        wide = rows.pivot(index="step", columns="quantity", values="value").reset_index()
        wide.to_parquet(models / f"{probe}.parquet", index=False)
    checkpoints = list(run.train.reached(kind.diverged_at))
    summary = {
        "spec": run.as_dict(), "diverged_at": kind.diverged_at, "parameters": 100, "checkpoints": checkpoints
    }  # fmt: skip
    (models / "summary.json").write_text(json.dumps(summary))
    probed = frame[~frame["probe"].isin(["history", "test", "summary"])]
    probed.to_parquet(probes / "probes.parquet", index=False)
    histogram(frame).to_parquet(probes / "histograms.parquet", index=False)


def histogram(frame: pd.DataFrame) -> pd.DataFrame:
    """Two bins of one unit at step 0 of the run that `frame` measures."""
    keys = frame.iloc[[0, 0]][list(KEYS)].reset_index(drop=True)
    layer = "layers.norm1" if keys["study"][0] == "dln" else "features.norm1"
    bins = pd.DataFrame({"left": [-1.0, 0.0], "right": [0.0, 1.0], "count": [3.0, 5.0]})
    table = keys.assign(layer=layer, unit=0, step=0).join(bins)
    return table[list(HISTOGRAM_COLUMNS)]
