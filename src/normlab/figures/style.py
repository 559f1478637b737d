"""Colors, labels, units and the page-size figure that all panels share."""

import zlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from normlab.paper.rows import DEPTH
from normlab.tables.frames import same

# Okabe and Ito's colors, which stay apart under the common color-vision deficiencies, then three of Tol's.
COLORS = {
    "none": "#D55E00",
    "batch": "#0072B2",
    "noisy_batch": "#009E73",
    "noise": "#6E6E6E",
    "l1": "#E69F00",
    "l2": "#56B4E9",
    "linf": "#CC79A7",
    "layer": "#882255",
    "group": "#7A7A1F",
    "instance": "#332288",
    "batch_affine": "#009E73",
    "batch_detached_mean": "#44AA99",
    "batch_detached_variance": "#AA4499",
    "batch_detached": "#661100",
    "batch_frozen": "#6699CC",
    "batch_mean_only": "#999933",
}
# A second cue beside the color: one marker a normalizer, drawn sparsely.
MARKERS = {
    "none": "o",
    "batch": "s",
    "noisy_batch": "D",
    "noise": "x",
    "l1": "v",
    "l2": "P",
    "linf": "*",
    "layer": "<",
    "group": ">",
    "instance": "h",
    "batch_affine": "D",
    "batch_detached_mean": "^",
    "batch_detached_variance": "p",
    "batch_detached": "X",
    "batch_frozen": "d",
    "batch_mean_only": "1",
}
LABELS = {
    "none": "none (plain)",
    "batch": "BatchNorm",
    "noisy_batch": "noisy BatchNorm",
    "noise": "noise block only",
    "l1": "ℓ1",
    "l2": "ℓ2",
    "linf": "ℓ∞",
    "layer": "LayerNorm",
    "group": "GroupNorm",
    "instance": "InstanceNorm",
    "batch_affine": "BatchNorm, γ and β walked too",
    "batch_detached_mean": "μ detached",
    "batch_detached_variance": "σ detached",
    "batch_detached": "μ and σ detached",
    "batch_frozen": "frozen statistics",
    "batch_mean_only": "mean only",
}
# Axis label with its unit; every quantity of the tidy tables that is drawn.
AXES = {
    "loss": "training loss (nats)",
    "penalized_loss": "loss with L2 penalty (nats)",
    "train_accuracy": "train accuracy,\nminibatch (%)",
    "test_accuracy": "test accuracy (%)",
    "test_loss": "test loss (nats)",
    "grad_norm": "gradient norm ‖g‖₂",
    "loss_range": "loss range along −g",
    "gradient_distance": "gradient change\n‖∇f(w − ηg) − g‖₂",
    "gradient_cosine": "cosine with g",
    "beta": "β at one step size\n(1/step size)",
    "effective_beta": "effective β (1/step size)",
    "l2": "shift ‖G − G′‖₂",
    "relative_l2": "relative shift\n‖G − G′‖₂ / ‖G‖₂",
    "cosine": "cosine of G and G′",
    "mean_abs_change": "|Δμ|,\nsuccessive probed steps",
    "variance_abs_change": "|Δσ²|,\nsuccessive probed steps",
    "mean_abs_change_1": "|Δμ|,\none training step",
    "variance_abs_change_1": "|Δσ²|,\none training step",
    "mean_drift": "μ(t) − μ(0)",
    "variance_drift": "σ²(t) − σ²(0)",
    "relative_mean_change": "|Δμ| / σ,\nsuccessive probed steps",
    "wasserstein": "W₁ / σ,\nsuccessive probed steps",
    "layer_grad_norm": "gradient norm of the layer",
}
DLN_LOSS = "training loss, ½ Σ ‖·‖²"
LP = ("l1", "l2", "linf")  # the paper's ℓp normalizers
PAPERS = ("none", "batch", "noise", "noisy_batch", *LP)  # all that it trains with; others are "beyond the paper"
PERCENT = frozenset({"train_accuracy", "test_accuracy"})
PAPER_COLOR = "#444444"
NOT_MEASURED = "not measured in this run of the study"
# normalizers without a color of their own, such as other people's: always the same one by name
SPARE = ("#888888", "#117733", "#DDCC77", "#997700", "#6F4E7C", "#2F4F4F", "#B03A2E", "#4A7C59")


def order(norm_layers: Iterable[str]) -> list[str]:
    """The normalizers in the fixed order of all figures, each once; unknown kinds last."""
    present = set(pd.unique(norm_layers)) if isinstance(norm_layers, pd.Series) else set(norm_layers)
    return [kind for kind in COLORS if kind in present] + sorted(present - set(COLORS))


def color(norm_layer: str) -> str:
    """The color of a normalizer, the same in every figure."""
    return COLORS.get(norm_layer) or SPARE[zlib.crc32(norm_layer.encode()) % len(SPARE)]


def label(norm_layer: str) -> str:
    """The name of a normalizer in legends and sentences; of a dotted path `module:attribute` the attribute."""
    return LABELS.get(norm_layer, norm_layer.rpartition(":")[2])


