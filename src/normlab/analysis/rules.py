"""The claims and their decision rules as data: `claims.yaml`, read strictly.

Every claim has parts, each one number a seed with a region that supports and a region that refutes it, and a rule
that combines the verdicts of the parts. A part that the rule does not name is shown beside the others and decides
nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from normlab.analysis.statistics import Interval
from normlab.specs.strict import InputError, build, load_params

VERDICTS = ("supported", "refuted", "inconclusive", "not run")
PAGES = (
    "01-training.html",
    "02-landscape.html",
    "03-covariate-shift.html",
    "04-activations.html",
    "05-normalizers.html",
    "06-deep-linear.html",
    "07-theory.html",
)


@dataclass(frozen=True)
class Region:
    """A set of numbers, by exactly one of its fields; `within` and `beyond` take a pair, ends included."""

    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None
    within: tuple[float, ...] | None = None
    beyond: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        given = self.as_dict()
        if len(given) != 1:
            accepted = "at_least, at_most, above, below, within, beyond"
            raise InputError(f"a region: expected exactly one of {accepted}, got {given or 'none'}")
        for pair in (self.within, self.beyond):
            if pair is not None and (len(pair) != 2 or pair[0] > pair[1]):
                raise InputError(f"a region: expected a pair of rising numbers, got {list(pair)}")

    def as_dict(self) -> dict[str, Any]:
        """The one field that is set, as it stands in the file."""
        fields = {key: value for key, value in asdict(self).items() if value is not None}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()}

    def holds(self, interval: Interval) -> bool:
        """Whether the whole interval lies in the region (never, if an end is NaN)."""
        low, high = interval.low, interval.high
        if self.within is not None:
            return low >= self.within[0] and high <= self.within[1]
        if self.beyond is not None:
            return high <= self.beyond[0] or low >= self.beyond[1]
        checks = (
            (self.at_least, lambda x: low >= x),
            (self.at_most, lambda x: high <= x),
            (self.above, lambda x: low > x),
            (self.below, lambda x: high < x),
        )
        return next(check(limit) for limit, check in checks if limit is not None)

    def __str__(self) -> str:
        ((key, value),) = self.as_dict().items()
        shown = " and ".join(f"{v:g}" for v in value) if isinstance(value, list) else f"{value:g}"
        return f"{key.replace('_', ' ')} {shown}"


@dataclass(frozen=True)
class Part:
    """One number of a claim and where it has to lie; a missing region can never be the verdict."""

    quantity: str
    supported: Region | None = None
    refuted: Region | None = None


@dataclass(frozen=True)
class Condition:
    """On the verdicts of parts: all, or any, of the entries, each "part" (has the verdict asked about) or
    "part=verdict"."""

    all: tuple[str, ...] | None = None
    any: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if (self.all is None) == (self.any is None) or not (self.all or self.any):
            raise InputError("a condition: expected exactly one of all, any, with a list of parts")

    def holds(self, verdict: str, verdicts: Mapping[str, str]) -> bool:
        """Whether the condition for `verdict` holds, given every part's verdict."""
        found = [verdicts[name] == (wanted or verdict) for name, wanted in self.entries()]
        return all(found) if self.all is not None else any(found)

    def entries(self) -> list[tuple[str, str]]:
        """(part, verdict) pairs; the verdict is "" where the entry names none."""
        split = (entry.partition("=") for entry in (self.all or self.any or ()))
        return [(name, wanted) for name, _, wanted in split]

    def as_dict(self) -> dict[str, list[str]]:
        """As it stands in the file."""
        return {"all": list(self.all)} if self.all is not None else {"any": list(self.any or ())}


@dataclass(frozen=True)
class Rule:
    """When the claim as a whole is supported or refuted; anything else is inconclusive."""

    min_seeds: int
    supported: Condition
    refuted: Condition

    def __post_init__(self) -> None:
        if self.min_seeds < 1:
            raise InputError(f"rule.min_seeds: must be at least 1, got {self.min_seeds}")

    def deciding(self) -> set[str]:
        """The parts that the rule names."""
        return {name for condition in (self.supported, self.refuted) for name, _ in condition.entries()}


