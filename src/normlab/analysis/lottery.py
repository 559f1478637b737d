"""The one-seed lottery: what the paper's one deep linear run of each normalizer could have shown with other seeds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from normlab.analysis.cells import Cell
from normlab.analysis.estimates import NotRunError, PerSeed, exact, share
from normlab.analysis.quantities import final_loss
from normlab.paper.curves import paper_curve

RATE = 1e-6  # of the paper's Figures 5(b) and 10
RANKS = range(1, 100)
KINDS = ("none", "batch", "l1", "l2", "linf")


def paper_order() -> tuple[str, ...]:
    """The normalizers by the last loss of the paper's curves (Figure 5b), lowest first."""
    return tuple(sorted(KINDS, key=paper_end))


def paper_end(norm_layer: str) -> float:
    """The last loss of the paper's curve (Figure 5b)."""
    return float(paper_curve(5, norm_layer, "loss", RATE)["value"].iloc[-1])


def paper_start(norm_layer: str) -> float:
    """The first loss of the paper's curve (Figure 5b)."""
    return float(paper_curve(5, norm_layer, "loss", RATE)["value"].iloc[0])


def paper_peak(norm_layer: str) -> float:
    """The largest effective β of the paper's curve (Figure 10)."""
    return float(paper_curve(10, norm_layer, "effective_beta")["value"].max())


def at_rate(cells: Sequence[Cell], learning_rate: float) -> dict[str, Cell]:
    """The cells of one rate by normalizer."""
    return {cell.norm_layer: cell for cell in cells if np.isclose(cell.learning_rate, learning_rate)}


def final_losses(cells: dict[str, Cell], kinds: Sequence[str]) -> pd.DataFrame:
    """The last loss of the seeds that all of these normalizers have: a row a seed; inf for one that diverged.

    Raises:
        NotRunError: one of them was not run.
    """
    if missing := [kind for kind in kinds if kind not in cells]:
        raise NotRunError(f"no lottery of {', '.join(missing)}")
    return pd.DataFrame({kind: final_loss(cells[kind]).values["value"] for kind in kinds}).dropna()


def first_losses(cell: Cell) -> pd.Series:
    """The loss before the first step, by seed."""
    losses = cell.rows("history", "loss")
    return losses[losses["step"] == 0].set_index("seed")["value"]


def in_order(cells: dict[str, Cell], kinds: Sequence[str]) -> PerSeed:
    """Whether the last losses rise strictly in the order of `kinds`, seed by seed; its interval is Wilson's.

    Two that diverged are in no order.
    """
    losses = final_losses(cells, kinds)
    with np.errstate(invalid="ignore"):
        return share(pd.Series((np.diff(losses.to_numpy(), axis=1) > 0).all(axis=1), losses.index))


def scalar(cell: Cell, quantity: str) -> PerSeed:
    """One of the numbers of `normlab.studies.deep_linear.lottery`, such as `peak_beta` or `escape_step_1`."""
    return exact(cell.rows("lottery", quantity).set_index("seed")["value"])


def escapes(cell: Cell) -> dict[int, PerSeed]:
    """By rank r, the first step at which the loss was below the best of any map of rank r; inf where it never was."""
    return {rank: scalar(cell, f"escape_step_{rank}") for rank in RANKS if cell.has("lottery", f"escape_step_{rank}")}
