import math
from functools import partial

import pandas as pd
import pytest
from tests.analysis.synthetic import Kind, study

from normlab.analysis.estimates import NotRunError
from normlab.analysis.quantities import final_held_out_accuracy
from normlab.analysis.rates import (
    best_rate,
    fastest_rate,
    largest_alive_rate,
    largest_usable_rate,
    smoothness_and_speed,
    widest_sweep,
)
from normlab.analysis.walks import beta_up_to_rate

USABLE, DEAD = Kind(reach=3000.0), Kind(reach=60_000.0, final=0.1)


def test_best_rate_is_chosen_on_held_out_images_whatever_training_and_test_say() -> None:
    fast = Kind(reach=1000, test=0.9, held_out=0.7)
    cells = study({("none", 0.1): fast, ("none", 0.5): Kind(reach=9000, test=0.2, held_out=0.8)})
    assert best_rate(cells, "none", final_held_out_accuracy).learning_rate == 0.5


def test_one_rate_or_no_held_out_images_are_no_choice() -> None:
    with pytest.raises(NotRunError, match="no choice of learning rates"):
        best_rate(study({("none", 0.1): Kind()}), "none", final_held_out_accuracy)
    cells = study({("none", 0.1): Kind(), ("none", 0.5): Kind()})
    without = cells.measurements[cells.measurements["probe"] != "held_out"]
    with pytest.raises(NotRunError, match="no held_out measurement of held_out_accuracy"):
        best_rate(type(cells)(without, cells.theory, cells.spec), "none", final_held_out_accuracy)


def test_largest_usable_rate_is_bracketed_by_the_grid() -> None:
    cells = study({("none", 0.1): USABLE, ("none", 0.3): USABLE, ("none", 1.0): DEAD, ("batch", 0.1): DEAD})
    bounds = largest_usable_rate(cells.rates("none"), 0.9, 1).values.loc[0]
    assert (bounds["value"], bounds["low"], bounds["high"]) == (0.3, 0.3, 1.0)
    below = largest_usable_rate(cells.rates("batch"), 0.9, 1).values.loc[0]
    assert (below["low"], below["high"]) == (0.0, 0.1)


def test_a_rate_usable_at_the_end_of_the_grid_has_no_upper_bound() -> None:
    swept = study({("none", 0.1): DEAD, ("none", 0.3): USABLE, ("none", 1.0): USABLE}, seeds=2).rates("none")
    bounds = largest_usable_rate(swept, 0.9, 1).values
    assert bounds.loc[0].tolist() == [1.0, 1.0, math.inf]
    assert list(bounds.index) == [0, 1]


@pytest.mark.parametrize(("final", "alive"), [(0.19, False), (0.2, True), (0.21, True)])
def test_a_run_is_alive_from_the_accuracy_on_that_is_asked(final: float, alive: bool) -> None:
    swept = study({("none", 0.1): USABLE, ("none", 0.3): Kind(reach=60_000.0, final=final)}, seeds=1).rates("none")
    assert largest_alive_rate(swept, 0.2, 1).values.loc[0, "value"] == (0.3 if alive else 0.1)


def test_the_best_and_the_fastest_of_many_rates() -> None:
    kinds = {0.1: (5001, 0.5), 0.2: (3001, 0.7), 0.4: (4001, 0.9), 0.8: (7001, 0.6)}
    cells = study({("none", rate): Kind(reach=reach, held_out=held) for rate, (reach, held) in kinds.items()}, seeds=1)
    assert best_rate(cells, "none", final_held_out_accuracy).learning_rate == 0.4
    assert fastest_rate(cells, "none", 0.9).learning_rate == 0.2
    with pytest.raises(NotRunError, match="no choice of learning rates for norm_layer l1: 0 in the grid"):
        fastest_rate(cells, "l1", 0.9)


def test_a_network_that_diverged_before_its_smoothness_was_measured_has_no_row() -> None:
    kinds = {("none", 0.1): USABLE, ("none", 0.5): Kind(diverged_at=100), ("batch", 0.1): Kind(diverged_at=9500)}
    cells = study(kinds, seeds=2)
    late = partial(beta_up_to_rate, phase=(0.4, 1.0))
    table = smoothness_and_speed(list(cells.all.values()), late, 0.9, 1)
    assert list(zip(table["norm_layer"], table["learning_rate"], strict=True)) == [("none", 0.1), ("batch", 0.1)]
    assert table.dtypes.astype(str).tolist() == ["object", "float64", "float64", "float64", "int64"]
    assert smoothness_and_speed([], late, 0.9, 1).dtypes.astype(str).tolist() == table.dtypes.astype(str).tolist()


def test_a_network_that_trains_to_81_percent_is_alive_and_not_usable_to_90() -> None:
    cells = study({("batch", 0.1): USABLE, ("batch", 1.0): Kind(reach=60_000.0, final=0.81), ("batch", 2.0): DEAD})
    assert largest_usable_rate(cells.rates("batch"), 0.9, 1).values.loc[0, "value"] == 0.1
    assert largest_alive_rate(cells.rates("batch"), 0.2, 1).values.loc[0, "value"] == 1.0


def test_the_sweep_is_the_variant_with_the_most_rates_of_both() -> None:
    few = study({(norm, rate): USABLE for norm in ("none", "batch") for rate in (0.1, 0.5)}, seeds=1)
    many = study({(norm, rate): USABLE for norm in ("none", "batch") for rate in (0.1, 0.14, 0.2)}, seeds=1)
    short = many.measurements.assign(variant="steps=1000").astype({"variant": "category"})
    both = pd.concat([few.measurements, short], ignore_index=True).astype({"variant": "category"})
    found = widest_sweep(type(few)(both, few.theory, few.spec), ("none", "batch"))
    assert [cell.learning_rate for cell in found["none"]] == [0.1, 0.14, 0.2]
    with pytest.raises(NotRunError, match="no sweep of learning rates for norm_layer batch"):
        widest_sweep(study({("none", 0.1): USABLE, ("none", 0.5): USABLE}, seeds=1), ("none", "batch"))


def test_the_fastest_rate_is_chosen_by_training_alone() -> None:
    cells = study({("none", 0.1): Kind(reach=5001, test=0.9), ("none", 0.5): Kind(reach=3001, test=0.2)})
    assert fastest_rate(cells, "none", 0.9).learning_rate == 0.5
    never = study({("none", 0.1): Kind(reach=40_000, final=0.3), ("none", 0.5): Kind(reach=20_000, final=0.6)})
    assert fastest_rate(never, "none", 0.9).learning_rate == 0.5


def test_smoothness_and_speed_have_a_row_a_cell() -> None:
    plain = Kind(reach=[3001.0, 5001, 4001], near_beta=[1.0, 2, 3])
    cells = study({("none", 0.1): plain, ("batch", 0.5): DEAD}, seeds=3)
    early = partial(beta_up_to_rate, phase=(0.0, 0.4))
    table = smoothness_and_speed(list(cells.all.values()), early, 0.9, 1)
    assert table.to_dict("list") == {
        "norm_layer": ["none", "batch"],
        "learning_rate": [0.1, 0.5],
        "smoothness": [2.0, 5.0],
        "steps": [4001.0, math.inf],
        "seeds": [3, 3],
    }
