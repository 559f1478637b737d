"""The paper's curves in the schema of our own tables."""

import numpy as np
import pytest

from normlab.paper.curves import paper_curve
from normlab.paper.rows import STEPS, paper_rows
from normlab.tables.frames import select
from normlab.tables.rows import COLUMNS


@pytest.mark.parametrize("figures", [(1,), (2,), (3,), (3, 4), (5,), (8,), (10, 11), (11, 12), (12, 13)])
def test_rows_have_the_schema_and_one_value_for_each_point(figures: tuple[int, ...]) -> None:
    rows = paper_rows(figures)
    assert tuple(rows.columns) == COLUMNS
    assert not rows.duplicated([column for column in COLUMNS if column != "value"]).any()
    assert set(rows["seed"]) == {0}
    assert rows.loc[rows["quantity"] != "diverged_at", "value"].notna().all()
    assert rows["probe"].notna().all()


def test_every_run_says_how_long_it_was() -> None:
    rows = select(paper_rows((5,)), probe="summary", quantity="steps")
    assert set(rows["norm_layer"]) == {"none", "batch", "l1", "l2", "linf"}
    for study, steps in STEPS.items():
        assert set(select(rows, study=study)["value"]) == {steps}


def test_layers_have_our_names_and_the_papers_numbers() -> None:
    assert set(select(paper_rows((8,)), probe="activations")["layer"]) == {f"features.norm{k}" for k in (2, 9, 13)}
    shift = select(paper_rows((3,)), probe="shift", quantity="l2")
    assert set(select(shift, study="vgg")["layer"]) == {"features.conv5", "features.conv10"}
    assert set(select(shift, study="dln")["layer"]) == {"layers.linear9", "layers.linear17"}


def test_the_band_is_the_difference_of_its_edges() -> None:
    band = select(paper_rows((12,)), norm_layer="l2", quantity="loss_range_steps").sort_values("step")
    low, high = (paper_curve(12, "l2", edge)["value"].to_numpy() for edge in ("loss_low", "loss_high"))
    np.testing.assert_array_equal(band["value"], high - low)


@pytest.mark.parametrize(("figures", "rate"), [((11, 12), 0.1), ((10, 11), 1e-6)])
def test_the_largest_beta_of_a_walk_is_the_effective_one_and_betas_go_as_change_over_step_size(
    figures: tuple[int, ...], rate: float
) -> None:
    rows = select(paper_rows(figures), norm_layer="none", learning_rate=rate)
    beta = select(rows, quantity="beta").pivot(index="step", columns="step_size", values="value")
    whole = select(rows, quantity="effective_beta").set_index("step")["value"]
    np.testing.assert_allclose(beta.max(axis=1), whole.reindex(beta.index), rtol=1e-12)
    change = select(rows, quantity="gradient_distance").pivot(index="step", columns="step_size", values="value")
    quotient = beta.mul(beta.columns.to_numpy(), axis=1) / change  # 1/‖g‖: one number a step, whatever the step size
    np.testing.assert_allclose(quotient.div(quotient.iloc[:, 0], axis=0), 1.0, rtol=1e-9)
    assert len(beta) == 51


def test_at_small_steps_plain_and_normalized_gradients_change_alike() -> None:
    """Figure 11a: a change of 0.95 of BatchNorm's at half the learning rate, 2.1 times it at four learning rates."""
    rows = select(paper_rows((11,)), study="vgg")
    medians = rows.groupby(["norm_layer", "step_size"])["value"].median()
    assert medians["none", 0.05] / medians["batch", 0.05] == pytest.approx(0.95, abs=0.05)
    assert medians["none", 0.4] / medians["batch", 0.4] == pytest.approx(2.1, abs=0.05)


def test_a_figure_without_curves_is_refused() -> None:
    with pytest.raises(ValueError, match="figure 6 has no digitized curves"):
        paper_rows((6,))
