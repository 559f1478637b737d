"""What the interactive figures show: the same rows as the drawn ones, run by run, thinned to what a screen can show.

The script beside the pages (`normlab.pages.live`) draws them; here tables become lists of numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from normlab.figures.style import axis_label, color, label, layer_label, nearest_layers, order, places, same, scale
from normlab.figures.training import is_comparable
from normlab.paper.curves import paper_curve

POINTS = 150  # of a run and panel at most: a panel is some 400 pixels wide
DIGITS = 4  # significant ones


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: above it.
        quantity: the quantity, or the lower edge of a band.
        high: the quantity of the upper edge; empty for a line.
        axis: what its vertical axis shows, as a key of the axis labels; empty for that of `quantity`.
        log: whether the vertical axis is logarithmic at first.
        layer: of the network; empty for quantities without one.
        paper_layer: the number of that layer in the paper's figure; None where no curve of the paper fits.
    """

    title: str
    quantity: str
    high: str = ""
    axis: str = ""
    log: bool = False
    layer: str = ""
    paper_layer: int | None = None


TRAINING = (
    Panel("train accuracy", "train_accuracy"),
    Panel("test accuracy", "test_accuracy"),
    Panel("training loss", "loss", log=True),
)
LANDSCAPE = (
    Panel("loss along −g", "loss_low", "loss_high", axis="loss", log=True),
    Panel(
        "gradient predictiveness", "gradient_distance_low", "gradient_distance_high", axis="gradient_distance", log=True
    ),
    Panel("effective β-smoothness", "effective_beta"),
)
DEEP_LINEAR = (
    Panel("training loss", "loss", log=True),
    *LANDSCAPE[:2],
    Panel("effective β-smoothness", "effective_beta", log=True),
)


def of_layers(frame: pd.DataFrame, quantities: Sequence[str], numbers: Sequence[int]) -> list[Panel]:
    """A panel for each quantity and each of the paper's layers that the frame has at that depth of the VGG.

    Cosines and drifts have a linear axis. The paper's curve of a layer is laid over that very layer alone; its distance
    axis of layer #10 has no labels.
    """
    place = places(frame)
    return [
        Panel(
            f"{_flat(quantity)}, {layer_label(place[layer])}",
            quantity,
            log="cosine" not in quantity and "drift" not in quantity,
            layer=layer,
            paper_layer=place[layer] if place[layer] in numbers and (quantity, place[layer]) != ("l2", 10) else None,
        )
        for quantity in quantities
        for layer in nearest_layers(place, numbers)
    ]


def live_data(
    frame: pd.DataFrame,
    panels: Sequence[Panel],
    learning_rate: float,
    shown: Iterable[str],
    *,
    history: pd.DataFrame | None = None,
    window: int = 1,
    paper_figure: int | None = None,
) -> dict[str, Any]:
    """The content of an interactive figure; empty where the frame has none of the panels' quantities.

    Args:
        frame: rows of one network, of all normalizers, rates and seeds.
        panels: what is shown.
        learning_rate: the rate that is shown at first.
        shown: the normalizers that are shown at first.
        history: rows of probe `history`, for the axis by train accuracy; None for studies without accuracy.
        window: steps of the moving average of accuracies and training losses.
        paper_figure: its curves are laid over, where they can be compared.
    """
    progress = _progress(history, window) if history is not None else {}
    runs = [run for place, panel in enumerate(panels) for run in _runs(frame, panel, place, progress, window)]
    if not runs:
        return {}
    rates = sorted({run["rate"] for run in runs})
    present = order({run["kind"] for run in runs})
    first = [kind for kind in present if kind in set(shown)] or present
    study = str(frame["study"].iloc[0])
    return {
        "kinds": [{"name": kind, "label": label(kind), "color": color(kind)} for kind in present],
        "panels": [
            {
                "title": panel.title,
                "y": _flat(panel.axis or panel.quantity, study),
                "log": panel.log,
                "percent": scale(panel.quantity) == 100.0,
            }
            for panel in panels
        ],
        "shown": first,
        "rate": min(rates, key=lambda rate: abs(rate - learning_rate)),
        "runs": runs,
        "paper": _paper(frame, panels, present, learning_rate, paper_figure),
    }


