"""Walks whose β, loss and gradient change at every step size are chosen."""

import math
from collections.abc import Callable

import pandas as pd
import pytest

from normlab.analysis.cells import Cell
from normlab.analysis.estimates import NotRunError
from normlab.analysis.walks import (
    beta_up_to_rate,
    halved_by_step,
    halved_step,
    largest_up_to_rate,
    plateau,
    range_up_to_rate,
)
from normlab.tables.rows import Rows

RATE = 0.1
GRID = (0.5, 1.0, 2.0, 4.0)
WHOLE = (0.0, 1.0)


def walked(beta: Callable[[float], float], sizes: tuple[float, ...] = (0.25, *GRID), steps: int = 10) -> Cell:
    """One run whose walk at every step has these β by absolute step size; the loss rises by the step size itself."""
    rows = Rows({"study": "vgg", "network": "vgg11", "norm_layer": "none", "learning_rate": RATE, "seed": 0})
    rows.add("summary", steps, {"steps": steps, "diverged_at": math.nan})
    for step in range(1, steps + 1):
        rows.add("landscape", step, {"loss": 1.0, "grad_norm": 1.0})
        for size in (multiple * RATE for multiple in sizes):
            values = {"loss": 1.0 + size, "gradient_distance": size * beta(size), "beta": beta(size)}
            rows.add("landscape", step, values, step_size=size)
    return Cell("vgg11", "none", RATE, pd.DataFrame(rows.frame()))


def number(found: object) -> float:
    return float(found.values["value"].loc[0])  # type: ignore[attr-defined]


def test_a_plateau_at_one_over_eta_min_doubles_and_a_smooth_one_does_not() -> None:
    artefact, smooth = walked(lambda size: 1 / size), walked(lambda size: 7.0)
    assert number(plateau(artefact, WHOLE, GRID)) == pytest.approx(20.0, rel=1e-12)  # 1/(0.5·rate)
    assert number(halved_step(artefact, WHOLE, GRID)) == pytest.approx(2.0, rel=1e-12)
    assert number(halved_step(smooth, WHOLE, GRID)) == 1.0
    assert list(halved_by_step(artefact, GRID)["value"]) == pytest.approx([2.0] * 10, rel=1e-12)


def test_only_half_the_smallest_step_is_added() -> None:
    further = walked(lambda size: 1 / size, sizes=(0.01, 0.25, *GRID))
    assert number(halved_step(further, WHOLE, GRID)) == pytest.approx(2.0, rel=1e-12)


def test_without_the_half_step_the_question_was_not_asked() -> None:
    with pytest.raises(NotRunError, match=r"not all of the step sizes 0\.25, 0\.5, 1, 2, 4"):
        halved_step(walked(lambda size: 1.0, sizes=GRID), WHOLE, GRID)


def test_up_to_the_rate_includes_the_rate_itself_and_nothing_beyond() -> None:
    cell = walked(lambda size: size)
    assert number(beta_up_to_rate(cell, WHOLE)) == pytest.approx(RATE, rel=1e-12)
    assert number(largest_up_to_rate(cell, "gradient_distance", WHOLE)) == pytest.approx(RATE**2, rel=1e-12)
    assert number(range_up_to_rate(cell, WHOLE)) == pytest.approx(RATE, rel=1e-12)


def test_a_rate_that_was_rounded_on_the_way_is_the_same_rate() -> None:
    cell = walked(lambda size: size)
    cell.learning_rate = RATE * (1 - 1e-9)
    assert number(beta_up_to_rate(cell, WHOLE)) == pytest.approx(RATE, rel=1e-12)


def test_no_step_size_of_at_most_the_rate_is_said() -> None:
    with pytest.raises(NotRunError, match="no walk of at most the learning rate"):
        beta_up_to_rate(walked(lambda size: 1.0, sizes=(2.0, 4.0)), WHOLE)


def test_a_walk_that_left_the_floating_range_is_more_than_any_number() -> None:
    cell = walked(lambda size: math.nan if size > 0.3 else 5.0)
    assert number(plateau(cell, WHOLE, GRID)) == math.inf
    assert number(beta_up_to_rate(cell, WHOLE)) == 5.0
