"""The worked examples of the README through the stage programs: other people's normalizer, network and data."""

import contextlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from tests.figures.drawn import named
from tests.pages.test_notebooks import NOTEBOOKS, STUDIES
from tests.pages.test_notebooks import run as run_page

from normlab.figures.landscape import figure_4
from normlab.specs.parts import check, slug
from normlab.specs.strict import InputError
from normlab.stages import analyze, assumptions, data, index, probe, reparametrization, theory, train
from normlab.tables.frames import load_measurements, select

RMS, VIT, RESNET = "examples.layers:RMSNorm2d", "examples.networks:small_vit", "torchvision.models:resnet18"
PARAMS = """
data: {source: "examples.data:stripes", seed: 0, train_per_class: 16, test_per_class: 4}
train: {width: 0.0625, batch_size: 8, steps: 2, test_every: 2, checkpoint_every: 2}
probe: {step_sizes: [0.5, 1.0], units: 2}
assumptions: {norm_layer: [batch], steps: [2], layers: 2, units: 1}
reparametrization: {norm_layer: [none], steps: [2], step_sizes: [0.5]}
grid: [{network: ["torchvision.models:resnet18"], norm_layer: [batch], learning_rate: [1.0e-1], seed: [0]}]
analyze:
  studies: [training]
  network: "torchvision.models:resnet18"
  learning_rate: 1.0e-1
  dln_learning_rate: 1.0e-6
  window: 1
  confidence: 0.95
  resamples: 100
  seed: 0
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, repository: Path):
    root = tmp_path_factory.mktemp("door")
    (root / "params.yaml").write_text(PARAMS)
    shutil.copytree(repository / "examples", root / "examples")
    sys.path.insert(0, str(root))  # as `python -m` does
    for name in [name for name in sys.modules if name.partition(".")[0] == "examples"]:
        del sys.modules[name]
    with contextlib.chdir(root):
        data.main([])
        yield root
    sys.path.remove(str(root))


def _train(network: str, norm_layer: str) -> str:
    name = f"{slug(network)}-{slug(norm_layer)}-0.1-0"
    point = ["--network", network, "--norm-layer", norm_layer, "--learning-rate", "0.1", "--seed", "0"]
    train.main([*point, "--out", f"models/runs/{name}"])
    return name


def _probe(name: str) -> pd.DataFrame:
    probe.main(["--run", f"models/runs/{name}", "--out", f"data/probes/{name}"])
    return pd.read_parquet(f"data/probes/{name}/probes.parquet")


@pytest.mark.pipeline
@pytest.mark.usefixtures("study")
@pytest.mark.parametrize(
    ("network", "norm_layer", "family", "taps"),
    [
        ("vgg11", RMS, "vgg", [f"features.norm{k}" for k in range(1, 9)]),
        (VIT, "torch.nn:LayerNorm", "examples.networks.small_vit", None),
        (VIT, "none", "examples.networks.small_vit", None),
    ],
)
def test_a_part_of_ones_own_is_trained_and_probed(network, norm_layer, family, taps) -> None:
    name = _train(network, norm_layer)
    rows = _probe(name)
    assert set(rows["study"]) == {family}
    assert set(rows["network"]) == {network}
    assert set(rows["norm_layer"]) == {norm_layer}
    assert {"landscape", "shift", "activations", "curvature", "gradients"} <= set(rows["probe"])
    moved = rows[(rows["probe"] == "landscape") & (rows["quantity"] == "effective_beta")]["value"]
    assert np.isfinite(moved).all()
    layers = list(dict.fromkeys(rows[rows["probe"] == "activations"]["layer"]))
    blocks = [f"blocks.{block}.norm{place}" for block in (0, 1) for place in (1, 2)]
    assert layers == (taps or [*blocks, "norm"])
    summary = json.loads(Path(f"models/runs/{name}/summary.json").read_text())
    assert (summary["name"], summary["study"]) == (name, family)


@pytest.mark.pipeline
@pytest.mark.slow
@pytest.mark.usefixtures("study")
def test_an_installed_network_goes_through_every_stage_of_a_run() -> None:
    """torchvision's ResNet-18, with BatchNorm at its places and without: all studies of trained networks, the claims,
    and the page's picture of what was measured."""
    plain, normalized = _train(RESNET, "none"), _train(RESNET, "batch")
    rows = _probe(normalized)
    assert rows[rows["probe"] == "activations"]["layer"].nunique() == 20  # the stem, two in 8 blocks, 3 shortcuts
    out = Path("data/studies")
    assumptions.main(["--run", f"models/runs/{normalized}", "--out", str(out / "assumptions" / normalized)])
    found = pd.read_parquet(out / "assumptions" / normalized / "checkpoints.parquet")
    assert list(found["layer"].unique()) == ["bn1", "layer4.1.bn2"]
    assert set(found["statement"]) == {"units", "theorem_4_1", "theorem_4_2", "theorem_4_4"}
    reparametrization.main(["--run", f"models/runs/{plain}", "--out", str(out / "reparametrization" / plain)])
    table = pd.read_parquet(out / "reparametrization" / plain / "measurements.parquet")
    assert set(table["norm_layer"]) == {"none", "batch"}
    assert table[table["quantity"] == "function_gap"]["value"].max() < 1e-8
    analyze.main([])
    metrics = json.loads(Path("reports/metrics.json").read_text())
    measured = load_measurements("reports/tables/measurements.parquet")
    assert set(measured["study"]) == {"torchvision.models.resnet18"}
    assert np.isfinite(metrics["cells"][f"{RESNET}-batch-0.1"]["final_loss"])
    walks = select(measured, probe="landscape")
    picture = figure_4(walks, 0.1, eta_min_factor=0.5)
    assert named(picture.axes[0], "low-batch").get_xdata().tolist() == [0, 2]