def axis_label(quantity: str, study: str = "vgg") -> str:
    """The axis label of a quantity with its unit; the deep linear network's loss is a sum of squares, not nats."""
    if quantity == "loss" and study == "dln":
        return DLN_LOSS
    return AXES.get(quantity, quantity.replace("_", " "))


def scale(quantity: str) -> float:
    """Files hold accuracies in [0, 1]; figures show percent."""
    return 100.0 if quantity in PERCENT else 1.0


def number(value: float) -> str:
    """A short human number: 0.1, 1e-06, 2 000 000 as 2e+06."""
    return f"{value:.3g}"


def places(frame: pd.DataFrame) -> dict[str, int]:
    """Layer → its number from input to output, of the layers in a table that have one.

    The column `place` has what the network shows (`normlab.nn.structure`); of a network that shows nothing, and of a
    table without that column, the layers that were measured are counted.
    """
    layers = frame.drop_duplicates("layer")
    if "place" in frame and layers["place"].notna().any():
        layers = layers.dropna(subset=["place"])
        return {str(layer): int(place) for layer, place in zip(layers["layer"], layers["place"], strict=True)}
    return {str(layer): number for number, layer in enumerate(layers["layer"], start=1)}


def layer_label(place: int) -> str:
    """`layer #5`, as the paper calls it."""
    return f"layer #{place}"


def nearest_layers(places: Mapping[str, int], numbers: Sequence[int], depth: int = DEPTH["vgg"]) -> list[str]:
    """The layers at the relative depth of the paper's layers `numbers` in its network of `depth` layers.

    In a network of the paper's depth these are the paper's own layers, as far as they were measured. Each comes once.

    Args:
        places: from `places`.
        numbers: the paper's layers, from 1.
        depth: of the paper's network.
    """
    last = max(places.values(), default=0)
    wanted = [number / depth * last for number in numbers]
    return list(dict.fromkeys(min(places, key=lambda name: abs(places[name] - place)) for place in wanted if places))


def at_rate(frame: pd.DataFrame, learning_rate: float) -> pd.DataFrame:
    """The rows at one learning rate."""
    return frame[same(frame["learning_rate"], learning_rate)]


def lacking(frame: pd.DataFrame, about: Iterable[str]) -> str:
    """Why a figure that is about some of these normalizers has nothing to say: none was run; empty if one was.

    Such a figure shows the plain network and BatchNorm too, for comparison; alone they are another figure's.
    """
    names = list(about)
    here = not names or frame["norm_layer"].isin(names).any()
    return "" if here else f"not run here: {', '.join(map(label, names))}"


def shown(
    frame: pd.DataFrame, norm_layers: Iterable[str], learning_rate: float, about: Iterable[str] = ()
) -> tuple[pd.DataFrame, str]:
    """The rows that a figure shows, and why there are none (empty if there are some).

    Args:
        frame: rows of one network.
        norm_layers: the normalizers that the figure draws.
        learning_rate: the one rate at which they are compared.
        about: those of them without any of which it says nothing.
    """
    frame = frame[frame["norm_layer"].isin(list(norm_layers))]
    if frame.empty:
        return frame, NOT_MEASURED
    if missing := lacking(frame, about):
        return frame[:0], missing
    frame = at_rate(frame, learning_rate)
    return frame, f"learning rate {number(learning_rate)} was not run" if frame.empty else ""


def page_figure(rows: int, columns: int, *, height: float = 3.1, width: float = 10.0) -> tuple[Figure, np.ndarray]:
    """A figure of page width (inches) and its (rows, columns) array of axes; no global pyplot state is touched."""
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        dress(ax)
    return figure, axes


def dress(ax: Axes) -> Axes:
    """The common look: light grid, no upper and right frame, small ticks."""
    ax.grid(True, color="#DDDDDD", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=9)
    ax.title.set_fontsize(10)
    return ax


def legend(figure: Figure, norm_layers: Iterable[str], *, extra: Sequence[Line2D] = (), paper: bool = False) -> None:
    """One legend for the whole figure, above the panels: the normalizers, then `extra`, then the paper's dashes."""
    handles = [
        Line2D([], [], color=color(kind), marker=MARKERS.get(kind, ""), markersize=5, linewidth=2, label=label(kind))
        for kind in order(norm_layers)
    ]
    handles += list(extra)
    if paper:
        handles.append(Line2D([], [], color=PAPER_COLOR, linestyle=(0, (4, 2)), linewidth=1, label="paper, one run"))
    figure.legend(
        handles=handles, loc="outside upper center", ncols=min(6, max(1, len(handles))), fontsize=9, frameon=False
    )


def plain_ticks(ax: Axes, values: Sequence[float]) -> None:
    """Ticks of a logarithmic horizontal axis at the measured values themselves, at most six of them."""
    chosen = sorted(set(values))
    chosen = chosen[:: max(1, -(-len(chosen) // 6))]
    ax.set_xticks(chosen, [number(value) for value in chosen])
    ax.set_xticks([], minor=True)
