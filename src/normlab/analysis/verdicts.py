"""From the numbers of a claim's parts to its verdict: one mechanism for all claims.

A part is supported if its whole interval lies in its supporting region, refuted if the whole interval lies in its
refuting region, else inconclusive; with fewer seeds than the rule names it is always inconclusive. The claim's
verdict follows from those of its parts by the rule's conditions.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from normlab.analysis.cells import Cells
from normlab.analysis.estimates import NotRunError, PerSeed, TooFewError
from normlab.analysis.rules import Claim, Part
from normlab.analysis.statistics import Interval
from normlab.specs.analyze import AnalyzeSpec
from normlab.specs.strict import InputError


class Estimate(Protocol):
    """What a part's function returns: a `PerSeed`, or anything else with an interval over seeds."""

    @property
    def seeds(self) -> int:
        """How many seeds it rests on."""

    def interval(self, spec: AnalyzeSpec) -> Interval:
        """The estimate and its interval."""


Parts = Mapping[str, Callable[[], Estimate]]
ClaimFunction = Callable[..., Parts]


@dataclass(frozen=True)
class PartResult:
    """The verdict of one part, with what it rests on."""

    part: Part
    verdict: str
    reason: str
    interval: Interval = field(default_factory=lambda: Interval(math.nan, math.nan, math.nan))
    seeds: int = 0
    per_seed: Mapping[str, float] = field(default_factory=dict)


def judge_part(part: Part, measure: Callable[[], Estimate], min_seeds: int, spec: AnalyzeSpec) -> PartResult:
    """Measure a part and put its interval beside its regions."""
    try:
        estimate = measure()
        interval = estimate.interval(spec)
    except NotRunError as error:
        return PartResult(part, "not run", str(error))
    except TooFewError as error:
        return PartResult(part, "inconclusive", str(error))
    per_seed = {}
    if isinstance(estimate, PerSeed):
        per_seed = {str(seed): float(value) for seed, value in estimate.values["value"].items()}
    rest = (interval, estimate.seeds, per_seed)
    if estimate.seeds < min_seeds:
        return PartResult(part, "inconclusive", f"{estimate.seeds} of {min_seeds} seeds", *rest)
    for verdict in ("supported", "refuted"):
        region = getattr(part, verdict)
        if region is not None and region.holds(interval):
            return PartResult(part, verdict, f"{_shown(interval)} lies {verdict_side(verdict)}: {region}", *rest)
    sides = "; ".join(f"{side} if {getattr(part, side)}" for side in ("supported", "refuted") if getattr(part, side))
    return PartResult(part, "inconclusive", f"{_shown(interval)} decides nothing ({sides or 'no threshold'})", *rest)


def verdict_side(verdict: str) -> str:
    """How a reason names the region of a verdict."""
    return "on the supporting side" if verdict == "supported" else "on the refuting side"


def _shown(interval: Interval) -> str:
    return f"[{interval.low:.3g}, {interval.high:.3g}]"


def judge(claim: Claim, measures: Parts, spec: AnalyzeSpec) -> dict[str, Any]:
    """The entry of `claim` in claims.json.

    Args:
        claim: the claim with its rule.
        measures: for every part a callable that measures it.
        spec: how intervals are made.

    Raises:
        InputError: the parts of the claim and of its function differ.
    """
    if set(measures) != set(claim.parts):
        raise InputError(
            f"claims.yaml: {claim.id}.parts: measured are {', '.join(measures)}; described are {', '.join(claim.parts)}"
        )
    seeds = claim.rule.min_seeds
    results = {name: judge_part(part, measures[name], seeds, spec) for name, part in claim.parts.items()}
    verdict, reason = combined_verdict(claim, results)
    head = next(iter(results.values()))
    deciding = claim.rule.deciding()
    return {
        "id": claim.id,
        "statement": claim.statement,
        "paper": {"where": claim.paper.where, "value": claim.paper.value},
        "quantity": claim.quantity,
        **numbers(head),
        "rule": claim.rule_as_dict(),
        "verdict": verdict,
        "reason": reason,
        "page": claim.page,
        "parts": [
            {
                "name": name,
                "quantity": result.part.quantity,
                "decides": name in deciding,
                **numbers(result),
                "per_seed": {seed: finite(value) for seed, value in result.per_seed.items()},
                "verdict": result.verdict,
                "reason": result.reason,
            }
            for name, result in results.items()
        ],
    }


def combined_verdict(claim: Claim, results: Mapping[str, PartResult]) -> tuple[str, str]:
    """The claim's verdict and the reason, from those of the parts that its rule names."""
    deciding = {name: result for name, result in results.items() if name in claim.rule.deciding()}
    verdicts = {name: result.verdict for name, result in deciding.items()}
    if set(verdicts.values()) == {"not run"}:
        return "not run", "; ".join(dict.fromkeys(result.reason for result in deciding.values()))
    holds = {side: getattr(claim.rule, side).holds(side, verdicts) for side in ("supported", "refuted")}
    if holds["supported"] != holds["refuted"]:
        verdict = "supported" if holds["supported"] else "refuted"
        names = [name for name, _ in getattr(claim.rule, verdict).entries()]
        decided = {name: deciding[name] for name in names if deciding[name].verdict != "inconclusive"}
        return verdict, _listed(decided, verdict)
    return "inconclusive", _listed(deciding, "inconclusive")


def _listed(results: Mapping[str, PartResult], verdict: str) -> str:
    """The parts' reasons, those that share one verdict and reason together; a part is called what it measures.

    Parts with the claim's own verdict come first: they are why it is what it is.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for result in results.values():
        groups.setdefault((result.verdict, result.reason), []).append(result.part.quantity)
    if len(groups) == 1:
        ((_, reason),) = groups
        return reason
    return "; ".join(
        f"{names[0] if len(names) == 1 else f'{len(names)} parts'} {side}: {reason}"
        for (side, reason), names in sorted(groups.items(), key=lambda group: group[0][0] != verdict)
    )


def numbers(result: PartResult) -> dict[str, Any]:
    """Estimate, interval and seeds in JSON's terms: what is not finite is null, and `note` says what it is."""
    interval = result.interval
    notes = []
    for name, value in (("estimate", interval.estimate), ("low end", interval.low), ("high end", interval.high)):
        if math.isinf(value):
            notes.append(f"{name} is {'infinite' if value > 0 else 'minus infinity'}")
        elif math.isnan(value) and result.seeds:
            notes.append(f"{name} is undetermined")
    return {
        "estimate": finite(interval.estimate),
        "interval": [finite(interval.low), finite(interval.high)],
        "n_seeds": result.seeds,
        "note": "; ".join(notes),
    }


def finite(value: float) -> float | None:
    """The number, or None for inf and NaN, which JSON does not have; rounded to 10 digits."""
    return float(f"{value:.10g}") if math.isfinite(value) else None


def judge_all(claims: Sequence[Claim], functions: Mapping[str, ClaimFunction], cells: Cells) -> list[dict[str, Any]]:
    """All claims, in their order; none is left out.

    Raises:
        InputError: a claim without a function, or settings that its function does not take.
    """
    judged = []
    for claim in claims:
        if claim.id not in functions:
            raise InputError(f"claims.yaml: {claim.id}: unknown claim; there are: {', '.join(functions)}")
        function = functions[claim.id]
        accepted = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
        if set(accepted) != set(claim.settings):
            wanted, given = (", ".join(names) or "none" for names in (accepted, claim.settings))
            raise InputError(f"claims.yaml: {claim.id}.settings: expected {wanted}, got {given}")
        judged.append(judge(claim, function(cells, **claim.settings), cells.spec))
    return judged