VIT_PARAMS = f"""
data: {{source: "examples.data:stripes", seed: 0, train_per_class: 16, test_per_class: 4}}
train: {{width: 0.0625, batch_size: 8, steps: 4, test_every: 2, checkpoint_every: 1}}
probe: {{step_sizes: [0.5, 1.0], random_directions: false, units: 2}}
grid: [{{network: ["{VIT}"], norm_layer: [none, "torch.nn:LayerNorm"], learning_rate: [1.0e-1], seed: [0]}}]
dln_grid: {{norm_layer: [none], learning_rate: [1.0e-6]}}
dln: {{step_sizes: [1.0], steps: 1, seeds: [0]}}
theory: {{cases: 1, samples: [4], seeds: [0]}}
assumptions: {{norm_layer: [], steps: [2], layers: 2, units: 1}}
reparametrization: {{norm_layer: [none], steps: [4], step_sizes: [0.5]}}
analyze: {{studies: [training, theory, reparametrization], network: "{VIT}", learning_rate: 1.0e-1,
  dln_learning_rate: 1.0e-6, window: 1, confidence: 0.95, resamples: 100, seed: 0}}
report: {{preset: vit, notebooks: [01-training]}}
"""


@pytest.mark.pipeline
@pytest.mark.slow
def test_a_transformer_goes_through_the_whole_pipeline_pages_included(study: Path) -> None:
    """No normalizer of it stands behind a weight layer, and none can be BatchNorm: pages say so and are whole."""
    (study / "vit.yaml").write_text(VIT_PARAMS)
    params, plain = ["--params", "vit.yaml"], f"{slug(VIT)}-none-0.1-0"
    for norm_layer in ("none", "torch.nn:LayerNorm"):
        name = f"{slug(VIT)}-{slug(norm_layer)}-0.1-0"
        point = ["--network", VIT, "--norm-layer", norm_layer, "--learning-rate", "0.1", "--seed", "0"]
        train.main([*params, *point, "--out", f"vit/models/runs/{name}"])
        probe.main([*params, "--run", f"vit/models/runs/{name}", "--out", f"vit/data/probes/{name}"])
    out = f"vit/data/studies/reparametrization/{plain}"
    reparametrization.main([*params, "--run", f"vit/models/runs/{plain}", "--out", out])
    theory.main([*params, "--out", "vit/data/studies/theory"])
    analyze.main([*params, "--root", "vit", "--out", "vit/reports"])
    files = {"tables": "vit/reports/tables", "claims": "vit/reports/claims.json"}
    claims = {claim["id"]: claim for claim in json.loads(Path(files["claims"]).read_text())}
    assert "here: no cell with norm_layer batch" in claims["C3"]["reason"]
    pages = {
        name: " ".join(
            run_page(NOTEBOOKS[name], files | {"params": "vit.yaml", "manifest": "data/prepared/manifest.json"})
        )
        for name in STUDIES
    }
    index.main([*params, "--tables", files["tables"], "--claims", files["claims"], "--out", "vit/index.html"])
    for name in STUDIES[:5]:
        assert f"Network: {VIT}; normalizers: none (plain)" in pages[name]
        assert pages[name].count("<figure id=") >= 2
    assert f"Not measured on {VIT}: it has no normalized layers in which BatchNorm could stand." in pages["07-theory"]
    assert "This study was not run" in pages["06-deep-linear"]
    assert "All claims" in Path("vit/index.html").read_text(encoding="utf-8")


