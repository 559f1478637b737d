import math

import pytest
from tests.analysis.synthetic import Kind, study

from normlab.analysis import metrics
from normlab.analysis.catalog import by_layer, by_normalizer, by_run, halved, named
from normlab.analysis.claims.stability import plain_as_stable
from normlab.analysis.quantities import steps_to_accuracy

QUANTITIES = named(1)


def test_metrics_are_quantities_of_the_catalog() -> None:
    names = [*metrics.OF_TRAINING, *metrics.OF_ALL, *(f"steps_to_{level}" for level in metrics.REACHED)]
    assert set(names) <= set(QUANTITIES)


@pytest.mark.parametrize("name", [*QUANTITIES, "halved"])
def test_every_quantity_has_a_rule_and_a_documented_function(name: str) -> None:
    quantity = halved((0.5, 1.0)) if name == "halved" else QUANTITIES[name]
    assert quantity.label
    assert quantity.not_finite
    assert quantity.function.__module__.startswith("normlab.analysis.")
    assert quantity.function.__doc__


def test_labels_are_unique() -> None:
    labels = [quantity.label for quantity in QUANTITIES.values()]
    assert len(set(labels)) == len(labels)


def test_every_quantity_of_a_complete_study_is_finite() -> None:
    cell = study({("none", 0.1): Kind(reach=2001, final=1.0)}, seeds=2).vgg("none")
    for name, quantity in QUANTITIES.items():
        values = quantity.measure(cell).values["value"]
        assert values.notna().all(), name
        assert len(values) == 2, name


def test_tables_hold_what_the_function_gives() -> None:
    cells = study({("none", 0.1): Kind(final=0.1), ("batch", 0.1): Kind(reach=[1001, 2001])}, seeds=2)
    steps = QUANTITIES["steps_to_90_percent"]
    assert steps.function is steps_to_accuracy
    wide = by_normalizer(cells.compared(), steps.measure)
    assert wide["batch"].tolist() == [1001.0, 2001.0]
    assert wide["none"].tolist() == [math.inf, math.inf]
    long = by_run(cells.compared(), steps.measure)
    assert long.loc[long["norm_layer"] == "batch", "value"].tolist() == [1001.0, 2001.0]
    assert set(long["learning_rate"]) == {0.1}


def test_cells_without_the_measurement_have_no_rows() -> None:
    cells = study({}, {("none", 1e-6): Kind()}, seeds=1)
    assert by_run(cells.compared("dln"), QUANTITIES["steps_to_90_percent"].measure).empty
    assert by_layer(cells.compared("dln"), "activations", "wasserstein").empty
    assert by_run([], QUANTITIES["final_loss"].measure).columns.tolist()[:4] == [
        "network", "norm_layer", "learning_rate", "seed",
    ]  # fmt: skip


def test_two_networks_are_compared_as_the_claims_compare_them() -> None:
    cells = study({("none", 0.1): Kind(move=[6.0, 8.0]), ("batch", 0.1): Kind(move=2.0)}, seeds=2)
    ours = QUANTITIES["mean_abs_change"].against(cells.vgg("none"), cells.vgg("batch"))
    claimed = plain_as_stable(cells, steps=(1, 15_000))["mean"]()
    assert ours.values.equals(claimed.values)


def test_the_shift_leaves_the_first_layer_out() -> None:
    cells = study({("none", 0.1): Kind(shift=4.0, cosine=0.25), ("batch", 0.1): Kind(shift=2.0)}, seeds=1)
    assert QUANTITIES["shift"].measure(cells.vgg("none")).values["value"].loc[0] == 4.0
    assert QUANTITIES["shift_cosine"].measure(cells.vgg("none")).values["value"].loc[0] == 0.25
    fold = QUANTITIES["shift"].against(cells.vgg("none"), cells.vgg("batch")).values["value"].loc[0]
    assert fold == pytest.approx(2.0, rel=1e-12)  # through logarithms
