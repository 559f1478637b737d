"""The table of statements at the checkpoints of a real run: whose rows they are, over how many units and samples."""

import json
import math
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch
from tests import tiny

from normlab.data.images import load_images
from normlab.runs.checkpoint import checkpoint_path, save_checkpoint
from normlab.runs.training import fit
from normlab.specs.assumptions import AssumptionsSpec
from normlab.studies.statements import trained_cases
from normlab.studies.statements.trained_cases import measure_trained_cases
from normlab.studies.statements.trained_units import TrainedUnit
from normlab.theory import theorem_4_1


def _train(folder: Path, **changes: Any) -> tuple[Any, Any]:
    """A run with all that its folder holds, and the images that it was trained on."""
    data = tiny.write_data(folder / "data")
    batches, test = tiny.load(data)
    run = tiny.run_spec(**{"norm_layer": "batch", "steps": 1, "checkpoint_every": 1, "checkpoint_at": (), **changes})
    save = lambda found: save_checkpoint(checkpoint_path(folder, found.step), found)  # noqa: E731
    history = fit(run, batches, test, on_checkpoint=save)
    steps = [*run.train.reached(history.diverged_at)]
    summary = {"spec": run.as_dict(), "diverged_at": history.diverged_at, "checkpoints": steps, "parameters": 1}
    (folder / "summary.json").write_text(json.dumps(summary))
    return run, load_images(data, "train")


def drawn_units(count: int) -> list[TrainedUnit]:
    """Units whose quantities have any sign and size, and two that are not usable; m = 6."""
    draws, units = torch.Generator().manual_seed(8), []
    for unit in range(count):
        y, g = torch.randn(2, 6, dtype=torch.float64, generator=draws)
        numbers = torch.randn(7, dtype=torch.float64, generator=draws).tolist()
        gamma = numbers[0] if unit % 9 else 0.0
        result = theorem_4_1(y, g, gamma) if gamma else None
        square = result.lhs if result else 1.0
        # near v'Hv = 0 from below within rounding, and not; the bound of 4.4 met and not
        curvature_v = numbers[1] * square if unit % 4 else -1e-11 * 10 ** (2 * (unit % 8 == 0))
        weight_v, weight_g = abs(numbers[3]), abs(numbers[4]) if unit % 5 else 0.0
        at = TrainedUnit("features.norm1", unit, gamma, y, g, result, curvature_v, numbers[2], 1.0, weight_v, weight_g)
        units.append(TrainedUnit(**{**vars(at), "bias_gradient_g": numbers[5]}))
    return units


def judged(unit: TrainedUnit) -> dict[tuple[str, str], Any]:
    """What the docstring of `measure_trained_cases` says of one usable unit, in plain numbers."""
    y, g, gamma = unit.y.numpy(), unit.g.numpy(), unit.gamma
    sigma = y.std()
    yhat = (y - y.mean()) / sigma
    v = gamma / sigma * (g - g.mean() - yhat * (g @ yhat) / len(y))
    gg, vv = g @ g, v @ v
    # Theorem 4.2(a)
    curvature_y = (gamma / sigma) ** 2 * (unit.curvature_v - (g @ yhat) * vv / (len(y) * gamma))
    ratio = abs(gamma) / sigma
    rayleigh = unit.curvature_v / vv <= unit.curvature_g / gg
    with_bias = ratio * math.sqrt(unit.weight_gradient_g**2 + unit.bias_gradient_g**2)
    bound = ratio * unit.weight_gradient_g
    return {
        ("theorem_4_1", "holds_printed"): False,  # <g, yhat> is never 0 here
        ("theorem_4_1", "holds_corrected"): True,
        ("theorem_4_1", "gamma_at_most_sigma"): abs(gamma) <= sigma,
        ("theorem_4_1", "v_at_most_g"): vv <= gg,
        ("theorem_4_1", "gamma_over_sigma"): ratio,
        ("theorem_4_1", "kept_share"): vv / (ratio**2 * gg),
        ("theorem_4_2", "overlap_positive"): g @ yhat > 0,
        ("theorem_4_2", "curvature_v_nonnegative"): unit.curvature_v >= -1e-10 * unit.scale_v,
        ("theorem_4_2", "curvature_g_nonnegative"): unit.curvature_g >= 0,
        ("theorem_4_2", "rayleigh_condition"): rayleigh,
        ("theorem_4_2", "part_b_assumptions"): rayleigh and vv <= gg and unit.curvature_g >= 0,
        ("theorem_4_2", "part_b_holds"): unit.curvature_v <= unit.curvature_g,
        ("theorem_4_2", "less_curved"): curvature_y / vv <= unit.curvature_g / gg,
        ("theorem_4_4", "weight_gradient_bound"): unit.weight_gradient_v <= bound,
        ("theorem_4_4", "weight_gradient_bound_with_bias"): unit.weight_gradient_v <= with_bias,
        ("theorem_4_4", "weight_gradient_ratio"): unit.weight_gradient_v / bound if bound else math.nan,
    }


