"""The copied curves against the summary values that their README states."""

import numpy as np
import pytest

from normlab.paper.curves import FILES, load_figure, paper_curve


@pytest.mark.parametrize("figure", FILES)
def test_every_figure_loads_with_the_same_columns(figure: int) -> None:
    table = load_figure(figure)
    assert list(table.columns) == [
        "panel", "network", "norm_layer", "learning_rate", "layer", "quantity", "step", "step_size", "value",
    ]  # fmt: skip
    assert np.isfinite(table["value"]).all()
    assert set(table["network"]) <= {"vgg", "dln"}


def test_there_are_as_many_points_as_the_readme_says() -> None:
    rows = {1: 668, 2: 453, 3: 7024, 4: 1510, 5: 1760, 8: 5400, 10: 2010, 11: 918, 12: 4530, 13: 6030}
    assert {figure: len(load_figure(figure)) for figure in FILES} == rows


def test_figures_without_curves_are_named() -> None:
    with pytest.raises(ValueError, match="figure 6 has no digitized curves; there are: 1, 2"):
        load_figure(6)


@pytest.mark.parametrize(
    ("norm_layer", "first"), [("none", 3300), ("batch", 1600), ("l1", 1600), ("l2", 1800), ("linf", 1600)]
)
def test_first_step_at_90_percent(norm_layer: str, first: int) -> None:
    curve = paper_curve(5, norm_layer, "train_accuracy", 0.1)
    assert curve.loc[curve["value"] >= 0.9, "step"].iloc[0] == first


def test_the_late_effective_beta_is_two_over_the_learning_rate() -> None:
    for norm_layer in ("none", "batch"):
        vgg = paper_curve(4, norm_layer, "effective_beta", 0.1)
        assert vgg.loc[vgg["step"] >= 10_500, "value"].median() == pytest.approx(20.0, rel=5e-3)  # read to 0.03
        dln = paper_curve(10, norm_layer, "effective_beta", 1e-6)
        assert dln.loc[dln["step"] >= 7_000, "value"].median() == pytest.approx(2e6, rel=1e-2)  # read to 1 %


def test_one_layer_of_one_run_is_one_curve() -> None:
    curve = paper_curve(3, "batch", "cosine", 1e-7, layer=9)
    assert curve["step"].is_unique
    assert len(curve) == 200
    assert paper_curve(3, "batch", "cosine", 0.3, layer=9).empty
