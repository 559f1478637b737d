"""The first page: the answer in cards beside one figure, then the claims in groups; or, of a check, pictures first."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from normlab.analysis.rules import NOT_RUN, UNDECIDED
from normlab.pages.answer import Answer, answers, by_group, by_verdict, summary
from normlab.pages.standings import Standing
from normlab.pages.verdicts import NOT_SCORED, badge, of_seeds

TITLE = "How does Batch Normalization help optimization?"


def too_few_seeds(entries: Sequence[Mapping[str, Any]]) -> str:
    """Why the results decide nothing: `2 seeds, where the rules ask for 3 or more`; empty where they may.

    Results of fewer seeds than any claim about the compared networks asks for are a check of the pipeline; where none
    of these claims was measured at all, the study is about something else, or has not come to them yet.
    """
    claims = [entry for entry in entries if entry.get("group") == "empirical" and entry["n_seeds"]]
    if not claims:
        return ""
    have, needed = (max(entry["n_seeds"] for entry in claims), min(entry["rule"]["min_seeds"] for entry in claims))
    return "" if have >= needed else f"{of_seeds(have)} a cell, where the rules ask for {needed} or more"


def story(
    found: Sequence[Standing], pictures: Sequence[str], scale: str, link: str = "{page}#{id}", unfinished: str = ""
) -> str:
    """The first screen of a record: heading, what is missing, scale, a card a question, the figures.

    Args:
        found: where the claims stand.
        pictures: the figures' markup.
        scale: what was measured, in one sentence.
        link: what leads to a claim, with `{page}` and `{id}`.
        unfinished: what is finished and what is not, of a record that is not whole.
    """
    head, _, rest = unfinished.partition(". ")
    missing = f"<p class='notice'><strong>{html.escape(head)}.</strong> {html.escape(rest)}</p>\n" if head else ""
    about = f"Santurkar et al. (2018), measured again: {scale} {summary(found)}"
    parts = [f"<p class='lead'>{html.escape(about)}</p>", cards_of(found, link), *pictures]
    return f"<h1>{TITLE}</h1>\n{missing}" + "\n".join(part for part in parts if part)


def check(found: Sequence[Standing], reason: str, pictures: Sequence[str], scale: str) -> str:
    """The first screen of a check of the pipeline: what it is, its pictures, and in words what the rules make of it."""
    undecided = ", ".join(_linked(one, "{page}#{id}") for one in found if one.verdict == "undecided")
    others = "; ".join(
        f"{html.escape(word)}: {', '.join(_linked(one, '{page}#{id}') for one in mine)}"
        for word, mine in by_verdict(found).items()
        if word != "undecided"
    )
    return (
        f"<h1>{TITLE}</h1>\n<p class='notice'><strong>A check of the pipeline, not a result.</strong> "
        f"{html.escape(_capital(scale))} {html.escape(_capital(reason))}: the pictures show that everything runs and "
        "what is drawn, not how BatchNorm helps. <a href='../published/README.md'>The published records</a> do.</p>\n"
        + "\n".join(pictures)
        + f"\n<h2>What the rules make of it</h2>\n<p>Too little to decide ({html.escape(reason)}): "
        f"{undecided or 'none'}. Whatever is measured here: {others}.</p>"
    )


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def cards_of(found: Sequence[Standing], link: str) -> str:
    """One card a question: the paper's answer, the verdict here, the deciding number in words, the other claims.

    A question for whose leading claim nothing was measured has no card; a line names it.
    """
    every = answers(found)
    cards = [_card(one, link) for one in every if not _waits(one.lead)]
    waiting = " ".join(one.question.text for one in every if _waits(one.lead))
    grid = f'<ol class="answers">\n{chr(10).join(cards)}\n</ol>' if cards else ""
    line = (
        f"\n<p>Not answered here, since the claim that answers it has no number: {html.escape(waiting)}</p>"
        if waiting
        else ""
    )
    return grid + line


def _card(one: Answer, link: str) -> str:
    lead = one.lead
    also = "; ".join(
        f"{', '.join(_linked(claim, link) for claim in claims)} {html.escape(word)}"
        for word, claims in by_verdict([claim for claim in one.further if claim.verdict != NOT_RUN]).items()
    )
    before = f" <small>{html.escape(lead.before)} under the first rules</small>" if lead.verdict == NOT_SCORED else ""
    value, _, then = lead.here.partition(": ")  # of an earlier rule: with the quantity that it was
    measured = f"Measured then: {then}, {value}." if then else f"{lead.statement} {value}"
    said = one.sentence or (measured if lead.here != "–" else lead.statement)
    return (
        f'<li><p class="question">{html.escape(one.question.text)}</p>'
        f"<p>The paper: {html.escape(one.question.paper)}. Here: {badge(lead.verdict)}{before}</p>"
        f"<p>{html.escape(said)} {_linked(lead, link)}</p>{f'<p><small>{also}</small></p>' if also else ''}</li>"
    )


def claims_tables(found: Sequence[Standing], link: str = "{page}#{id}") -> str:
    """The claims in groups, a heading and a table each, the deciding number beside the verdict; none is left out.

    Claims for which nothing was measured are lines below their group's table: not run, or too little of it.
    """
    return "\n".join(
        f'<h2 id="group-{place}">{html.escape(title)}</h2>\n{_group(mine, link)}'
        for place, (title, mine) in enumerate(by_group(found).items(), start=1)
    )


def _group(found: Sequence[Standing], link: str) -> str:
    run = [one for one in found if not _waits(one)]
    lines = []
    for verdict, title in ((NOT_RUN, "Not run"), (UNDECIDED, "Undecided, without a number")):
        waiting = [one for one in found if _waits(one) and one.verdict == verdict]
        said = "; ".join(f"{_linked(one, link)} {html.escape(one.statement.rstrip('.'))}" for one in waiting)
        lines += [f"<p>{title}: {said}{'' if said.endswith('?') else '.'}</p>"] if waiting else []
    return "\n".join([*([_table(run, link)] if run else []), *lines])


def _waits(one: Standing) -> bool:
    """Whether nothing was measured that bears on the claim."""
    return one.verdict == NOT_RUN or (one.verdict == UNDECIDED and one.here == "–")


def _table(found: Sequence[Standing], link: str) -> str:
    rows = "\n".join(
        f'<tr><th scope="row">{_linked(one, link)}</th><td data-label="claim">{html.escape(one.statement)}</td>'
        f'<td data-label="here"><strong>{html.escape(one.here)}</strong><br>'
        f"<small>{html.escape(one.quantity)}</small></td>"
        f'<td data-label="paper\'s curve">{html.escape(one.paper)}</td>'
        f'<td data-label="verdict">{badge(one.verdict)}{_beside(one)}</td></tr>'
        for one in found
    )
    return (
        '<table class="claims"><thead><tr><th></th><th>claim</th><th>here: median over seeds [interval]</th>'
        f"<th>paper's curve</th><th>verdict</th></tr></thead><tbody>\n{rows}\n</tbody></table>"
    )


def _beside(one: Standing) -> str:
    """Direction, checks for artefacts and the verdict before, where there are any."""
    parts = [f"direction {of_seeds(one.direction)}"] if one.direction != "–" else []
    parts += [f"artefact checks: {one.checks}"] if one.checks != "–" else []
    records = f"other record{'' if one.elsewhere.endswith(' of 1') else 's'}"
    parts += [f"same sign in {one.elsewhere} {records}"] if one.elsewhere != "–" else []
    parts += [f"before: {one.before}"] if one.before not in ("–", NOT_RUN) else []
    return f"<br><small>{html.escape('; '.join(parts))}</small>" if parts else ""


def _linked(one: Standing, link: str) -> str:
    """The claim's name, as a link where there is a page that shows it."""
    if not one.page:
        return html.escape(one.id)
    return f'<a href="{html.escape(link.format(page=one.page, id=one.id))}">{html.escape(one.id)}</a>'
