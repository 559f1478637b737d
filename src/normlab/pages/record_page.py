"""The page of a record as GitHub shows it: README.md in the record's folder, a heading and so an anchor for each claim.

Headings are bare names (`C9`, `Figure 4`), of which GitHub makes the anchors `#c9` and `#figure-4`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from normlab.analysis.claims.registry import FUNCTIONS
from normlab.analysis.projection import ALIVE
from normlab.figures.bands import LOGARITHMIC
from normlab.pages.answer import answers, by_group, by_verdict, sentence, summary
from normlab.pages.claims_table import anchor, claims_table
from normlab.pages.markdown import markdown_table
from normlab.pages.record_runs import progress, provenance, runs_table
from normlab.pages.records import Record
from normlab.pages.sources import markdown_link
from normlab.pages.standings import Standing
from normlab.pages.step_sizes import step_sizes
from normlab.pages.verdicts import NOT_SCORED, measured, number, of_seeds, seed_by_seed

TO_ROOT = "../../../"  # from reports/published/RECORD/
_BANDS = (
    "Bands: least to greatest value over the paper's step sizes, medians over seeds, faint to the outermost seed; "
    f"dashed: the paper's one run. {LOGARITHMIC}"
)
_LINES = "Medians over seeds, bands from the least to the greatest seed; dashed: the paper's one run."
_LANDSCAPE = f"Loss, gradient change and effective β along the gradient, with and without BatchNorm. {_BANDS}"
PICTURES = {  # file: heading, what it shows
    "landscape.png": ("Figure 4", _LANDSCAPE),
    "figures/training.svg": ("Figure 1", f"Train and test accuracy with and without BatchNorm. {_LINES}"),
    "figures/landscape.svg": ("Figure 4", _LANDSCAPE),
    "figures/shift.svg": ("Figure 3a", f"Covariate shift: how far and how far round later gradients move. {_LINES}"),
    "figures/normalizers.svg": ("Figure 5a", f"Train accuracy under ℓp normalization. {_LINES}"),
    "figures/normalizers-landscape.svg": ("Figure 12", f"The landscape under ℓp normalization. {_BANDS}"),
    "figures/learning-rates.svg": (
        "At which learning rates does it train at all?",
        f"Train accuracy at the end, with and without BatchNorm, by learning rate. Dotted: {100 * ALIVE:g} %, twice "
        "chance. Medians over seeds, bands from the least to the greatest seed.",
    ),
    "figures/deep-linear.svg": ("Figure 5b", f"Training loss of the deep linear network. {_LINES}"),
    "figures/deep-linear-landscape.svg": ("Figure 10", f"The landscape of the deep linear network. {_BANDS}"),
    "figures/lottery.svg": (
        "One seed is a draw",
        "Final loss and peak of the effective β of the deep linear network: share of seeds at or below each value; "
        "dashed: the paper's one run. A curve that ends below 1 has seeds that diverged.",
    ),
    "figures/projection.svg": (
        "Which part of BatchNorm's backward pass does training need?",
        "Train accuracy where a part of BatchNorm's backward pass is left out, by learning rate. Medians over seeds, "
        "bands from the least to the greatest seed; right: at the end.",
    ),
}
KEPT = {
    "claims.json": "the claims, with every part, interval and reason",
    "metrics.json": "the numbers that claims and pages name, as one flat file",
    "settings.json": "what the numbers depend on: data, grid, training, probes; digests of rules and code",
    "what-we-found.md": "what we found, in two screens",
    "where-the-paper-and-we-differ.md": "where the paper and we differ, and why",
    "params.yaml": "the parameter file of the runs",
    "data.json": "the images: digest, counts, positions of those held out of training",
    "manifest.json": "what is finished and what is missing; commits, versions, processor, seconds of every run",
    "frozen.json": "digests of rules and analysis code, stored before the first run",
    "../README.md": "what a record is, and how its tables are read",
}


def record_page(record: Record) -> str:
    """The Markdown of the record's page."""
    found = record.standings
    lines = [f"# Record {record.name}", "", f"{record.scale} {_rules(record)}".strip(), "", *progress(record)]
    lines += told_lines(record, "")
    lines += [summary(found), ""]
    lines += [f"- {line}" for line in answer_lines(found, "")]
    lines += ["", *step_sizes(record.entries, ""), *_pictures(record), "## Claims", "", *_contents(found), ""]
    lines += _claims(record, [one for one in found if one.measured])
    if rest := [one for one in found if not one.measured]:
        title = f"<details><summary>Nothing measured here: {len(rest)} of {len(found)} claims</summary>"
        lines += [title, "", *_claims(record, rest), "</details>", ""]
    if record.manifest["finished"]:
        lines += ["## Runs", "", *runs_table(record), "", *provenance(record), ""]
    return "\n".join([*lines, "## Files", "", *_files(record)]) + "\n"


