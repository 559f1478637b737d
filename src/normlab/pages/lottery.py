"""What many seeds of the deep linear network say of the paper's one, in sentences made from their numbers."""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from normlab.analysis.cells import Cell, Cells
from normlab.analysis.lottery import (
    RATE,
    at_rate,
    escapes,
    final_losses,
    first_losses,
    in_order,
    paper_end,
    paper_order,
    paper_peak,
    paper_start,
    scalar,
)
from normlab.figures.lottery import lottery_figure
from normlab.figures.style import label
from normlab.pages.pictures import Html, Picture, bullets
from normlab.pages.results import Results
from normlab.pages.verdicts import number


def lottery_picture(results: Results) -> Picture:
    """Final loss and peak of β over seeds, beside the paper's numbers."""
    rate = results.spec.dln_learning_rate
    losses, peaks = drawn(lottery_cells(results).of_study("dln_lottery"), rate)
    paper = ({kind: paper_end(kind) for kind in paper_order()}, {kind: paper_peak(kind) for kind in ("none", "batch")})
    return Picture(
        lottery_figure(losses, peaks, paper),
        "Share of seeds at or below each value; dashed: the paper's one run. A curve that ends below 1 has seeds that "
        "diverged.",
        f"Final loss and peak of the effective β over seeds, learning rate {rate:g}",
        [lottery_figure, final_losses, scalar],
    )


def lottery_cells(results: Results) -> Cells:
    """What the many seeds left: final losses and scalars."""
    return results.cells("dln_lottery", probe=["history", "lottery"])


def drawn(cells: Sequence[Cell], learning_rate: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Final losses and peaks of β of one rate, as `figures.lottery` draws them; empty where nothing was run."""
    here = at_rate(cells, learning_rate)
    tables: tuple[list[pd.DataFrame], list[pd.DataFrame]] = ([], [])
    for kind, cell in here.items():
        numbers = (final_losses(here, [kind])[kind], scalar(cell, "peak_beta").values["value"])
        for table, values in zip(tables, numbers, strict=True):
            table.append(values.rename("value").rename_axis("seed").reset_index().assign(norm_layer=kind))
    empty = pd.DataFrame(columns=["norm_layer", "seed", "value"])
    return tuple(pd.concat(table) if table else empty for table in tables)  # type: ignore[return-value]


def lottery_sentences(all_cells: Cells) -> Html:
    """What was not run; of what was, the probability of the paper's order and of each of its neighbors, how usual the
    paper's first and final losses and its peak of β are, and escape times."""
    cells = all_cells.of_study("dln_lottery")
    here = at_rate(cells, RATE)
    if not here:
        return Html("")  # the line in the figure's place says so
    order = [kind for kind in paper_order() if kind in here]
    said = [_missing([kind for kind in paper_order() if kind not in here])]
    said += [_order(all_cells, here, order, "the paper's order of final losses")] if len(order) > 2 else []
    said += [_order(all_cells, here, pair, "only the order") for pair in itertools.pairwise(order)]
    for kind in order:
        said += _losses(kind, here[kind], final_losses(here, [kind])[kind])
    for kind in (one for one in ("none", "batch") if one in here):
        peaks, paper = scalar(here[kind], "peak_beta").values["value"].dropna(), paper_peak(kind)
        said.append(
            f"Peak of the effective β, {label(kind)}: {_spread(peaks)}; {_beside('least', peaks >= paper, paper)}"
        )
    said += [_escape(kind, cell) for kind, cell in here.items()]
    return bullets(*said)


def _order(all_cells: Cells, here: dict[str, Cell], kinds: Sequence[str], what: str) -> str:
    found = in_order(here, kinds)
    interval, times = found.interval(all_cells.spec), number(found.values["value"].sum())
    return (
        f"{' < '.join(map(label, kinds))} ({what}): in {times} of {number(found.seeds)} seeds, probability "
        f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}] ({interval.method})."
    )


def _missing(kinds: Sequence[str]) -> str:
    names = ", ".join(map(label, kinds))
    return f"Not run with many seeds, so no order with them is known: {names}." if kinds else ""


def _losses(kind: str, cell: Cell, last: pd.Series) -> list[str]:
    """First and last loss, and their quotient, on which the scale of targets and outputs has no say."""
    first, start, end = first_losses(cell), paper_start(kind), paper_end(kind)
    quantities = (
        ("First loss", first, start),
        ("Final loss", last, end),
        ("Final over first loss", last / first.reindex(last.index), end / start),
    )
    return [
        f"{what}, {label(kind)}: {_spread(values)}; {_beside('most', values <= paper, paper)}"
        for what, values, paper in quantities
    ]


def _beside(bound: str, holds: pd.Series, paper: float) -> str:
    return f"at {bound} the paper's {number(paper)} in {number(int(holds.sum()))} of {number(len(holds))} seeds."


def _spread(values: pd.Series) -> str:
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95], method="higher")  # inf is a number like others
    return f"median {number(middle)}, 5 % to 95 % of seeds {number(low)} to {number(high)}"


def _escape(kind: str, cell: Cell) -> str:
    said = []
    for rank, found in escapes(cell).items():
        values = found.values["value"]
        never = int(np.isinf(values).sum())
        middle = np.quantile(values, 0.5, method="higher")
        when = "never" if np.isinf(middle) else f"at {number(middle)}"
        said.append(f"rank {rank} {when}{f' (never in {number(never)} of them)' if never else ''}")
    seeds = number(len(cell.seeds))
    return f"Step at which each rank's floor is passed, {label(kind)}, median of {seeds} seeds: {', '.join(said)}."
