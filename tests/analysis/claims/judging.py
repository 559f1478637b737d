"""The verdict on one packaged claim of a synthetic study."""

from functools import cache
from typing import Any

from normlab.analysis.cells import Cells
from normlab.analysis.claims.registry import FUNCTIONS
from normlab.analysis.rules import Claim, load_claims
from normlab.analysis.verdicts import judge_all


@cache
def packaged() -> dict[str, Claim]:
    """The packaged claims by id, read once."""
    return {claim.id: claim for claim in load_claims()}


def verdict(claim_id: str, cells: Cells) -> dict[str, Any]:
    """The entry of claims.json."""
    (entry,) = judge_all([packaged()[claim_id]], FUNCTIONS, cells)
    return entry


def part(entry: dict[str, Any], name: str) -> dict[str, Any]:
    """A part of an entry by its name."""
    (found,) = [part for part in entry["parts"] if part["name"] == name]
    return found
