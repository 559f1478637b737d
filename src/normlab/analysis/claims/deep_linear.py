"""Claims about the 25-layer deep linear network (paper §2.2, §3.1, §3.3; Figures 3b, 5b, 10, 13)."""

from collections.abc import Callable, Sequence
from functools import partial

from normlab.analysis.cells import Cells
from normlab.analysis.estimates import NotRunError, PerSeed, exact, ratio, scaled, share
from normlab.analysis.layers import layer_means
from normlab.analysis.quantities import final_loss, phase_median
from normlab.analysis.verdicts import Parts
from normlab.analysis.walks import beta_up_to_rate


def plain_has_no_shift(cells: Cells, *, learning_rates: Sequence[float], layers: Sequence[int]) -> Parts:
    """C8: mean over the run of the cosine between a layer's gradients before and after the earlier layers' update."""

    def mean_cosine(norm_layer: str, rate: float, layer: int) -> PerSeed:
        table = layer_means(cells.deep_linear(norm_layer, rate), "shift", "cosine")
        name = f"layers.linear{layer}"
        if name not in table:
            raise NotRunError(f"no covariate shift of {name}; measured: {', '.join(table.columns)}")
        return exact(table[name])

    return {
        f"{norm_layer}_{rate:g}_{layer}": partial(mean_cosine, norm_layer, rate, layer)
        for norm_layer in ("none", "batch")
        for rate in learning_rates
        for layer in layers
    }


def smoother_near_and_far(cells: Cells, *, phase: Sequence[float], late: Sequence[float]) -> Parts:
    """C12: none/batch of max β over step sizes ≤ the rate (near) and over the paper's whole range (far)."""

    def far(norm_layer: str) -> PerSeed:
        return phase_median(cells.deep_linear(norm_layer), "landscape", "effective_beta", phase, step_size=None)

    def near(norm_layer: str) -> PerSeed:
        return beta_up_to_rate(cells.deep_linear(norm_layer), phase)

    def limit(norm_layer: str) -> PerSeed:
        return phase_median(cells.deep_linear(norm_layer), "curvature", "stretch", phase)

    def edge(norm_layer: str) -> PerSeed:
        cell = cells.deep_linear(norm_layer)
        return scaled(beta_up_to_rate(cell, late), cell.learning_rate)

    return {
        "near": lambda: ratio(near("none"), near("batch")),
        "far": lambda: ratio(far("none"), far("batch")),
        "limit": lambda: ratio(limit("none"), limit("batch")),
        "edge_none": lambda: edge("none"),
        "edge_batch": lambda: edge("batch"),
    }


def lp_ends_lower(cells: Cells) -> Parts:
    """C15: final losses, ℓ1 against BatchNorm and every ℓp against the plain network."""

    def end(norm_layer: str) -> PerSeed:
        return final_loss(cells.deep_linear(norm_layer))

    def l1_below() -> PerSeed:
        fold = ratio(end("l1"), end("batch"))
        return share(fold.values["high"] < 1)

    def fold(p: str, other: str) -> PerSeed:
        return ratio(end(p), end(other))

    parts: dict[str, Callable[[], PerSeed]] = {"l1_share": l1_below}
    for p in ("l1", "l2", "linf"):
        parts[f"{p}_against_none"] = partial(fold, p, "none")
        parts[f"{p}_against_batch"] = partial(fold, p, "batch")
    return parts
