"""The figures of a record: ours beside the paper's curves, as SVG."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from normlab.analysis.cells import Cells
from normlab.figures.deep_linear import figure_5b, figure_10
from normlab.figures.landscape import figure_4, figure_12
from normlab.figures.shift import figure_3
from normlab.figures.style import LP, lacking
from normlab.figures.training import figure_1, figure_5a
from normlab.pages.lottery import lottery_cells, lottery_picture, lottery_sentences, lottery_tables
from normlab.pages.projection import answer, projection_cells, projection_picture, rates, rates_table
from normlab.pages.rates import ends_table, sweep, sweep_picture
from normlab.pages.results import Results

POINTS = 400  # of a curve of the training history: more are not seen, and would make a file of megabytes
# the same bytes each time, and text as text
SVG: dict[Any, Any] = {"svg.hashsalt": "normlab", "svg.fonttype": "none"}


def _training(results: Results) -> Figure | None:
    rows = thinned(results.measurements(results.study, probe=["history", "test"]), results.spec.window)
    return figure_1(rows, results.spec.learning_rate) if len(rows) else None


def _landscape(results: Results) -> Figure | None:
    rows = results.measurements(results.study, probe="landscape")
    return figure_4(rows, results.spec.learning_rate, eta_min_factor=_eta_min(results)) if len(rows) else None


def _shift(results: Results) -> Figure | None:
    rows = results.measurements(results.study, probe="shift")
    return figure_3(rows, results.spec.learning_rate) if len(rows) else None


def _normalizers(results: Results) -> Figure | None:
    rows = thinned(results.measurements(results.study, probe=["history", "test"]), results.spec.window)
    return None if lacking(rows, LP) else figure_5a(rows, results.spec.learning_rate)


def _normalizers_landscape(results: Results) -> Figure | None:
    rows = results.measurements(results.study, probe="landscape")
    drawn = partial(figure_12, eta_min_factor=_eta_min(results))
    return None if lacking(rows, LP) else drawn(rows, results.spec.learning_rate)


def _learning_rates(results: Results) -> Figure | None:
    picture = sweep_picture(_swept(results))
    return picture.figure if picture.drawn else None


def _table_of_the_learning_rates(results: Results) -> str:
    return ends_table(_swept(results)).plain


def _swept(results: Results) -> Cells:
    return sweep(results.cells(results.study, probe=["history", "test"], every_variant=True))


def _deep_linear(results: Results) -> Figure | None:
    rows = thinned(results.measurements("dln", probe="history"), 1)
    return figure_5b(rows, results.spec.dln_learning_rate) if len(rows) else None


def _deep_linear_landscape(results: Results) -> Figure | None:
    rows, eta_min = results.measurements("dln", probe="landscape"), min(results.grid("dln"))
    return figure_10(rows, results.spec.dln_learning_rate, eta_min_factor=eta_min) if len(rows) else None


def _lottery(results: Results) -> Figure | None:
    picture = lottery_picture(results)
    return picture.figure if picture.drawn else None


def _told_by_the_lottery(results: Results) -> str:
    return lottery_sentences(lottery_cells(results)).plain


def _tables_of_the_lottery(results: Results) -> str:
    return lottery_tables(lottery_cells(results)).plain


def _projection(results: Results) -> Figure | None:
    picture = projection_picture(results, partial(thinned, window=results.spec.window))
    return picture.figure if picture.drawn else None


def _told_by_the_projection(results: Results) -> str:
    cells = projection_cells(results)
    return answer(cells).plain if rates(cells) else ""


def _table_of_the_projection(results: Results) -> str:
    return rates_table(projection_cells(results))


DRAWINGS: dict[str, Callable[[Results], Figure | None]] = {
    "training": _training,
    "landscape": _landscape,
    "shift": _shift,
    "normalizers": _normalizers,
    "normalizers-landscape": _normalizers_landscape,
    "learning-rates": _learning_rates,
    "deep-linear": _deep_linear,
    "deep-linear-landscape": _deep_linear_landscape,
    "lottery": _lottery,
    "projection": _projection,
}
"""The files of `figures/`, without suffix, and what draws each: None where there are no rows for it.

`normlab.pages.record_page.PICTURES` has their headings."""
TOLD: dict[str, Callable[[Results], str]] = {
    "lottery": _told_by_the_lottery,
    "projection": _told_by_the_projection,
}
"""Of those with sentences: what makes their list in Markdown, which is empty where there are no rows for it."""
TABLED: dict[str, Callable[[Results], str]] = {
    "learning-rates": _table_of_the_learning_rates,
    "lottery": _tables_of_the_lottery,
    "projection": _table_of_the_projection,
}
"""Of those with tables beneath: what makes them in Markdown, empty where there are no rows for it."""


def _eta_min(results: Results) -> float:
    return min(results.grid("probe"))


def thinned(frame: pd.DataFrame, window: int) -> pd.DataFrame:
    """Train accuracy averaged over the last `window` steps, and every curve of the history at about `POINTS` steps."""
    history = frame["probe"] == "history"
    stride = max(1, int(frame.loc[history, "step"].max() + 1) // POINTS) if history.any() else 1
    curves = frame[history].sort_values("step", kind="stable")
    keys = ["study", "network", "norm_layer", "learning_rate", "seed", "quantity"]
    means = curves.groupby(keys, observed=True)["value"].transform(lambda v: v.rolling(window, min_periods=1).mean())
    smooth = curves.assign(value=curves["value"].where(curves["quantity"] != "train_accuracy", means))
    return pd.concat([smooth[smooth["step"] % stride == 0], frame[~history]])


def write_svg(figure: Figure | None, path: Path) -> None:
    """Write the figure, the same bytes each time; nothing for None."""
    if figure is None:
        return
    stream = io.StringIO()
    with mpl.rc_context(SVG):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    path.write_text(stream.getvalue(), encoding="utf-8")
