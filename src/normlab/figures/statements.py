"""The theory study: how often the paper's statements hold, and how often their assumptions do on trained networks."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes

from normlab.figures.absent import say_nothing_to_draw

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
    ("theorem_4_2", "less_curved"): "less curved along g\nwith BatchNorm",
}
FORMS = {"holds_printed": ("#D55E00", "X", "as printed"), "holds_corrected": ("#0072B2", "o", "corrected")}


def plot_statements(found: pd.DataFrame, ax: Axes) -> Axes:
    """How many random cases are counterexamples to each statement, as printed (cross) and as corrected (circle).

    One counterexample refutes a statement about all numbers. Their number says how the cases were drawn, so it is a
    count on an axis with a logarithmic part, not a rate.

    Args:
        found: from `normlab.analysis.shares.shares_of_all`, of random cases.
        ax: the panel.
    """
    if found.empty:
        ax.set_title("statements")
        return say_nothing_to_draw(ax)
    names = [name for name in STATEMENTS if name in set(found["statement"])]
    for quantity, (shade, marker, text) in FORMS.items():
        rows = found[found["quantity"] == quantity].set_index("statement").reindex(names)
        places = np.arange(len(names)) + (0.14 if quantity == "holds_corrected" else -0.14)
        ax.plot(rows["failures"], places, marker, color=shade, markersize=7, label=text, gid=quantity, clip_on=False)
    ax.set_xscale("symlog", linthresh=1)
    most = int(found["cases"].max())
    _name_rows(ax, [STATEMENTS[name] for name in names], f"counterexamples among up to {most:,} random cases", most)
    ax.legend(fontsize=9, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return ax


def plot_assumptions(found: pd.DataFrame, ax: Axes) -> Axes:
    """Share of units of trained networks for which each assumption is true, in percent, one marker a checkpoint.

    Args:
        found: from `normlab.analysis.shares.shares_of_all`, of checkpoints.
        ax: the panel.
    """
    if found.empty:
        ax.set_title("assumptions")
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
    _name_rows(ax, [ASSUMPTIONS[key] for key in keys], "units for which it is true (%)", 100)
    ax.legend(fontsize=9, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    return ax


def _name_rows(ax: Axes, names: list[str], axis: str, end: float) -> None:
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(-0.02 * end if end == 100 else -0.2, 1.02 * end)
    ax.set_xlabel(axis)