def test_every_number_of_the_table_is_that_of_its_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, split = _train(tmp_path)
    units = drawn_units(80)
    monkeypatch.setattr(trained_cases, "measure_units", lambda *arguments: iter(units))
    spec = AssumptionsSpec(norm_layer=("batch",), steps=(1,), layers=1, units=80)
    table = measure_trained_cases(spec, run, tmp_path, split).set_index(["statement", "quantity"])
    cases = [judged(unit) for unit in units if unit.result]
    usable = table.loc[("units", "usable")]
    assert (usable["count"], usable["fraction"]) == (80, pytest.approx(71 / 80, rel=1e-15))
    assert set(table.index) == {("units", "usable"), *cases[0]}
    assert set(table["samples"]) == {6}
    for key in cases[0]:
        values = [case[key] for case in cases]
        assert table.loc[key, "count"] == len(cases) == 71
        if isinstance(values[0], float):
            assert math.isnan(table.loc[key, "fraction"])
            # a few products in another order; a bound of 0 leaves no ratio
            assert table.loc[key, "value"] == pytest.approx(median(v for v in values if not math.isnan(v)), rel=1e-12)
        else:
            assert math.isnan(table.loc[key, "value"])
            assert table.loc[key, "fraction"] == pytest.approx(np.mean(values), rel=1e-14)


def test_the_same_few_units_at_every_step_and_others_of_another_seed(tmp_path: Path) -> None:
    chosen: dict[int, list[tuple[int, ...]]] = {}
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        run, split = _train(tmp_path / str(seed), seed=seed)
        with pytest.MonkeyPatch.context() as patch:
            real, seen = trained_cases.measure_units, chosen.setdefault(seed, [])

            def measure(model: Any, batch: Any, units: Any, producers: Any, real: Any = real, seen: Any = seen) -> Any:
                assert batch[0].dtype == torch.float64
                seen.append(tuple(units["features.norm8"]))
                return real(model, batch, units, producers)

            patch.setattr(trained_cases, "measure_units", measure)
            spec = AssumptionsSpec(norm_layer=("batch",), steps=(0, 1), layers=2, units=5)
            measure_trained_cases(spec, run, tmp_path / str(seed), split)
    for picked in chosen.values():
        assert picked[0] == picked[1] == tuple(sorted(set(picked[0])))
        assert len(picked[0]) == 5
        assert max(picked[0]) < 32  # channels of the last layer
    assert chosen[0] != chosen[1]


