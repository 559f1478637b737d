import pandas as pd
import pytest
from tests.analysis.synthetic import Kind, study

from normlab.analysis.estimates import NotRunError
from normlab.analysis.matching import matched_difference, matched_means, matched_ratio
from normlab.analysis.quantities import settled


def pair(plain: Kind, batch: Kind):
    cells = study({("none", 0.1): plain, ("batch", 0.1): batch}, seeds=2)
    return cells.vgg("none"), cells.vgg("batch")


def bands(*cells) -> tuple[pd.DataFrame, ...]:
    return tuple(settled(cell, "landscape", "loss_range_steps", step_size=None) for cell in cells)


SLOW, FAST = Kind(reach=12_000.0, rough=3.0), Kind(reach=6000.0)


def test_only_bins_that_both_pass_through_count_and_step_0_never_does() -> None:
    none, batch = pair(SLOW, FAST)
    both = matched_means(none, batch, bands(none, batch), "train_accuracy")
    bins = {entry.left for entry in both.loc[0].index}
    # probed accuracies from 0.3 to 0.95: 0.34, 0.45, 0.68, 0.79 of the slow one, 0.45, 0.68 of the fast one
    assert bins == {0.4, 0.6}
    assert matched_ratio(none, batch, bands(none, batch), "train_accuracy").values["value"].tolist() == pytest.approx(
        [3.0] * 2
    )
    assert matched_difference(none, batch, bands(none, batch), "loss").values["value"].tolist() == [2.0, 2.0]


def test_a_quantity_of_the_accuracy_alone_is_equal_at_equal_accuracy_and_not_at_equal_steps() -> None:
    """The slow network is rougher at every step only because it is less trained: matching finds no difference."""
    none, batch = pair(SLOW, FAST)
    rows = []
    for cell in (none, batch):
        accuracy = cell.rows("history", "train_accuracy").set_index(["seed", "step"])["value"]
        probed = settled(cell, "landscape", "loss", step_size=None)
        known = probed.set_index(["seed", "step"]).index.intersection(accuracy.index)
        rows.append((1.0 / accuracy.reindex(known)).rename("value").reset_index())
    found = matched_ratio(none, batch, (rows[0], rows[1]), "train_accuracy").values["value"]
    assert found.tolist() == pytest.approx([1.0, 1.0], abs=0.01)  # within a bin the means differ a little
    plain = [table[table["step"].between(1, 6000)]["value"].median() for table in rows]
    assert plain[0] / plain[1] > 1.5


def test_networks_that_never_stand_equally_well_cannot_be_compared() -> None:
    none, batch = pair(Kind(reach=1e9, final=0.1), FAST)
    with pytest.raises(NotRunError, match="no train accuracy in common"):
        matched_ratio(none, batch, bands(none, batch), "train_accuracy")
