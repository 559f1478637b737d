"""The deep linear network: Figures 3(b), 5(b), 10, 11(b) and 13 of the paper."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from normlab.figures.bands import end_where_finite_runs_end, mark_non_finite
from normlab.figures.landscape import landscape_figure
from normlab.figures.style import (
    DLN_LOSS,
    MARKERS,
    color,
    empty_figure,
    label,
    legend,
    main_learning_rate,
    number,
    order,
    page_figure,
    plain_ticks,
    same,
    say_nothing_to_draw,
)
from normlab.figures.training import is_comparable, plot_published, plot_training

KINDS = ("none", "batch", "l1", "l2", "linf")
RATE = 1e-6


def figure_5b(frame: pd.DataFrame, *, learning_rate: float | None = None) -> Figure:
    """Figure 5(b) and 13(a): training loss of the deep linear network; the loss is a sum over the samples.

    The paper's curves lie over ours when the learning rate and the range of steps agree, else in a panel of their own.
    Their absolute scale depends on the drawn target matrix and on an unstated factor ½.
    """
    frame = frame[frame["norm_layer"].isin(KINDS)]
    if frame.empty:
        return empty_figure()
    rate = main_learning_rate(frame, RATE) if learning_rate is None else learning_rate
    frame = frame[same(frame["learning_rate"], rate)]
    if frame.empty:
        return empty_figure(f"learning rate {number(rate)} is not in the grid of this preset")
    overlay = is_comparable(frame, rate, "dln") and bool(same(rate, RATE))
    figure, axes = page_figure(1, 1 if overlay else 2)
    ax = plot_training(frame, axes[0, 0], "loss", log=True, paper_figure=5 if overlay else None)
    ax.set_title(f"learning rate {number(rate)}")
    end_where_finite_runs_end(ax, frame[frame["quantity"] == "loss"])
    if not overlay:
        plot_published(axes[0, 1], 5, "b", "loss", KINDS, (RATE,), log=True, study="dln")
    legend(figure, frame["norm_layer"], paper=True)
    return figure


def figure_10(frame: pd.DataFrame, *, eta_min_factor: float = 0.01, learning_rate: float | None = None) -> Figure:
    """Figure 10: the landscape of the deep linear network, plain and BatchNorm, logarithmic axes."""
    return landscape_figure(
        frame,
        ["none", "batch"],
        paper_figure=10,
        eta_min_factor=eta_min_factor,
        paper_rate=RATE,
        learning_rate=learning_rate,
    )


def figure_13(frame: pd.DataFrame, *, eta_min_factor: float = 0.01, learning_rate: float | None = None) -> Figure:
    """Figure 13(b–d): as Figure 10 with all five normalizers; its panel a is Figure 5(b)."""
    return landscape_figure(
        frame,
        KINDS,
        paper_figure=13,
        panels="bcd",
        eta_min_factor=eta_min_factor,
        paper_rate=RATE,
        learning_rate=learning_rate,
    )


def plot_final_loss(frame: pd.DataFrame, ax: Axes, *, kinds: Sequence[str] = KINDS) -> Axes:
    """The last recorded loss of every seed, paired seeds joined by a thin line, medians as bars; log axis.

    A seed whose loss is not finite is a triangle on the upper edge.
    """
    rows = frame[frame["quantity"] == "loss"]
    ax.set_ylabel(f"final {DLN_LOSS}")
    if rows.empty:
        return say_nothing_to_draw(ax)
    last = _last_losses(rows).astype({"norm_layer": str}).pivot(index="seed", columns="norm_layer", values="value")
    shown = [kind for kind in kinds if kind in last.columns]
    finite = last[shown].where(np.isfinite(last[shown]))
    for _, pair in finite.iterrows():
        ax.plot(range(len(shown)), pair, color="#BBBBBB", linewidth=0.7, zorder=1)
    for place, kind in enumerate(shown):
        values = finite[kind].dropna()
        ax.plot(
            [place] * len(values), values, MARKERS.get(kind, "o"), color=color(kind), markersize=5, gid=f"final-{kind}"
        )
        if len(values):
            ax.hlines(values.median(), place - 0.2, place + 0.2, color=color(kind), linewidth=2)
        if len(values) < len(finite):
            mark_non_finite(ax, np.array([place]), kind)
    ax.set_xticks(range(len(shown)), [label(kind) for kind in shown], fontsize=8)
    ax.set_yscale("log", nonpositive="mask")
    return ax


def _last_losses(rows: pd.DataFrame) -> pd.DataFrame:
    """The last recorded loss of every run, infinite where it is not finite."""
    # not groupby().last(): it skips NaN, and shows a diverged run at its last finite loss
    ends = rows.sort_values("step").drop_duplicates(["norm_layer", "learning_rate", "seed"], keep="last")
    return ends.assign(value=ends["value"].where(np.isfinite(ends["value"]), np.inf))


def plot_rates(frame: pd.DataFrame, ax: Axes) -> Axes:
    """Final loss (median over seeds) against the learning rate, one line a normalizer; both axes logarithmic."""
    rows = frame[frame["quantity"] == "loss"]
    ax.set_xlabel("learning rate")
    ax.set_ylabel(f"final {DLN_LOSS}")
    if rows.empty:
        return say_nothing_to_draw(ax)
    last = _last_losses(rows)
    for kind in order(last["norm_layer"]):
        mine = last[last["norm_layer"] == kind]
        middle = mine.groupby("learning_rate")["value"].median()
        finite = middle[np.isfinite(middle)]
        ax.plot(
            finite.index,
            finite,
            marker=MARKERS.get(kind, "o"),
            color=color(kind),
            label=label(kind),
            gid=f"rate-{kind}",
        )
        mark_non_finite(ax, middle.index[~np.isfinite(middle)].to_numpy(), kind)
    ax.set_xscale("log")
    plain_ticks(ax, last["learning_rate"].unique())
    ax.set_yscale("log", nonpositive="mask")
    return ax
