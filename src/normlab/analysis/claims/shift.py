"""Claims about internal covariate shift, Definition 2.1 of the paper (§2.2; Figure 3).

The first layer is left out: nothing precedes it, so its shift is exactly 0 and its cosine exactly 1. Curves are
compared at equal steps, up to the step at which the faster of the two networks reaches 95 % training accuracy, and
at equal training loss: each network's curve is read off at the same 16 values of the (trailing mean) loss, evenly
spaced in its logarithm over the range that both pass through.
"""

import numpy as np
import pandas as pd

from normlab.analysis.cells import Cell, Cells
from normlab.analysis.estimates import NotRunError, PerSeed, exact
from normlab.analysis.layers import curves, geometric_mean, mean_over_steps
from normlab.analysis.quantities import common_layers, history, steps_to_accuracy
from normlab.analysis.statistics import trailing_mean
from normlab.analysis.verdicts import Parts

LOSS_POINTS = 16


def batch_does_not_reduce(cells: Cells, *, accuracy: float) -> Parts:
    """C7: batch over none (ℓ2, relative ℓ2) and batch − none (cosine), at equal loss and at equal steps."""

    def pair(quantity: str, matched: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
        plain, normalized = cells.vgg("none"), cells.vgg("batch")
        if matched:
            return at_equal_loss(normalized, plain, quantity, cells.spec.window)
        return at_equal_steps(normalized, plain, quantity, accuracy, cells.spec.window)

    def fold(quantity: str, matched: bool) -> PerSeed:
        normalized, plain = pair(quantity, matched)
        with np.errstate(divide="ignore", invalid="ignore"):
            return geometric_mean(normalized / plain)

    def turn(matched: bool) -> PerSeed:
        normalized, plain = pair("cosine", matched)
        return exact((normalized - plain).mean(axis=1, skipna=False))

    return {
        "l2": lambda: fold("l2", True),
        "cosine": lambda: turn(True),
        "relative": lambda: fold("relative_l2", True),
        "l2_equal_steps": lambda: fold("l2", False),
        "cosine_equal_steps": lambda: turn(False),
        "relative_equal_steps": lambda: fold("relative_l2", False),
    }


def later_layers(a: Cell, b: Cell, quantity: str) -> list[str]:
    """The layers that both cells have, without the first.

    Raises:
        NotRunError: there is no such layer.
    """
    layers = common_layers([a, b], "shift", quantity)[1:]
    if not layers:
        raise NotRunError(f"{a.name} and {b.name} have no layer in common that has one before it")
    return layers


def at_equal_steps(a: Cell, b: Cell, quantity: str, accuracy: float, window: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Means over the probed steps before either network reaches `accuracy`: a row a common seed, a column a layer."""
    layers = later_layers(a, b, quantity)
    ends = [steps_to_accuracy(cell, accuracy, window).values["value"] for cell in (a, b)]
    paths = [curves(cell, "shift", quantity, layers) for cell in (a, b)]
    means: tuple[dict, dict] = ({}, {})
    for seed in sorted(set(paths[0]) & set(paths[1])):
        end = min(ends[0][seed], ends[1][seed])
        steps = paths[0][seed].index.intersection(paths[1][seed].index)
        for side in (0, 1):
            means[side][seed] = mean_over_steps(paths[side][seed].loc[steps[steps < end]])
    return tuple(pd.DataFrame.from_dict(side, orient="index", columns=layers) for side in means)  # type: ignore[return-value]


def at_equal_loss(a: Cell, b: Cell, quantity: str, window: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Means over equally spaced log losses that both pass through; NaN for a seed without a common range."""
    layers = later_layers(a, b, quantity)
    paths = [curves(cell, "shift", quantity, layers) for cell in (a, b)]
    losses = [history(cell, "loss") for cell in (a, b)]
    means: tuple[dict, dict] = ({}, {})
    for seed in sorted(set(paths[0]) & set(paths[1])):
        by_loss = [_by_loss(paths[side][seed], losses[side][seed], window) for side in (0, 1)]
        low, high = max(p.index.min() for p in by_loss), min(p.index.max() for p in by_loss)
        for side, path in enumerate(by_loss):
            if low < high:
                at = np.linspace(low, high, LOSS_POINTS)
                means[side][seed] = {layer: np.interp(at, path.index, path[layer]).mean() for layer in layers}
            else:
                means[side][seed] = dict.fromkeys(layers, np.nan)
    return tuple(pd.DataFrame.from_dict(side, orient="index", columns=layers) for side in means)  # type: ignore[return-value]


def _by_loss(curve: pd.DataFrame, loss: np.ndarray, window: int) -> pd.DataFrame:
    """The curve indexed by log trailing loss, rising; points of one loss are averaged."""
    smooth = trailing_mean(loss, min(window, len(loss)))
    steps = curve.index[(curve.index < len(loss))]
    at = smooth[steps]
    usable = np.isfinite(at) & (at > 0)
    table = curve.loc[steps[usable]].assign(log_loss=np.log(at[usable]))
    return table.groupby("log_loss").mean().sort_index()
