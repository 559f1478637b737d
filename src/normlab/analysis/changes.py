"""Changes of the rules: why, and what the earlier rule says of today's numbers. What is frozen before a record.

`rule_changes.yaml` has an entry for every change of a claim's rule, each with the digest of the rule that it led to. A
rule that was changed without an entry no longer has the digest of its last entry, and a test says so.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from normlab.analysis.parts import PartResult
from normlab.analysis.rules import NOT_RUN, Claim, Region
from normlab.specs.strict import InputError, build, load_params

# what turns rows into verdicts; figures and pages may change after a record's first run, these may not
FROZEN = ("analysis", "paper", "tables/frames.py", "tables/rows.py")
SIDES = ("supported", "refuted")


@dataclass(frozen=True)
class RuleChange:
    """One entry of `rule_changes.yaml`.

    Attributes:
        claim: which.
        date: when.
        what, reason: in words.
        decided_on: the data on which the new rule was decided (never our own results).
        before: the earlier rule: `min_seeds`, conditions `supported` and `refuted` (all or any of the named parts,
            "part" or "part=verdict"), and the regions of those parts.
        digest: of the rule that the change led to.
    """

    claim: str
    date: str
    what: str
    reason: str
    decided_on: str
    before: Mapping[str, Any]
    digest: str


@dataclass(frozen=True)
class _Head:
    claim: str
    date: str
    what: str
    reason: str
    decided_on: str
    digest: str


@cache
def load_changes(path: Path | None = None) -> tuple[RuleChange, ...]:
    """All changes, oldest first (the packaged `rule_changes.yaml` unless another is given).

    Raises:
        InputError: the file has another form.
    """
    with resources.as_file(resources.files("normlab.analysis") / "rule_changes.yaml") as packaged:
        raw = load_params(path or packaged)
    if set(raw) != {"changes"} or not isinstance(raw["changes"], list):
        raise InputError(f"rule_changes.yaml: expected one key, changes, with a list, got {', '.join(map(str, raw))}")
    return tuple(_change(entry, f"rule_changes.yaml: changes[{i}]") for i, entry in enumerate(raw["changes"]))


def _change(raw: object, where: str) -> RuleChange:
    if not isinstance(raw, dict) or not isinstance(raw.get("before"), dict):
        raise InputError(f"{where}: expected a mapping with the earlier rule under before, got {raw!r}")
    head = build(_Head, {key: value for key, value in raw.items() if key != "before"}, where)
    before = raw["before"]
    if set(before) != {"min_seeds", *SIDES, "parts"}:
        raise InputError(f"{where}.before: expected min_seeds, supported, refuted, parts, got {', '.join(before)}")
    for name, regions in before["parts"].items():
        for side, region in regions.items():
            build(Region, region, f"{where}.before.parts.{name}.{side}")
    return RuleChange(**vars(head), before=before)


def digest(claim: Claim) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of all that decides the claim (`Claim.rule`)."""
    return hashlib.sha256(json.dumps(claim.rule(), sort_keys=True).encode()).hexdigest()[:12]


def frozen(claims: Sequence[Claim]) -> dict[str, Any]:
    """What a record freezes before its first run: digests of every rule, of the claims file and of the analysis code.

    Example:
        >>> from normlab.analysis.rules import load_claims
        >>> sorted(frozen(load_claims()))
        ['analysis', 'claims', 'rules']
    """
    root = Path(str(resources.files("normlab")))
    files = sorted(path for entry in FROZEN for path in _files(root / entry))
    code = hashlib.sha256()
    for path in files:
        code.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    text = (root / "analysis" / "claims.yaml").read_bytes()
    return {
        "rules": {claim.id: digest(claim) for claim in claims},
        "claims": f"sha256:{hashlib.sha256(text).hexdigest()}",
        "analysis": f"sha256:{code.hexdigest()}",
    }


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [p for p in path.rglob("*") if p.suffix in (".py", ".yaml", ".csv")]


def before(claim: Claim, results: Mapping[str, PartResult]) -> list[dict[str, str]]:
    """What each earlier rule of the claim says of the same numbers, and why it was changed; the latest first."""
    return [
        {
            "until": change.date,
            "verdict": earlier_verdict(change.before, results),
            "what": change.what,
            "reason": change.reason,
            "decided_on": change.decided_on,
        }
        for change in reversed(load_changes())
        if change.claim == claim.id
    ]


def earlier_verdict(rule: Mapping[str, Any], results: Mapping[str, PartResult]) -> str:
    """The verdict of an earlier rule on today's intervals: supported, refuted, inconclusive or not run.

    A part that is no longer measured is not run. Where both conditions hold, or none, it is inconclusive.
    """
    verdicts = {
        name: _earlier_part(regions, rule["min_seeds"], results.get(name)) for name, regions in rule["parts"].items()
    }
    if set(verdicts.values()) == {NOT_RUN}:
        return NOT_RUN
    holding = [side for side in SIDES if _holds(rule[side], side, verdicts)]
    return holding[0] if len(holding) == 1 else "inconclusive"


def _earlier_part(regions: Mapping[str, Any], min_seeds: int, result: PartResult | None) -> str:
    if result is None or result.verdict == NOT_RUN:
        return NOT_RUN
    if result.seeds >= min_seeds:
        for side in SIDES:
            if side in regions and build(Region, regions[side], side).holds(result.interval):
                return side
    return "inconclusive"


def _holds(condition: Mapping[str, Sequence[str]], side: str, verdicts: Mapping[str, str]) -> bool:
    ((combine, entries),) = condition.items()
    found = [verdicts[name] == (wanted or side) for name, _, wanted in (entry.partition("=") for entry in entries)]
    return all(found) if combine == "all" else any(found)
