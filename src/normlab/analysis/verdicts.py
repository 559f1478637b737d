"""From the parts of a claim to its verdict: one mechanism for all claims.

The primary part decides. The paper's own curves are put to the same rule by the same functions, one run, one point:
only where they pass it can a claim be "not reproduced here"; where they do not, the paper's figure contradicts its
text.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from normlab.analysis import changes
from normlab.analysis.cells import Cells
from normlab.analysis.parts import FAILS, HOLDS, ClaimFunction, PartResult, finite, judge_part, shown
from normlab.analysis.rules import (
    CONTRADICTED,
    DIRECTION,
    ERRATUM,
    NO,
    NOT_REPRODUCED,
    NOT_RUN,
    REPRODUCED,
    UNDECIDED,
    YES,
    Claim,
)
from normlab.analysis.statistics import Interval
from normlab.specs.strict import InputError

SAME_SIZE = 2.0  # two effects are of one size if neither is more than twice the other


def judge_all(
    claims: Sequence[Claim],
    functions: Mapping[str, ClaimFunction],
    cells: Cells,
    paper: Callable[[Claim, ClaimFunction], Mapping[str, Interval]],
) -> list[dict[str, Any]]:
    """All claims, in their order; none is left out.

    Args:
        claims: with their rules.
        functions: which function measures which claim.
        cells: our runs.
        paper: the numbers of the paper's own curves by part (`normlab.analysis.paper_cells.paper_numbers`).

    Raises:
        InputError: a claim without a function, or settings or parts that its function does not have.
    """
    judged = []
    for claim in claims:
        function = _function(claim, functions)
        curves = paper(claim, function)
        measures = function(cells, **claim.settings)
        if set(measures) != set(claim.parts):
            raise InputError(
                f"claims.yaml: {claim.id}.parts: measured are {', '.join(measures)}; "
                f"described are {', '.join(claim.parts)}"
            )
        results = {
            name: judge_part(part, measures[name], claim.min_seeds, cells.spec, curves.get(name))
            for name, part in claim.parts.items()
        }
        judged.append({**entry(claim, results), "scope": scope(claim, cells)})
    return judged


def _function(claim: Claim, functions: Mapping[str, ClaimFunction]) -> ClaimFunction:
    if claim.id not in functions:
        raise InputError(f"claims.yaml: {claim.id}: unknown claim; there are: {', '.join(functions)}")
    function = functions[claim.id]
    accepted = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    if set(accepted) != set(claim.settings):
        wanted, given = (", ".join(names) or "none" for names in (accepted, claim.settings))
        raise InputError(f"claims.yaml: {claim.id}.settings: expected {wanted}, got {given}")
    return function


def entry(claim: Claim, results: Mapping[str, PartResult]) -> dict[str, Any]:
    """The claim in claims.json, its primary part's numbers first."""
    primary = results[claim.primary]
    like = results[claim.paper.part or claim.primary]  # what the paper's curves have, here and there
    own = like.paper
    verdict, reason = decide(claim, results)
    ordered = sorted(results, key=lambda name: name != claim.primary)
    return {
        "id": claim.id,
        "group": claim.group,
        "statement": claim.statement,
        "paper": {"where": claim.paper.where, "value": claim.paper.value, **_paper(claim, own)},
        "quantity": primary.part.quantity,
        **primary.numbers(),
        "verdict": verdict,
        "reason": reason,
        "direction": {"claimed": primary.signed, "seeds": len(primary.per_seed), "holds": primary.directed},
        "magnitude": magnitude(like.interval.estimate, own.estimate if own else math.nan),
        "artefacts": {name: result.verdict for name, result in results.items() if result.part.check},
        "before": changes.before(claim, results),
        "rule": claim.rule(),
        "page": claim.page,
        "parts": [{"name": name, "role": _role(claim, name), **results[name].as_dict()} for name in ordered],
    }


def _role(claim: Claim, name: str) -> str:
    return "primary" if name == claim.primary else "check" if claim.parts[name].check else "control"


