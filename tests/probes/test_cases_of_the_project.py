"""The cases that concern more than one probe: training, data, normalizers, figures and what is tested where."""

import json
import math
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from normlab.nn import normalizer, vgg
from normlab.probes import activation_moments, covariate_shift, landscape
from normlab.runs.training import cross_entropy, fit
from tests import tiny
from tests.reference.models import classification
from tests.reference.traces import no_trace


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_data(tmp_path_factory.mktemp("data"))


def frame(values: dict[int, list[float]], quantity: str = "loss", norm_layer: str = "batch") -> pd.DataFrame:
    """Rows of one cell in the tidy schema: seed → value at steps 0, 1, …"""
    rows = [
        {"study": "vgg", "network": "vgg11", "norm_layer": norm_layer, "learning_rate": 0.1, "seed": seed,
         "probe": "history", "layer": "", "step_size": math.nan, "step": step, "quantity": quantity, "value": value}
        for seed, series in values.items() for step, value in enumerate(series)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_case_08_variation_along_the_gradient_is_named_apart_from_a_spread_over_runs() -> None:
    from normlab.figures.landscape import landscape_figure

    low = frame({0: [1.0, 0.9], 1: [1.1, 0.8]}).assign(probe="landscape", quantity="loss_low")
    high = low.assign(quantity="loss_high", value=low["value"] + 1)
    rest = [high.assign(quantity=q) for q in ("gradient_distance_low", "gradient_distance_high", "effective_beta")]
    figure = landscape_figure(pd.concat([low, high, *rest]), 0.1, ["batch"], paper_figure=4, eta_min_factor=0.5)
    assert "loss along −g, learning rate 0.1" in figure.axes[0].get_title()
    # a walk is made from one set of weights: there is no way to hand it several runs
    assert set(landscape(nn.Linear(2, 3), classification, (torch.ones(4, 2), torch.zeros(4).long()), [0.1]).scalars())
    assert "not a spread over separately trained networks" in " ".join(landscape.__doc__.split())


def test_case_11_divergence_is_stored_in_walks_in_training_and_in_plots(data: Path) -> None:
    from matplotlib.figure import Figure

    from normlab.figures.bands import draw_band, non_finite_note

    batches, test = tiny.load(data)
    history = fit(tiny.run_spec("none", learning_rate=1e6), batches, test)
    assert history.diverged_at is not None
    assert not np.isfinite(history.steps.iloc[-1][["loss", "grad_norm"]].to_numpy(dtype=float)).all()
    torch.manual_seed(0)
    walk = landscape(vgg(11, width=0.0625, norm_layer="none"), cross_entropy, batches.at(0), [0.1, 1e30])
    assert math.isfinite(walk.losses[0])
    assert not math.isfinite(walk.loss_high)
    assert not math.isfinite(walk.effective_beta)
    rows = frame({0: [1.0, 2.0, math.inf], 1: [1.0, 1.5, 1.2]})
    ax = Figure().add_subplot()
    draw_band(ax, rows, "batch")
    marks = [line for line in ax.lines if str(line.get_gid()).startswith("non-finite")]
    assert [list(line.get_xdata()) for line in marks] == [[2]]
    assert "1 run" in non_finite_note(rows)


def test_case_13_layers_are_named_alike_with_and_without_batchnorm() -> None:
    batch = (torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.arange(4))
    found = {
        kind: covariate_shift(vgg(11, width=0.0625, norm_layer=kind), cross_entropy, batch, learning_rate=0.1)
        for kind in ("none", "batch")
    }
    assert list(found["none"]) == list(found["batch"])
    assert list(found["none"])[:2] == ["features.conv1", "features.conv2"]
    for kind in ("none", "batch"):
        model = vgg(11, width=0.0625, norm_layer=kind)
        assert list(activation_moments(model, batch, ["features.norm3"])) == ["features.norm3"]
        with pytest.raises(ValueError, match=r"unknown layer 'conv_1': .*features\.conv1, .*classifier"):
            covariate_shift(model, cross_entropy, batch, learning_rate=0.1, layers=["conv_1"])
        with pytest.raises(ValueError, match=r"unknown layer '11': .*features\.conv1"):
            activation_moments(model, batch, ["11"])


def test_case_14_noisy_batchnorm_draws_a_sample_a_pixel_and_a_step_anew() -> None:
    torch.manual_seed(3)
    x = torch.randn(64, 3, 8, 8)
    layer = normalizer("noisy_batch", 3)
    quiet = normalizer("noisy_batch", 3, mean_range=0, scale_range=1, mean_jitter=0, scale_jitter=0)(x)
    first, second = layer(x), layer(x)
    assert not torch.equal(first, second)
    assert first.mean((0, 2, 3)).abs().max() > 0.01  # non-zero mean and non-unit variance, drawn for every channel
    assert (first.var((0, 2, 3)) - 1).abs().max() > 0.01
    channel, centered = first[:, 0] - first[:, 0].mean(), quiet[:, 0]
    residual = channel - centered * (channel * centered).mean() / centered.square().mean()
    assert residual.std() > 0.05  # within a channel samples and pixels differ by more than a shared shift and scale
    torch.manual_seed(3)
    _ = torch.randn(64, 3, 8, 8)
    assert torch.equal(layer(x), first)  # seedable by torch's own generator
    assert torch.equal(layer.eval()(x), layer(x))  # no noise in eval mode
    assert "eval mode" in " ".join(type(layer.noise).__doc__.split())


def test_case_18_coordinates_come_with_the_values_and_both_ends_are_included() -> None:
    # L(w) = w with dL/dw = 1 reads the position: w_k = 3 − step_size_k
    model = nn.ParameterList([nn.Parameter(torch.tensor(3.0, dtype=torch.float64))])
    steps = [-1.0, 0.0, 0.5, 2.0]
    found = landscape(model, lambda m, b: m[0] + 0.0, None, steps)
    assert found.losses.tolist() == [3.0 - step for step in found.step_sizes.tolist()]
    assert found.step_sizes.tolist() == steps
    moments = activation_moments(nn.Sequential(nn.Identity()), torch.tensor([[0.0], [1.0], [4.0]]), ["0"])["0"]
    assert (moments.edges[0], moments.edges[-1], len(moments.edges)) == (0.0, 4.0, moments.histogram.shape[1] + 1)
    assert (moments.histogram[0, 0], moments.histogram[0, -1]) == (1, 1)


def test_case_23_probing_does_not_consume_the_training_order(data: Path) -> None:
    batches, _ = tiny.load(data)
    expected = [batches.at(step)[1] for step in range(5)]
    model = vgg(11, width=0.0625)
    for step in (3, 0, 3):
        landscape(model, cross_entropy, batches.at(step), [0.1])
    assert all(torch.equal(batches.at(step)[1], labels) for step, labels in enumerate(expected))
    plain, _ = tiny.load(data)
    assert all(torch.equal(plain.at(step)[1], labels) for step, labels in enumerate(expected))


def test_case_23_the_test_split_only_is_reported(data: Path) -> None:
    batches, test = tiny.load(data)
    other = type(test)(**{**vars(test), "labels": (test.labels + 1) % 3})
    trained = [fit(tiny.run_spec(), batches, split).steps for split in (test, other)]
    pd.testing.assert_frame_equal(*trained)  # other test labels, the same training


def test_case_24_seeds_pair_initial_weights_and_batch_order(data: Path) -> None:
    weights = {}
    for kind in ("none", "batch", "noisy_batch", "l1", "linf", "group"):
        torch.manual_seed(4)
        weights[kind] = vgg(11, width=0.0625, norm_layer=kind).state_dict()
    shared = set.intersection(*(set(state) for state in weights.values()))
    assert "features.conv8.weight" in shared
    assert "classifier.weight" in shared
    for kind, state in weights.items():
        assert all(torch.equal(state[name], weights["none"][name]) for name in shared), kind
    losses = [fit(tiny.run_spec(kind, steps=1), *tiny.load(data)).steps["step"].tolist() for kind in ("none", "batch")]
    assert losses[0] == losses[1]
    a, b = tiny.load(data, seed=1)[0], tiny.load(data, seed=1)[0]
    assert all(torch.equal(a.at(step)[0], b.at(step)[0]) for step in range(4))


def test_case_25_offline_without_tracking_and_from_stored_values() -> None:
    blocked = ("dvc", "mlflow", "papermill", "dask", "matplotlib", "requests")
    program = f"""
import sys
for name in {blocked!r}:
    sys.modules[name] = None
import torch, normlab
found = normlab.probes.landscape(torch.nn.Linear(2, 1), lambda m, b: m(b).square().sum(), torch.ones(3, 2), [0.1])
assert normlab.nn.vgg and normlab.theory
print(found.loss_range > 0)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "True", done.stderr
    # every figure is a function of a stored table of raw per-step values: (frame, …) -> axes
    from normlab.tables.rows import COLUMNS

    assert {"step", "step_size", "quantity", "value"} <= set(COLUMNS)


def test_case_26_smoothing_is_drawn_beside_the_raw_curve() -> None:
    from matplotlib.figure import Figure

    from normlab.figures.bands import draw_band

    ax = Figure().add_subplot()
    rows = frame({0: [0.0, 1.0, 0.0, 1.0, 0.0], 1: [1.0, 0.0, 1.0, 0.0, 1.0]}, "train_accuracy")
    draw_band(ax, rows[rows["seed"] == 0], "batch", window=2)
    lines = {line.get_gid(): list(line.get_ydata()) for line in ax.lines}
    assert lines["raw-batch"] == [0.0, 1.0, 0.0, 1.0, 0.0]
    assert lines["line-batch"] == [0.0, 0.5, 0.5, 0.5, 0.5]
    notebooks = [json.loads(p.read_text()) for p in Path(__file__).parents[2].glob("notebooks/*.ipynb")]
    sources = ["".join(cell["source"]) for book in notebooks for cell in book["cells"]]
    smoothed = [s for s in sources if re.search(r"window\s*=\s*\w", s)]
    assert smoothed
    assert all("window" in s or "moving average" in s for s in smoothed)


def test_case_28_lowest_and_newest_torch_are_tested(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    lowest = next(re.fullmatch(r"torch>=([\d.]+)", d)[1] for d in project["dependencies"] if d.startswith("torch>="))
    makefile = (repository / "Makefile").read_text()
    assert f"torch=={lowest}.*" in makefile
    workflow = "".join(p.read_text() for p in (repository / ".github" / "workflows").glob("*.yml"))
    assert "test-lowest" in workflow + (repository / ".ci" / "run").read_text()
    locked = re.search(r"^torch==([\d.]+)", (repository / "requirements.lock").read_text(), re.MULTILINE)[1]
    assert tuple(map(int, locked.split("."))) > tuple(map(int, lowest.split(".")))


def test_no_case_is_missing() -> None:
    here = Path(__file__).parent
    text = "".join(path.read_text() for path in here.glob("test_cases*.py"))
    assert {int(n) for n in re.findall(r"^def test_case_(\d\d)_", text, re.MULTILINE)} == set(range(1, 29))
    assert no_trace  # the witness of half of them