@dataclass(frozen=True)
class PaperValue:
    """Where the paper says it, and with what number."""

    where: str
    value: str


@dataclass(frozen=True)
class Claim:
    """One entry of `claims.yaml`."""

    id: str
    statement: str
    paper: PaperValue
    quantity: str
    page: str
    rule: Rule
    settings: Mapping[str, Any]
    parts: Mapping[str, Part]

    def rule_as_dict(self) -> dict[str, Any]:
        """Everything that decides, thresholds and settings, as plain data."""
        regions = {
            name: {
                side: region.as_dict()
                for side, region in (("supported", part.supported), ("refuted", part.refuted))
                if region is not None
            }
            for name, part in self.parts.items()
        }
        return {
            "min_seeds": self.rule.min_seeds,
            "supported": self.rule.supported.as_dict(),
            "refuted": self.rule.refuted.as_dict(),
            "parts": regions,
            "settings": dict(self.settings),
        }


@dataclass(frozen=True)
class _Head:
    id: str
    statement: str
    paper: PaperValue
    quantity: str
    page: str
    rule: Rule


def load_claims(path: Path | None = None) -> list[Claim]:
    """All claims in the order of the file (the packaged `claims.yaml` unless another is given).

    Raises:
        InputError: the file is not YAML; an unknown or missing key; a wrong type; a rule that names no part; two
            claims of one id; an unknown page.
    """
    with resources.as_file(resources.files("normlab.analysis") / "claims.yaml") as packaged:
        raw = load_params(path or packaged)
    where = Path(path).name if path else "claims.yaml"
    if set(raw) != {"claims"} or not isinstance(raw["claims"], list):
        raise InputError(f"{where}: expected one key, claims, with a list, got {', '.join(map(str, raw))}")
    claims = [_claim(entry, f"{where}: claims[{i}]") for i, entry in enumerate(raw["claims"])]
    ids = [claim.id for claim in claims]
    for claim_id in ids:
        if ids.count(claim_id) > 1:
            raise InputError(f"{where}: {claim_id}: every claim may appear once")
    return claims


def _claim(raw: object, where: str) -> Claim:
    if not isinstance(raw, dict):
        raise InputError(f"{where}: expected a mapping, got {raw!r}")
    where = f"{where} ({raw.get('id', 'no id')})"
    head = build(_Head, {key: value for key, value in raw.items() if key not in ("parts", "settings")}, where)
    settings, parts = raw.get("settings", {}), raw.get("parts")
    if not re.fullmatch(r"C\d+", head.id):
        raise InputError(f"{where}.id: expected C and a number, got {head.id!r}")
    if head.page not in PAGES:
        raise InputError(f"{where}.page: accepted: {', '.join(PAGES)}, got {head.page!r}")
    if not isinstance(settings, dict):
        raise InputError(f"{where}.settings: expected a mapping, got {settings!r}")
    if not isinstance(parts, dict) or not parts:
        raise InputError(f"{where}.parts: expected a mapping of at least one part, got {parts!r}")
    built = {name: build(Part, part, f"{where}.parts.{name}") for name, part in parts.items()}
    for side in ("supported", "refuted"):
        for name, wanted in getattr(head.rule, side).entries():
            if name not in built:
                raise InputError(f"{where}.rule.{side}: no part {name!r}; there are: {', '.join(built)}")
            if wanted not in ("", *VERDICTS):
                raise InputError(f"{where}.rule.{side}: accepted verdicts: {', '.join(VERDICTS)}, got {wanted!r}")
            if getattr(built[name], wanted or side, None) is None:
                raise InputError(f"{where}.rule.{side}: part {name!r} has no region {wanted or side!r}")
    return Claim(**vars(head), settings=settings, parts=built)