def decide(claim: Claim, results: Mapping[str, PartResult]) -> tuple[str, str]:
    """The claim's verdict and the reason."""
    primary, holds = results[claim.primary], claim.parts[claim.primary].holds
    if claim.group == "own":
        return {HOLDS: YES, FAILS: NO}.get(primary.verdict, primary.verdict), primary.reason
    if claim.group == "theory":
        return _statement(claim, results)
    paper = results[claim.paper.part or claim.primary].paper
    if paper is not None and holds is not None and not holds.holds(paper):
        here = f"here {shown(primary.interval)}" if primary.enough else f"here: {primary.reason}"
        of = f" ({claim.parts[claim.paper.part].quantity})" if claim.paper.part else ""
        return CONTRADICTED, f"the paper's own curve gives {shown(paper)}{of}, its text needs {holds}; {here}"
    if primary.verdict in (NOT_RUN, HOLDS) or not primary.enough:
        return {HOLDS: REPRODUCED}.get(primary.verdict, primary.verdict), primary.reason
    if primary.directed:
        ends = (primary.interval.low, primary.interval.high)
        open_ = holds is not None and any(holds.holds(Interval(end, end, end)) for end in ends)
        size = f"; whether it is {holds} is open" if open_ else f", and not {holds}"
        return DIRECTION, f"{shown(primary.interval)} is {primary.part.direction}{size}"
    return (NOT_REPRODUCED if primary.verdict == FAILS else UNDECIDED), primary.reason


def _statement(claim: Claim, results: Mapping[str, PartResult]) -> tuple[str, str]:
    """A statement about all numbers: one counterexample makes an erratum, beside a corrected form that is verified."""
    primary = results[claim.primary]
    if primary.verdict != FAILS:
        return {HOLDS: REPRODUCED}.get(primary.verdict, primary.verdict), primary.reason
    open_ = [result.part.quantity for result in results.values() if result.part.check and result.verdict != HOLDS]
    if open_:
        return UNDECIDED, f"false as printed, and not verified: {'; '.join(open_)}"
    return ERRATUM, "false as printed: there are counterexamples; the corrected form holds in every case"


def _paper(claim: Claim, own: Interval | None) -> dict[str, Any]:
    """The paper's own number, and whether it passes the rule; null for a claim in words."""
    part, holds = claim.paper.part or claim.primary, claim.parts[claim.primary].holds
    if own is None:
        return {"part": part, "number": None, "interval": [None, None], "passes": None}
    passes = None if claim.group in ("own", "theory") or holds is None else holds.holds(own)
    ends = [finite(own.low), finite(own.high)]
    return {"part": part, "number": finite(own.estimate), "interval": ends, "passes": passes}


def magnitude(ours: float, paper: float) -> dict[str, Any]:
    """The size of our number beside the paper's: their quotient, and whether it is within 2×; null without both."""
    known = math.isfinite(ours) and math.isfinite(paper) and ours * paper > 0
    quotient = ours / paper if known else math.nan
    within = 1 / SAME_SIZE <= quotient <= SAME_SIZE if known else None
    return {"ours_over_paper": finite(quotient), "within_2": within}


def scope(claim: Claim, cells: Cells) -> str:
    """What the claim was measured on, in words."""
    if claim.group == "theory":
        return "random numbers in float64, and trained networks"
    rate = cells.spec.dln_learning_rate if claim.group == "deep linear" else cells.spec.learning_rate
    network = "dln" if claim.group == "deep linear" else cells.spec.network
    found = [cell for (name, _, _), cell in cells.all.items() if name == network]
    steps = max((int(cell.horizons.max()) for cell in found), default=0)
    return f"{network}, rate {rate:g}, {steps:,} updates" if steps else "not run"


def same_sign(claim: Claim, entries: Sequence[Mapping[str, Any]]) -> bool | None:
    """Whether the deciding number of a record has the claimed direction.

    Args:
        claim: under the present rules.
        entries: of the record's claims.json, perhaps scored under earlier rules: what decides now is looked for among
            the parts of then, in the same words.

    Returns:
        None where the record has no number for it.
    """
    primary = claim.parts[claim.primary]
    region = primary.direction or primary.holds
    numbers = [
        part["estimate"]
        for entry in entries
        if entry["id"] == claim.id
        for part in entry["parts"]
        if (part["name"], part["quantity"]) == (claim.primary, primary.quantity) and part["estimate"] is not None
    ]
    return region.holds(Interval(numbers[0], numbers[0], numbers[0])) if numbers and region is not None else None


def verdict_counts(entries: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """How many claims of each group have which verdict, in the order of groups and verdicts; zeros left out."""
    counts: dict[str, dict[str, int]] = {}
    for found in entries:
        of_group = counts.setdefault(found["group"], {})
        of_group[found["verdict"]] = of_group.get(found["verdict"], 0) + 1
    return counts
