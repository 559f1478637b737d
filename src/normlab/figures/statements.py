"""The theory study: how often the paper's statements hold, and how often their assumptions do on trained networks."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes

from normlab.figures.style import say_nothing_to_draw

STATEMENTS = {
    "theorem_4_1": "Theorem 4.1",
    "theorem_4_2": "Theorem 4.2(a)",
    "theorem_4_4": "Theorem 4.4",
    "theorem_c_1": "Theorem C.1",
    "observation_4_3": "Obs. 4.3, no bias",
    "observation_4_3_bias": "Obs. 4.3, bias column",
    "lemma_4_5": "Lemma 4.5",
}
ASSUMPTIONS = {
    ("theorem_4_2", "overlap_positive"): "⟨g, ŷ⟩ > 0",
    ("theorem_4_2", "curvature_v_nonnegative"): "vᵀHv ≥ 0",
    ("theorem_4_2", "curvature_g_nonnegative"): "gᵀHg ≥ 0",
    ("theorem_4_2", "rayleigh_condition"): "H keeps the relative norms",
    ("theorem_4_1", "gamma_at_most_sigma"): "γ ≤ σ",
    ("theorem_4_1", "v_at_most_g"): "‖v‖ ≤ ‖g‖",
    ("theorem_4_4", "weight_gradient_bound"): "‖Xᵀv‖ ≤ (γ/σ)‖Xᵀg‖",
    ("theorem_4_2", "less_curved"): "less curved along g with BatchNorm",
}
FORMS = {"holds_printed": ("#D55E00", "X", "as printed"), "holds_corrected": ("#0072B2", "o", "corrected")}


def shares(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """Share of cases by statement, quantity and step over all sizes, layers and seeds.

    Columns statement, quantity, step, cases, share, low, high; `low` and `high` are the least and greatest share of a
    single row of the table (one size or layer of one seed).
    """
    rows = table[(table["source"] == source) & (table["count"] > 0) & table["fraction"].notna()]
    rows = rows.assign(true=rows["fraction"] * rows["count"])
    groups = rows.groupby(["statement", "quantity", "step"], observed=True)
    summary = groups.agg(
        true=("true", "sum"), cases=("count", "sum"), low=("fraction", "min"), high=("fraction", "max")
    )
    summary["share"] = summary["true"] / summary["cases"]
    return summary.drop(columns="true").reset_index()


def plot_statements(table: pd.DataFrame, ax: Axes) -> Axes:
    """Share of random cases in which each statement holds, as printed (cross) and as corrected (circle), in percent."""
    found = shares(table, "random") if len(table) else table
    if found.empty:
        return say_nothing_to_draw(ax)
    names = [name for name in STATEMENTS if name in set(found["statement"])]
    for quantity, (shade, marker, text) in FORMS.items():
        rows = found[found["quantity"] == quantity].set_index("statement").reindex(names)
        places = np.arange(len(names)) + (0.14 if quantity == "holds_corrected" else -0.14)
        ax.hlines(places, 100 * rows["low"], 100 * rows["high"], color=shade, linewidth=2, alpha=0.5)
        ax.plot(100 * rows["share"], places, marker, color=shade, markersize=7, label=text, gid=quantity, clip_on=False)
    _name_rows(ax, [STATEMENTS[name] for name in names], "random cases in which the statement holds (%)")
    ax.legend(fontsize=9, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return ax


def plot_assumptions(table: pd.DataFrame, ax: Axes) -> Axes:
    """Share of units of trained networks for which each assumption is true, in percent, one marker a checkpoint."""
    found = shares(table, "checkpoint") if len(table) else table
    if found.empty:
        return say_nothing_to_draw(ax)
    found = found.set_index(["statement", "quantity"])
    keys = [key for key in ASSUMPTIONS if key in found.index]
    steps = sorted(found["step"].unique())
    shades = colormaps["viridis"](np.linspace(0.0, 0.85, len(steps)))
    for step, shade, offset in zip(steps, shades, np.linspace(-0.2, 0.2, len(steps)), strict=True):
        rows = found[found["step"] == step].reindex(keys)
        places = np.arange(len(keys)) + offset
        ax.hlines(places, 100 * rows["low"], 100 * rows["high"], color=shade, linewidth=1.5, alpha=0.4)
        ax.plot(
            100 * rows["share"],
            places,
            "o",
            color=shade,
            markersize=6,
            label=f"step {step}",
            gid=f"step-{step}",
            clip_on=False,
        )
    _name_rows(ax, [ASSUMPTIONS[key] for key in keys], "units for which it is true (%)")
    ax.legend(fontsize=9, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    return ax


def _name_rows(ax: Axes, names: list[str], axis: str) -> None:
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(-2, 102)
    ax.set_xlabel(axis)
