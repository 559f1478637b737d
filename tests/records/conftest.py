"""A clone in which a tiny study is partly finished: two of three trainings, a deep linear cell, statements."""

import contextlib
from pathlib import Path

import pytest

from normlab.stages import data, dln, measure, theory

PARAMS = """
data: {source: textures, seed: 3, train_per_class: 6, test_per_class: 2, held_out: 10}
grid:
  - {network: [vgg11], norm_layer: [none, batch], learning_rate: [1.0e-1], seed: [0]}
  - {network: [vgg11], norm_layer: [batch], learning_rate: [1.0e-1], seed: [1]}
train:
  {width: 0.0625, batch_size: 16, steps: 6, test_every: 3, checkpoint_every: 2, checkpoint_at: [1], checkpoints: few}
probe: {step_sizes: [0.5, 1.0], extra_step_sizes: [0.25], distances: [0.1], units: 4}
dln_grid: {norm_layer: [none, batch], learning_rate: [1.0e-6]}
dln:
  {depth: 5, features: 3, samples: 20, seeds: [0, 1], steps: 4, affine: true, eps: 1.0e-5, loss_every: 2,
   probe_every: 2, control_every: 2, sharpness_every: 4, histogram_every: 4, step_sizes: [0.1, 1.0],
   extra_step_sizes: [0.5], distances: [1.0e-3], shift_layers: [1, 5], activation_layers: [1, 4],
   eigenvalue_products: 3}
dln_scan: {norm_layer: [none], learning_rate: [1.0e-6], steps: 2, loss_every: 1}
dln_lottery: []
theory: {cases: 3, samples: [4], seeds: [0]}
assumptions: {norm_layer: [batch], steps: [0], layers: 1, units: 1}
reparametrization: {norm_layer: [none], steps: [0], step_sizes: [1.0], distances: [0.1], learned_affine: false}
analyze:
  {studies: [training, dln, theory], network: vgg11, learning_rate: 1.0e-1, dln_learning_rate: 1.0e-6, window: 2,
   confidence: 0.95, resamples: 100, seed: 0}
report: {preset: tiny, notebooks: [01-training]}
"""
RUNS = ("vgg11-none-0.1-0", "vgg11-batch-0.1-0", "vgg11-batch-0.1-1")


def train(name: str) -> None:
    """Train and probe one run of the grid in the present folder."""
    _, norm_layer, rate, seed = name.split("-")
    point = ["--network", "vgg11", "--norm-layer", norm_layer, "--learning-rate", rate, "--seed", seed]
    measure.main([*point, "--keep", "0", "--out", f"models/runs/{name}", "--probes", f"data/probes/{name}"])


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the study ran; nobody writes there."""
    root = tmp_path_factory.mktemp("clone")
    (root / "params.yaml").write_text(PARAMS)
    with contextlib.chdir(root):
        data.main([])
        for name in RUNS[:2]:
            train(name)
        dln.main(["--norm-layer", "batch", "--learning-rate", "1e-6", "--out", "data/studies/dln/batch-1e-06"])
        theory.main(["--out", "data/studies/theory"])
    return root
