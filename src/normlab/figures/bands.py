"""From runs to lines: the median over seeds, the band from the least to the greatest seed, and what is not finite."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from normlab.figures.absent import say_nothing_to_draw
from normlab.figures.style import MARKERS, PAPER_COLOR, color, label, order
from normlab.paper.curves import paper_curve

LOGARITHMIC = "On a logarithmic axis a band of smaller values looks taller than one as wide of greater values."
BAND = "Lines are medians over seeds, bands reach from the least to the greatest seed."
MOST_TRIANGLES = 12
NON_FINITE = "Non-finite values (inf, NaN) are triangles on the upper edge"
FEWEST_PAPER_POINTS = 5


def over_seeds(frame: pd.DataFrame, x: str = "step", window: int = 1) -> pd.DataFrame:
    """Columns `x`, `center` (median), `low`, `high` (min, max) and `non_finite` (how many seeds) for every x.

    Args:
        frame: rows of one cell and one quantity, columns `seed`, x and `value`.
        x: the column on the horizontal axis.
        window: rows of the moving average (the present one and those before it) applied to every seed before the
            statistics; 1 for none.

    Non-finite values take no part in the statistics and are counted. Where no seed is finite the statistics are NaN.

    Raises:
        ValueError: a seed has two values at one x, so the frame holds more than one cell or quantity.
    """
    values = frame.set_index([x, "seed"])["value"].astype(float)
    wide = values.unstack("seed")
    # a run that ended early is absent, which is not the same as not finite
    present = pd.Series(True, index=values.index).unstack("seed", fill_value=False)
    finite = wide.where(np.isfinite(wide))
    smooth = finite
    if window > 1:
        smooth = finite.rolling(window, min_periods=1).mean().where(finite.notna())
    return pd.DataFrame(
        {
            "center": smooth.median(axis=1),
            "low": smooth.min(axis=1),
            "high": smooth.max(axis=1),
            "non_finite": (present & finite.isna()).sum(axis=1),
        }
    ).reset_index()


def draw_band(
    ax: Axes,
    frame: pd.DataFrame,
    norm_layer: str,
    *,
    x: str = "step",
    window: int = 1,
    factor: float = 1.0,
    style: str = "-",
    marker: bool = True,
) -> Line2D:
    """Median line and min–max band over seeds of one normalizer; the unsmoothed median too when `window` > 1."""
    shade = color(norm_layer)
    if window > 1:
        raw = over_seeds(frame, x)
        ax.plot(raw[x], factor * raw["center"], color=shade, linewidth=0.5, alpha=0.35, gid=f"raw-{norm_layer}")
    line = over_seeds(frame, x, window)
    if frame["seed"].nunique() > 1:
        band = ax.fill_between(
            line[x], factor * line["low"], factor * line["high"], color=shade, alpha=0.18, linewidth=0
        )
        band.set_gid(f"band-{norm_layer}")
    (drawn,) = ax.plot(
        line[x],
        factor * line["center"],
        color=shade,
        linewidth=1.6,
        linestyle=style,
        label=label(norm_layer),
        gid=f"line-{norm_layer}",
    )
    if marker:
        drawn.set(marker=MARKERS.get(norm_layer, ""), markersize=4.5, markevery=max(1, len(line) // 8))
    mark_non_finite(ax, line.loc[line["non_finite"] > 0, x].to_numpy(), norm_layer)
    return drawn


def draw_normalizers(
    ax: Axes,
    rows: pd.DataFrame,
    ylabel: str,
    *,
    x: str = "step",
    xlabel: str = "training step",
    window: int = 1,
    factor: float = 1.0,
    log: bool = False,
) -> list[str]:
    """Name the axes and draw `draw_band` for every normalizer; an empty panel says so.

    Args:
        ax: the panel.
        rows: one quantity and one learning rate, columns norm_layer, seed, x and value.
        ylabel: of the vertical axis, with the unit.
        x: the column on the horizontal axis.
        xlabel: of the horizontal axis.
        window: rows of the moving average, as in `draw_band`.
        factor: of the values, 100 for percent.
        log: logarithmic vertical axis.

    Returns:
        The normalizers drawn, in the order of all figures; none if there are no rows.
    """
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    if rows.empty:
        say_nothing_to_draw(ax)
        return []
    kinds = order(rows["norm_layer"])
    for kind in kinds:
        draw_band(ax, rows[rows["norm_layer"] == kind], kind, x=x, window=window, factor=factor)
    if log:
        ax.set_yscale("log", nonpositive="mask")
    return kinds


def mark_non_finite(ax: Axes, positions: np.ndarray, norm_layer: str) -> None:
    """Triangles on the upper edge at `positions` (data coordinates of x).

    Of more than `MOST_TRIANGLES` positions as many are marked, evenly from first to last: a triangle at every step of a
    run that diverged would be a bar, not a mark.
    """
    if len(positions) == 0:
        return
    if len(positions) > MOST_TRIANGLES:
        positions = positions[np.linspace(0, len(positions) - 1, MOST_TRIANGLES).round().astype(int)]
    ax.plot(
        positions,
        np.full(len(positions), 1.0),
        transform=ax.get_xaxis_transform(),
        color=color(norm_layer),
        marker="^",
        markersize=6,
        linestyle="",
        clip_on=False,
        gid=f"non-finite-{norm_layer}",
    )


def draw_seeds(ax: Axes, x: float, values: np.ndarray, kind: str, gid: str, *, width: float = 0.12) -> None:
    """One marker a seed at `x`, and the median of all seeds as a bar of this width.

    Values that are not finite are a triangle on the upper edge with their number; they count in the median, which has
    no bar where it is not finite itself.
    """
    finite = values[np.isfinite(values)]
    ax.plot(
        np.full(len(finite), x),
        finite,
        MARKERS.get(kind, "o"),
        color=color(kind),
        markersize=5,
        alpha=0.75,
        gid=gid,
    )
    if len(values) and np.isfinite(np.median(values)):
        ax.hlines(np.median(values), x - width / 2, x + width / 2, color=color(kind), linewidth=2)
    never = len(values) - len(finite)
    if never:
        mark_non_finite(ax, np.array([x]), kind)
        where = ax.get_xaxis_transform()
        ax.annotate(
            str(never),
            (x, 1.0),
            xycoords=where,
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=color(kind),
        )


def end_where_finite_runs_end(ax: Axes, rows: pd.DataFrame) -> None:
    """Let the y-axis reach a decade beyond the runs that stay finite, if any run does not.

    The finite values of a run on its way to infinity reach any size and would flatten all others.

    Args:
        ax: drawn panel with a logarithmic y-axis.
        rows: one quantity of the runs that are drawn.
    """
    runs = [rows[key] for key in ("norm_layer", "seed")]
    finite = pd.Series(np.isfinite(rows["value"]), index=rows.index).groupby(runs, observed=True).transform("all")
    if finite.any() and not finite.all():
        kept = rows.loc[finite & (rows["value"] > 0), "value"]
        ax.set_ylim(kept.min() / 10, kept.max() * 10)


def non_finite_note(frame: pd.DataFrame) -> str:
    """The caption's sentence on values that are not finite: how they are drawn, and how many runs have any."""
    bad = frame.loc[~np.isfinite(frame["value"].to_numpy(dtype=float))]
    if bad.empty:
        return f"{NON_FINITE}; there are none here."
    cells = bad.drop_duplicates(["norm_layer", "learning_rate", "seed"])
    runs = cells.groupby("norm_layer", observed=True).size()
    parts = [f"{label(str(kind))} {count} run{'s' if count > 1 else ''}" for kind, count in runs.items()]
    return f"{NON_FINITE}; here: {', '.join(parts)}."