@pytest.mark.pipeline
@pytest.mark.usefixtures("study")
def test_a_network_that_shows_less_runs_without_what_needs_more() -> None:
    """The transformer's normalizers see (N, T, C) behind a sum: BatchNorm cannot be put there."""
    plain = f"{slug(VIT)}-none-0.1-0"
    if not Path("models/runs", plain).exists():
        _train(VIT, "none")
    reparametrization.main(["--run", f"models/runs/{plain}", "--out", "less"])
    table = pd.read_parquet("less/measurements.parquet")
    assert table[["probe", "quantity", "value"]].to_numpy().tolist() == [["reparametrization", "not_applicable", 1.0]]


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize(
    ("network", "norm_layer", "message"),
    [
        ("vgg11", "examples.layers:RMSNorm", "has no callable 'RMSNorm'; it has: RMSNorm2d"),
        ("vgg11", "examples.layer:RMSNorm2d", "there is no module 'examples.layer'"),
        ("vgg11", "torch.nn:GroupNorm", "called with the number of channels alone, but its signature is"),
        ("vgg11", "torch.nn:LayerNorm", "on images (2, 3, 32, 32): Given normalized_shape=[4]"),
        ("examples.networks:small_vit", "batch", "expected 4D input (got 3D input)"),
        ("examples.networks:small_vit", "l2", "l2: expected an input of shape (N, 4, H, W)"),
        ("deep_linear", "batch", "on images (2, 3, 32, 32)"),
        ("torch.nn:Flatten", "none", "expected scores of shape (2, 2) for images (2, 3, 32, 32), got (2, 3072)"),
        ("torch.nn:Flatten", "batch", "has no argument norm_layer, so it runs with norm_layer none alone"),
        ("door_idle:net", "batch", "no layer of it is normalized: it never uses its norm_layer"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(network, norm_layer, message, monkeypatch, tmp_path) -> None:
    (tmp_path / "door_idle.py").write_text(
        "from torch import nn\n\n\ndef net(norm_layer, num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(3072, num_classes))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError) as caught:
        _train(network, norm_layer)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not Path("models/runs", f"{slug(network)}-{slug(norm_layer)}-0.1-0").exists()


@pytest.mark.usefixtures("study")
def test_the_readme_s_lines_run(repository: Path) -> None:
    section = (
        (repository / "README.md").read_text(encoding="utf-8").split("## Your own normalizer")[1].split("\n## ")[0]
    )
    program = section.split("```python\n")[1].split("```")[0]
    found: dict[str, Any] = {}
    exec(program, found)
    images = torch.randn(2, 3, 32, 32)
    assert [found[name](images).shape for name in ("model", "vit", "resnet")] == [(2, 10)] * 3
    params = yaml.safe_load(section.split("```yaml\n")[1].split("```")[0])
    check(params["data"]["source"], "data")
    for block in params["grid"]:
        for kind, key in (("network", "network"), ("normalizer", "norm_layer")):
            for name in block[key]:
                check(name, kind)  # type: ignore[arg-type]
