"""The lottery's quantities and sentences on a few seeds drawn by hand."""

import math
import re

import pandas as pd
import pytest
from tests.analysis.synthetic import SPEC

from normlab.analysis.cells import Cells
from normlab.analysis.estimates import NotRunError
from normlab.analysis.lottery import at_rate, escapes, in_order, paper_order, paper_peak, paper_start
from normlab.figures.lottery import lottery_figure
from normlab.pages.lottery import drawn, lottery_sentences, lottery_tables
from normlab.tables.frames import combine
from normlab.tables.rows import Rows

ENDS = {"l1": (1.0, 1.0, 9.0), "batch": (2.0, 2.0, 2.0), "none": (5.0, math.inf, 3.0)}


def cells(ends: dict[str, tuple[float, ...]] = ENDS) -> Cells:
    return Cells(combine(frames(ends)), pd.DataFrame(), SPEC)


def frames(ends: dict[str, tuple[float, ...]], rate: float = 1e-6) -> list[pd.DataFrame]:
    found = []
    for kind, values in ends.items():
        for seed, end in enumerate(values):
            keys = {"study": "dln_lottery", "network": "dln", "norm_layer": kind, "learning_rate": rate, "seed": seed}
            rows = Rows(keys)
            rows.add("history", 0, {"loss": 10.0})
            rows.add("history", 8, {"loss": end})
            rows.add("summary", 8, {"steps": 8, "diverged_at": 5.0 if math.isinf(end) else math.nan})
            rows.add("lottery", 8, {"peak_beta": 1e6 * 10.0 ** (10 * seed), "escape_step_1": 2.0 + seed})
            found.append(rows.frame())
    return found


def test_the_paper_s_own_order_and_peak() -> None:
    assert paper_order() == ("l1", "batch", "l2", "linf", "none")
    assert paper_peak("none") > 1e14
    assert 34_000 < paper_start("none") < 35_000  # of the printed figure
    assert 1e6 < paper_peak("batch") < 1e7 * 2


def test_orders_seed_by_seed() -> None:
    here = at_rate(cells().of_study("dln_lottery"), 1e-6)
    assert in_order(here, ["l1", "batch"]).values["value"].tolist() == [1, 1, 0]
    assert in_order(here, ["batch", "none"]).values["value"].tolist() == [1, 1, 1]  # one that diverged ends above all
    assert in_order(here, ["l1", "batch", "none"]).values["value"].sum() == 2
    with pytest.raises(NotRunError, match="no lottery of l2"):
        in_order(here, ["l1", "l2"])
    ties = at_rate(cells({"l1": (1.0, 2.0, math.inf), "batch": (1.0, 2.5, math.inf)}).of_study("dln_lottery"), 1e-6)
    assert in_order(ties, ["l1", "batch"]).values["value"].tolist() == [0, 1, 0]  # equal ends are in no order
    assert at_rate(cells().of_study("dln_lottery"), 1e-7) == {}
    assert escapes(here["l1"])[1].values["value"].tolist() == [2.0, 3.0, 4.0]


