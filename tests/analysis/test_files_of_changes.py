"""What a file of rule changes may say, what is refused with its place, and which files a record freezes."""

import hashlib
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from tests.analysis.test_changes import RULE, result

from normlab.analysis.changes import before, digest, earlier_verdict, frozen, load_changes
from normlab.analysis.rules import load_claims
from normlab.specs.strict import InputError


def entry(**changes: Any) -> dict[str, Any]:
    """A valid entry but for what is changed; None leaves a key out."""
    words = {key: f"the {key}" for key in ("claim", "date", "what", "reason", "decided_on", "digest")}
    return {key: value for key, value in {**words, "before": RULE, **changes}.items() if value is not None}


def loaded(tmp_path: Path, content: Any) -> Any:
    path = tmp_path / "rule_changes.yaml"
    path.write_text(json.dumps(content))
    return load_changes(path)


def test_entries_are_read_in_their_order(tmp_path: Path) -> None:
    found = loaded(tmp_path, {"changes": [entry(claim="C2"), entry(claim="C1", what="another")]})
    assert [(one.claim, one.what) for one in found] == [("C2", "the what"), ("C1", "another")]
    assert (found[0].date, found[0].reason, found[0].decided_on) == ("the date", "the reason", "the decided_on")
    assert found[0].digest == "the digest"
    assert found[0].before == RULE


def rule(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**RULE, **changes}.items() if value is not None}


KEYS = "min_seeds, supported, refuted, parts"
WRONG: list[tuple[Any, str]] = [
    ({"other": []}, "rule_changes.yaml: expected one key, changes, with a list, got other"),
    ({"changes": [], "more": 1}, "rule_changes.yaml: expected one key, changes, with a list, got changes, more"),
    ({"changes": {}}, "rule_changes.yaml: expected one key, changes, with a list, got changes"),
    ({"changes": [entry(), 1]}, "changes[1]: expected a mapping with the earlier rule under before, got 1"),
    ({"changes": [entry(before=[1])]}, "changes[0]: expected a mapping with the earlier rule under before"),
    ({"changes": [entry(), entry(reason=None)]}, "rule_changes.yaml: changes[1].reason: missing"),
    ({"changes": [entry(about="this")]}, "rule_changes.yaml: changes[0].about: unknown key"),
    ({"changes": [entry(words="more")]}, "rule_changes.yaml: changes[0].words: unknown key"),
    (
        {"changes": [entry(before=rule(refuted=None))]},
        f"changes[0].before: expected {KEYS}, got min_seeds, supported, parts",
    ),
    (
        {"changes": [entry(before=rule(more=1))]},
        f"changes[0].before: expected {KEYS}, got min_seeds, supported, refuted, parts, more",
    ),
    (
        {"changes": [entry(before=rule(parts={"a": {"supported": {"at_least": "2"}}}))]},
        "changes[0].before.parts.a.supported.at_least: expected",
    ),
    (
        {"changes": [entry(before=rule(parts={"a": {"refuted": {"around": 2}}}))]},
        "changes[0].before.parts.a.refuted.around: unknown key",
    ),
]


@pytest.mark.parametrize(("content", "message"), WRONG)
def test_a_wrong_entry_is_refused_with_its_place(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        loaded(tmp_path, content)


def test_a_part_that_was_not_measured_leaves_the_verdict_to_the_others() -> None:
    refuted, supported = result(0.5, 0.5), result(3.0, 3.0)
    assert earlier_verdict(RULE, {"a": refuted}) == "refuted"
    assert earlier_verdict(RULE, {"a": supported}) == "inconclusive"
    assert earlier_verdict(RULE, {"b": supported}) == "refuted"
    assert earlier_verdict({**RULE, "supported": {"any": ["a", "b"]}}, {"a": supported}) == "supported"


@pytest.mark.parametrize(("seeds", "expected"), [(4, "inconclusive"), (5, "supported"), (6, "supported")])
def test_seeds_are_counted_as_the_earlier_rule_did(seeds: int, expected: str) -> None:
    alone = {"min_seeds": 5, "supported": {"all": ["b"]}, "refuted": {"all": ["b"]}, "parts": {"b": RULE["parts"]["b"]}}  # type: ignore[index]
    assert earlier_verdict(alone, {"b": result(2.0, 2.0, seeds)}) == expected


def test_the_latest_change_of_a_claim_stands_first() -> None:
    for claim in load_claims():
        of_claim = [change for change in load_changes() if change.claim == claim.id]
        found = before(claim, {})
        assert [one["what"] for one in found] == [change.what for change in of_claim][::-1]
        for one, change in zip(found, reversed(of_claim), strict=True):
            words = (one["until"], one["reason"], one["decided_on"])
            assert words == (change.date, change.reason, change.decided_on)
            assert one["verdict"] == "not run"


def test_a_digest_is_twelve_digits_of_the_rule() -> None:
    for claim in load_claims():
        text = json.dumps(claim.rule(), sort_keys=True).encode()
        assert digest(claim) == hashlib.sha256(text).hexdigest()[:12]
        assert len(digest(claim)) == 12


def test_what_is_frozen_is_all_that_turns_rows_into_verdicts() -> None:
    root = Path(str(resources.files("normlab")))
    names = [
        *(path for room in ("analysis", "paper") for path in (root / room).glob("**/*")),
        *(root / "tables" / name for name in ("frames.py", "rows.py")),
    ]
    kept = sorted(path for path in names if path.is_file() and path.name.endswith((".py", ".yaml", ".csv")))
    assert len(kept) > 30
    content = b"".join(
        "/".join(path.relative_to(root).parts).encode() + b"\0" + path.read_bytes() + b"\0" for path in kept
    )
    claims = load_claims()
    assert frozen(claims) == {
        "rules": {claim.id: digest(claim) for claim in claims},
        "claims": "sha256:" + hashlib.sha256((root / "analysis/claims.yaml").read_bytes()).hexdigest(),
        "analysis": "sha256:" + hashlib.sha256(content).hexdigest(),
    }
    assert frozen(claims[:2])["rules"].keys() == {"C1", "C2"}
