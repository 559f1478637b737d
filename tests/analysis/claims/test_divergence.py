"""A seed that diverged never makes a network look smooth, steady or fast."""

import json

import pytest
from tests.analysis.claims.judging import no_paper, packaged
from tests.analysis.synthetic import Kind, study

from normlab.analysis.claims.registry import FUNCTIONS
from normlab.analysis.verdicts import judge_all

NORMS = ("none", "batch", "noisy_batch", "noise", "l1", "l2", "linf")
FLATTERED = Kind(
    rough=0.001, near=0.001, distance=0.001, beta=0.001, near_beta=0.001, turn=1.0, move=0.001, move_conv=0.001,
    shift=0.001, cosine=1.0, loss=0.001,
)  # fmt: skip
NOT_ABOUT_RUNS = ("C18", "C19", "C20", "C21", "C22")


@pytest.fixture(scope="module", params=["batch", "l1"])
def judged(request: pytest.FixtureRequest) -> list[dict]:
    """All claims of a study in which everything is equal, but for one network whose seeds look perfect and diverge."""
    gone = Kind(**{**vars(FLATTERED), "diverged_at": 700})
    kinds = {(norm, 0.1): gone if norm == request.param else Kind() for norm in NORMS}
    deep = {(norm, 1e-6): gone if norm == request.param else Kind() for norm in NORMS[:2] + NORMS[4:]}
    entries = judge_all(list(packaged().values()), FUNCTIONS, study(kinds, deep, seeds=5), no_paper)
    return [{"gone": request.param, **entry} for entry in entries]


def test_every_claim_has_an_entry_that_json_can_hold(judged: list[dict]) -> None:
    assert len(judged) == 24
    assert json.loads(json.dumps(judged, allow_nan=False)) == judged


def test_no_claim_is_reproduced_by_a_network_that_exploded(judged: list[dict]) -> None:
    """Batch diverged: nothing that says it is smoother, steadier or faster can hold; nor ℓ1 as smooth as BatchNorm."""
    verdicts = {entry["id"]: entry["verdict"] for entry in judged if entry["id"] not in NOT_ABOUT_RUNS}
    praise = {
        "batch": ("C1", "C4", "C9", "C10", "C11", "C12", "C14"),
        "l1": ("C14", "C15", "C16"),
    }
    held = [claim for claim in praise[judged[0]["gone"]] if verdicts[claim] in ("reproduced", "direction only", "yes")]
    assert held == []