def test_a_run_that_diverged_has_a_row_that_says_so(tmp_path: Path) -> None:
    run, split = _train(tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    (tmp_path / "summary.json").write_text(json.dumps({**summary, "diverged_at": 0, "checkpoints": [0]}))
    spec = AssumptionsSpec(norm_layer=("batch",), steps=(1,), layers=1, units=1)
    table = measure_trained_cases(spec, run, tmp_path, split)
    assert table[["step", "layer", "samples", "statement", "quantity", "count", "fraction"]].to_numpy().tolist() == [
        [1, "", 0, "units", "usable", 1, 0.0]
    ]
    assert table["value"].isna().all()
    assert table["seed"].tolist() == [run.seed]


def test_rows_bear_the_keys_of_their_run_and_count_units_and_samples(tmp_path: Path) -> None:
    data = tiny.write_data(tmp_path / "data")
    batches, test = tiny.load(data)
    run = tiny.run_spec("batch", seed=2, steps=2, checkpoint_every=1, checkpoint_at=())
    (tmp_path / "checkpoints").mkdir()
    fit(run, batches, test, on_checkpoint=lambda found: save_checkpoint(checkpoint_path(tmp_path, found.step), found))
    summary = {"spec": run.as_dict(), "diverged_at": None, "checkpoints": [0, 1, 2], "parameters": 1}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    seen: list[int] = []
    spec = AssumptionsSpec(norm_layer=("batch",), steps=(0, 2), layers=2, units=3)
    table = measure_trained_cases(spec, run, tmp_path, load_images(data, "train"), on_step=lambda: seen.append(1))
    assert len(seen) == 2
    keys = table[["source", "network", "norm_layer", "learning_rate", "variant", "seed"]].drop_duplicates()
    assert keys.to_numpy().tolist() == [["checkpoint", "vgg11", "batch", 0.1, "", 2]]
    # batch x pixels: 16 images, 32 x 32 at the first layer, 2 x 2 before the last pooling
    places = table.loc[table["quantity"] == "usable", ["step", "layer", "samples", "count", "fraction"]]
    expected = [("features.norm1", 16 * 32 * 32), ("features.norm8", 16 * 2 * 2)]
    assert places.to_numpy().tolist() == [
        [step, layer, samples, 3, 1.0] for step in (0, 2) for layer, samples in expected
    ]
    assert table["fraction"].dropna().between(0, 1).all()


def test_a_unit_that_no_gradient_reaches_has_all_that_is_at_most_and_no_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, split = _train(tmp_path)
    y, g = torch.tensor([1.0, 2.0, 4.0]).double(), torch.zeros(3, dtype=torch.float64)
    dead = TrainedUnit("features.norm1", 0, 1.5, y, g, theorem_4_1(y, g, 1.5), 0.0, 0.0, 0.0, 0.0, 0.0)
    # v'Hv as far below 0 as rounding may leave it
    rounded = TrainedUnit("features.norm1", 1, 1.5, y, g, theorem_4_1(y, g, 1.5), -1e-10, 0.0, 1.0, 0.0, 0.0)
    units = [TrainedUnit(**{**vars(unit), "bias_gradient_g": 0.0}) for unit in (dead, rounded)]
    monkeypatch.setattr(trained_cases, "measure_units", lambda *arguments: iter(units))
    spec = AssumptionsSpec(norm_layer=("batch",), steps=(1,), layers=1, units=2)
    table = measure_trained_cases(spec, run, tmp_path, split).set_index(["statement", "quantity"])
    assert set(table["count"]) == {2}
    shares = table["fraction"].dropna()
    assert {key for key, share in shares.items() if share == 0} == {
        ("theorem_4_1", "gamma_at_most_sigma"),  # 1.5 beside 1.25
        ("theorem_4_2", "overlap_positive"),
    }
    assert set(shares) == {0.0, 1.0}
    values = table.loc[table["fraction"].isna(), "value"]
    assert values[("theorem_4_1", "gamma_over_sigma")] == pytest.approx(1.5 / math.sqrt(14 / 9), rel=1e-14)
    assert values.drop(("theorem_4_1", "gamma_over_sigma")).isna().all()
