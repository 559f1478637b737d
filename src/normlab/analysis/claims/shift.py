"""Claims about internal covariate shift, Definition 2.1 of the paper (§2.2; Figure 3).

A layer that nothing precedes has a shift of exactly 0 and is left out. Networks are compared at equal loss and at equal
accuracy of the probed batch, and at equal steps, which is how the paper draws them.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd

from normlab.analysis.cells import Cell, Cells
from normlab.analysis.estimates import NotRunError, PerSeed, exact
from normlab.analysis.layers import geometric_mean
from normlab.analysis.matching import matched_difference, matched_ratio
from normlab.analysis.parts import Parts
from normlab.analysis.quantities import common_layers, settled
from normlab.analysis.windows import layer_folds, layer_gaps, uncovered

QUANTITIES = {"l2": "l2", "cosine": "cosine", "relative": "relative_l2"}


def batch_does_not_reduce(cells: Cells, *, steps: Sequence[int]) -> Parts:
    """C7: batch over none (ℓ2, relative ℓ2) and batch − none (cosine), at equal loss, accuracy and steps."""

    def matched(quantity: str, axis: str) -> PerSeed:
        batch, plain = cells.vgg("batch"), cells.vgg("none")
        compare = matched_difference if quantity == "cosine" else matched_ratio
        found = {}
        for layer in shifting_layers(batch, plain):
            rows = tuple(_between(settled(cell, "shift", quantity, layer=layer), steps) for cell in (batch, plain))
            found[layer] = compare(batch, plain, rows, axis).values["value"]  # type: ignore[arg-type]
        by_layer = pd.DataFrame(found)
        over_layers = exact(by_layer.mean(axis=1, skipna=False)) if quantity == "cosine" else geometric_mean(by_layer)
        return over_layers.lacking(uncovered((batch, plain), steps))

    def equal_steps(quantity: str) -> PerSeed:
        batch, plain = cells.vgg("batch"), cells.vgg("none")
        layers = shifting_layers(batch, plain)
        if quantity == "cosine":
            found = exact(layer_gaps(batch, plain, "shift", quantity, steps, layers).mean(axis=1, skipna=False))
        else:
            found = geometric_mean(layer_folds(batch, plain, "shift", quantity, steps, layers))
        return found.lacking(uncovered((batch, plain), steps))

    parts: dict[str, Callable[[], PerSeed]] = {}
    for name, quantity in QUANTITIES.items():
        parts[name] = partial(matched, quantity, "loss")
        parts[f"{name}_equal_accuracy"] = partial(matched, quantity, "train_accuracy")
        parts[f"{name}_equal_steps"] = partial(equal_steps, quantity)
    return parts


def shifting_layers(a: Cell, b: Cell) -> list[str]:
    """The layers that both cells have and that have one before them.

    Raises:
        NotRunError: there is no such layer.
    """
    moved = settled(a, "shift", "l2").groupby("layer", observed=True)["value"].max()
    layers = [layer for layer in common_layers([a, b], "shift", "l2") if moved[layer] > 0]
    if not layers:
        raise NotRunError(f"{a.name} and {b.name} have no layer in common that has one before it")
    return layers


def _between(rows: pd.DataFrame, steps: Sequence[int]) -> pd.DataFrame:
    return rows[np.asarray((rows["step"] >= steps[0]) & (rows["step"] <= steps[1]))]
