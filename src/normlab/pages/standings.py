"""Where each claim stands, in the few words that the README's tables and the index have room for.

An entry of claims.json has its numbers, its verdict and that of earlier rules. A record that was scored under the first
rules, and whose tables were not kept, cannot be scored anew; what does not rest on its runs can still be said: that the
paper's own curve does not pass the present rule, and that a statement has counterexamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from normlab.analysis.claims.registry import FUNCTIONS
from normlab.analysis.paper_cells import paper_numbers
from normlab.analysis.rules import CONTRADICTED, ERRATUM, NOT_RUN, VERDICTS, Claim
from normlab.analysis.verdicts import same_sign
from normlab.pages.verdicts import NOT_SCORED, end, number
from normlab.specs.analyze import AnalyzeSpec


@dataclass(frozen=True)
class Standing:
    """One claim in words.

    Attributes:
        id, group, statement, page: as in claims.yaml.
        quantity: what decides, in words.
        paper: the number of the paper's own curve under the same rule, and whether it passes.
        here: median over seeds [interval], and the seeds; of an earlier rule, with the quantity that it was.
        number: the median alone, empty where there is none.
        part: the name of the part that `here` is of; empty where an earlier rule had another quantity there.
        direction: in how many seeds the effect has the claimed sign.
        size: the number here over the paper's.
        checks: how many checks for artefacts hold.
        elsewhere: in how many of the other records that have the deciding number it has the claimed direction.
        verdict: under the present rules.
        before: under the rule before, and which that was.
    """

    id: str
    group: str
    statement: str
    page: str
    quantity: str
    paper: str
    here: str
    number: str
    part: str
    direction: str
    size: str
    checks: str
    verdict: str
    before: str
    elsewhere: str = "–"


def standing(entry: Mapping[str, Any]) -> Standing:
    """Of an entry that was scored under the present rules."""
    direction, artefacts = entry["direction"], [word for word in entry["artefacts"].values() if word != NOT_RUN]
    size = entry["magnitude"]["ours_over_paper"]
    before = entry["before"][0] if entry["before"] else None
    return Standing(
        id=entry["id"],
        group=entry["group"],
        statement=entry["statement"],
        page=entry["page"],
        quantity=entry["parts"][0]["quantity"],
        paper=_paper(entry["paper"]["number"], entry["paper"]["passes"], _other_part(entry)),
        here=_here(entry),
        number=_number(entry),
        part=entry["parts"][0]["name"],
        direction=f"{direction['claimed']} of {direction['seeds']}" if direction["seeds"] else "–",
        size=f"{number(size)} ×" if size is not None else "–",
        checks=f"{sum(found == 'holds' for found in artefacts)} of {len(artefacts)} hold" if artefacts else "–",
        verdict=entry["verdict"],
        before=f"{before['verdict']}" if before else "–",
    )


def earlier_standing(entry: Mapping[str, Any], claim: Claim, spec: AnalyzeSpec) -> Standing:
    """Of an entry that was scored under the first rules.

    Args:
        entry: of the record, with `supported`, `refuted` or `inconclusive` for every part.
        claim: the same claim under the present rules.
        spec: section `analyze` of the record's settings.
    """
    curves = paper_numbers(claim, FUNCTIONS[claim.id], spec)
    own, holds = curves.get(claim.paper.part or claim.primary), claim.parts[claim.primary].holds
    passes = None if own is None or holds is None or claim.group == "own" else holds.holds(own)
    now, then = claim.parts[claim.primary].quantity, entry["parts"][0]["quantity"]
    other = claim.parts[claim.paper.part].quantity if claim.paper.part else ""
    return Standing(
        id=claim.id,
        group=claim.group,
        statement=claim.statement,
        page=claim.page,
        quantity=now,
        paper=_paper(None if own is None else own.estimate, passes, other),
        here=_here(entry) + ("" if then == now else f": {then}"),
        number=_number(entry),
        part=claim.primary if then == now else "",
        direction="–",
        size="–",
        checks="–",
        verdict=CONTRADICTED if passes is False else _of_statement(entry, claim),
        before=entry["verdict"],
    )


def _of_statement(entry: Mapping[str, Any], claim: Claim) -> str:
    """Erratum, if the primary part has counterexamples and every check that was made then has none."""
    found = {part["name"]: part["verdict"] for part in entry["parts"]}
    checks = [found.get(name, NOT_RUN) for name, part in claim.parts.items() if part.check]
    refuted = claim.group == "theory" and found.get(claim.primary) == "refuted"
    return ERRATUM if refuted and set(checks) == {"supported"} else NOT_SCORED


def standings(
    entries: Sequence[Mapping[str, Any]], claims: Sequence[Claim], spec: AnalyzeSpec | None
) -> list[Standing]:
    """All claims of a record, in its order."""
    by_id = {claim.id: claim for claim in claims}
    found = []
    for entry in entries:
        if "group" in entry:
            found.append(standing(entry))
        elif entry["id"] in by_id and spec is not None:
            found.append(earlier_standing(entry, by_id[entry["id"]], spec))
    return found


def beside_others(
    found: Sequence[Standing], claims: Sequence[Claim], others: Sequence[Sequence[Mapping[str, Any]]]
) -> list[Standing]:
    """The same claims with what the other records say of their direction; statements of the theory have none.

    Args:
        found: of one record.
        claims: under the present rules.
        others: the entries of each other record.
    """
    by_id = {claim.id: claim for claim in claims}
    placed = []
    for one in found:
        claim = by_id.get(one.id)
        if claim is not None and claim.group != "theory":
            signs = [sign for entries in others if (sign := same_sign(claim, entries)) is not None]
            one = replace(one, elsewhere=f"{sum(signs)} of {len(signs)}" if signs else "–")
        placed.append(one)
    return placed


def counts_in_words(found: Sequence[Standing]) -> str:
    """`3 reproduced, 2 undecided`: how many have which verdict, in the order of verdicts."""
    verdicts = [one.verdict for one in found]
    return ", ".join(f"{verdicts.count(word)} {word}" for word in (*VERDICTS, NOT_SCORED) if word in verdicts)


def _paper(value: float | None, passes: bool | None, other: str) -> str:
    """The number, whether it passes, and what it is where the curves have another part than the one that decides."""
    words = {True: ", passes", False: ", fails", None: ""}[passes]
    return f"{number(value)}{words}{f' ({other})' if other else ''}" if value is not None else "–"


def _other_part(entry: Mapping[str, Any]) -> str:
    primary = entry["parts"][0]
    part = entry["paper"].get("part", primary["name"])
    return "" if part == primary["name"] else next(p["quantity"] for p in entry["parts"] if p["name"] == part)


def _number(entry: Mapping[str, Any]) -> str:
    if not entry["n_seeds"] or (entry["estimate"] is None and "estimate is" not in entry["note"]):
        return ""
    found = end(entry["estimate"], "estimate", entry["note"])
    return "" if found == "–" else found


def _here(entry: Mapping[str, Any]) -> str:
    if not entry["n_seeds"] or (entry["estimate"] is None and not entry["note"]):
        return "–"
    estimate, low, high = (
        end(value, name, entry["note"])
        for value, name in zip(
            (entry["estimate"], *entry["interval"]), ("estimate", "low end", "high end"), strict=True
        )
    )
    interval = f" [{low}, {high}]" if {low, high} != {"–"} else ""
    return f"{estimate}{interval}, n = {entry['n_seeds']}"
