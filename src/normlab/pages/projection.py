"""What the projection ablation says: its first picture, and sentences made from its numbers."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from normlab.analysis.catalog import Quantity, by_run
from normlab.analysis.cells import Cell, Cells
from normlab.analysis.estimates import NotRunError, PerSeed, difference
from normlab.analysis.projection import ALIVE, KINDS, PARTS, quantities
from normlab.analysis.quantities import final_train_accuracy
from normlab.figures.bands import BAND
from normlab.figures.projection import accuracy_by_rate
from normlab.figures.style import label, number, order
from normlab.pages.comparisons import OVER_SEEDS, spread
from normlab.pages.pictures import Html, Picture, bullets, table
from normlab.pages.results import Results
from normlab.pages.sentences import finite_caption, smoothing
from normlab.pages.verdicts import of_seeds

NOT_RUN = "Not run here: none of the normalizers that leave out a part of BatchNorm's backward pass."
CAVEATS = (
    "What a network with detached statistics follows is not the gradient of its loss: the walk goes along it, and β "
    "is how much it changes. ‖Hg‖/‖g‖ takes what is detached for constant in both derivatives, so it is not the limit "
    "of that β.",
    "At step 0 the frozen network has not seen its first batch: each evaluation of a probe there takes the statistics "
    "anew.",
    "Intervals over up to five seeds are Student's t about the mean, the number before them is the median: where one "
    "seed is far from the others the interval is wide, and may reach beyond what an accuracy can be.",
    "No claim of the paper is decided here: the study was added after the rules were frozen, and its quantities are "
    "its own.",
)
COLUMNS = {
    "final_train_accuracy": "train accuracy at the end",
    "updates_1.5_to_1": "updates from loss 1.5 to 1",
    "effective_beta": "effective β",
    "stretch": "‖Hg‖/‖g‖",
    "mean_part": "share along 1 (μ's part)",
    "scale_part": "share along ŷ (σ's part)",
    "weight_growth": "‖w‖, end over start",
}
"""Of the table by learning rate: some of `normlab.analysis.projection.quantities`, and what a column calls them."""

PROBES = ("history", "test", "landscape", "curvature", "weights", "gradient_shares", "followed")


def projection_cells(results: Results) -> Cells:
    """What the networks of the ablation left, and all others of the study."""
    return results.cells(results.study, probe=list(PROBES))


def projection_picture(results: Results, thin: Callable[[pd.DataFrame], pd.DataFrame] | None = None) -> Picture:
    """Train accuracy over training and at its end, by learning rate.

    Args:
        results: of the study.
        thin: averages the curves and leaves out points, where the file would be too large.
    """
    cells, window = projection_cells(results), results.spec.window
    shown = rates(cells)
    runs = results.measurements(results.study, probe="history")
    runs = runs[runs["norm_layer"].isin(KINDS) & runs["learning_rate"].isin(shown)]
    every = [cell for kind in KINDS for cell in cells.rates(kind) if cell.learning_rate in shown]
    ends = by_run(every, quantities(window)["final_train_accuracy"].measure)
    return Picture(
        accuracy_by_rate(thin(runs) if thin else runs, ends, shown, 1 if thin else window),
        f"{BAND} {smoothing(window)} Right: medians over seeds. {finite_caption(runs, ['train_accuracy'])}",
        "Train accuracy by learning rate",
        [accuracy_by_rate, final_train_accuracy],
    )


def rates(cells: Cells) -> list[float]:
    """The learning rates at which BatchNorm and a network of the ablation were trained."""
    of_batch = {cell.learning_rate for cell in cells.rates("batch")}
    return sorted({cell.learning_rate for kind in PARTS for cell in cells.rates(kind)} & of_batch)


def answer(cells: Cells) -> Html:
    """Which part costs more, rate by rate what leaving out each costs, and which networks train at all."""
    found = rates(cells)
    if not found:
        return bullets(NOT_RUN)
    return bullets(_dearer(cells, found), *(_at(cells, rate) for rate in found), _alive(cells))


def rates_table(cells: Cells) -> str:
    """What the study measured, one row a learning rate and normalizer, and its caveats; empty where nothing was run.

    Returns:
        Markdown.
    """
    measures = quantities(cells.spec.window)
    shown = [
        cell for rate in rates(cells) for kind in KINDS for cell in cells.rates(kind) if cell.learning_rate == rate
    ]
    if not shown:
        return ""
    rows = []
    rules: dict[str, str] = {}  # of columns that have something that is not finite
    for cell in shown:
        levels = {name: _level(cell, measures[name]) for name in COLUMNS}
        found = ["–" if values is None else spread(values) for values in levels.values()]
        rules |= {title: measures[name].not_finite for name, title in COLUMNS.items() if not _finite(levels[name])}
        rows.append([number(cell.learning_rate), label(cell.norm_layer), *found])
    said = [f"“{title}”, {rule}." for title, rule in rules.items()]
    measured = table(["rate", "normalizer", *COLUMNS.values()], rows, " ".join([OVER_SEEDS, *said]))
    return f"{measured.plain}\n\n{bullets(*CAVEATS).plain}"


def _level(cell: Cell, quantity: Quantity) -> pd.Series | None:
    try:
        return quantity.measure(cell).values["value"]
    except NotRunError:
        return None


def _finite(values: pd.Series | None) -> bool:
    return values is None or bool(np.isfinite(values).all())


def _accuracy(cells: Cells, kind: str, rate: float) -> PerSeed | None:
    try:
        return final_train_accuracy(cells.vgg(kind, rate), cells.spec.window)
    except NotRunError:
        return None


def _at(cells: Cells, rate: float) -> str:
    batch = _accuracy(cells, "batch", rate)
    assert batch is not None
    said = []
    for kind, words in PARTS.items():
        own = _accuracy(cells, kind, rate)
        if own is None:
            said.append(f"{words} not run")
            continue
        gap = difference(own, batch)
        undecided = " (undecided)" if gap.seeds > 1 and not _decided(gap, cells) else ""
        said.append(f"{words} {_points(gap, cells)}{undecided}{_diverged(cells, kind, rate)}")
    level = 100 * float(batch.values["value"].median())
    return f"Learning rate {number(rate)}: BatchNorm ends at {level:.1f} % train accuracy; {'; '.join(said)}."


def _diverged(cells: Cells, kind: str, rate: float) -> str:
    """` (diverged in 2 of 3 seeds)`: it ends with what its non-finite weights score."""
    gone = cells.vgg(kind, rate).diverged
    return f" (diverged in {int(gone.sum())} of {of_seeds(len(gone))})" if gone.any() else ""


def _points(gap: PerSeed, cells: Cells) -> str:
    """`−15.2 points [−20.1, −9.8], n = 3`."""
    interval = gap.interval(cells.spec)
    text = f"{100 * interval.estimate:+.1f} points"
    if gap.seeds < 2:
        return f"{text}, one seed"
    return f"{text} [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}], n = {gap.seeds}"


def _decided(gap: PerSeed, cells: Cells) -> bool:
    """Whether the interval leaves out zero."""
    interval = gap.interval(cells.spec)
    return gap.seeds > 1 and interval.decides and (interval.low > 0 or interval.high < 0)


def _dearer(cells: Cells, shown: Sequence[float]) -> str:
    said = []
    for rate in shown:
        mean, scale = (_accuracy(cells, kind, rate) for kind in ("batch_detached_mean", "batch_detached_variance"))
        if mean is None or scale is None:
            continue
        gap = difference(mean, scale)
        if not _decided(gap, cells):
            said.append(f"undecided at {number(rate)}, {_points(gap, cells)} for σ's")
        elif gap.interval(cells.spec).low > 0:
            said.append(f"σ's at {number(rate)}, by {_points(gap, cells)}")
        else:
            said.append(f"μ's at {number(rate)}, by {_points(difference(scale, mean), cells)}")
    title = "Which of the two parts costs more train accuracy when it is left out, by learning rate"
    return f"{title}: {'; '.join(said)}." if said else ""


def _alive(cells: Cells) -> str:
    kinds = order({kind for network, kind, _ in cells.all if network == cells.spec.network})
    said = []
    for kind in kinds:
        usable = [cell for cell in cells.rates(kind) if _trains(cell, cells.spec.window)]
        shown = ", ".join(number(cell.learning_rate) for cell in usable) or "no rate"
        said.append(f"{label(kind)} at {shown}")
    return f"Trains at all (more than {100 * ALIVE:g} % in every seed): {'; '.join(said)}."


def _trains(cell: Cell, window: int) -> bool:
    try:
        return bool((final_train_accuracy(cell, window).values["value"] > ALIVE).all())
    except NotRunError:
        return False