def answer_lines(found: Sequence[Standing], page: str) -> list[str]:
    """The answer to the paper's question, a line of Markdown a question; those without a number here in one line.

    Args:
        found: where the claims stand.
        page: what leads to the record's page, empty on that page itself.
    """
    lines, rest = [], []
    for one in answers(found):
        if not one.measured:
            rest.append(f"{one.question.text} ({_linked(one.lead, page)})")
            continue
        said = f" {one.sentence}" if one.sentence else ""
        also = "; ".join(
            f"{', '.join(_linked(claim, page) for claim in claims)} {word}"
            for word, claims in by_verdict(one.further).items()
        )
        lines.append(
            f"**{one.question.text}** The paper: {one.question.paper}. Here: **{one.lead.verdict}**"
            f"{_before(one.lead)} ({_linked(one.lead, page)}).{said}{f' Beside it: {also}.' if also else ''}"
        )
    return [*lines, f"Nothing measured here: {' '.join(rest)}"] if rest else lines


def told_lines(record: Record, page: str) -> list[str]:
    """What the record's own studies say, each under its name, with a link to its figure on the record's page."""
    lines = []
    for name, told in record.told.items():
        lines += [f"**{study_link(name, page)}**", "", told, ""]
    return lines


def study_link(name: str, page: str) -> str:
    """The heading of a study's figure, as a link to it on a record's page."""
    heading = PICTURES[f"figures/{name}.svg"][0]
    return f"[{heading}]({page}#{anchor(heading)})"


def _linked(claim: Standing, page: str) -> str:
    return f"[{claim.id}]({page}#{anchor(claim.id)})"


def _before(claim: Standing) -> str:
    return f", {claim.before} under the first rules" if claim.verdict == NOT_SCORED else ""


def _rules(record: Record) -> str:
    if not record.first_rules:
        return ""
    return (
        f"Scored under the {record.first_rules}; its tables were not kept, so only what does not rest on its runs has "
        "a present verdict."
    )


def _pictures(record: Record) -> list[str]:
    """The figures, first those of the record's own studies: their sentences open the page."""
    lines = []
    for name in sorted(PICTURES, key=lambda name: Path(name).stem not in record.told):
        heading, shows = PICTURES[name]
        if (record.folder / name).is_file():
            lines += [f"## {heading}", "", f"![{shows}]({name})", "", shows, ""]
            lines += [table, ""] if (table := record.tabled.get(Path(name).stem)) else []
    return lines


def _claims(record: Record, found: Sequence[Standing]) -> list[str]:
    """The claims in a table, and each with all that is known of it."""
    entries = {entry["id"]: entry for entry in record.entries}
    lines = claims_table(found, "")
    for title, mine in by_group(found).items():
        lines += [f"**{title}**", ""]
        for one in mine:
            lines += [*_claim(one, entries[one.id]), ""]
    return lines


def _contents(found: Sequence[Standing]) -> list[str]:
    return [
        f"{word[0].upper()}{word[1:]}: {', '.join(_linked(claim, '') for claim in claims)}."
        for word, claims in by_verdict(found).items()
    ]


def _claim(one: Standing, entry: Mapping[str, Any]) -> list[str]:
    said = sentence(one)
    rows = [
        ("deciding quantity", one.quantity),
        ("paper's words", str(entry["paper"].get("value", "–"))),
        ("paper's curve", one.paper),
        ("here", one.here),
        ("seed by seed", seed_by_seed(dict(entry)) if one.group != "theory" else ""),
        ("direction", of_seeds(one.direction) if one.direction != "–" else "–"),
        ("checks for artefacts", one.checks),
        ("before", one.before),
        ("why", entry.get("reason", "")),
    ]
    lines = [f"### {one.id}", "", f"**{one.verdict}**: {one.statement}{f' {said}' if said else ''}", ""]
    lines += [markdown_table(["", ""], [row for row in rows if row[1] not in ("–", "")]), "", *_parts(entry)]
    computed = FUNCTIONS.get(one.id)
    return [*lines, f"Computed by {markdown_link(computed, TO_ROOT)}."] if computed else lines


def _parts(entry: Mapping[str, Any]) -> list[str]:
    parts = entry.get("parts", [])
    if len(parts) < 2:
        return []
    rows = [[part["quantity"], number(part.get("paper")), measured(part), part["verdict"]] for part in parts]
    table = markdown_table(["part", "paper's curve", "here", ""], rows)
    which = "both" if len(parts) == 2 else f"all {len(parts)}"
    return [f"<details><summary>{which} parts</summary>", "", table, "", "</details>", ""]


def _files(record: Record) -> list[str]:
    kept = [f"- [{name}]({name}): {what}" for name, what in KEPT.items() if (record.folder / name).is_file()]
    return [*kept, "", f"The rules: [claims.yaml]({TO_ROOT}src/normlab/analysis/claims.yaml)."]
