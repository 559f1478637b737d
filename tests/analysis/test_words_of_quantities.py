"""What quantities are called and counted in, what ∞ and a missing value of each mean, how seeds and cells are put
together, and the tables that are made of them."""

import dataclasses

import pandas as pd
import pytest
from tests.analysis.synthetic import Kind, study

from normlab.analysis.catalog import (
    Quantity,
    by_layer,
    by_normalizer,
    by_run,
    by_run_and,
    checkpoint_quantities,
    halved,
    named,
    table_of,
)
from normlab.analysis.estimates import NotRunError, exact

QUANTITIES = named(7)
PHASES = {"early": "first 40 %", "late": "last 60 %", "last": "last 30 %", "whole": "whole run"}
WALKS = {  # label and unit
    "loss_range": ("width of the loss band", "loss"),
    "gradient_distance": ("upper edge of the gradient change", "gradient norm"),
    "effective_beta": ("effective β", "1/step size"),
    "loss_range_up_to_rate": ("width of the loss band at step sizes ≤ learning rate", "loss"),
    "gradient_distance_up_to_rate": ("greatest gradient change at step sizes ≤ learning rate", "gradient norm"),
    "beta_up_to_rate": ("effective β at step sizes ≤ learning rate", "1/step size"),
    "stretch": ("‖Hg‖/‖g‖ (β for η → 0)", "1/step size"),
    "random_gradient_distance": ("random directions, upper edge of the gradient change", "gradient norm"),
}
OF_WALKS = {
    f"{phase}_{name}": (f"{label}, {words}", unit)
    for phase, words in PHASES.items()
    for name, (label, unit) in WALKS.items()
}
START = {
    "start_effective_beta": ("effective β at step 0", "1/step size"),
    "start_gradient_distance": ("upper edge of the gradient change at step 0", "gradient norm"),
}
TRAINING = {
    "final_test_accuracy": ("final test accuracy", ""),
    "final_train_accuracy": ("train accuracy, mean of the last 7 steps", ""),
    "mean_train_accuracy": ("mean train accuracy", ""),
}
STEPS = {f"steps_to_{p}_percent": (f"steps to {p} %", "updates") for p in (50, 60, 70, 80, 90, 99)}
LAYERS = {
    "shift": ("‖G − G′‖", ""),
    "relative_shift": ("‖G − G′‖/‖G‖", ""),
    "shift_cosine": ("cosine of G and G′", ""),
    "mean_abs_change": ("|Δμ|", ""),
    "variance_abs_change": ("|Δσ²|", ""),
    "mean_abs_change_1": ("|Δμ| over one step", ""),
    "relative_mean_change": ("|Δμ|/σ", ""),
    "wasserstein": ("W₁/σ", ""),
    "start_shift": ("‖G − G′‖ at step 0, median over layers", ""),
    "start_cosine": ("cosine of G and G′ at step 0, median over layers", ""),
}
WALK = "∞: the walk left the floating range; a step whose gradient is 0 or not finite is left out"
NOT_FINITE = {
    "a run that diverged ends with what its non-finite weights score": TRAINING,
    "∞: never reached in the planned updates": STEPS,
    "∞: the run diverged": {"final_loss": ("final loss", "loss")},
    WALK: {**OF_WALKS, **START},
    "undefined where a layer has no value after step 0": LAYERS,
}


def test_labels_units_and_what_is_not_finite() -> None:
    expected = {name: (*words, rule) for rule, group in NOT_FINITE.items() for name, words in group.items()}
    assert {name: (one.label, one.unit, one.not_finite) for name, one in QUANTITIES.items()} == expected


def test_accuracies_have_means_and_cosines_have_signs() -> None:
    assert {name for name, one in QUANTITIES.items() if one.center == "mean"} == set(TRAINING)
    assert {name for name, one in QUANTITIES.items() if one.signed} == {"shift_cosine", "start_cosine"}
    compared = {name for name, one in QUANTITIES.items() if one.compare is not None}
    assert compared == set(LAYERS) - {"shift_cosine", "start_shift", "start_cosine"}


