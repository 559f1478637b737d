import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from tests.figures.drawn import everything, named, names

from normlab.figures import deep_linear


@pytest.fixture
def history(dln: pd.DataFrame) -> pd.DataFrame:
    return dln[dln["probe"] == "history"]


def test_the_loss_is_a_sum_of_squares_not_nats(history: pd.DataFrame) -> None:
    figure = deep_linear.figure_5b(history, 1e-6)
    assert "½ Σ" in figure.axes[0].get_ylabel()
    assert figure.axes[0].get_yscale() == "log"
    assert "Figure 5b" in figure.axes[1].get_title()
    assert "paper-l1-loss" in names(figure.axes[1])


def test_a_full_run_has_the_paper_laid_over(history: pd.DataFrame) -> None:
    figure = deep_linear.figure_5b(history.assign(step=history["step"] * 170), 1e-6)
    assert "paper-batch-loss" in names(figure.axes[0])
    assert len(figure.axes) == 1


def test_the_landscape_figures_have_logarithmic_betas_and_both_levels(dln: pd.DataFrame) -> None:
    walks = dln[dln["probe"] == "landscape"]
    figure = deep_linear.figure_10(walks, 1e-6, eta_min_factor=0.01)
    assert figure.axes[2].get_yscale() == "log"
    assert {"guide-2/learning rate", "guide-1/η_min"} <= names(figure.axes[2])
    assert "band-l1" in everything(deep_linear.figure_13(walks, 1e-6, eta_min_factor=0.01))
    assert "band-l1" not in everything(figure)


def test_a_run_on_its_way_to_infinity_does_not_flatten_the_others(history: pd.DataFrame) -> None:
    losses = history["quantity"] == "loss"
    one = losses & (history["norm_layer"] == "none") & (history["seed"] == history["seed"].min())
    steps = sorted(history.loc[one, "step"].unique())
    grown = history.copy()
    grown.loc[one & (history["step"] == steps[1]), "value"] = 1e231
    grown.loc[one & (history["step"] >= steps[2]), "value"] = np.nan
    figure = deep_linear.figure_5b(grown.assign(step=grown["step"] * 170), 1e-6)
    stay = grown.loc[losses & ~one]
    stay = stay[np.isclose(stay["learning_rate"], 1e-6)]
    low, high = figure.axes[0].get_ylim()
    assert stay["value"].min() / 10.1 <= low < high <= 10.1 * stay["value"].max()


FINAL = pd.DataFrame(
    [(kind, rate, seed, 10.0 + seed) for kind in ("none", "batch") for rate in (1e-7, 1e-6) for seed in (0, 1, 2)],
    columns=["norm_layer", "learning_rate", "seed", "value"],
)


def test_the_final_loss_has_one_marker_a_seed_and_marks_the_diverged() -> None:
    one = FINAL[FINAL["learning_rate"] == 1e-6]
    gone = (one["seed"] == 2) & (one["norm_layer"] == "none")
    ax = deep_linear.plot_final_loss(one.assign(value=one["value"].mask(gone, np.inf)), Figure().subplots())
    assert len(named(ax, "final-none").get_ydata()) == 2
    assert len(named(ax, "final-batch").get_ydata()) == 3
    assert "non-finite-none" in names(ax)


def test_rates_whose_median_run_diverges_are_on_the_edge() -> None:
    gone = (FINAL["learning_rate"] == 1e-6) & (FINAL["norm_layer"] == "none") & (FINAL["seed"] > 0)
    ax = deep_linear.plot_rates(FINAL.assign(value=FINAL["value"].mask(gone, np.inf)), Figure().subplots())
    assert named(ax, "rate-none").get_xdata().tolist() == [1e-7]
    assert named(ax, "non-finite-none").get_xdata().tolist() == [1e-6]
    assert named(ax, "rate-batch").get_ydata().tolist() == [11.0, 11.0]
