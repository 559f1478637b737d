"""Claims with their verdicts as HTML: the cards of a page."""

import html
import math
import re
from collections.abc import Sequence
from typing import Any

from normlab.analysis.claims.registry import FUNCTIONS
from normlab.analysis.rules import VERDICTS
from normlab.pages.pictures import Html
from normlab.pages.sources import computed_by

NOT_SCORED = "not scored anew"
MEANING = {
    **VERDICTS,
    # of parts, and of records that were scored under the first rules
    "holds": "the whole interval lies where the part's rule puts it",
    "fails": "the whole interval lies where the part's rule excludes it",
    "supported": "under the first rules: every part that decides lies beyond its threshold",
    "refuted": "under the first rules: the measurements lie on the other side of a threshold",
    "inconclusive": "under the first rules: too few seeds, or an interval that reaches across a threshold",
    NOT_SCORED: "scored under earlier rules, and its tables were not kept",
}


def number(value: float | None) -> str:
    """Three significant digits, of thousands all before the point: `7,468`; a dash for a value that is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if 999.5 <= abs(value) < 100_000:
        return f"{value:,.0f}"
    return re.sub(r"e\+?(-?)0*(\d+)$", r"e\1\2", f"{value:.3g}")


def of_seeds(count: int | str) -> str:
    """`1 seed`, `5 seeds`, `3 to 5 seeds`, `0 of 1 seed`."""
    return f"{count} seed{'' if str(count).split()[-1] == '1' else 's'}"


def end(value: float | None, name: str, note: str) -> str:
    """A number of an entry, or what its note says of one that is not finite.

    Args:
        value: the number; None where it is not finite.
        name: `estimate`, `low end` or `high end`.
        note: of the entry, such as `high end is infinite`.
    """
    if value is None and f"{name} is infinite" in note:
        return "∞"
    return "−∞" if value is None and f"{name} is minus infinity" in note else number(value)


def measured(entry: dict[str, Any]) -> str:
    """`1.52 [1.40, 1.66], n = 5`, with ∞ where that is, and the note on what is undetermined."""
    note = entry.get("note") or ""
    if entry.get("estimate") is None and not note:
        return "–"
    low, high = (entry.get("interval") or [None, None])[:2]
    ends = end(low, "low end", note), end(high, "high end", note)
    interval = f" [{', '.join(ends)}]" if set(ends) != {"–"} else ""
    notes = [part for part in note.split("; ") if not re.search("is (infinite|minus infinity)", part)]
    if entry.get("n_seeds") == 1:  # which has no interval: that is said by n = 1
        notes = [part for part in notes if part not in ("low end is undetermined", "high end is undetermined")]
    undetermined = "; ".join(notes)
    # unbreakable spaces inside: an interval is one word
    text = f"{end(entry.get('estimate'), 'estimate', note)}{interval}, n = {entry.get('n_seeds', 0)}"
    text = text.replace(" ", "\u00a0").replace(",\u00a0n", ", n")
    return text + (f" ({undetermined})" if undetermined else "")


MOST_SEEDS = 20  # in words; of more, a figure shows the distribution


def seed_by_seed(entry: dict[str, Any]) -> str:
    """`3.4, 3.5, –`: the deciding number of every seed, a dash where it is infinite or unknown; empty without any.

    With few seeds an interval is little more than their range, so they are shown themselves. Counterexamples to a
    statement are no sample of anything and are left out.
    """
    parts = entry.get("parts", [])
    found = parts[0].get("per_seed", {}) if parts else {}
    if entry.get("group") == "theory" or not 1 < len(found) <= MOST_SEEDS:
        return ""
    return ", ".join(map(number, found.values()))


def badge(verdict: str) -> str:
    """The verdict as a colored word; the word itself carries the meaning."""
    name = html.escape(verdict)
    kind = re.sub(r"[^a-z]+", "-", verdict)
    return f'<span class="badge {kind}" title="{html.escape(MEANING.get(verdict, ""))}">{name}</span>'


def verdict_line(claims: Sequence[dict[str, Any]]) -> Html:
    """The verdicts of a page in one line, each linked to its card."""
    names = [(html.escape(claim["id"]), badge(claim["verdict"])) for claim in claims]
    items = ", ".join(f'<a href="#{name}">{name}</a> {verdict}' for name, verdict in names)
    plain = ", ".join(f"{claim['id']} {claim['verdict']}" for claim in claims)
    return Html(f"<p>Verdicts below: {items or 'none on this page'}.</p>", plain)


def cards(claims: Sequence[dict[str, Any]], level: str) -> Html:
    """One card a claim: statement, the paper's number, ours, the rule's parts, the verdict and its reason.

    Args:
        claims: entries of claims.json.
        level: of their intervals, such as `95 %`.
    """
    if not claims:
        return Html("<p>No claim of the paper is decided on this page.</p>", "no claim")
    markup = "\n".join(_card(claim, level) for claim in claims)
    plain = "\n".join(f"{c['id']} {c['verdict']}: {c['statement']} ({c.get('reason', '')})" for c in claims)
    return Html(markup, plain)


def _card(claim: dict[str, Any], level: str) -> str:
    paper = claim.get("paper", {})
    parts = "".join(
        f'<tr><th scope="row">{html.escape(str(part.get("quantity", part.get("name", ""))))}'
        f"{_role(part)}</th><td>{html.escape(number(part.get('paper')))}</td>"
        f"<td>{html.escape(measured(part))}</td><td>{badge(part['verdict'])}</td>"
        f"<td>{html.escape(part.get('reason', ''))}</td></tr>"
        for part in claim.get("parts", [])
    )
    details = (
        f"<details><summary>all measured parts ({len(claim['parts'])})</summary><div class='scroll'><table><thead><tr>"
        f"<th>quantity</th><th>paper's curve</th><th>median over seeds, {level} interval</th><th>verdict</th>"
        "<th>reason</th></tr></thead>"
        f"<tbody>{parts}</tbody></table></div></details>"
        if parts
        else ""
    )
    return (
        f'<section class="claim" id="{html.escape(claim["id"])}">'
        f"<h3>{html.escape(claim['id'])} {badge(claim['verdict'])}{_before(claim)}</h3>"
        f"<p>{html.escape(claim['statement'])}</p>"
        "<dl>"
        f"<dt>Paper</dt><dd>{html.escape(str(paper.get('value', '–')))}"
        f" <small>({html.escape(str(paper.get('where', '')))})</small></dd>"
        f"<dt>We measure</dt><dd>{html.escape(measured(claim))}"
        f"<br><small>{html.escape(claim.get('quantity', ''))}</small></dd>"
        f"{_seeds(claim)}"
        f"<dt>Beside it</dt><dd>{html.escape(beside(claim) or '–')}</dd>"
        f"<dt>Why</dt><dd>{html.escape(claim.get('reason', ''))}</dd>{_changes(claim)}</dl>"
        f"{_measured_by(claim)}{details}</section>"
    )


ROLES = {"primary": "decides", "check": "check for an artefact", "control": "control"}


def _role(part: dict[str, Any]) -> str:
    """What the part is for: the first decides, checks for artefacts and controls stand beside it."""
    role = part.get("role") or ("primary" if part.get("decides", True) else "control")
    return f" <small>({ROLES[role]})</small>"


def _seeds(claim: dict[str, Any]) -> str:
    found = seed_by_seed(claim)
    lost = " <small>(–: infinite or unknown)</small>" if "–" in found.split(", ") else ""
    return f"<dt>Seed by seed</dt><dd>{html.escape(found)}{lost}</dd>" if found else ""


def _before(claim: dict[str, Any]) -> str:
    """The verdict of the rule before, beside the present one."""
    old = claim.get("before", [])
    return f" <small>before: {html.escape(old[0]['verdict'])}</small>" if old else ""


def _changes(claim: dict[str, Any]) -> str:
    """Why the rule was changed, with the verdict that the earlier one gives on the same numbers."""
    told = "<br>".join(
        f"until {html.escape(old['until'])}: {html.escape(old['verdict'])}; {html.escape(old.get('what', ''))}, "
        f"because {html.escape(old.get('reason', ''))}; decided on {html.escape(old.get('decided_on', ''))}"
        for old in claim.get("before", [])
    )
    return f"<dt>Rule before</dt><dd>{told}</dd>" if told else ""


def _measured_by(claim: dict[str, Any]) -> str:
    """Which function measures the claim; nothing for one that this version does not know."""
    return computed_by([FUNCTIONS[claim["id"]]]) if claim["id"] in FUNCTIONS else ""


def beside(claim: dict[str, Any]) -> str:
    """What stands beside the number: the paper's own curve, direction, size, checks."""
    paper, direction = claim.get("paper", {}), claim.get("direction", {})
    parts = []
    if paper.get("number") is not None:
        passes = {True: ", passes", False: ", does not pass"}.get(paper.get("passes"), "")
        parts.append(f"the paper's own curve: {number(paper['number'])}{passes}")
    if direction.get("seeds") and claim.get("group") != "theory":  # a counterexample has no direction
        parts.append(f"claimed direction: {direction['claimed']} of {of_seeds(direction['seeds'])}")
    if (size := claim.get("magnitude", {}).get("ours_over_paper")) is not None:
        parts.append(f"size: {number(size)} × the paper's")
    if claim.get("artefacts"):
        found = ", ".join(f"{name.replace('_', ' ')} {result}" for name, result in claim["artefacts"].items())
        parts.append(f"checks: {found}")
    return "; ".join(parts)
