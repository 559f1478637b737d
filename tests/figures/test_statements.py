import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tests.figures.drawn import named

from normlab.figures import statements

COLUMNS = ["statement", "quantity", "step", "cases", "failures", "share", "low", "high"]
RANDOM = pd.DataFrame(
    [
        ("theorem_4_1", "holds_printed", 0, 40, 39.0, 0.025, 0.0, 0.1),
        ("theorem_4_1", "holds_corrected", 0, 40, 0.0, 1.0, 1.0, 1.0),
    ],
    columns=COLUMNS,
)
TRAINED = pd.DataFrame(
    [
        ("theorem_4_2", "overlap_positive", 0, 4, 2.0, 0.5, 0.5, 0.5),
        ("theorem_4_2", "overlap_positive", 9, 4, 1.0, 0.75, 0.75, 0.75),
    ],
    columns=COLUMNS,
)


def test_counterexamples_are_counted_for_both_forms() -> None:
    ax = statements.plot_statements(RANDOM, Figure().subplots())
    assert named(ax, "holds_printed").get_xdata().tolist() == [39.0]
    assert named(ax, "holds_corrected").get_xdata().tolist() == [0.0]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["Theorem 4.1"]
    assert ax.get_xlabel() == "counterexamples among up to 40 random cases"
    assert "%" not in ax.get_xlabel()


def test_assumptions_have_a_marker_a_checkpoint() -> None:
    ax = statements.plot_assumptions(TRAINED, Figure().subplots())
    np.testing.assert_array_equal(named(ax, "step-9").get_xdata(), [75.0])
    np.testing.assert_array_equal(named(ax, "step-0").get_xdata(), [50.0])


def test_a_preset_without_the_study_says_so() -> None:
    for draw in (statements.plot_statements, statements.plot_assumptions):
        assert "not measured" in draw(RANDOM[:0], Figure().subplots()).texts[0].get_text()