def test_quantities_of_a_checkpoint_and_of_half_a_step() -> None:
    found = [*checkpoint_quantities(300), halved((0.5, 1.0))]
    assert [(one.label, one.unit) for one in found] == [
        ("effective β, step 300", "1/step size"),
        ("‖Hg‖/‖g‖ (η → 0), step 300", "1/step size"),
        ("width of the loss band, step 300", "loss"),
        ("effective β with η_min/2 ÷ without (2: only 1/η_min), last 30 %", ""),
    ]
    assert {one.not_finite for one in found} == {WALK}


def test_two_cells_are_compared_as_the_quantity_says() -> None:
    numbers: dict[object, float] = {"a": 6.0, "b": 2.0}
    plain = Quantity("", "", "", lambda cell: exact({0: numbers[cell]}))
    assert plain.against("a", "b").values["value"].tolist() == [3.0]  # type: ignore[arg-type]
    signed = dataclasses.replace(plain, signed=True)
    assert signed.against("a", "b").values["value"].tolist() == [4.0]  # type: ignore[arg-type]
    own = dataclasses.replace(signed, compare=lambda over, under: exact({0: numbers[over] * 10 + numbers[under]}))
    assert own.against("a", "b").values["value"].tolist() == [62.0]  # type: ignore[arg-type]


CELLS = study({("none", 0.1): Kind(shift=3.0), ("batch", 0.1): Kind(), ("batch", 0.5): Kind()}, seeds=2)
KEYS = ["network", "norm_layer", "learning_rate"]


def _measure(cell):  # type: ignore[no-untyped-def]
    if cell.learning_rate > 0.3:
        raise NotRunError("not at this rate")
    return exact({1: cell.learning_rate, 0: 7.0 if cell.norm_layer == "none" else 8.0})


def test_tables_have_a_row_a_run_of_what_was_measured() -> None:
    every = [*CELLS.all.values()]
    rows = [("vgg11", "none", 0.1, 0, 7.0), ("vgg11", "none", 0.1, 1, 0.1)]
    rows += [("vgg11", "batch", 0.1, 0, 8.0), ("vgg11", "batch", 0.1, 1, 0.1)]
    found = by_run(every, _measure)
    assert list(found.columns) == [*KEYS, "seed", "value"]
    assert sorted(found.itertuples(index=False, name=None)) == sorted(rows)
    assert list(found.index) == [0, 1, 2, 3]
    wide = by_normalizer(every, _measure)
    assert wide.to_dict() == {"none": {0: 7.0, 1: 0.1}, "batch": {0: 8.0, 1: 0.1}}
    further = by_run_and("size", every, lambda cell: {0.5: _measure(cell), 2.0: exact({0: 1.0})})
    assert list(further.columns) == [*KEYS, "seed", "value", "size"]
    of_none = further[further["norm_layer"] == "none"][["size", "seed", "value"]]
    assert sorted(of_none.itertuples(index=False, name=None)) == [(0.5, 0, 7.0), (0.5, 1, 0.1), (2.0, 0, 1.0)]


def test_a_table_of_layers_and_an_empty_one() -> None:
    found = by_layer([CELLS.vgg("none")], "shift", "l2")
    assert list(found.columns) == [*KEYS, "seed", "layer", "value"]
    assert len(found) == 2 * 5
    by_name = found.set_index(["seed", "layer"])["value"]
    assert by_name[1, "features.conv1"] == 0.0
    assert by_name[0, "features.conv9"] == pytest.approx(3.0)
    empty = table_of([], lambda cell: pd.DataFrame())
    assert list(empty.columns) == [*KEYS, "seed", "layer", "step_size", "step", "value"]
    assert empty.empty
