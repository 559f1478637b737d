"""Quantities that every layer has, against numbers by hand."""

import math

import pandas as pd
import pytest

from normlab.analysis.cells import Cell
from normlab.analysis.estimates import NotRunError
from normlab.analysis.layers import depth_slope
from normlab.tables.rows import Rows


def cell_of(norms: dict[int, list[float]], step: int = 0) -> Cell:
    """Gradient norms of the layers by seed, from the input on."""
    frames = []
    for seed, values in norms.items():
        run = {"study": "vgg", "network": "vgg11", "norm_layer": "none", "learning_rate": 0.1, "seed": seed}
        rows = Rows(run)
        for layer, value in enumerate(values, start=1):
            rows.add("gradients", step, {"layer_grad_norm": value}, layer=f"features.conv{layer}")
            rows.add("gradients", step + 5, {"layer_grad_norm": 1.0}, layer=f"features.conv{layer}")
        frames.append(rows.frame())
    return Cell("vgg11", "none", 0.1, pd.concat(frames))


def test_gradients_that_double_with_each_layer_toward_the_input_grow_by_log_2() -> None:
    found = depth_slope(cell_of({0: [8.0, 4.0, 2.0, 1.0], 1: [1.0, 3.0, 9.0], 2: [4.0, 0.0, 1.0, math.inf]})).values
    assert found["value"].loc[0] == pytest.approx(math.log(2), rel=1e-12)
    assert found["value"].loc[1] == pytest.approx(-math.log(3), rel=1e-12)  # they vanish
    assert found["value"].loc[2] == pytest.approx(math.log(2), rel=1e-12)  # two layers apart; 0 and inf have no log


def test_without_a_measurement_at_step_0_there_is_no_slope() -> None:
    with pytest.raises(NotRunError, match=r"no gradient norms at step 0 in vgg11-none-0\.1"):
        depth_slope(cell_of({0: [8.0, 4.0]}, step=3))
    assert math.isnan(depth_slope(cell_of({0: [8.0, 0.0]})).values["value"].get(0, math.nan))  # one layer is none
