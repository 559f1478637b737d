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
from normlab.analysis.rules import CONTRADICTED, ERRATUM, NOT_RUN, UNDECIDED, VERDICTS, Claim
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
        paper_number: the number alone, with what it is of where that is not what decides; empty where there is none.
        here: median over seeds [interval], and the seeds; of an earlier rule, with the quantity that it was.
        number: the median alone, empty where there is none.
        ends: the ends of its interval; empty where there is none.
        seeds: how many it rests on.
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
    paper_number: str = ""
    ends: tuple[str, ...] = ()
    seeds: int = 0

    @property
    def measured(self) -> bool:
        """Whether the record has a number of it."""
        return self.here != "–"


def standing(entry: Mapping[str, Any]) -> Standing:
    """Of an entry that was scored under the present rules."""
    direction, artefacts = entry["direction"], list(entry["artefacts"].values())
    size = entry["magnitude"]["ours_over_paper"]
    before = entry["before"][0] if entry["before"] else None
    paper, other = entry["paper"], _other_part(entry)
    pointed = direction["seeds"] and entry["group"] != "theory"  # a counterexample has no direction
    return Standing(
        id=entry["id"],
        group=entry["group"],
        statement=entry["statement"],
        page=entry["page"],
        quantity=entry["parts"][0]["quantity"],
        paper=_paper(paper["number"], paper["passes"], other),
        paper_number=_paper_number(paper["number"], other),
        here=_here(entry),
        number=_number(entry),
        ends=_ends(entry),
        seeds=entry["n_seeds"],
        part=entry["parts"][0]["name"],
        direction=f"{direction['claimed']} of {direction['seeds']}" if pointed else "–",
        size=f"{number(size)} ×" if size is not None else "–",
        checks=_checks(artefacts),
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
        paper_number=_paper_number(None if own is None else own.estimate, other),
        here=_here(entry) + ("" if then == now else f": {then}"),
        number=_number(entry),
        ends=_ends(entry),
        seeds=entry["n_seeds"],
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


def _paper_number(value: float | None, other: str) -> str:
    return "" if value is None else f"{number(value)}{f' of {other}' if other else ''}"


def _checks(found: Sequence[str]) -> str:
    """`2 of 4 hold, 1 not run`: what is neither held nor failed is named, so that it is taken for neither."""
    if set(found) <= {NOT_RUN}:
        return "–"
    open_ = [f"{found.count(word)} {word}" for word in (UNDECIDED, NOT_RUN) if word in found]
    decided = any(word not in (UNDECIDED, NOT_RUN) for word in found)
    return ", ".join([f"{found.count('holds')} of {len(found)} hold", *open_] if decided else open_)


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
    ends = _ends(entry)
    interval = f" [{', '.join(ends)}]" if ends else ""
    return f"{end(entry['estimate'], 'estimate', entry['note'])}{interval}, n = {entry['n_seeds']}"


def _ends(entry: Mapping[str, Any]) -> tuple[str, ...]:
    names = ("low end", "high end")
    ends = tuple(end(value, name, entry["note"]) for value, name in zip(entry["interval"], names, strict=True))
    return () if set(ends) == {"–"} else ends