def overlay_paper_curve(
    ax: Axes,
    figure: int,
    norm_layers: list[str],
    quantity: str,
    *,
    learning_rate: float | None,
    layer: int | None = None,
    last_step: float = np.inf,
    factor: float = 1.0,
) -> bool:
    """The paper's curves of these normalizers, thin and dashed, up to `last_step`; whether any was drawn.

    A curve with fewer than five points in the range is left out: it would show nothing.
    """
    drawn = False
    for kind in norm_layers:
        curve = paper_curve(figure, kind, quantity, learning_rate, layer)
        curve = curve[curve["step"] <= last_step]
        if len(curve) < FEWEST_PAPER_POINTS:
            continue
        ax.plot(
            curve["step"],
            factor * curve["value"],
            color=color(kind),
            linewidth=1.0,
            linestyle=(0, (4, 2)),
            alpha=0.9,
            gid=f"paper-{kind}-{quantity}",
        )
        drawn = True
    return drawn


def paper_title(figure: int, panel: str) -> str:
    """Title of a panel that shows only the paper's curves."""
    return f"Paper, Figure {figure}{panel}, one run"


def guide(ax: Axes, value: float, text: str) -> None:
    """A dotted horizontal reference line with its name at the right end."""
    ax.axhline(value, color=PAPER_COLOR, linewidth=1, linestyle=":", gid=f"guide-{text}")
    ax.annotate(
        text,
        (1.0, value),
        xycoords=("axes fraction", "data"),
        xytext=(-3, 3),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color=PAPER_COLOR,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5},
    )
