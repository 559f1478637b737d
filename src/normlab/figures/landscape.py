"""The landscape along the gradient: Figures 4, 10, 11, 12 and 13 of the paper."""

from collections.abc import Sequence

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from normlab.figures.absent import empty_figure, say_nothing_to_draw
from normlab.figures.bands import (
    draw_normalizers,
    guide,
    mark_non_finite,
    over_seeds,
    overlay_paper_curve,
    paper_title,
)
from normlab.figures.style import (
    LP,
    axis_label,
    color,
    label,
    legend,
    number,
    order,
    page_figure,
    plain_ticks,
    same,
    shown,
)
from normlab.figures.training import is_comparable
from normlab.paper.curves import load_figure
from normlab.paper.rows import LEARNING_RATE

EDGES = {"loss": ("loss_low", "loss_high"), "gradient_distance": ("gradient_distance_low", "gradient_distance_high")}


def at_step(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that sum up one probed step over the paper's grid (no step size of their own)."""
    return frame[frame["step_size"].isna()]


def plot_edges(
    frame: pd.DataFrame, ax: Axes, quantity: str, *, log: bool = True, paper_figure: int | None = None
) -> Axes:
    """The band between the least and greatest `loss` or `gradient_distance` over the grid of step sizes (4a, 4b).

    The filled band reaches from the median over seeds of the lower edge to the median of the upper edge; the faint
    band from the least lower edge to the greatest upper edge of any seed. With `paper_figure` the paper's two edges
    are dashed.
    """
    low_name, high_name = EDGES[quantity]
    rows = at_step(frame)
    rows = rows[rows["quantity"].isin((low_name, high_name))]
    study = str(frame["study"].iloc[0]) if len(frame) else "vgg"
    ax.set_xlabel("training step")
    ax.set_ylabel(axis_label(quantity, study))
    if rows.empty:
        return say_nothing_to_draw(ax)
    kinds = order(rows["norm_layer"])
    for kind in kinds:
        mine = rows[rows["norm_layer"] == kind]
        low = over_seeds(mine[mine["quantity"] == low_name]).set_index("step")
        high = over_seeds(mine[mine["quantity"] == high_name]).set_index("step")
        shade = color(kind)
        if mine["seed"].nunique() > 1:
            ax.fill_between(low.index, low["low"], high["high"], color=shade, alpha=0.10, linewidth=0)
        band = ax.fill_between(low.index, low["center"], high["center"], color=shade, alpha=0.30, linewidth=0)
        band.set(label=label(kind), gid=f"band-{kind}")
        for edge, name in ((low, "low"), (high, "high")):
            ax.plot(edge.index, edge["center"], color=shade, linewidth=0.9, gid=f"{name}-{kind}")
            mark_non_finite(ax, edge.index[edge["non_finite"] > 0].to_numpy(), kind)
    if paper_figure is not None:
        rate, last = float(rows["learning_rate"].iloc[0]), float(rows["step"].max())
        for edge_name in (low_name, high_name):
            overlay_paper_curve(ax, paper_figure, kinds, edge_name, learning_rate=rate, last_step=last)
    if log:
        ax.set_yscale("log", nonpositive="mask")
    return ax


def plot_effective_beta(
    frame: pd.DataFrame, ax: Axes, *, log: bool = False, paper_figure: int | None = None, eta_min: float | None = None
) -> Axes:
    """Effective β over the paper's grid (4c), with the two artefact levels 2/learning rate and 1/η_min."""
    rows = at_step(frame)
    rows = rows[rows["quantity"] == "effective_beta"]
    kinds = draw_normalizers(ax, rows, axis_label("effective_beta"), log=log)
    if not kinds:
        return ax
    rate = float(rows["learning_rate"].iloc[0])
    if paper_figure is not None:
        overlay_paper_curve(
            ax, paper_figure, kinds, "effective_beta", learning_rate=rate, last_step=float(rows["step"].max())
        )
    if eta_min is None:
        guide(ax, 2 / rate, "2/learning rate")
    elif same(1 / eta_min, 2 / rate):
        guide(ax, 2 / rate, "1/η_min = 2/learning rate")
    else:
        guide(ax, 2 / rate, "2/learning rate")
        guide(ax, 1 / eta_min, "1/η_min")
    return ax


def plot_summary(frame: pd.DataFrame, ax: Axes, quantity: str, *, steps: Sequence[int] | None = None) -> Axes:
    """A summary of the walk, such as `gradient_distance_high`, at each probed step (of `steps`); logarithmic axis."""
    rows = at_step(frame)
    rows = rows[(rows["quantity"] == quantity) & (True if steps is None else rows["step"].isin(list(steps)))]
    draw_normalizers(ax, rows, axis_label(quantity.removesuffix("_high")), log=True)
    return ax


def plot_paper_edges(ax: Axes, figure: int, panel: str, quantity: str, norm_layers: Sequence[str], rate: float) -> Axes:
    """The paper's own band of one panel, filled lightly between its dashed edges."""
    table = load_figure(figure)
    low_name, high_name = EDGES[quantity]
    table = table[table["learning_rate"] == rate]
    for kind in order(norm_layers):
        mine = table[table["norm_layer"] == kind].pivot_table(index="step", columns="quantity", values="value")
        if low_name not in mine:
            continue
        ax.fill_between(mine.index, mine[low_name], mine[high_name], color=color(kind), alpha=0.22, linewidth=0)
    for edge in (low_name, high_name):
        overlay_paper_curve(ax, figure, order(norm_layers), edge, learning_rate=rate)
    ax.set_xlabel("training step")
    ax.set_ylabel(axis_label(quantity, str(table["network"].iloc[0])))
    ax.set_yscale("log", nonpositive="mask")
    ax.set_title(paper_title(figure, panel))
    return ax


def landscape_figure(
    frame: pd.DataFrame,
    learning_rate: float,
    norm_layers: Sequence[str],
    *,
    paper_figure: int,
    eta_min_factor: float,
    panels: str = "abc",
    about: Sequence[str] = (),
) -> Figure:
    """Three panels of ours — loss band, gradient-change band, effective β — and below them the paper's own three.

    The paper's curves are also laid over ours where the axes are comparable; the lower row is then left out.

    Args:
        frame: rows of probe `landscape` of one network.
        learning_rate: the rate that is shown.
        norm_layers: the normalizers.
        paper_figure: the paper's figure with the same panels.
        eta_min_factor: the smallest step size of the grid in units of the learning rate.
        panels: the paper's letters of the three panels.
        about: normalizers without any of which there is nothing to show.
    """
    frame, missing = shown(frame, norm_layers, learning_rate, about)
    if missing:
        return empty_figure(missing)
    study = str(frame["study"].iloc[0])
    rate, paper_rate = learning_rate, LEARNING_RATE.get(study, LEARNING_RATE["vgg"])
    overlay = is_comparable(frame, rate) and bool(same(rate, paper_rate))
    figure, axes = page_figure(1 if overlay else 2, 3, height=3.0)
    over = paper_figure if overlay else None
    plot_edges(frame, axes[0, 0], "loss", paper_figure=over).set_title(f"loss along −g, learning rate {number(rate)}")
    plot_edges(frame, axes[0, 1], "gradient_distance", paper_figure=over).set_title("gradient predictiveness")
    plot_effective_beta(
        frame, axes[0, 2], log=study == "dln", paper_figure=over, eta_min=eta_min_factor * rate
    ).set_title("effective β-smoothness")
    if not overlay:
        plot_paper_edges(axes[1, 0], paper_figure, panels[0], "loss", norm_layers, paper_rate)
        plot_paper_edges(axes[1, 1], paper_figure, panels[1], "gradient_distance", norm_layers, paper_rate)
        ax = axes[1, 2]
        overlay_paper_curve(ax, paper_figure, list(norm_layers), "effective_beta", learning_rate=paper_rate)
        guide(ax, 2 / paper_rate, "2/learning rate")
        ax.set_xlabel("training step")
        ax.set_ylabel(axis_label("effective_beta"))
        ax.set_title(paper_title(paper_figure, panels[2]))
        if study == "dln":
            ax.set_yscale("log", nonpositive="mask")
    legend(figure, frame["norm_layer"], paper=True)
    return figure


def figure_4(frame: pd.DataFrame, learning_rate: float, *, eta_min_factor: float) -> Figure:
    """Figure 4: loss variation, gradient predictiveness and effective β of the VGG, with and without BatchNorm."""
    return landscape_figure(frame, learning_rate, ["none", "batch"], paper_figure=4, eta_min_factor=eta_min_factor)


def figure_12(frame: pd.DataFrame, learning_rate: float, *, eta_min_factor: float) -> Figure:
    """Figure 12(b–d): as Figure 4 with all normalizers; its panel a is Figure 5(a)."""
    kinds = ["none", "batch", *LP]
    return landscape_figure(
        frame, learning_rate, kinds, paper_figure=12, panels="bcd", eta_min_factor=eta_min_factor, about=LP
    )


def plot_distance_by_step_size(frame: pd.DataFrame, ax: Axes, *, log: bool = True) -> Axes:
    """Figure 11: gradient change against step size for one normalizer, one curve a probed step, from blue to red.

    The median over seeds is drawn; non-finite values are triangles on the upper edge.
    """
    rows = frame[(frame["quantity"] == "gradient_distance") & frame["step_size"].notna()]
    ax.set_xlabel("step size η")
    ax.set_ylabel(axis_label("gradient_distance"))
    if rows.empty:
        return say_nothing_to_draw(ax)
    kind = str(rows["norm_layer"].iloc[0])
    steps = sorted(rows["step"].unique())
    colors, scaling = colormaps["coolwarm"], Normalize(steps[0], max(steps[-1], steps[0] + 1))
    for step in steps:
        curve = over_seeds(rows[rows["step"] == step], x="step_size")
        ax.plot(curve["step_size"], curve["center"], color=colors(scaling(step)), linewidth=0.9, gid=f"step-{step}")
        mark_non_finite(ax, curve.loc[curve["non_finite"] > 0, "step_size"].to_numpy(), kind)
    rate = float(rows["learning_rate"].iloc[0])
    ax.axvline(rate, color="#444444", linewidth=1, linestyle=":")
    ax.annotate(
        "η = learning rate",
        (rate, 0.02),
        xycoords=("data", "axes fraction"),
        fontsize=8,
        rotation=90,
        xytext=(2, 0),
        textcoords="offset points",
        color="#444444",
    )
    ax.set_xscale("log")
    plain_ticks(ax, rows["step_size"].unique())
    if log:
        ax.set_yscale("log", nonpositive="mask")
    ax.set_title(f"{label(kind)}: step {steps[0]:,} (blue) to {steps[-1]:,} (red)")
    return ax


def figure_11(frame: pd.DataFrame, learning_rate: float) -> Figure:
    """Figure 11: gradient change against step size, plain and BatchNorm; ours above, the paper's curves below."""
    frame, missing = shown(frame, ["none", "batch"], learning_rate)
    if missing:
        return empty_figure(missing)
    study = str(frame["study"].iloc[0])
    figure, axes = page_figure(2, 2)
    published = load_figure(11)
    published = published[published["network"] == ("dln" if study == "dln" else "vgg")]
    published = published.assign(seed=0)
    for column, kind in enumerate(["none", "batch"]):
        plot_distance_by_step_size(frame[frame["norm_layer"] == kind], axes[0, column])
        ax = plot_distance_by_step_size(published[published["norm_layer"] == kind], axes[1, column])
        ax.set_title(f"{paper_title(11, 'b' if study == 'dln' else 'a')}: {label(kind)}")
    for row in axes:
        drawn = [ax for ax in row if ax.has_data()]  # the other one says that it was not measured
        limits = [edge for ax in drawn for edge in ax.get_ylim()]
        for ax in drawn:
            ax.set_ylim(min(limits), max(limits))
    return figure
