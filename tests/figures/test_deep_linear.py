import numpy as np
import pandas as pd
import pytest
from tests.figures.drawn import everything, names

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
