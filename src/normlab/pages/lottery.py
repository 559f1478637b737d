"""What many seeds of the deep linear network say of the paper's one, in sentences made from their numbers."""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from normlab.analysis.cells import Cell, Cells
from normlab.analysis.estimates import NotRunError
from normlab.analysis.lottery import (
    RATE,
    at_rate,
    escapes,
    final_losses,
    in_order,
    paper_end,
    paper_order,
    paper_peak,
    scalar,
)
from normlab.figures.style import label, number
from normlab.pages.pictures import Html, bullets


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
    """The probability of the paper's order, of each of its neighbors, how usual its final losses and its peak of β are,
    and escape times."""
    cells = all_cells.of_study("dln_lottery")
    here = at_rate(cells, RATE)
    if not here:
        return Html("")  # the line in the figure's place says so
    order = paper_order()
    said = [_order(all_cells, here, order, "the paper's order of final losses")]
    said += [_order(all_cells, here, pair, "only the order") for pair in itertools.pairwise(order)]
    said += [_end(kind, here) for kind in order if kind in here]
    said += [_peak(kind, here[kind]) for kind in ("none", "batch") if kind in here]
    said += [_escape(kind, cell) for kind, cell in here.items()]
    return bullets(*said)


def _order(all_cells: Cells, here: dict[str, Cell], kinds: Sequence[str], what: str) -> str:
    shown = " < ".join(map(label, kinds))
    try:
        found = in_order(here, kinds)
    except NotRunError as error:
        return f"{shown}: {error}."
    interval = found.interval(all_cells.spec)
    return (
        f"{shown} ({what}): in {int(found.values['value'].sum())} of {found.seeds} seeds, probability "
        f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}] ({interval.method})."
    )


def _end(kind: str, cells: dict[str, Cell]) -> str:
    values, paper = final_losses(cells, [kind])[kind], paper_end(kind)
    below = int((values <= paper).sum())
    return (
        f"Final loss, {label(kind)}: {_spread(values)}; at most the paper's {number(paper)} in {below} of "
        f"{len(values)} seeds."
    )


def _peak(kind: str, cell: Cell) -> str:
    values, paper = scalar(cell, "peak_beta").values["value"].dropna(), paper_peak(kind)
    beyond = int((values >= paper).sum())
    return (
        f"Peak of the effective β, {label(kind)}: {_spread(values)}; at least the paper's {number(paper)} in {beyond} "
        f"of {len(values)} seeds."
    )


def _spread(values: pd.Series) -> str:
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95], method="higher")  # inf is a number like others
    return f"median {number(middle)}, 5 % to 95 % of seeds {number(low)} to {number(high)}"


def _escape(kind: str, cell: Cell) -> str:
    said = []
    for rank, found in escapes(cell).items():
        values = found.values["value"]
        never = int(np.isinf(values).sum())
        middle = np.quantile(values, 0.5, method="higher")
        said.append(f"rank {rank} at {'never' if np.isinf(middle) else f'{middle:.0f}'} (never in {never})")
    return f"Steps to escape each rank's floor, {label(kind)}, median of {len(cell.seeds)} seeds: {', '.join(said)}."
