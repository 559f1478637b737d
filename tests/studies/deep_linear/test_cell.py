"""What a cell records beside walks and shift, and what its settings do, against one module on raw samples."""

import dataclasses
import functools
import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import wasserstein_distance
from tests.studies.deep_linear.conftest import build_instance
from tests.studies.deep_linear.test_study import RATE, SPEC
from tests.studies.deep_linear.test_table import SEED, module_at
from tests.studies.deep_linear.twin import half_squared_error, ordered, split

from normlab.seeding import generator
from normlab.specs.dln import DlnCell
from normlab.studies.deep_linear.activations import DeepLinearTrack
from normlab.studies.deep_linear.problem import draw_data
from normlab.studies.deep_linear.rows import CellRows
from normlab.studies.deep_linear.study import run_cell

OTHER = dataclasses.replace(
    SPEC,
    seeds=(SEED, 0, 4),
    steps=4,
    histogram_every=4,
    histogram_seeds=2,
    eigenvalue_products=1,
    distances=(0.02, 0.01),
    relative_steps=(),
)
Outputs = dict[str, np.ndarray]  # of every module by name, (N, F)


@functools.cache
def outputs(norm_layer: str, step: int) -> Outputs:
    """What the modules put out after so many updates."""
    model, (x, _) = module_at(norm_layer, step)
    kept: Outputs = {}
    for name, module in model.named_modules():
        module.register_forward_hook(lambda m, i, out, name=name: kept.update({name: out.detach().numpy()}))
    model(x)
    return kept


def unit_of(layer: int) -> int:
    return int(torch.randint(3, (), generator=generator(SEED, "units", layer)))