def test_sentences_and_picture() -> None:
    said = repr(lottery_sentences(cells()))
    lines = said.split("\n")
    assert lines[-1] == "- Not run with many seeds, so no order with them is known: ℓ2, ℓ∞."
    assert lines[0].startswith("- ℓ1 < BatchNorm < none (plain) (the paper's order of final losses): in 2 of 3 seeds, ")
    assert lines[1].startswith("- ℓ1 < BatchNorm (only the order): in 2 of 3 seeds, probability 0.667 [")
    assert lines[2].startswith("- BatchNorm < none (plain) (only the order): in 3 of 3 seeds, probability 1.000 [")
    assert (
        "- Peak of the effective β at least that of the paper's network: BatchNorm in 2 of 3 seeds, none (plain) in "
        in said
    )
    few = cells({"none": (1.0, 2e9, math.inf)})
    ends = repr(lottery_sentences(few))
    assert "- First loss at most that of the paper's network: none (plain) in 3 of 3 seeds." in ends
    assert "- Final loss at most that of the paper's network: none (plain) in 1 of 3 seeds." in ends
    assert "order of final losses" not in ends  # a normalizer alone is in no order
    assert repr(lottery_sentences(cells({}))) == repr(lottery_tables(cells({}))) == ""
    rows = repr(lottery_tables(few)).splitlines()
    assert re.match(r"\| First loss \| none \(plain\) \| 3 \| 10 \| 10 \| 10 \| 34,\d{3} \| 3 of 3 \|", rows[2])
    assert re.match(r"\| Final loss \| none \(plain\) \| 3 \| 2e9 \| 2e9 \| ∞ \| 1,\d{3} \| 1 of 3 \|", rows[3])
    # last over first: 0.1, 2e8 and inf; the paper's is about a twentieth
    assert re.match(r"\| Final over first loss \|.*\| 2e8 \| .* \| 0.0479 \| 0 of 3 \|", rows[4])
    assert re.match(r"\| Peak of the effective β \|.*\| 1e16 \| .* \| 1\.\d+e15 \| 2 of 3 \|", rows[5])
    assert "| none (plain) | 3 | 3 |" in rows  # of seeds that pass the floor of rank 1 at 2, 3 and 4
    losses, peaks = drawn(cells().of_study("dln_lottery"), 1e-6)
    figure = lottery_figure(losses, peaks, ({"l1": 97.0}, {}))
    curve = next(line for line in figure.axes[0].lines if line.get_gid() == "share-none")
    assert curve.get_ydata().tolist() == pytest.approx([1 / 3, 2 / 3])
    assert any(line.get_gid() == "paper-l1" for line in figure.axes[0].lines)
    assert lottery_figure(*drawn([], 1e-6), ({}, {})).axes


def test_another_rate_has_its_order_and_final_losses() -> None:
    both = Cells(
        combine([*frames(ENDS), *frames({"batch": (3.0, 3.0), "none": (4.0, 2.0)}, 1e-7)]), pd.DataFrame(), SPEC
    )
    alone = repr(lottery_sentences(cells())).splitlines()
    said = repr(lottery_sentences(both)).splitlines()
    assert said[:-2] + said[-1:] == alone  # of the paper's rate, nothing else; what was not run is last
    assert said[-2].startswith(
        "- BatchNorm < none (plain) (at 1e-07, of which the paper shows no loss): in 1 of 2 seeds, "
    )
    assert "| Final loss at 1e-07 | BatchNorm | 2 | 3 | 3 | 3 | – | – |" in repr(lottery_tables(both)).splitlines()


def test_a_rank_that_is_never_reached_is_said_so() -> None:
    rows = []
    for seed, step in enumerate([3.0, math.inf, math.inf]):
        keys = {"study": "dln_lottery", "network": "dln", "norm_layer": "none", "learning_rate": 1e-6, "seed": seed}
        one = Rows(keys)
        one.add("history", 0, {"loss": 10.0})
        one.add("summary", 8, {"steps": 8, "diverged_at": math.nan})
        one.add("lottery", 8, {"peak_beta": 1e6, "escape_step_1": 1500.0 + seed, "escape_step_2": step})
        rows.append(one.frame())
    said = repr(lottery_tables(Cells(combine(rows), pd.DataFrame(), SPEC)))
    assert "| none (plain) | 3 | 1,501 | never (never in 2) |" in said


@pytest.mark.parametrize(("ends", "leading"), [((2e3, 2e4), {1, 2, 5}), ((1.0, 1e6), {1})])
def test_ticks_of_a_narrow_and_of_a_wide_spread(ends: tuple[float, float], leading: set[int]) -> None:
    """Within two decades 1, 2 and 5 have names, beyond that powers of ten alone; no smaller tick has one."""
    table = pd.DataFrame({"norm_layer": "none", "seed": [0, 1], "value": ends})
    figure = lottery_figure(table, table, ({}, {}))
    figure.draw_without_rendering()
    axis = figure.axes[0].xaxis
    low, high = figure.axes[0].get_xlim()
    shown = [tick.get_loc() for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    assert all(tick.label1.get_text() for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high)
    assert not any(tick.label1.get_text() for tick in axis.get_minor_ticks())
    assert {float(f"{value:e}".partition("e")[0]) for value in shown} == leading
