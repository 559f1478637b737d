"""What a run amounts to: one number a seed out of the rows of a cell.

Phases of training are fractions (a, b] of the planned updates T: steps t with a·T < t ≤ b·T. The paper's phases
0–1.5k, –3k, –6k, –10.5k, –15k of 15,000 are 0, 0.1, 0.2, 0.4, 0.7, 1. Step 0 belongs to none of them: it is claim
C24's.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from normlab.analysis.cells import Cell
from normlab.analysis.estimates import SHARE, NotRunError, PerSeed, censored, exact
from normlab.analysis.statistics import first_reached, trailing_mean

Phase = Sequence[float]


def history(cell: Cell, quantity: str) -> dict[int, np.ndarray]:
    """The recorded values of a history quantity by seed, in the order of steps."""
    rows = cell.rows("history", quantity).sort_values(["seed", "step"])
    return {seed: group["value"].to_numpy() for seed, group in rows.groupby("seed")}


def accuracy_curves(cell: Cell) -> dict[int, pd.Series]:
    """Training accuracy of the recorded batches by seed, indexed by step."""
    rows = cell.rows("history", "train_accuracy").sort_values(["seed", "step"])
    return {seed: group.set_index("step")["value"] for seed, group in rows.groupby("seed")}


def steps_to_accuracy(cell: Cell, accuracy: float, window: int) -> PerSeed:
    """Batches seen when the training accuracy, averaged over the last `window` recorded ones, first reached `accuracy`.

    A run that ended (or diverged) before that is inf: it needs more than its planned updates. Of a curve that does not
    record every batch, such as the paper's, it is that of the record that reached it.
    """
    reached = {}
    for seed, curve in accuracy_curves(cell).items():
        count = first_reached(curve.to_numpy(), accuracy, window)
        reached[seed] = float(curve.index[int(count) - 1] + 1) if math.isfinite(count) else math.inf
    return censored(reached, cell.horizons)


def final_test_accuracy(cell: Cell, until: int | None = None) -> PerSeed:
    """Test accuracy after the last update (or after the last tested one up to `until`).

    Of a run that diverged, that of its non-finite weights.
    """
    rows = cell.rows("test", "test_accuracy").sort_values("step")
    rows = rows if until is None else rows[rows["step"] <= until]
    return exact(rows.groupby("seed")["value"].last())


def final_train_accuracy(cell: Cell, window: int) -> PerSeed:
    """Training accuracy averaged over the last `window` steps; of a run that diverged, its final test accuracy.

    (What such a run scored before it diverged is not what it ends with.)
    """
    values = {seed: trailing_mean(v, min(window, len(v)))[-1] for seed, v in history(cell, "train_accuracy").items()}
    return exact(_after_divergence(cell, values), SHARE)


def mean_train_accuracy(cell: Cell, until: int | None = None) -> PerSeed:
    """Area under the training curve: accuracy averaged over all planned steps, or the first `until` of them.

    Steps after a divergence count with the final test accuracy of the non-finite weights.
    """
    means = {}
    after = _after_divergence(cell, {})
    for seed, curve in accuracy_curves(cell).items():
        planned = int(cell.horizons[seed]) if until is None else until
        seen = curve[curve.index < planned]
        missing = max(planned - len(seen), 0) if seed in after else 0
        means[seed] = (seen.to_numpy().sum() + missing * after.get(seed, 0.0)) / (len(seen) + missing)
    return exact(means)


def final_held_out_accuracy(cell: Cell) -> PerSeed:
    """Accuracy on the held-out training images at the last step that was measured."""
    rows = cell.rows("held_out", "held_out_accuracy").sort_values("step")
    return exact(rows.groupby("seed")["value"].last())


def mean_held_out_accuracy(cell: Cell) -> PerSeed:
    """Accuracy on the held-out training images averaged over the run, each measurement by the steps it stands for."""
    rows = cell.rows("held_out", "held_out_accuracy")
    return _over_steps(cell, rows, lambda values, weights: float(np.average(values, weights=weights)))


def _after_divergence(cell: Cell, values: dict[int, float]) -> dict[int, float]:
    """`values` with those of diverged runs replaced by the test accuracy that their last weights have."""
    if not cell.diverged.any():
        return values
    ends = final_test_accuracy(cell).values["value"]
    return values | {seed: ends[seed] for seed, gone in cell.diverged.items() if gone}


def final_loss(cell: Cell) -> PerSeed:
    """The last recorded training loss; inf for a run that diverged."""
    ends = {seed: values[-1] for seed, values in history(cell, "loss").items()}
    return exact({seed: math.inf if cell.diverged[seed] else value for seed, value in ends.items()})


def in_phase(rows: pd.DataFrame, cell: Cell, phase: Phase) -> pd.DataFrame:
    """The rows whose step lies in the phase (a, b] of the seed's planned updates."""
    start, stop = phase
    horizon = rows["seed"].map(cell.horizons).to_numpy()
    return rows[(rows["step"].to_numpy() > start * horizon) & (rows["step"].to_numpy() <= stop * horizon)]