def _flat(quantity: str, study: str = "vgg") -> str:
    return axis_label(quantity, study).replace("\n", " ")


def _runs(
    frame: pd.DataFrame, panel: Panel, place: int, progress: Mapping[tuple[Any, ...], pd.Series], window: int
) -> list[dict[str, Any]]:
    """Each run's points in one panel."""
    names = [name for name in (panel.quantity, panel.high) if name]
    rows = frame[frame["quantity"].isin(names) & frame["step_size"].isna()]
    if panel.quantity == "loss":
        rows = rows[rows["probe"] == "history"]  # a walk has a loss, too
    if panel.layer:
        rows = rows[rows["layer"] == panel.layer]
    found = []
    for key, mine in rows.groupby(["norm_layer", "learning_rate", "seed"], observed=True, sort=False):
        wide = mine.set_index(["step", "quantity"])["value"].unstack().sort_index()
        if panel.quantity in ("train_accuracy", "loss") and window > 1:
            wide = wide.rolling(window, min_periods=1).mean()
        wide = _thinned(wide.reindex(columns=names))
        kind, rate, seed = key
        run = {"panel": place, "kind": str(kind), "rate": float(rate), "seed": int(seed), "x": [*map(int, wide.index)]}
        run |= {side: _numbers(scale(name) * wide[name]) for side, name in zip(("low", "high"), names, strict=False)}
        if key in progress:
            at = progress[key].reindex(wide.index, method="ffill")
            run["progress"] = _numbers(100 * at)
        found.append(run)
    return found


def _progress(history: pd.DataFrame, window: int) -> dict[tuple[Any, ...], pd.Series]:
    """Train accuracy by step of each run, as a moving average."""
    rows = history[history["quantity"] == "train_accuracy"]
    return {
        key: mine.set_index("step")["value"].sort_index().rolling(window, min_periods=1).mean()
        for key, mine in rows.groupby(["norm_layer", "learning_rate", "seed"], observed=True)
    }


def _paper(
    frame: pd.DataFrame, panels: Sequence[Panel], kinds: Sequence[str], rate: float, figure: int | None
) -> list[dict[str, Any]]:
    """The paper's curves up to our last step; none where its axes are not ours."""
    if figure is None or not is_comparable(frame[same(frame["learning_rate"], rate)], rate):
        return []
    last = float(frame["step"].max())
    curves = []
    for place, panel in enumerate(panels):
        for kind in kinds if not panel.layer or panel.paper_layer is not None else ():
            names = [name for name in (panel.quantity, panel.high) if name]
            found = [paper_curve(figure, kind, name, rate, panel.paper_layer) for name in names]
            wide = pd.concat([curve.groupby("step")["value"].first() for curve in found], axis=1, keys=names)
            wide = _thinned(wide[wide.index <= last])
            if len(wide):
                curve = {"panel": place, "kind": kind, "x": [*map(float, wide.index)]}
                sides = zip(("low", "high"), names, strict=False)
                curves.append(curve | {side: _numbers(scale(name) * wide[name]) for side, name in sides})
    return curves


def _thinned(wide: pd.DataFrame) -> pd.DataFrame:
    """At most `POINTS` rows, evenly by place, the first and the last among them."""
    if len(wide) <= POINTS:
        return wide
    return wide.iloc[np.linspace(0, len(wide) - 1, POINTS).round().astype(int)]


def _numbers(values: pd.Series) -> list[float | None]:
    """Rounded to `DIGITS`, whole ones without a point (`91890`); None for what is not finite."""
    rounded = (float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in values)
    return [
        int(value) if value is not None and value.is_integer() and abs(value) < 1e16 else value for value in rounded
    ]
