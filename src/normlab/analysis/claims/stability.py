"""Claims about how much activations move in training (paper §2.1, §3.3, App. B; Figures 1c, 2, 6, 8).

Units are those after the normalizer and before the ReLU. S_μ and S_σ² are means over the run of |Δμ| and |Δσ²| between
successive probed steps of the even schedule; the suffix `_1` means one training step instead. Scale-free: |Δμ|/σ, W₁/σ.
"""

from functools import partial

from normlab.analysis.cells import Cells
from normlab.analysis.estimates import PerSeed, exact
from normlab.analysis.layers import geometric_mean, layer_ratios, smallest
from normlab.analysis.quantities import layer_at_depth
from normlab.analysis.verdicts import Parts

MOVES = {
    "mean": "mean_abs_change",
    "variance": "variance_abs_change",
    "wasserstein": "wasserstein",
    "relative_mean": "relative_mean_change",
    "mean_1": "mean_abs_change_1",
    "variance_1": "variance_abs_change_1",
    "relative_mean_1": "relative_mean_change_1",
}


def plain_as_stable(cells: Cells) -> Parts:
    """C3: none over batch, geometric mean over layers."""

    def measure(quantity: str) -> PerSeed:
        return geometric_mean(layer_ratios(cells.vgg("none"), cells.vgg("batch"), "activations", quantity))

    return {name: partial(measure, quantity) for name, quantity in MOVES.items()}


def noisy_less_stable(cells: Cells) -> Parts:
    """C5: noisy BatchNorm over none, the smallest ratio of any layer ("all layers", "any layer")."""

    def measure(quantity: str) -> PerSeed:
        return smallest(layer_ratios(cells.vgg("noisy_batch"), cells.vgg("none"), "activations", quantity))

    return {name: partial(measure, quantity) for name, quantity in MOVES.items()}


def lp_shifts_more(cells: Cells, *, depth: float) -> Parts:
    """C17: ℓp over none at the layer of the given relative depth (the paper's #11 of 13)."""

    def measure(p: str, quantity: str) -> PerSeed:
        ratios = layer_ratios(cells.vgg(p), cells.vgg("none"), "activations", quantity)
        return exact(ratios[layer_at_depth(list(ratios.columns), depth)], floor=0.0)

    return {
        f"{p}_{name}": partial(measure, p, MOVES[name])
        for p in ("l1", "l2", "linf")
        for name in ("relative_mean", "wasserstein", "mean", "variance")
    }
