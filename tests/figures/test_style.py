import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from normlab.figures import style
from normlab.specs.parts import names


def test_every_normalizer_has_its_own_color_marker_and_name() -> None:
    for table in (style.COLORS, style.MARKERS, style.LABELS):
        mine = [table[kind] for kind in names("normalizer") if kind in table]
        assert len(set(mine)) == len(mine)


# Machado, Oliveira, Fernandes 2009, severity 1, on linear RGB
DEFICIENCIES = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


@pytest.mark.parametrize("vision", DEFICIENCIES)
def test_the_normalizers_of_the_paper_stay_apart_for_every_reader(vision: str) -> None:
    kinds = ["none", "batch", "noisy_batch", "l1", "l2", "linf"]
    colors = np.array([to_rgb(style.COLORS[kind]) for kind in kinds])
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ DEFICIENCIES[vision].T, 0, 1) ** (1 / 2.2)
    distances = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
    # 0.12 of the unit cube's side: about the distance of two neighbors in a twelve-step gray scale
    assert distances[~np.eye(len(kinds), dtype=bool)].min() > 0.12


def test_normalizers_keep_their_order() -> None:
    assert style.order(pd.Series(["l1", "batch", "none", "batch"])) == ["none", "batch", "l1"]
    assert style.order(["zzz", "none"]) == ["none", "zzz"]


def _named(pattern: str, numbers) -> dict[str, int]:
    return {pattern.format(number): number for number in numbers}


def test_layers_of_another_depth_are_found_by_relative_depth() -> None:
    eight = _named("features.norm{}", range(1, 9))
    assert style.nearest_layers(eight, (2, 9, 13)) == ["features.norm1", "features.norm6", "features.norm8"]
    thirteen = _named("features.norm{}", range(1, 14))
    assert style.nearest_layers(thirteen, (3, 11)) == ["features.norm3", "features.norm11"]
    linear = _named("layers.linear{}", (1, 9, 17, 25))
    assert style.nearest_layers(linear, (9, 17), 25) == ["layers.linear9", "layers.linear17"]
    assert style.nearest_layers({}, (1,)) == []


def test_the_place_of_a_layer_is_what_the_network_shows_not_its_name() -> None:
    layers = ["blocks.0.norm1", "blocks.0.norm2", "blocks.1.norm1", "head"]
    table = pd.DataFrame({"layer": layers * 2, "place": [1.0, 2.0, 3.0, np.nan] * 2})
    assert style.places(table) == {"blocks.0.norm1": 1, "blocks.0.norm2": 2, "blocks.1.norm1": 3}
    for unknown in (table.drop(columns="place"), table.assign(place=np.nan)):  # counted as they were measured
        assert style.places(unknown) == {name: number for number, name in enumerate(layers, start=1)}


def test_other_people_s_normalizers_have_a_name_and_a_color() -> None:
    assert style.label("my.layers:RMSNorm2d") == "RMSNorm2d"
    assert style.color("my.layers:RMSNorm2d") == style.color("my.layers:RMSNorm2d")
    assert style.color("my.layers:RMSNorm2d") not in style.COLORS.values()


def test_rows_at_one_rate_are_found_through_rounding_and_its_absence_is_said() -> None:
    rows = pd.DataFrame({"learning_rate": [0.1 * (1 + 1e-9), 0.5], "value": [1.0, 2.0]})
    assert style.at_rate(rows, 0.1)["value"].tolist() == [1.0]
    table = rows.assign(norm_layer=["none", "batch"])
    assert style.shown(table, ["none"], 0.1)[1] == ""
    assert style.shown(table, ["none"], 0.5)[1] == "learning rate 0.5 was not run"
    assert "not measured" in style.shown(table, ["l1"], 0.5)[1]


def test_a_figure_about_further_normalizers_says_that_none_of_them_was_run() -> None:
    table = pd.DataFrame({"learning_rate": 0.1, "norm_layer": ["none", "batch", "l1"]})
    rows, missing = style.shown(table, ["none", "batch", *style.LP], 0.1, about=style.LP)
    assert (len(rows), missing) == (3, "")
    rows, missing = style.shown(table[:2], ["none", "batch", *style.LP], 0.1, about=style.LP)
    assert rows.empty
    assert missing == "not run here: ℓ1, ℓ2, ℓ∞"
