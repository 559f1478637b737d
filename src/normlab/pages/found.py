"""Two short pages of a record: what we found, and where the paper and we differ, and why. Every sentence is generated.

Why a claim differs is read off from what is known of it, never guessed:

- *definition*: the paper's own curve, put to the claim's rule, does not show what its text says, or a statement is
  false as printed;
- *artefact*: a check for artefacts of the measurement fails;
- *scale*: ours does not pass (where the paper has a curve, that passes), on a smaller network, fewer images, samples or
  steps; or runs are too short or the network too shallow for the rule to be applied;
- *seed*: the interval over seeds reaches across the threshold, or there are too few seeds.

What none of them explains is "not known".
"""

import re
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from normlab.analysis.rules import (
    CONTRADICTED,
    DIRECTION,
    ERRATUM,
    GROUPS,
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    UNDECIDED,
)
from normlab.pages.answer import answers, summary
from normlab.pages.claims_table import anchor
from normlab.pages.markdown import markdown_table
from normlab.pages.record_page import told_lines
from normlab.pages.record_runs import progress
from normlab.pages.records import Record
from normlab.pages.standings import Standing
from normlab.pages.step_sizes import step_sizes
from normlab.paper.rows import DEPTH, STEPS

# of each group of claims with networks: how large the paper's was, and in words where ours is smaller
PAPER_SETTING: Mapping[str, Mapping[str, float]] = {
    "empirical": {"width": 1.0, "steps": STEPS["vgg"], "images": 50_000},
    "deep linear": {"depth": DEPTH["dln"], "steps": STEPS["dln"], "samples": 1_000},
}
SMALLER = {
    "width": "{:g} of the width",
    "steps": "{:,} updates of {:,}",
    "images": "{:,} training images of {:,}",
    "depth": "{} layers of {}",
    "samples": "{:,} samples of {:,}",
}
HERE = "README.md"  # the record's page, in the same folder
SHORT_OF = re.compile(r"\d of \S+ (steps|normalized layers)")  # in a reason: runs too short, a network too shallow
FOUND, DIFFERENCES = "what-we-found.md", "where-the-paper-and-we-differ.md"


def what_we_found(record: Record) -> str:
    """At most two screens: each question with the paper's answer and ours, what surprised, what is still open."""
    found = record.standings
    measured = [one for one in found if one.measured]
    lines = ["# What we found", "", f"Record [`{record.name}`]({HERE}). {record.scale}".strip(), "", *progress(record)]
    lines += [*told_lines(record, HERE), summary(found), ""]
    for one in filter(attrgetter("measured"), answers(found)):
        here = "not run yet" if one.lead.verdict == NOT_RUN else one.lead.verdict
        said = f" {one.sentence}" if one.sentence else ""
        lines += [
            f"**{one.question.text}** The paper: {one.question.paper}. Here: **{here}** ({_link(one.lead)}).{said}",
            "",
        ]
    lines += step_sizes(record.entries, HERE)
    for title, verdicts in (
        ("Against the paper", (CONTRADICTED, NOT_REPRODUCED, ERRATUM)),
        ("Of the claimed sign, not shown to be of the claimed size", (DIRECTION,)),
        ("Still open", (UNDECIDED,)),
    ):
        mine = [one for one in measured if one.verdict in verdicts]
        if mine:
            lines += [f"**{title}**: {', '.join(f'{_link(one)} {one.quantity}{_number(one)}' for one in mine)}.", ""]
    rest = [one for one in found if not one.measured]
    lines += [f"**Nothing measured here**: {', '.join(map(_link, rest))}.", ""] if rest else []
    return "\n".join([*lines, f"[Where the paper and we differ, and why]({DIFFERENCES}).", ""])


