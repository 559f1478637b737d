import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tests.figures.drawn import named, names

from normlab.figures import final_loss

FINAL = pd.DataFrame(
    [(kind, rate, seed, 10.0 + seed) for kind in ("none", "batch") for rate in (1e-7, 1e-6) for seed in (0, 1, 2)],
    columns=["norm_layer", "learning_rate", "seed", "value"],
)


def test_the_final_loss_has_one_marker_a_seed_and_marks_the_diverged() -> None:
    one = FINAL[FINAL["learning_rate"] == 1e-6]
    gone = (one["seed"] == 2) & (one["norm_layer"] == "none")
    ax = final_loss.plot_final_loss(one.assign(value=one["value"].mask(gone, np.inf)), Figure().subplots())
    assert len(named(ax, "final-none").get_ydata()) == 2
    assert len(named(ax, "final-batch").get_ydata()) == 3
    assert "non-finite-none" in names(ax)


def test_rates_whose_median_run_diverges_are_on_the_edge() -> None:
    gone = (FINAL["learning_rate"] == 1e-6) & (FINAL["norm_layer"] == "none") & (FINAL["seed"] > 0)
    ax = final_loss.plot_rates(FINAL.assign(value=FINAL["value"].mask(gone, np.inf)), Figure().subplots())
    assert named(ax, "rate-none").get_xdata().tolist() == [1e-7]
    assert named(ax, "non-finite-none").get_xdata().tolist() == [1e-6]
    assert named(ax, "rate-batch").get_ydata().tolist() == [11.0, 11.0]


def test_diverged_seeds_count_in_the_median() -> None:
    one = pd.DataFrame({"norm_layer": "none", "seed": range(3), "value": [10.0, np.inf, np.inf]})
    ax = final_loss.plot_final_loss(one, Figure().subplots())
    assert [text.get_text() for text in ax.texts] == ["2"]
    assert not [artist for artist in ax.collections if artist.get_paths()]  # no bar: the median seed diverged
