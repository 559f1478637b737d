"""Means, medians and bands over a window against loops over plain numbers, no two of which are alike; edges of windows,
seeds that only one network has, and runs that end early or diverge."""

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest
from tests.analysis.plain import Run, make_vgg, weighted_mean, weighted_median

from normlab.analysis.cells import Cell
from normlab.analysis.estimates import NotRunError
from normlab.analysis.windows import (
    Window,
    as_phase,
    band_over,
    fold,
    gone_by,
    layer_folds,
    layer_gaps,
    median_in,
    shortened,
    uncovered,
)

CLOSE = 1e-12
CONVOLUTIONS = [f"features.conv{layer}" for layer in (2, 9, 11, 13)]


def cell_of(runs: Iterable[Run], diverged: dict[int, int] | None = None) -> Cell:
    frames = []
    for run in runs:
        table = run.frame("vgg", "vgg11")
        gone = (diverged or {}).get(run.seed)
        if gone is not None:
            table = table[table["step"] <= gone]
            end = {"probe": "summary", "quantity": "diverged_at", "step": gone, "value": gone, "batch": 0}
            known = {key: table[key].iloc[0] for key in ("study", "network", "norm_layer", "learning_rate", "seed")}
            planned = {**end, "quantity": "steps", "value": run.steps}
            table = pd.concat([table, pd.DataFrame([{**known, **one} for one in (end, planned)])])
            table["layer"] = table["layer"].fillna("")
        frames.append(table)
    first = next(iter(runs))
    return Cell("vgg11", first.norm_layer, first.rate, pd.concat(frames, ignore_index=True))


TOP = [make_vgg("none", 0.1, seed) for seed in (0, 1, 2)]
BOTTOM = [make_vgg("batch", 0.1, seed) for seed in (1, 2, 3)]
WINDOWS: list[Window] = [(100, 6000), (101, 5999), (0, 15_000), (300, 300), (1500, 3000)]


@pytest.mark.parametrize("window", WINDOWS)
def test_ratios_and_gaps_of_layers(window: Window) -> None:
    first, last = window
    top, bottom = cell_of(TOP), cell_of(BOTTOM)
    folds = layer_folds(top, bottom, "shift", "l2", window, CONVOLUTIONS[::-1])
    gaps = layer_gaps(top, bottom, "shift", "cosine", window, CONVOLUTIONS)
    assert list(folds.index) == list(gaps.index) == [1, 2]
    assert (list(folds.columns), list(gaps.columns)) == (CONVOLUTIONS[::-1], CONVOLUTIONS)
    for seed, a, b in ((1, TOP[1], BOTTOM[0]), (2, TOP[2], BOTTOM[1])):
        for layer in CONVOLUTIONS:
            sides = [run.mean("shift", "l2", first, last, layer) for run in (a, b)]
            assert folds.loc[seed, layer] == pytest.approx(sides[0] / sides[1], rel=CLOSE)
            cosines = [run.mean("shift", "cosine", first, last, layer) for run in (a, b)]
            assert gaps.loc[seed, layer] == pytest.approx(cosines[0] - cosines[1], abs=CLOSE)


def test_a_seed_that_diverged_by_the_end_is_the_worst_in_every_layer() -> None:
    window = (100, 3000)
    for gone, worst in ((2000, True), (3000, True), (3001, False)):
        top, bottom = cell_of(TOP, {1: gone}), cell_of(BOTTOM, {2: gone})
        folds = layer_folds(top, bottom, "shift", "l2", window, CONVOLUTIONS)
        gaps = layer_gaps(top, bottom, "shift", "cosine", window, CONVOLUTIONS)
        assert gone_by(top, 3000).tolist() == [False, worst, False]
        for layer in CONVOLUTIONS:
            other = BOTTOM[0].mean("shift", "cosine", *window, layer)
            assert math.isinf(folds.loc[1, layer]) == worst
            assert (folds.loc[2, layer] == 0.0) == worst
            assert (gaps.loc[1, layer] == pytest.approx(-1.0 - other, abs=CLOSE)) == worst
            mine = TOP[2].mean("shift", "cosine", *window, layer)
            assert (gaps.loc[2, layer] == pytest.approx(mine + 1.0, abs=CLOSE)) == worst