def moments(norm_layer: str, step: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of every unit by sums over lists."""
    columns = outputs(norm_layer, step)[name].T.tolist()
    means = [math.fsum(column) / len(column) for column in columns]
    pairs = zip(columns, means, strict=True)
    return np.array(means), np.array([math.fsum((y - mean) ** 2 for y in c) / len(c) for c, mean in pairs])


def activity(norm_layer: str, step: int, name: str, unit: int) -> dict[str, float]:
    """Every quantity of a layer at a probed step; the one before it was two steps earlier."""
    (first, first_variance), (mean, variance), (after, variance_after) = (
        moments(norm_layer, at, name) for at in (0, step, step + 1)
    )
    found = {
        "mean_abs_change_1": np.abs(after - mean).mean(),
        "variance_abs_change_1": np.abs(variance_after - variance).mean(),
        "relative_mean_change_1": (np.abs(after - mean) / np.sqrt(variance)).mean(),
        "mean_drift": (mean - first).mean(),
        "variance_drift": (variance - first_variance).mean(),
        "example_mean": mean[unit],
        "example_variance": variance[unit],
    }
    if step:
        old, old_variance = moments(norm_layer, step - 2, name)
        now, before = (outputs(norm_layer, at)[name].T for at in (step, step - 2))
        distances = [wasserstein_distance(a, b) for a, b in zip(now, before, strict=True)]
        found |= {
            "mean_abs_change": np.abs(mean - old).mean(),
            "variance_abs_change": np.abs(variance - old_variance).mean(),
            "relative_mean_change": (np.abs(mean - old) / np.sqrt(old_variance)).mean(),
            "wasserstein": (np.array(distances) / np.sqrt(old_variance)).mean(),
        }
    return found


def rows_of(frame: pd.DataFrame, probe: str, step: int, layer: str = "", seed: int = SEED) -> pd.DataFrame:
    chosen = (frame["probe"] == probe) & (frame["step"] == step) & (frame["layer"] == layer) & (frame["seed"] == seed)
    return frame[chosen]


@pytest.mark.parametrize("norm_layer", ["none", "batch", "linf"])
def test_activations_of_a_cell_are_those_of_the_module_at_this_step_the_next_and_the_one_probed_before(
    norm_layer: str,
) -> None:
    frame, _ = run_cell(SPEC, DlnCell(norm_layer, RATE))
    for probe, tap in (("activations", "norm"), ("activations_fixed", "linear")):
        assert set(frame[frame["probe"] == probe]["layer"]) == {f"layers.{tap}1", f"layers.{tap}2"}
        for step in (0, 2, 6):
            for layer in (1, 2):
                name = f"layers.{tap}{layer}"
                rows = rows_of(frame, probe, step, name)
                found = dict(zip(rows["quantity"], rows["value"], strict=True))
                # differences of moments of order one, that agree to 1e-12 after a few updates
                assert found == pytest.approx(activity(norm_layer, step, name, unit_of(layer)), rel=1e-8, abs=1e-10)


def test_histograms_are_of_the_first_seeds_normalized_outputs() -> None:
    _, histograms = run_cell(OTHER, DlnCell("l2", RATE))
    places = list(dict.fromkeys(histograms[["seed", "layer", "step"]].itertuples(index=False, name=None)))
    assert places == [(seed, f"layers.norm{layer}", step) for step in (0, 4) for seed in (SEED, 0) for layer in (1, 2)]
    for step in (0, 4):
        for layer in (1, 2):
            name = f"layers.norm{layer}"
            chosen = (histograms["seed"] == SEED) & (histograms["layer"] == name) & (histograms["step"] == step)
            rows, unit = histograms[chosen], unit_of(layer)
            assert set(rows["unit"]) == {unit}
            values = outputs("l2", step)[name][:, unit]
            assert len(rows) == 50
            # edges come from maps, values from samples
            edges = np.linspace(values.min(), values.max(), 51)
            np.testing.assert_allclose(rows["left"], edges[:-1], rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(rows["right"], edges[1:], rtol=1e-9, atol=1e-9)
            counts = [sum(left <= y < right for y in values) for left, right in itertools.pairwise(edges)]
            assert sum(counts[:-1]) == 20 - rows["count"].iloc[-1]
            assert rows["count"].tolist()[:-1] == counts[:-1]


def test_a_seed_with_one_layer_that_is_not_finite_has_the_histograms_of_the_others() -> None:
    instance = build_instance("l2")
    track = DeepLinearTrack(instance.problem, (1, 3), 3)
    with torch.no_grad():
        maps = instance.network.layer_maps(instance.problem, instance.params).norm
    maps[0, 0], maps[1, 2, 0, 0] = math.inf, math.nan
    maps[1, 2, 1:] = math.nan
    track.record_histograms(CellRows(DlnCell("l2", 0.1), instance.problem.seeds), 0, maps, 2)
    frame = track.histograms()
    assert list(dict.fromkeys(zip(frame["seed"], frame["layer"], strict=True))) == [
        (3, "layers.norm3"),
        (5, "layers.norm1"),
    ]


def test_with_one_product_the_eigenvalue_is_the_curvature_along_the_drawn_vector() -> None:
    frame, _ = run_cell(OTHER, DlnCell("batch", RATE))
    for step in (0, 4):
        model, batch = module_at("batch", step)
        parameters = ordered(model)
        drawn = torch.randn(
            sum(p.numel() for p in parameters), dtype=torch.float64, generator=generator(SEED, "eigenvalue")
        )
        u = drawn / drawn.norm()
        slopes = torch.autograd.grad(half_squared_error(model, batch), parameters, create_graph=True)
        pairs = zip(slopes, split(parameters, u), strict=True)
        along = torch.stack([(slope * part).sum() for slope, part in pairs]).sum()
        image = torch.cat([part.flatten() for part in torch.autograd.grad(along, parameters)])
        value = (u @ image).item()
        rows = rows_of(frame, "curvature", step).set_index("quantity")["value"]
        # second derivatives by another order of products
        assert rows["top_eigenvalue"] == pytest.approx(value, rel=1e-8)
        assert rows["top_eigenvalue_residual"] == pytest.approx((image - value * u).norm().item(), rel=1e-8)


def test_walks_of_equal_distance_end_where_they_say_and_no_relative_one_is_made_unless_asked_for() -> None:
    frame, _ = run_cell(OTHER, DlnCell("batch", RATE))
    assert "landscape_relative" not in set(frame["probe"])
    rows = rows_of(frame, "landscape_equal_distance", 4)
    losses = rows[(rows["quantity"] == "loss") & rows["step_size"].notna()]
    assert losses["step_size"].tolist() == [0.02, 0.01]
    for distance, found in zip(losses["step_size"], losses["value"], strict=True):
        model, batch = module_at("batch", 4)
        slopes = torch.autograd.grad(half_squared_error(model, batch), ordered(model))
        length = math.sqrt(math.fsum(g.square().sum().item() for g in slopes))
        with torch.no_grad():
            for parameter, slope in zip(ordered(model), slopes, strict=True):
                parameter.sub_(distance * slope / length)
        # the same point after four updates in another order of products
        assert found == pytest.approx(half_squared_error(model, batch).item(), rel=1e-9)


def test_the_summary_of_a_cell_row_by_row() -> None:
    seen: list[int] = []
    frame, _ = run_cell(OTHER, DlnCell("batch", RATE), seen.append)
    assert seen == [0, 1, 2, 3, 4]
    for seed in OTHER.seeds:
        x, teacher = draw_data((seed,), 3, 20)
        y = x[0] @ teacher[0].mT
        squares = (torch.linalg.svdvals(y - y.mean(0)) ** 2).tolist()  # beta learns the mean
        floors = [0.5 * math.fsum(squares[rank:]) for rank in range(4)]
        summary = rows_of(frame, "summary", 4, seed=seed)
        assert summary["quantity"].tolist() == [
            "steps", "diverged_at", "parameters", *(f"rank_floor_{rank}" for rank in range(4))
        ]  # fmt: skip
        # sums over 20 samples against whitened ones
        assert summary["value"].tolist() == pytest.approx([4, math.nan, 39, *floors], rel=1e-10, abs=1e-12, nan_ok=True)
        places = frame[(frame["probe"] == "structure") & (frame["seed"] == seed)]
        assert places[["layer", "step", "value"]].to_numpy().tolist() == [
            [f"layers.{tap}{place}", 0, place]
            for tap, count in (("linear", 3), ("norm", 2))
            for place in range(1, count + 1)
        ]
