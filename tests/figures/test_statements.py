import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tests.figures.drawn import named

from normlab.figures import statements


def row(source, seed, step, samples, statement, quantity, count, fraction):
    return (source, "vgg11", "batch", 0.1, seed, step, "", samples, statement, quantity, count, fraction, math.nan)


COLUMNS = [
    "source", "network", "norm_layer", "learning_rate", "seed", "step", "layer", "samples", "statement", "quantity",
    "count", "fraction", "value",
]  # fmt: skip
TABLE = pd.DataFrame(
    [
        row("random", 0, 0, 4, "theorem_4_1", "holds_printed", 10, 0.1),
        row("random", 0, 0, 16, "theorem_4_1", "holds_printed", 30, 0.0),
        row("random", 0, 0, 4, "theorem_4_1", "holds_corrected", 40, 1.0),
        row("random", 0, 0, 4, "lemma_4_5", "holds_printed", 0, math.nan),
        row("checkpoint", 0, 0, 64, "theorem_4_2", "overlap_positive", 4, 0.5),
        row("checkpoint", 0, 9, 64, "theorem_4_2", "overlap_positive", 4, 0.75),
    ],
    columns=COLUMNS,
)


def test_shares_weigh_rows_by_their_cases() -> None:
    found = statements.shares(TABLE, "random").set_index(["statement", "quantity"])
    assert found.loc[("theorem_4_1", "holds_printed"), "share"] == 1 / 40
    assert found.loc[("theorem_4_1", "holds_printed"), ["low", "high"]].tolist() == [0.0, 0.1]
    assert "lemma_4_5" not in found.index  # no case, so no share


def test_printed_and_corrected_forms_side_by_side() -> None:
    ax = statements.plot_statements(TABLE, Figure().subplots())
    assert named(ax, "holds_printed").get_xdata().tolist() == [2.5]
    assert named(ax, "holds_corrected").get_xdata().tolist() == [100.0]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["Theorem 4.1"]
    assert "(%)" in ax.get_xlabel()


def test_assumptions_have_a_marker_a_checkpoint() -> None:
    ax = statements.plot_assumptions(TABLE, Figure().subplots())
    np.testing.assert_array_equal(named(ax, "step-9").get_xdata(), [75.0])
    np.testing.assert_array_equal(named(ax, "step-0").get_xdata(), [50.0])


def test_a_preset_without_the_study_says_so() -> None:
    for draw in (statements.plot_statements, statements.plot_assumptions):
        assert "not measured" in draw(pd.DataFrame(), Figure().subplots()).texts[0].get_text()
