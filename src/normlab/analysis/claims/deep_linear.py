"""Claims about the 25-layer deep linear network (paper §2.2, §3.1, §3.3; Figures 3b, 5b, 10, 13)."""

from collections.abc import Callable, Sequence
from functools import partial

import pandas as pd

from normlab.analysis.cells import Cell, Cells
from normlab.analysis.estimates import COSINE, SHARE, NotRunError, PerSeed, exact, largest, ratio, scaled, share
from normlab.analysis.layers import layer_means
from normlab.analysis.parts import Parts
from normlab.analysis.quantities import final_loss
from normlab.analysis.walks import plateau
from normlab.analysis.windows import Window, fold, in_window, median_in, uncovered

LP = ("l1", "l2", "linf")


def plain_has_no_shift(cells: Cells, *, learning_rates: Sequence[float], layers: Sequence[int]) -> Parts:
    """C8: mean over the run of the cosine between a layer's gradients before and after the earlier layers' update.

    Deciding: the least cosine of the plain network over rates and layers; beside it the largest |cosine| of BatchNorm.
    """
    points = [(rate, layer) for rate in learning_rates for layer in layers]

    def mean_cosine(norm_layer: str, rate: float, layer: int) -> PerSeed:
        table = layer_means(cells.deep_linear(norm_layer, rate), "shift", "cosine")
        name = f"layers.linear{layer}"
        if name not in table:
            raise NotRunError(f"no covariate shift of {name}; measured: {', '.join(table.columns)}")
        return exact(table[name], COSINE)

    def all_cosines(norm_layer: str) -> pd.DataFrame:
        return pd.DataFrame({point: mean_cosine(norm_layer, *point).values["value"] for point in points})

    parts: dict[str, Callable[[], PerSeed]] = {
        "none_least": lambda: exact(all_cosines("none").min(axis=1, skipna=False), COSINE),
        "batch_most": lambda: exact(all_cosines("batch").abs().max(axis=1, skipna=False), SHARE),
    }
    for norm_layer in ("none", "batch"):
        for rate, layer in points:
            parts[f"{norm_layer}_{rate:g}_{layer}"] = partial(mean_cosine, norm_layer, rate, layer)
    return parts


def smoother_near_and_far(cells: Cells, *, steps: Window, late: Window, near: Sequence[float]) -> Parts:
    """C12: none/batch of max β over step sizes ≤ the rate (near) and over the paper's whole range (far)."""

    def over_near(cell: Cell, both: Window) -> PerSeed:
        return in_window(cell, both, lambda inner, phase: plateau(inner, phase, near))

    def against_batch(measure: Callable[[Cell, Window], PerSeed]) -> PerSeed:
        return fold(cells.deep_linear("none"), cells.deep_linear("batch"), steps, measure)

    def edge(norm_layer: str) -> PerSeed:
        cell = cells.deep_linear(norm_layer)
        return scaled(over_near(cell, late), cell.learning_rate).lacking(uncovered((cell,), late))

    return {
        "near": lambda: against_batch(over_near),
        "far": lambda: against_batch(lambda c, w: median_in(c, "landscape", "effective_beta", w, step_size=None)),
        "limit": lambda: against_batch(lambda c, w: median_in(c, "curvature", "stretch", w)),
        "edge_none": lambda: edge("none"),
        "edge_batch": lambda: edge("batch"),
    }


def lp_ends_lower(cells: Cells) -> Parts:
    """C15: final losses, ℓ1 against BatchNorm and every ℓp against BatchNorm and the plain network."""

    def end(norm_layer: str) -> PerSeed:
        return final_loss(cells.deep_linear(norm_layer))

    def against(p: str, other: str) -> PerSeed:
        return ratio(end(p), end(other))

    def l1_below() -> PerSeed:
        return share(against("l1", "batch").values["high"] < 1)

    def highest(other: str) -> PerSeed:
        return largest([against(p, other) for p in LP])

    parts: dict[str, Callable[[], PerSeed]] = {
        "l1_against_batch": partial(against, "l1", "batch"),
        "l1_share": l1_below,
        "highest_against_batch": partial(highest, "batch"),
        "highest_against_none": partial(highest, "none"),
    }
    for p in LP:
        parts[f"{p}_against_none"] = partial(against, p, "none")
        parts[f"{p}_against_batch"] = partial(against, p, "batch")
    return parts
