"""The quantities of the projection ablation, on curves drawn by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from normlab.analysis.cells import Cell
from normlab.analysis.projection import KINDS, over_layers, quantities, updates_between, weight_growth
from normlab.specs.parts import names
from normlab.tables.rows import Rows


def cell(losses: dict[int, list[float]], norms: tuple[float, float] = (2.0, 6.0)) -> Cell:
    frames = []
    for seed, values in losses.items():
        rows = Rows({"study": "vgg", "network": "vgg11", "norm_layer": "batch", "learning_rate": 0.1, "seed": seed})
        for step, value in enumerate(values):
            rows.add("history", step, {"loss": value, "train_accuracy": 0.5})
        rows.add("summary", len(values), {"steps": len(values), "diverged_at": math.nan})
        for step, factor in ((0, 1.0), (len(values), 1.5)):
            rows.add("weights", step, {"weight_norm": norms[0] * factor}, layer="conv1")
            rows.add("weights", step, {"weight_norm": norms[1] * factor**3}, layer="conv2")
            rows.add("gradient_shares", step, {"kept": 0.5 * factor}, layer="conv1")
        frames.append(rows.frame())
    return Cell("vgg11", "batch", 0.1, pd.concat(frames))


def test_updates_between_two_losses() -> None:
    found = updates_between(cell({0: [3.0, 2.0, 1.9, 1.4, 0.9], 1: [2.0, 2.0, 1.6, 1.6, 1.6]}), 2.0, 1.5, window=1)
    assert found.values["value"].tolist() == [2.0, math.inf]
    assert found.values.loc[1, "low"] == 6.0  # more than all of its five updates
    reached = cell({0: [2.5, 2.0, 1.9, 1.5], 1: [1.0, 1.0, 1.0, 1.0], 2: [3.0, 2.5, 1.8, 1.4]})
    assert updates_between(reached, 2.0, 1.5, window=1).values["value"].tolist() == [2.0, 0.0, 1.0]  # "at most" each
    assert updates_between(reached, 2.0, 1.5, window=9).values["value"].tolist() == [math.inf, 0.0, math.inf]
    smooth = updates_between(cell({0: [3.0, 1.0, 1.0, 1.0, 1.0]}), 2.0, 1.5, window=2)
    assert smooth.values["value"].tolist() == [1.0]  # means of two: 2 at step 1, 1 at step 2


def test_growth_of_weights_is_that_of_the_middle_layer() -> None:
    assert weight_growth(cell({0: [1.0] * 3})).values["value"].tolist() == pytest.approx([(1.5 + 1.5**3) / 2])


def test_curves_over_layers() -> None:
    frame = pd.DataFrame(
        {
            "norm_layer": "batch",
            "learning_rate": 0.1,
            "seed": 0,
            "layer": ["a", "b", "a", "b"],
            "step": [0, 0, 5, 5],
            "value": [1.0, 10.0, 3.0, 10.0],
        }
    )
    assert over_layers(frame)["value"].tolist() == [5.5, 6.5]
    assert over_layers(frame, relative=True)["value"].tolist() == [1.0, 2.0]


def test_every_quantity_has_a_label_and_measures_or_says_what_is_missing() -> None:
    found = quantities(window=1)
    one = cell({0: [3.0, 2.0, 1.9, 1.4, 0.9]})
    assert found["kept"].measure(one).values["value"].tolist() == [0.75]  # without step 0
    assert np.isfinite(found["updates_1.5_to_1"].measure(one).values["value"]).all()
    assert [name for name, quantity in found.items() if quantity.signed] == ["cosine"]  # the others are ratios
    assert len({quantity.label for quantity in found.values()}) == len(found)
    assert set(KINDS) <= set(names("normalizer"))
