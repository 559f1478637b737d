"""The claims of a record as Markdown tables, one a group: in the README and on the record's own page."""

import re
from collections.abc import Sequence
from dataclasses import asdict

from normlab.analysis.rules import GROUPS
from normlab.pages.markdown import markdown_table
from normlab.pages.standings import Standing, counts_in_words

COLUMNS = {
    "measured": {
        "statement": "claim",
        "quantity": "deciding quantity",
        "paper": "paper's curve",
        "here": "here",
        "direction": "direction",
        "size": "size",
        "checks": "checks",
        "elsewhere": "same sign",
        "verdict": "verdict",
        "before": "before",
    },
    "theory": {"statement": "statement", "checks": "corrected form", "verdict": "verdict", "before": "before"},
    "own": {
        "statement": "question",
        "quantity": "deciding quantity",
        "here": "here",
        "elsewhere": "same sign",
        "verdict": "answer",
        "before": "before",
    },
}


def anchor(heading: str) -> str:
    """The anchor that GitHub makes of a heading: lower case, spaces to hyphens, other signs dropped."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def claims_table(found: Sequence[Standing], page: str) -> list[str]:
    """A table a group, no claim left out.

    Args:
        found: where the claims stand.
        page: what leads to the record's page, empty on that page itself.
    """
    lines = []
    for group, title in GROUPS.items():
        mine = [one for one in found if one.group == group]
        if mine:
            lines += [
                f"**{title[0].upper()}{title[1:]}**: {counts_in_words(mine)}.",
                "",
                _table(group, mine, page),
                "",
            ]
    return lines


def _table(group: str, found: Sequence[Standing], page: str) -> str:
    """One row a claim; the columns are those that mean something in the group."""
    every = COLUMNS["theory" if group == "theory" else "own" if group == "own" else "measured"]
    columns = {name: title for name, title in every.items() if any(getattr(one, name) != "–" for one in found)}
    return markdown_table(["", *columns.values()], [_row(one, list(columns), page) for one in found])


def _row(one: Standing, columns: Sequence[str], page: str) -> list[str]:
    cells = {**asdict(one), "verdict": f"**{one.verdict}**"}
    return [f"[{one.id}]({page}#{anchor(one.id)})", *(cells[name] for name in columns)]


SAME_SIGN = "*Same sign*: in how many of the other records that have the deciding number it lies on the claimed side."


def legend(first_rules: str) -> str:
    """What the columns are; of a record that was scored under the first rules, that it was."""
    columns = (
        "*Paper's curve*: the same quantity of the paper's digitized curves, and whether it passes the claim's rule. "
        "*Here*: median over seeds [interval] of the part that decides. *Direction*: seeds on the claimed side. "
        "*Size*: here over the paper's, of what the paper's curve is of. *Checks*: for artefacts. "
        "*Before*: the verdict of the rule before. " + SAME_SIGN
    )
    if not first_rules:
        return f"{columns} Which interval depends on the number of seeds: `src/normlab/analysis/statistics.py`."
    return (
        "*Paper's curve*: the deciding quantity of the paper's digitized curves under the present rule, and whether it "
        f"passes. *Here*: this record, which was scored under the {first_rules}; its tables were not kept, so "
        "only what does not rest on its runs has a present verdict. Median over seeds [interval; of 5 seeds their "
        "range, which covers 93.75 %] of the first part as it was defined then, named where that differs. *Before*: "
        f"the verdict of the first rules. {SAME_SIGN} `src/normlab/analysis/rule_changes.yaml` says what has changed "
        "since, and why."
    )