def test_networks_without_a_seed_or_a_layer_in_common() -> None:
    with pytest.raises(NotRunError, match="have no seed with a probed step in 100 … 6000"):
        layer_folds(cell_of(TOP[:1]), cell_of(BOTTOM), "shift", "l2", (100, 6000))
    with pytest.raises(NotRunError, match="have no layer of shift in common"):
        layer_gaps(cell_of(TOP), cell_of(BOTTOM), "shift", "l2", (100, 6000), [])


@pytest.mark.parametrize("window", WINDOWS)
def test_medians_bands_and_their_ratios(window: Window) -> None:
    first, last = window
    top, bottom = cell_of(TOP), cell_of(BOTTOM)

    def measure(cell: Cell, both: Window):  # type: ignore[no-untyped-def]
        return median_in(cell, "landscape", "loss_range", both, step_size=None)

    found = measure(top, window).values["value"]
    medians = [run.median("landscape", "loss_range", first, last) for run in TOP]
    assert found.tolist() == pytest.approx(medians, rel=CLOSE)
    ratios = fold(top, bottom, window, measure).values["value"]
    expected = [medians[seed] / BOTTOM[seed - 1].median("landscape", "loss_range", first, last) for seed in (1, 2)]
    assert ratios.tolist() == pytest.approx(expected, rel=CLOSE)
    bands = band_over(top, window, (0.5, 2.0, 4.0)).values["value"]
    by_hand = [run.over_sizes("loss", (0.5, 2.0, 4.0), first, last, lambda each: max(each) - min(each)) for run in TOP]
    assert bands.tolist() == pytest.approx([weighted_median(each) for each in by_hand], rel=1e-9)  # a difference


def test_the_edges_of_a_window_lie_half_a_step_beyond_it() -> None:
    one = cell_of(TOP[:1])
    assert as_phase(one, (3, 8)) == (2.5 / 15_000, 8.5 / 15_000)


@pytest.mark.parametrize(("steps", "lacks"), [(4800, ""), (4799, "4,799 of 6,000 steps"), (6000, ""), (15_000, "")])
def test_four_fifths_of_a_window_are_enough(steps: int, lacks: str) -> None:
    pair = cell_of(TOP[:1]), cell_of([make_vgg("batch", 0.1, 0, steps=steps)])
    for cells in (pair, pair[::-1]):
        assert uncovered(cells, (100, 6000)) == lacks
        assert shortened(cells, (100, 6000)) == (100, min(steps, 6000))
    assert uncovered(pair[1:], (0, steps)) == ""


def test_a_mean_over_one_step_of_some_seeds_and_none_of_others() -> None:
    """Values that are missing count neither above nor below the line."""
    table = TOP[1].frame("vgg", "vgg11")
    hole = (table["probe"] == "shift") & (table["step"] == 600) & (table["layer"] == CONVOLUTIONS[0])
    holed = Cell("vgg11", "none", 0.1, table.assign(value=np.where(hole, np.nan, table["value"])))
    found = layer_folds(holed, cell_of(TOP[1:2]), "shift", "l2", (300, 1500), CONVOLUTIONS)
    at = TOP[1].at("shift", "l2", 300, 1500, CONVOLUTIONS[0])
    weights = {300: 300.0, 1500: 900.0}  # as they are where every step has a value
    mean = sum(weights[step] * at[step] for step in weights) / sum(weights.values())
    assert found.loc[1, CONVOLUTIONS[0]] == pytest.approx(mean / weighted_mean(at), rel=CLOSE)
    assert found.loc[1, CONVOLUTIONS[1]] == pytest.approx(1.0, rel=CLOSE)
