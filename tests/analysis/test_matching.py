import math
from collections.abc import Sequence

import pandas as pd
import pytest
from tests.analysis.synthetic import Kind, study

from normlab.analysis.cells import Cell
from normlab.analysis.estimates import NotRunError
from normlab.analysis.matching import matched_difference, matched_means, matched_ratio
from normlab.analysis.quantities import settled
from normlab.tables.rows import Rows


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


def chosen(norm_layer: str, losses: Sequence[float], values: Sequence[float]) -> tuple[Cell, pd.DataFrame]:
    """A run whose walks begin at these losses (steps 1, 2, …), and the rows of a quantity with these values there."""
    rows = Rows({"study": "vgg", "network": "vgg11", "norm_layer": norm_layer, "learning_rate": 0.1, "seed": 0})
    rows.add("summary", len(losses), {"steps": len(losses), "diverged_at": math.nan})
    for step, loss in enumerate(losses, start=1):
        rows.add("landscape", step, {"loss": loss})
    table = pd.DataFrame({"seed": 0, "step": range(1, len(losses) + 1), "value": list(values)})
    return Cell("vgg11", norm_layer, 0.1, rows.frame()), table


def test_what_only_one_network_passes_through_counts_nothing() -> None:
    # in common: losses from 1 to 2, and from 1/2 to 1 (a bin holds its lower edge). Outside, a thousand times as much.
    top, above = chosen("none", [3.9, 1.9, 1.0, 0.6], [8000.0, 4.0, 8.0, 2.0])
    bottom, below = chosen("batch", [1.2, 0.5, 0.3, 0.1], [3.0, 2.0, 5000.0, 7000.0])
    ratio = matched_ratio(top, bottom, (above, below), "loss").values["value"]
    gap = matched_difference(top, bottom, (above, below), "loss").values["value"]
    # means of the bins: 6 and 2 above, 3 and 2 below
    assert ratio.tolist() == pytest.approx([math.sqrt(6 / 3 * 2 / 2)], rel=1e-12)
    assert gap.tolist() == [((6 - 3) + (2 - 2)) / 2]


def test_networks_that_never_stand_equally_well_cannot_be_compared() -> None:
    none, batch = pair(Kind(reach=1e9, final=0.1), FAST)
    with pytest.raises(NotRunError, match="no train accuracy in common"):
        matched_ratio(none, batch, bands(none, batch), "train_accuracy")


def begun(norm_layer: str, gone: Sequence[int], factor: float) -> tuple[Cell, pd.DataFrame]:
    """Three seeds whose walks begin at a loss of 1.5 at steps 0, 1 and 2; those of `gone` diverged at step 2."""
    frames, table = [], []
    for seed in (0, 1, 2):
        rows = Rows({"study": "vgg", "network": "vgg11", "norm_layer": norm_layer, "learning_rate": 0.1, "seed": seed})
        rows.add("summary", 2, {"steps": 2, "diverged_at": 2 if seed in gone else math.nan})
        for step in (0, 1, 2):
            rows.add("landscape", step, {"loss": 1.5})
            table.append({"seed": seed, "step": step, "value": 1000.0 if step == 0 else factor * (step + seed)})
        frames.append(rows.frame())
    return Cell("vgg11", norm_layer, 0.1, pd.concat(frames, ignore_index=True)), pd.DataFrame(table)


def test_step_0_counts_nothing_and_a_seed_that_diverged_in_either_network_is_unknown() -> None:
    for gone in (((), ()), ((0,), ()), ((), (1,)), ((0,), (1,)), ((2,), (2,))):
        (top, above), (bottom, below) = begun("none", gone[0], 3.0), begun("batch", gone[1], 2.0)
        unknown = {*gone[0], *gone[1]}
        ratio = matched_ratio(top, bottom, (above, below), "loss").values["value"]
        gap = matched_difference(top, bottom, (above, below), "loss").values["value"]
        for seed in (0, 1, 2):
            expected = (math.nan, math.nan) if seed in unknown else (1.5, (1 + 2 + 2 * seed) / 2)
            assert (ratio[seed], gap[seed]) == pytest.approx(expected, rel=1e-12, nan_ok=True)
