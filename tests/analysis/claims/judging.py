"""The verdict on one packaged claim of a synthetic study."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from tests.analysis.synthetic import SPEC

from normlab.analysis.cells import Cells
from normlab.analysis.claims.registry import FUNCTIONS
from normlab.analysis.paper_cells import paper_numbers
from normlab.analysis.parts import ClaimFunction
from normlab.analysis.rules import Claim, load_claims
from normlab.analysis.statistics import Interval
from normlab.analysis.verdicts import judge_all


@cache
def packaged() -> dict[str, Claim]:
    """The packaged claims by id, read once."""
    return {claim.id: claim for claim in load_claims()}


@cache
def of_paper(claim_id: str) -> dict[str, Interval]:
    """The numbers of the paper's own curves, computed once."""
    return paper_numbers(packaged()[claim_id], FUNCTIONS[claim_id], SPEC)


def no_paper(claim: Claim, function: ClaimFunction) -> Mapping[str, Interval]:
    """As if the paper had no curves."""
    return {}


def verdict(claim_id: str, cells: Cells) -> dict[str, Any]:
    """The entry of claims.json."""
    (entry,) = judge_all([packaged()[claim_id]], FUNCTIONS, cells, lambda claim, function: of_paper(claim.id))
    return entry


def part(entry: dict[str, Any], name: str) -> dict[str, Any]:
    """A part of an entry by its name."""
    (found,) = [part for part in entry["parts"] if part["name"] == name]
    return found