def differences(record: Record) -> str:
    """One row a claim that is not reproduced as it stands: the paper's number, ours, and the reasons that are known."""
    entries = {entry["id"]: entry for entry in record.entries}
    smaller = scale_differences(record.settings)
    found = record.standings
    measured = [one for one in found if one.measured]
    rows = []
    for one in measured:
        if one.verdict not in (REPRODUCED, NOT_RUN) and one.group != "own":
            why = "; ".join(reasons(entries[one.id], bool(smaller.get(one.group)))) or "not known"
            rows.append([f"{_link(one)} {one.statement}", one.paper, one.here, f"**{one.verdict}**", why])
    rest = [one for one in found if not one.measured]
    lines = [
        "# Where the paper and we differ, and why",
        "",
        f"Record [`{record.name}`]({HERE}).",
        "",
        *progress(record),
    ]
    for group in [group for group in PAPER_SETTING if any(one.group == group for one in measured)]:
        words = smaller.get(group, [])
        size = f"smaller than the paper's: {', '.join(words)}" if words else "of the paper's size"
        lines += [f"The setting of {GROUPS[group]} is {size}.", ""]
    if rows:
        lines += [markdown_table(["claim", "paper's curve", "here", "verdict", "why"], rows), ""]
    if rest:
        lines += [f"Nothing measured here: {', '.join(map(_link, rest))}.", ""]
    return "\n".join(lines)


def reasons(entry: Mapping[str, Any], smaller: bool) -> list[str]:
    """The causes of the module's list that apply to a claim.

    Args:
        entry: of claims.json, under the present rules.
        smaller: whether the setting of its group is smaller than the paper's.
    """
    verdict, found = entry["verdict"], []
    if verdict == ERRATUM:
        found.append("definition: false as printed, a counterexample is enough")
    if verdict == CONTRADICTED:
        found.append("definition: the paper's own curve does not pass the rule made of its text")
    failing = [name for name, word in entry.get("artefacts", {}).items() if word == "fails"]
    if failing and verdict != ERRATUM:
        called = {part["name"]: part["quantity"] for part in entry.get("parts", []) if "name" in part}
        quoted = [f"“{called.get(name, name)}”" for name in failing]
        found.append(f"artefact: {' and '.join(quoted)} fail{'s' if len(failing) == 1 else ''}")
    across = verdict == DIRECTION and _primary(entry)["verdict"] == UNDECIDED
    if verdict in (NOT_REPRODUCED, DIRECTION) and smaller and not across:
        curve = "the paper's curve passes, " if entry.get("paper", {}).get("passes") else ""
        found.append(f"scale: {curve}our setting is smaller")
    if verdict == UNDECIDED or across:
        found.append(f"{'scale' if SHORT_OF.search(entry['reason']) else 'seed'}: {entry['reason']}")
    return found


def _primary(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(part for part in entry["parts"] if part["role"] == "primary")


def scale_differences(settings: Mapping[str, Any]) -> dict[str, list[str]]:
    """Where the record's setting is smaller than the paper's, each in words, by group of claims."""
    if not {"train", "data", "dln"} <= set(settings):
        return {}
    train, dln = settings["train"], settings["dln"]
    ours = {
        "empirical": {**train, "images": int(settings["data"]["counts"]["train"])},
        "deep linear": dln,
    }
    return {
        group: [SMALLER[key].format(ours[group][key], size) for key, size in sizes.items() if ours[group][key] < size]
        for group, sizes in PAPER_SETTING.items()
    }


def pages_of(record: Record) -> dict[str, str]:
    """Both pages by file name; none for a record whose claims were scored under the first rules."""
    if record.first_rules or not record.manifest["finished"]:
        return {}
    return {FOUND: what_we_found(record), DIFFERENCES: differences(record)}


def _link(one: Standing) -> str:
    return f"[{one.id}]({HERE}#{anchor(one.id)})"


def _number(one: Standing) -> str:
    """Ours beside the paper's, where there are numbers."""
    beside = [f"here {one.here}"] if one.here != "–" else []
    beside += [f"paper {one.paper}"] if one.paper != "–" else []
    return f" ({'; '.join(beside)})" if beside else ""
