"""A small study with real stage outputs, for tests of what comes after the stages."""

import contextlib
import math
from pathlib import Path

import pandas as pd

from normlab.stages import data, train
from normlab.tables.rows import Rows

PARAMS = """
data: {source: textures, seed: 3, train_per_class: 4, test_per_class: 2}
grid: [{network: [vgg11], norm_layer: [none, batch], learning_rate: [1.0e-1], seed: [0]}]
train: {width: 0.0625, batch_size: 16, steps: 6, test_every: 3, checkpoint_every: 2, checkpoint_at: [1]}
probe: {step_sizes: [0.5, 1.0], extra_step_sizes: [0.25]}
dln_grid: {norm_layer: [batch], learning_rate: [1.0e-6]}
dln: {depth: 5, seeds: [0, 1]}
report: {preset: tiny, notebooks: []}
"""
PLAIN, BATCH = "vgg11-none-0.1-0", "vgg11-batch-0.1-0"
RUNS = (
    ("vgg", PLAIN),
    ("vgg", BATCH),
    ("dln", "dln-batch-1e-06-0"),
    ("dln", "dln-batch-1e-06-1"),
    ("claims", "claims-tiny"),
)
DLN_STEPS = 1203


def write_study(root: Path) -> Path:
    """params.yaml, images, two trainings, one of them probed, two deep linear seeds, and claims, under `root`."""
    (root / "params.yaml").write_text(PARAMS)
    with contextlib.chdir(root):
        data.main([])
        for name in (PLAIN, BATCH):
            point = ["--network", "vgg11", "--norm-layer", name.split("-")[1], "--learning-rate", "0.1", "--seed", "0"]
            train.main([*point, "--out", f"models/runs/{name}"])
    write_probes(root)
    folder = root / "data/studies/dln/batch-1e-06"
    folder.mkdir(parents=True)
    seeds = [_deep_linear_seed(seed) for seed in (0, 1)]
    pd.concat(seeds).to_parquet(folder / "measurements.parquet", index=False)
    (root / "reports").mkdir()
    (root / "reports/claims.json").write_text('[{"id": "C1", "verdict": "supported"}]')
    (root / "reports/metrics.json").write_text(
        '{"cells": {"vgg11-batch-0.1": {"test_accuracy": 0.5}}, "official": false}'
    )
    return root


def write_probes(root: Path, effective_beta: float = 3.0) -> None:
    """Measurements of the run `BATCH` at two steps, in the tidy schema."""
    keys = {"study": "vgg", "network": "vgg11", "norm_layer": "batch", "learning_rate": 0.1, "seed": 0}
    records = Rows(keys)
    for step in (4, 2):  # a tracker wants steps in order, whatever the file's
        records.add("landscape", step, {"effective_beta": effective_beta + step, "loss_range": math.inf})
        records.add("landscape", step, {"beta": 1.0}, step_size=0.05)
        records.add("shift", step, {"cosine": 0.5}, layer="features.conv5")
    folder = root / "data/probes" / BATCH
    folder.mkdir(parents=True, exist_ok=True)
    records.frame().to_parquet(folder / "probes.parquet", index=False)


def _deep_linear_seed(seed: int) -> pd.DataFrame:
    keys = {"study": "dln", "network": "dln", "norm_layer": "batch", "learning_rate": 1e-6, "seed": seed}
    records = Rows(keys)
    for step in range(DLN_STEPS):
        records.add("history", step, {"loss": seed + math.exp(-step / 500), "grad_norm": math.nan})
    return records.frame()
