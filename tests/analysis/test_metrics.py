"""The scalars of metrics.json by hand: which, of which seeds, rounded how, and why there is none."""

import math
from typing import Any

import pytest
from tests.analysis.synthetic import Kind, study

from normlab.analysis.catalog import Quantity, named
from normlab.analysis.estimates import NotRunError, PerSeed, exact
from normlab.analysis.metrics import all_metrics, cell_metrics, claim_metrics, verdict_key

INF, NAN = math.inf, math.nan
WALKS = ("loss_range", "gradient_distance", "effective_beta", "loss_range_up_to_rate", "beta_up_to_rate", "stretch")
LEVELS = ("50_percent", "60_percent", "80_percent", "90_percent")
TRAINING = ("final_test_accuracy", "final_train_accuracy", "mean_train_accuracy")
OTHERS = ("final_loss", *(f"early_{walk}" for walk in WALKS), *(f"late_{walk}" for walk in WALKS))


def quantities(center: Any, *values: float) -> dict[str, Quantity]:
    """Every quantity with the same numbers of the seeds."""
    names = (*TRAINING, *(f"steps_to_{level}" for level in LEVELS), *OTHERS)
    measure = lambda cell: exact(dict(enumerate(values)))  # noqa: E731
    return {name: Quantity("", "", "", measure, center=center) for name in names}


CELL = study({("none", 0.1): Kind(diverged_at=3500, diverged_seed=1)}, seeds=3).vgg("none")


def test_a_cell_has_these_scalars_in_this_order() -> None:
    found = cell_metrics(CELL, quantities("mean", 1.0, 2.0, 6.0))
    reached = [name for level in LEVELS for name in (f"steps_to_{level}", f"reached_{level}")]
    assert list(found) == ["seeds", "diverged_seeds", *TRAINING, *reached, *OTHERS]
    assert (found["seeds"], found["diverged_seeds"]) == (3, 1)
    assert all(found[name] == 3.0 for name in (*TRAINING, *OTHERS))
    assert all(found[f"reached_{level}"] == 3 for level in LEVELS)


@pytest.mark.parametrize(
    ("center", "values", "expected", "reason", "reached"),
    [
        ("median", (1.0, 2.0, 6.0), 2.0, None, 3),
        ("mean", (1.0, 2.0, 6.0), 3.0, None, 3),
        ("median", (1.0, 2.0, INF), 2.0, None, 2),
        ("mean", (1.0, 2.0, INF), None, "infinite (never reached, diverged or overflowed) for 1 of 3 seeds", 2),
        ("median", (1.0, INF, INF), None, "infinite (never reached, diverged or overflowed) for 2 of 3 seeds", 1),
        ("median", (1.0, 2.0, NAN), None, "unknown for 1 of 3 seeds", 2),
        (
            "median",
            (NAN, NAN, -INF, INF, 1.0),
            None,
            "unknown for 2, infinite (never reached, diverged or overflowed) for 2 of 5 seeds",
            1,
        ),
        ("median", (1 / 3,), 0.33333333, None, 1),
        ("median", (123456789.0,), 123456790.0, None, 1),
    ],
)
def test_one_number_of_the_seeds(
    center: str, values: tuple[float, ...], expected: float | None, reason: str | None, reached: int
) -> None:
    found = cell_metrics(CELL, quantities(center, *values))
    for name in ("final_loss", "late_stretch", "steps_to_80_percent", "mean_train_accuracy"):
        assert found[name] == expected
        assert found.get(f"{name}_reason") == reason
    assert found["reached_80_percent"] == reached


def test_what_was_not_measured_is_null_and_says_so() -> None:
    def measure(cell: Any) -> PerSeed:
        raise NotRunError("no such rows")

    missing = {**quantities("mean", 1.0), "final_loss": Quantity("", "", "", measure)}
    found = cell_metrics(CELL, missing)
    assert (found["final_loss"], found["final_loss_reason"]) == (None, "no such rows")
    linear = study({}, {("none", 1e-6): Kind()}, seeds=2).deep_linear("none")
    of_linear = cell_metrics(linear, quantities("mean", 1.0))
    assert list(of_linear) == ["seeds", "diverged_seeds", *OTHERS]  # no accuracies where there are none


def test_all_cells_and_claims() -> None:
    cells = study({("none", 0.1): Kind(), ("batch", 0.1): Kind(test=0.9)}, {("batch", 1e-6): Kind()}, seeds=2)
    claims = [
        *({"group": "deep linear", "verdict": verdict} for verdict in ("reproduced", "not run", "reproduced")),
        {"group": "theory", "verdict": "the paper's error"},
    ]
    found = all_metrics(cells, claims)
    assert list(found) == ["claims", "cells"]
    assert found["claims"] == {
        "deep_linear": {"reproduced": 2, "not_run": 1},
        "theory": {"the_papers_error": 1},
    }
    assert found["claims"] == claim_metrics(claims)
    assert set(found["cells"]) == {"vgg11-none-0.1", "vgg11-batch-0.1", cells.deep_linear("batch").name}
    assert found["cells"]["vgg11-batch-0.1"] == cell_metrics(cells.vgg("batch"), named(1))
    assert found["cells"]["vgg11-batch-0.1"]["final_test_accuracy"] == 0.9
    assert verdict_key("not reproduced here") == "not_reproduced_here"
