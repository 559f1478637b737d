"""What many seeds of the deep linear network say of the paper's one: sentences and tables made from their numbers."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from normlab.analysis.cells import Cell, Cells
from normlab.analysis.estimates import PerSeed
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
from normlab.pages.pictures import Html, Picture, bullets, table
from normlab.pages.results import Results
from normlab.pages.verdicts import number

SHOWN_PEAKS = ("none", "batch")  # in the paper's Figure 10


def lottery_picture(results: Results) -> Picture:
    """Final loss and peak of β over seeds, beside the paper's numbers."""
    rate = results.spec.dln_learning_rate
    losses, peaks = drawn(lottery_cells(results).of_study("dln_lottery"), rate)
    paper = ({kind: paper_end(kind) for kind in paper_order()}, {kind: paper_peak(kind) for kind in SHOWN_PEAKS})
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
        for found, values in zip(tables, numbers, strict=True):
            found.append(values.rename("value").rename_axis("seed").reset_index().assign(norm_layer=kind))
    empty = pd.DataFrame(columns=["norm_layer", "seed", "value"])
    return tuple(pd.concat(found) if found else empty for found in tables)  # type: ignore[return-value]


def lottery_sentences(all_cells: Cells) -> Html:
    """The probability of the paper's order and of each of its neighbors, how many seeds go as far as the paper's
    networks (begin and end as low, have as high a peak of β), and what was not run."""
    here = _in_the_paper_s_order(all_cells)
    if not here:
        return Html("")  # the line in the figure's place says so
    said = [_order(all_cells, here, list(here), "the paper's order of final losses")] if len(here) > 2 else []
    said += [_order(all_cells, here, pair, "only the order") for pair in itertools.pairwise(here)]
    for (title, bound), group in itertools.groupby(_draws(here), lambda draw: (draw.title, draw.bound)):
        every = ", ".join(f"{label(draw.kind)} in {draw.as_far} seeds" for draw in group)
        said.append(f"{title} at {bound} that of the paper's network: {every}.")
    for rate, cells in _other_rates(all_cells).items():
        said.append(_order(all_cells, cells, list(cells), f"at {rate:g}, of which the paper shows no loss"))
    return bullets(*said, _missing([kind for kind in paper_order() if kind not in here]))


def lottery_tables(all_cells: Cells) -> Html:
    """Losses and peaks of β over seeds beside the paper's one, and the steps at which each rank's floor is passed."""
    here = _in_the_paper_s_order(all_cells)
    if not here:
        return Html("")
    rows = [
        [draw.title, label(draw.kind), number(len(draw.values)), *_spread(draw.values), number(draw.paper), draw.as_far]
        for draw in _draws(here)
    ]
    for rate, cells in _other_rates(all_cells).items():
        ends = {kind: final_losses(cells, [kind])[kind] for kind in cells}
        title = f"Final loss at {rate:g}"
        rows += [[title, label(kind), number(len(end)), *_spread(end), "–", "–"] for kind, end in ends.items()]
    head = ["", "normalizer", "seeds", "median", "5 %", "95 %", "the paper's one", "seeds as far as it"]
    far = "As far as the paper's: as low a loss, as high a peak; a peak has a row where the paper shows one."
    passed = {kind: escapes(cell) for kind, cell in here.items()}
    ranks = sorted(set().union(*passed.values()))
    floors = [
        [label(kind), number(len(here[kind].seeds)), *(_step(found[rank]) if rank in found else "–" for rank in ranks)]
        for kind, found in passed.items()
    ]
    floor = (
        "Step at which the loss is first below the best of any map of this rank: median over seeds, and in how many it "
        "never is."
    )
    tables = [table(head, rows, far), table(["", "seeds", *(f"rank {rank}" for rank in ranks)], floors, floor)]
    return Html("\n".join(one.markup for one in tables), "\n\n".join(one.plain for one in tables))


@dataclass(frozen=True)
class _Draw:
    """A number of every seed's network, beside that of the paper's: at most it, or at least, is as far."""

    title: str
    kind: str
    values: pd.Series
    paper: float
    bound: Literal["most", "least"]

    @property
    def as_far(self) -> str:
        holds = self.values <= self.paper if self.bound == "most" else self.values >= self.paper
        return f"{number(int(holds.sum()))} of {number(len(holds))}"


def _draws(here: dict[str, Cell]) -> list[_Draw]:
    """By quantity, and in each by normalizer."""
    starts = {kind: first_losses(cell) for kind, cell in here.items()}
    ends = {kind: final_losses(here, [kind])[kind] for kind in here}
    quotients = {kind: end / starts[kind].reindex(end.index) for kind, end in ends.items()}
    falls = {kind: paper_end(kind) / paper_start(kind) for kind in here}
    peaks = {kind: scalar(here[kind], "peak_beta").values["value"].dropna() for kind in here if kind in SHOWN_PEAKS}
    return [
        *(_Draw("First loss", kind, values, paper_start(kind), "most") for kind, values in starts.items()),
        *(_Draw("Final loss", kind, values, paper_end(kind), "most") for kind, values in ends.items()),
        *(_Draw("Final over first loss", kind, values, falls[kind], "most") for kind, values in quotients.items()),
        *(_Draw("Peak of the effective β", kind, values, paper_peak(kind), "least") for kind, values in peaks.items()),
    ]


def _other_rates(all_cells: Cells) -> dict[float, dict[str, Cell]]:
    """The cells of every other rate at which there are two normalizers or more."""
    rates = {
        cell.learning_rate for cell in all_cells.of_study("dln_lottery") if not np.isclose(cell.learning_rate, RATE)
    }
    found = {rate: _in_the_paper_s_order(all_cells, rate) for rate in sorted(rates, reverse=True)}
    return {rate: cells for rate, cells in found.items() if len(cells) > 1}


def _in_the_paper_s_order(all_cells: Cells, rate: float = RATE) -> dict[str, Cell]:
    here = at_rate(all_cells.of_study("dln_lottery"), rate)
    return {kind: here[kind] for kind in paper_order() if kind in here}


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


def _spread(values: pd.Series) -> list[str]:
    """Median, and where the lowest and highest twentieth begin."""
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95], method="higher")  # inf is a number like others
    return [number(middle), number(low), number(high)]


def _step(found: PerSeed) -> str:
    values = found.values["value"]
    never, middle = int(np.isinf(values).sum()), float(np.quantile(values, 0.5, method="higher"))
    typical = "never" if np.isinf(middle) else number(middle)
    return f"{typical} (never in {number(never)})" if never else typical
