import math
from functools import partial

from tests.analysis.synthetic import Kind, study

from normlab.analysis.rates import best_rate, largest_usable_rate, smoothness_and_speed
from normlab.analysis.walks import beta_up_to_rate

USABLE, DEAD = Kind(reach=20.0), Kind(reach=400.0, final=0.3)


def test_best_rate_is_chosen_by_training_alone() -> None:
    cells = study({("none", 0.1): Kind(reach=50, test=0.9), ("none", 0.5): Kind(reach=30, test=0.2)})
    assert best_rate(cells, "none", 0.9).learning_rate == 0.5


def test_best_rate_of_runs_that_never_get_there_is_the_higher_curve() -> None:
    cells = study({("none", 0.1): Kind(reach=400, final=0.3), ("none", 0.5): Kind(reach=200, final=0.6)})
    assert best_rate(cells, "none", 0.9).learning_rate == 0.5


def test_largest_usable_rate_is_bracketed_by_the_grid() -> None:
    cells = study({("none", 0.1): USABLE, ("none", 0.3): USABLE, ("none", 1.0): DEAD, ("batch", 0.1): DEAD})
    bounds = largest_usable_rate(cells.rates("none"), 0.9, 1).values.loc[0]
    assert (bounds["value"], bounds["low"], bounds["high"]) == (0.3, 0.3, 1.0)
    below = largest_usable_rate(cells.rates("batch"), 0.9, 1).values.loc[0]
    assert (below["low"], below["high"]) == (0.0, 0.1)


def test_smoothness_and_speed_have_a_row_a_cell() -> None:
    cells = study({("none", 0.1): Kind(reach=[30.0, 50, 40], near_beta=[1.0, 2, 3]), ("batch", 0.5): DEAD}, seeds=3)
    early = partial(beta_up_to_rate, phase=(0.0, 0.4))
    table = smoothness_and_speed(list(cells.all.values()), early, 0.9, 1)
    assert table.to_dict("list") == {
        "norm_layer": ["none", "batch"],
        "learning_rate": [0.1, 0.5],
        "smoothness": [2.0, 5.0],
        "steps": [40.0, math.inf],
        "seeds": [3, 3],
    }
