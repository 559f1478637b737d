"""The section that compares float32 with a reduced arithmetic of training on the same seeds."""

from collections.abc import Sequence

from normlab.analysis.catalog import Quantity
from normlab.analysis.precision import PrecisionPair, Sameness, precision_pairs, sameness
from normlab.figures.style import label
from normlab.pages.comparisons import spread
from normlab.pages.pictures import Html, paragraphs, table
from normlab.pages.results import Results
from normlab.pages.verdicts import number as short

NAMES = (
    "steps_to_90_percent",
    "early_loss_range",
    "early_gradient_distance",
    "early_effective_beta",
    "last_effective_beta",
)
NONE = "No two runs of these results differ in the arithmetic of training alone (train.precision)."
CAPTION = (
    "Median over seeds [least – greatest seed]; ÷ within each seed. Measured in float32 whatever training used. The "
    "same: the interval over seeds of the ratio lies within the spread of the float32 runs, from least over greatest "
    "seed to greatest over least."
)


def precision_comparison(results: Results, names: Sequence[str] = NAMES) -> Html:
    """A table of quantities in both arithmetics, and a sentence a pair: the same within the seeds' spread or not."""
    shared = str(results.params.get("train", {}).get("precision", "float32"))
    cells = results.cells(results.study, probe=["history", "landscape"], every_variant=True)
    rows, sentences = [], []
    for pair in precision_pairs(cells, shared):
        found = [(results.quantities[name], sameness(results.quantities[name], pair, results.spec)) for name in names]
        known = [(quantity, same) for quantity, same in found if same is not None]
        rows += [_row(pair, quantity, same) for quantity, same in known]
        sentences.append(_sentence(pair, known))
    if not rows:
        return paragraphs(NONE)
    shown = table(["", "float32", "reduced", "reduced ÷ float32", "float32's spread", "the same"], rows, CAPTION)
    said = paragraphs(*sentences)
    return Html(f"{shown.markup}\n{said.markup}", f"{shown.plain}\n\n{said.plain}")


def _row(pair: PrecisionPair, quantity: Quantity, same: Sameness) -> list[str]:
    values = [spread(quantity.measure(cell).values["value"]) for cell in (pair.reference, pair.reduced)]
    band = "unknown" if same.band[0] != same.band[0] else f"{short(same.band[0])} – {short(same.band[1])}"
    return [f"{_named(pair)}: {quantity.label}", *values, spread(same.found.values["value"]), band, same.answer]


def _sentence(pair: PrecisionPair, known: Sequence[tuple[Quantity, Sameness]]) -> str:
    answers = {
        answer: [quantity.label for quantity, same in known if same.answer == answer] for answer in ("no", "undecided")
    }
    answer = "no" if answers["no"] else "undecided" if answers["undecided"] or not known else "yes"
    seeds = min((same.found.seeds for _, same in known), default=0)
    which = f" ({', '.join(answers[answer])})" if answers.get(answer) and len(answers[answer]) < len(known) else ""
    few = f"; {seeds} seed{'s' * (seeds != 1)} in both" if answer == "undecided" else ""
    return f"{_named(pair)}, against float32: the same within the seeds' spread: {answer}{which}{few}."


def _named(pair: PrecisionPair) -> str:
    rest = ",".join(part for part in pair.reduced.variant.split(",") if part and not part.startswith("precision="))
    return f"{label(pair.reduced.norm_layer)}, {pair.precision}" + (f", {rest}" if rest else "")
