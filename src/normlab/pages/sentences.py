"""Sentences made from the measurements: nothing here knows how a study turned out before it has looked."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from normlab.figures.bands import NON_FINITE, non_finite_note
from normlab.figures.statements import STATEMENTS
from normlab.figures.style import label, number, order
from normlab.pages.pictures import Html, bullets, table
from normlab.pages.results import Results
from normlab.pages.verdicts import number as short

OVER_SEEDS = "Median over seeds [least – greatest seed]; ∞: never reached, or not finite."
FEW_SEEDS = {"vgg": 5, "resnet": 5, "dln": 10, "reparametrization": 5}


def spread(values: pd.Series) -> str:
    """`1.52 [1.40 – 1.66]`: median and range over seeds; ∞ counts, NaN is counted apart; one seed has no range."""
    known = values.dropna()
    if known.empty:
        return "undefined" if len(values) else "–"
    with np.errstate(invalid="ignore"):
        text = short(float(np.median(known)))
    if known.nunique() > 1:
        text += f" [{short(float(known.min()))} – {short(float(known.max()))}]"
    lost = len(values) - len(known)
    return text + (f" ({lost} of {len(values)} seeds undefined)" if lost else "")


def comparison(
    measures: dict[str, pd.DataFrame],
    caption: str = OVER_SEEDS,
) -> Html:
    """A table: one row a measure (its frame from `per_seed`), one column a normalizer."""
    kinds = order([kind for frame in measures.values() for kind in frame.columns])
    if not kinds:
        return table(["measure"], [["nothing measured"]])
    rows = [
        [name, *(spread(frame[kind].dropna()) if kind in frame else "–" for kind in kinds)]
        for name, frame in measures.items()
    ]
    return table(["", *map(label, kinds)], rows, caption)


def ratio(frame: pd.DataFrame, over: str = "none", under: str = "batch") -> pd.Series:
    """`over` divided by `under` for every seed that has both; NaN for ∞/∞ and 0/0."""
    if over not in frame or under not in frame:
        return pd.Series(dtype=float)
    both = frame[[over, under]].dropna()
    with np.errstate(divide="ignore", invalid="ignore"):
        return both[over] / both[under]


def ratio_sentence(
    name: str, frame: pd.DataFrame, *, over: str = "none", under: str = "batch", even: float = 1.1
) -> str:
    """One sentence: how many times `over` is of `under`, paired by seed, and in which direction the seeds point.

    Ratios within a factor `even` of 1 are called about equal.
    """
    if over not in frame or under not in frame:
        return f"{name}: {label(over)} and {label(under)} were not both measured."
    values = ratio(frame, over, under)
    known = values.dropna()
    if known.empty:
        ends = " and ".join(f"{spread(frame[kind].dropna())} for {label(kind)}" for kind in (over, under))
        return f"{name}: no ratio is defined; {ends}."
    middle = float(np.median(known))
    if 1 / even <= middle <= even:
        reading = "about equal"
    else:
        agree = int(((known > 1) == (middle > 1)).sum())
        seeds = f"{agree} of {len(known)} seeds" if len(known) > 1 else "one seed"
        reading = f"{'larger' if middle > 1 else 'smaller'} for {label(over)} in {seeds}"
    lost = len(values) - len(known)
    ending = f"; undefined for {lost} more" if lost else ""
    return f"{name}: {label(over)} ÷ {label(under)} = {spread(known)}, {reading}{ending}."


def ratio_table(measures: dict[str, pd.DataFrame], kinds: Sequence[str], *, under: str = "batch") -> Html:
    """Every measure (its frame from `per_seed`) of `kinds` divided by that of `under`, paired by seed."""
    shown = [kind for kind in kinds if any(kind in frame for frame in measures.values())]
    rows = [[name, *(spread(ratio(frame, kind, under)) for kind in shown)] for name, frame in measures.items()]
    caption = "Ratio within each seed, median over seeds [least – greatest seed]; 1 means equal."
    return table([f"÷ {label(under)}", *map(label, shown)], rows, caption)


def difference_sentence(
    name: str, frame: pd.DataFrame, *, over: str = "batch", under: str = "none", even: float = 0.05
) -> str:
    """As `ratio_sentence`, for values that may be negative: `over` minus `under`, paired by seed."""
    if over not in frame or under not in frame:
        return f"{name}: {label(over)} and {label(under)} were not both measured."
    known = (frame[over] - frame[under]).dropna()
    if known.empty:
        return f"{name}: no seed has a defined value for both {label(over)} and {label(under)}."
    middle = float(np.median(known))
    reading = "about equal" if abs(middle) <= even else f"{'higher' if middle > 0 else 'lower'} for {label(over)}"
    return f"{name}: {label(over)} − {label(under)} = {spread(known)}, {reading}."


def about(results: Results, study: str, frame: pd.DataFrame) -> Html:
    """What the page rests on: the data set, the network, the normalizers, rates, seeds and steps found in the table."""
    if frame.empty:
        return bullets("This study is not part of this preset: nothing was measured.")
    seeds = frame.groupby(["norm_layer", "learning_rate"], observed=True)["seed"].nunique()
    count = f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
    rates = ", ".join(number(rate) for rate in sorted(frame["learning_rate"].unique()))
    networks = ", ".join(sorted(map(str, frame["network"].unique())))
    return bullets(
        "Data: Gaussian inputs and a Gaussian target matrix." if study == "dln" else data_sentence(results),
        f"Network: {networks}; normalizers: {', '.join(map(label, order(frame['norm_layer'])))}.",
        f"Learning rates: {rates}; {count} seeds a cell; steps 0 to {int(frame['step'].max())}.",
    )


def data_sentence(results: Results) -> str:
    """The data set by name, size and digest, and whether it is the official one."""
    manifest = results.manifest
    counts = manifest.get("counts", {})
    official = "the official data" if manifest.get("official") else "NOT the official CIFAR data"
    apart = f", {counts['held_out']} more held out of training" if "held_out" in counts else ""
    digest = str(manifest.get("digest", "unknown")).removeprefix("sha256:")[:16]
    return (
        f"Data: {manifest.get('title', manifest.get('source', 'unknown'))}, {counts.get('train', '?')} training and "
        f"{counts.get('test', '?')} test images{apart}, {official} (digest {digest})."
    )


def caveats(results: Results, study: str, frame: pd.DataFrame, *further: str) -> Html:
    """The limits of what this page can say, found from the runs themselves, then those of the method."""
    if frame.empty:
        return bullets(*further)
    few = FEW_SEEDS.get(study, 5)
    seeds = int(frame.groupby(["norm_layer", "learning_rate"], observed=True)["seed"].nunique().min())
    planned = {"vgg": 15000, "resnet": 15000, "dln": 10000}.get(study)
    last = int(frame["step"].max())
    shorter = f"Runs end at step {last}; the paper's end at {planned}." if planned and last < planned else ""
    unofficial = study != "dln" and not results.manifest.get("official")
    return bullets(
        f"{seeds} seeds a cell: fewer than the {few} that verdicts ask for." if seeds < few else "",
        f"The images ({results.manifest.get('title', 'of unknown source')}) are not the official CIFAR data: compare "
        "directions with the paper's, not levels."
        if unofficial
        else "",
        shorter,
        f"{non_finite_note(frame)}" if not np.isfinite(frame["value"]).all() else "",
        *further,
    )


def fitted_sentence(steps: pd.DataFrame, accuracy: float) -> str:
    """From which step on a network has fitted its training data, by normalizer; empty if none has.

    Args:
        steps: steps to `accuracy`, one number a run (from `steps_per_seed`; inf if never).
        accuracy: train accuracy in [0, 1].
    """
    middle = steps.median()
    reached = [f"{label(kind)} from step {middle[kind]:.0f} on" for kind in order(steps) if np.isfinite(middle[kind])]
    if not reached:
        return ""
    return (
        f"Train accuracy is at least {100 * accuracy:g} % for {', for '.join(reached)} (medians over seeds): after "
        "that loss and gradient vanish with the errors, and what is small then says little about the network."
    )


def theory_sentences(found: pd.DataFrame) -> list[str]:
    """One sentence a statement from the shares of random cases: how often it holds as printed and as corrected."""
    if found.empty:
        return ["The theory study is not part of this preset."]
    wide = found.pivot_table(index="statement", columns="quantity", values=["share", "cases"], aggfunc="first")
    sentences = []
    for statement, name in STATEMENTS.items():
        if statement not in wide.index:
            continue
        printed, corrected = (wide.loc[statement, ("share", f"holds_{form}")] for form in ("printed", "corrected"))
        cases = int(wide.loc[statement, ("cases", "holds_printed")])
        shares = f"as printed in {100 * printed:.1f} % of {cases} cases, as corrected in {100 * corrected:.1f} %"
        sentences.append(f"{name}: true {shares}.")
    return sentences


def finite_caption(frame: pd.DataFrame, quantities: Sequence[str] | None = None) -> str:
    """The caption's last sentence: how values that are not finite are drawn, and where they are."""
    rows = frame if quantities is None else frame[frame["quantity"].isin(list(quantities))]
    return non_finite_note(rows) if len(rows) else f"{NON_FINITE}."


def smoothing(window: int) -> str:
    """The caption's sentence on smoothing."""
    if window <= 1:
        return "No smoothing."
    return f"Train accuracy: moving average over the last {window} steps; the thin line is the raw median over seeds."
