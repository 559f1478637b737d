"""Claims about how much activations move in training (paper §2.1, §3.3, App. B; Figures 1c, 2, 6, 8).

S_μ and S_σ² are means over a window of |Δμ| and |Δσ²| between successive probed steps of the even schedule; the suffix
`_1` means one training step instead. Scale-free: |Δμ|/σ, W₁/σ. Two taps: after the normalizer (where the paper's
figures look; the mean over a batch is then β by construction with BatchNorm), and at the convolution's output on one
fixed batch, where nothing is fixed by construction (names that end in `_conv`).
"""

from collections.abc import Callable, Sequence
from functools import partial

import pandas as pd

from normlab.analysis.cells import Cell, Cells
from normlab.analysis.estimates import PerSeed, exact_ratio
from normlab.analysis.layers import geometric_mean, smallest
from normlab.analysis.parts import Parts
from normlab.analysis.quantities import common_layers, layer_at_depth
from normlab.analysis.windows import layer_folds, uncovered
from normlab.paper.rows import DEPTH

MOVES = {
    "mean": "mean_abs_change",
    "variance": "variance_abs_change",
    "wasserstein": "wasserstein",
    "relative_mean": "relative_mean_change",
    "mean_1": "mean_abs_change_1",
    "variance_1": "variance_abs_change_1",
    "relative_mean_1": "relative_mean_change_1",
}
CONVOLUTION = "_conv"
AT_CONVOLUTION = ("relative_mean_conv", "wasserstein_conv", "mean_conv", "variance_conv")
FIXED = "activations_fixed"  # the probe on one batch for the whole run, at both taps
PAPER_DEPTH = DEPTH["vgg"]


def moves(top: Cell, bottom: Cell, name: str, window: Sequence[int]) -> pd.DataFrame:
    """top/bottom of one of `MOVES`, with or without `_conv`: a row a seed, a column a layer.

    Raises:
        NotRunError: the cells have no layer with that tap in common.
    """
    quantity = MOVES[name.removesuffix(CONVOLUTION)]
    if not name.endswith(CONVOLUTION):
        return layer_folds(top, bottom, "activations", quantity, window)
    normalizers = common_layers([top, bottom], "activations", quantity)
    layers = [layer for layer in common_layers([top, bottom], FIXED, quantity) if layer not in normalizers]
    return layer_folds(top, bottom, FIXED, quantity, window, layers)


def paper_layers(cell: Cell, ratios: pd.DataFrame, numbers: Sequence[int]) -> tuple[pd.DataFrame, str]:
    """The columns of the layers that the paper numbers; of a network with fewer, those at the same relative depth.

    The second value says what such a network lacks.

    Args:
        cell: whose layers they are.
        ratios: a column a layer.
        numbers: the paper's layers, from 1.
    """
    by_number = {cell.places[layer]: layer for layer in map(str, ratios.columns)}
    if set(numbers) <= set(by_number):
        return ratios[[by_number[number] for number in numbers]], ""
    layers = [by_number[place] for place in sorted(by_number)]
    chosen = dict.fromkeys(layer_at_depth(layers, number / PAPER_DEPTH) for number in numbers)
    return ratios[list(chosen)], shallow(cell)


def shallow(cell: Cell) -> str:
    """What a network with fewer normalized layers than the paper's lacks; empty for one as deep."""
    return "" if cell.depth >= PAPER_DEPTH else f"{cell.depth} of {PAPER_DEPTH} normalized layers"


def plain_as_stable(cells: Cells, *, steps: Sequence[int]) -> Parts:
    """C3: none over batch, geometric mean over layers."""

    def measure(name: str) -> PerSeed:
        pair = cells.vgg("none"), cells.vgg("batch")
        return geometric_mean(moves(*pair, name, steps)).lacking(uncovered(pair, steps))

    return {name: partial(measure, name) for name in (*AT_CONVOLUTION, *MOVES)}


def noisy_less_stable(cells: Cells, *, steps: Sequence[int], layers: Sequence[int]) -> Parts:
    """C5: noisy BatchNorm over none, the smallest ratio of the paper's layers."""

    def measure(name: str) -> PerSeed:
        pair = cells.vgg("noisy_batch"), cells.vgg("none")
        ratios, lacks = paper_layers(pair[0], moves(*pair, name, steps), layers)
        return smallest(ratios).lacking(lacks).lacking(uncovered(pair, steps))

    return {name: partial(measure, name) for name in (*MOVES, *AT_CONVOLUTION)}


def lp_shifts_more(cells: Cells, *, steps: Sequence[int], layer: int) -> Parts:
    """C17: ℓp over none at one of the paper's layers, the least of the three ℓp, and each of them."""

    def ratios(p: str, name: str) -> PerSeed:
        pair = cells.vgg(p), cells.vgg("none")
        found, lacks = paper_layers(pair[0], moves(*pair, name, steps), (layer,))
        return exact_ratio(found.iloc[:, 0]).lacking(lacks).lacking(uncovered(pair, steps))

    def least(name: str) -> PerSeed:
        found = [ratios(p, name) for p in ("l1", "l2", "linf")]
        table = pd.DataFrame({i: one.values["value"] for i, one in enumerate(found)})
        return smallest(table.dropna(how="all")).lacking(found[0].lacks)

    parts: dict[str, Callable[[], PerSeed]] = {}
    for name in ("relative_mean_conv", "wasserstein_conv", "relative_mean", "wasserstein"):
        parts[name] = partial(least, name)
        for p in ("l1", "l2", "linf"):
            parts[f"{p}_{name}"] = partial(ratios, p, name)
    return parts
