"""Sentences made from the measurements: nothing here knows how a study turned out before it has looked."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from normlab.analysis.rules import load_claims
from normlab.figures.bands import NON_FINITE, non_finite_note
from normlab.figures.statements import STATEMENTS
from normlab.figures.style import label, number, order
from normlab.pages.pictures import Html, bullets
from normlab.pages.results import Results
from normlab.pages.verdicts import of_seeds
from normlab.paper.rows import STEPS


def about(results: Results, study: str, frame: pd.DataFrame) -> Html:
    """What the page rests on: the data set, the network, the normalizers, rates, seeds and steps found in the table."""
    if frame.empty:
        return bullets("This study was not run: nothing was measured.")
    seeds = frame.groupby(["norm_layer", "learning_rate"], observed=True)["seed"].nunique()
    count = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    rates = ", ".join(number(rate) for rate in sorted(frame["learning_rate"].unique()))
    networks = ", ".join(sorted(map(str, frame["network"].unique())))
    return bullets(
        "Data: Gaussian inputs and a Gaussian target matrix." if study == "dln" else data_sentence(results),
        f"Network: {networks}; normalizers: {', '.join(map(label, order(frame['norm_layer'])))}.",
        f"Learning rates: {rates}; {of_seeds(count)} a cell; steps 0 to {int(frame['step'].max()):,}.",
    )


def data_sentence(results: Results) -> str:
    """The data set by name, size and digest, and whether it is the official one."""
    manifest = results.manifest
    counts = manifest.get("counts", {})
    official = "the official data" if manifest.get("official") else "NOT the official CIFAR data"
    apart = f", {_many(counts['held_out'])} more held out of training" if "held_out" in counts else ""
    digest = str(manifest.get("digest", "unknown")).removeprefix("sha256:")[:16]
    return (
        f"Data: {manifest.get('title', manifest.get('source', 'unknown'))}, {_many(counts.get('train'))} training and "
        f"{_many(counts.get('test'))} test images{apart}, {official} (digest {digest})."
    )


def _many(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"


def least_seeds(study: str) -> int:
    """With how many seeds a verdict on a study is possible: the least that any rule of its group asks for."""
    group = "deep linear" if study == "dln" else "empirical"
    return min(claim.min_seeds for claim in load_claims() if claim.group == group)


def caveats(results: Results, study: str, frame: pd.DataFrame, *further: str) -> Html:
    """The limits of what this page can say, found from the runs themselves, then those of the method."""
    if frame.empty:
        return bullets(*further)
    few = least_seeds(study)
    seeds = frame.groupby(["norm_layer", "learning_rate"], observed=True)["seed"].nunique()
    short = sorted(map(label, set(seeds[seeds < few].index.get_level_values("norm_layer"))))
    of_short = "" if (seeds < few).all() else f" (of {', '.join(short)})"
    planned, last = STEPS["dln" if study == "dln" else "vgg"], int(frame["step"].max())
    shorter = f"Runs end at step {last:,}; the paper's end at {planned:,}." if last < planned else ""
    unofficial = study != "dln" and not results.manifest.get("official")
    return bullets(
        f"{of_seeds(int(seeds.min()))} a cell{of_short}: fewer than the {few} that verdicts ask for." if short else "",
        f"The images ({results.manifest.get('title', 'of unknown source')}) are not the official CIFAR data: compare "
        "directions with the paper's, not levels."
        if unofficial
        else "",
        shorter,
        f"{non_finite_note(frame)}" if not np.isfinite(frame["value"]).all() else "",
        *further,
    )


LACKS = {
    "normalized_layers": "no normalized layer is seen there",
    "not_applicable": "it has no normalized layers in which BatchNorm could stand",
    "producer_known": "no normalizer stands right behind a convolution or linear layer",
}
"""What networks lack of which a measurement was not made, by the quantity of the row that says so."""


def unmeasured(*frames: pd.DataFrame) -> str:
    """Which networks a measurement was not made on, and what it needs that they do not show; empty if there are none.

    Args:
        frames: rows of all networks, and the table of the theory study; those that say so are named in `LACKS`.
    """
    found = []
    for frame in frames:
        for quantity, lack in LACKS.items() if len(frame) else ():
            networks = sorted(set(frame[frame["quantity"] == quantity]["network"].astype(str)))
            if networks:
                found.append(f"Not measured on {', '.join(networks)}: {lack}.")
    return " ".join(found)


def theory_sentences(found: pd.DataFrame) -> list[str]:
    """One sentence a statement: how many counterexamples the random cases hold to it as printed and as corrected.

    Args:
        found: from `normlab.analysis.shares.shares_of_all`, of random cases.
    """
    if found.empty:
        return ["The theory study was not run."]
    by_form = found.set_index(["statement", "quantity"])
    sentences = []
    for statement, name in STATEMENTS.items():
        if (statement, "holds_printed") not in by_form.index:
            continue
        printed, corrected = (by_form.loc[(statement, f"holds_{form}")] for form in ("printed", "corrected"))
        sentences.append(f"{name}: as printed {_counterexamples(printed)}; as corrected {_counterexamples(corrected)}.")
    return sentences


def _counterexamples(row: pd.Series) -> str:
    failures, cases = round(row["failures"]), int(row["cases"])
    return (
        f"false in {failures:,} of {cases:,} random cases"
        if failures
        else f"no counterexample in {cases:,} random cases"
    )


def finite_caption(frame: pd.DataFrame, quantities: Sequence[str] | None = None) -> str:
    """The caption's last sentence: how values that are not finite are drawn, and where they are."""
    rows = frame if quantities is None else frame[frame["quantity"].isin(list(quantities))]
    return non_finite_note(rows) if len(rows) else f"{NON_FINITE}."


def smoothing(window: int) -> str:
    """The caption's sentence on smoothing."""
    if window <= 1:
        return "No smoothing."
    return f"Train accuracy: moving average over the last {window} steps; the thin line is the raw median over seeds."