def step_weights(steps: np.ndarray) -> np.ndarray:
    """How many steps each probed step stands for: half the gap on either side (at an end, its one gap).

    The probe schedule is denser at the start; so weighted, a median or mean over steps does not depend on that.
    """
    if len(steps) < 2:
        return np.ones(len(steps))
    gaps = np.diff(steps.astype(float))
    return np.concatenate([gaps[:1], gaps[:-1] + gaps[1:], gaps[-1:]]) / np.r_[1.0, np.full(len(gaps) - 1, 2.0), 1.0]


def weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    """The value at which half of the weight lies on either side; midway between two values where that is a gap."""
    order = np.argsort(values)
    ranked, passed = values[order], np.cumsum(weights[order]) / weights.sum()
    lower = int(np.searchsorted(passed, 0.5 - 1e-12, side="left"))
    upper = int(np.searchsorted(passed, 0.5 + 1e-12, side="left"))
    return float(ranked[lower]) if lower == upper else float((ranked[lower] + ranked[upper]) / 2)


def phase_median(cell: Cell, probe: str, quantity: str, phase: Phase, **conditions: object) -> PerSeed:
    """Median over the probed steps of a phase, a seed at a time; unknown for a seed without one (it diverged before).

    Args:
        cell: the cell.
        probe: which probe.
        quantity: of the probe.
        phase: (a, b], fractions of the planned updates.
        conditions: further conditions of `select`; `step_size=None` for a walk's summaries.
    """
    return median_over_steps(cell, in_phase(settled(cell, probe, quantity, **conditions), cell, phase))


def phase_peak(cell: Cell, probe: str, quantity: str, phase: Phase, **conditions: object) -> PerSeed:
    """Largest value over the probed steps of a phase, a seed at a time."""
    rows = in_phase(settled(cell, probe, quantity, **conditions), cell, phase)
    return _over_steps(cell, rows, lambda v, w: float(v.max()))


def median_over_steps(cell: Cell, rows: pd.DataFrame) -> PerSeed:
    """Median over the rows' steps, each weighted by the steps it stands for, a seed at a time.

    Args:
        cell: the cell, for its seeds: one without a row is unknown.
        rows: columns seed, step, value; one row a seed × step.
    """
    return _over_steps(cell, rows, weighted_median)


def at_step(cell: Cell, probe: str, quantity: str, step: int, **conditions: object) -> PerSeed:
    """The value at the last probed step ≤ `step`, a seed at a time; for a layered quantity the median over layers."""
    rows = settled(cell, probe, quantity, **conditions)
    rows = rows[rows["step"] <= step]
    if step > 0:
        rows = rows[rows["step"] > 0]
    if not len(rows):
        raise NotRunError(f"no {probe} measurement of {quantity} at steps 1 … {step} in {cell.name}")
    last = rows[rows["step"] == rows["seed"].map(rows.groupby("seed")["step"].max())]
    return exact(last.groupby("seed")["value"].median().reindex(cell.seeds))


def _over_steps(cell: Cell, rows: pd.DataFrame, reduce: Callable[[np.ndarray, np.ndarray], float]) -> PerSeed:
    if not len(rows):
        raise NotRunError(f"no probed step of {cell.name} lies in the phase")
    found = {}
    for seed, group in rows.sort_values("step").groupby("seed"):
        found[seed] = reduce(group["value"].to_numpy(), step_weights(group["step"].to_numpy()))
    return exact(pd.Series(found).reindex(cell.seeds))


def settled(cell: Cell, probe: str, quantity: str, **conditions: object) -> pd.DataFrame:
    """Rows of a quantity in which NaN is settled: overflow counts as +inf, an undefined value is left out.

    A walk that leaves the floating range gives NaN (inf − inf) where the gradient is finite and not zero: more than
    any number. Where the gradient is zero or not finite itself, betas and cosines have no value.
    """
    rows = cell.rows(probe, quantity, **conditions)
    missing = rows["value"].isna()
    if not missing.any():
        return rows
    if not probe.startswith("landscape") or quantity == "gradient_cosine":
        return rows[~missing]
    norms = cell.rows(probe, "grad_norm", step_size=None).set_index(["seed", "step"])["value"]
    norm = norms.reindex(pd.MultiIndex.from_frame(rows[["seed", "step"]])).to_numpy()
    overflow = missing.to_numpy() & np.isfinite(norm) & (norm > 0)
    return rows.assign(value=np.where(overflow, math.inf, rows["value"])).dropna(subset=["value"])


def common_layers(cells: Iterable[Cell], probe: str, quantity: str) -> list[str]:
    """The layers that all cells have, in the network's order."""
    per_cell = [list(dict.fromkeys(cell.rows(probe, quantity)["layer"].astype(str))) for cell in cells]
    return [layer for layer in per_cell[0] if all(layer in others for others in per_cell[1:])]


def layer_at_depth(layers: Sequence[str], depth: float) -> str:
    """The layer at a fraction of the depth: number round(depth·n) of n. Layer 11 of VGG-16's 13 is 0.85."""
    return layers[max(round(depth * len(layers)), 1) - 1]
