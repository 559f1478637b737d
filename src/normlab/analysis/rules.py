"""The claims and their decision rules as data: `claims.yaml`, read strictly.

One part of a claim, named beforehand, decides it: its primary part, one number a seed with a region in which the claim
holds, one in which it fails, and one in which at least its direction holds. The other parts are shown beside it: the
checks for artefacts, which pass or do not, and controls.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from normlab.analysis.statistics import Interval
from normlab.specs.strict import InputError, build, load_params

GROUPS = {
    "empirical": "VGG on CIFAR-10",
    "deep linear": "the 25-layer deep linear network",
    "theory": "the paper's statements",
    "own": "this project's own questions",
}
REPRODUCED, DIRECTION, NOT_REPRODUCED = "reproduced", "direction only", "not reproduced here"
CONTRADICTED, ERRATUM, UNDECIDED, NOT_RUN = "contradicted by the paper's own data", "erratum", "undecided", "not run"
YES, NO = "yes", "no"
VERDICTS = {
    REPRODUCED: "the deciding number lies where the paper's claim puts it, with its whole interval",
    DIRECTION: "the effect has the claimed sign, with its whole interval; that it has the claimed size is not shown",
    NOT_REPRODUCED: "the paper's own curve, where it has one, passes the rule; the numbers here fail it with their "
    "whole interval",
    CONTRADICTED: "the paper's own curve, put to the same rule, does not show what its text says",
    ERRATUM: "false as printed (one counterexample is enough); the corrected form is verified",
    YES: "this project's own question, answered yes",
    NO: "this project's own question, answered no",
    UNDECIDED: "too few seeds, runs too short, or an interval that reaches across a threshold",
    NOT_RUN: "what this claim needs was not run",
}
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
            return bool(low >= self.within[0] and high <= self.within[1])
        if self.beyond is not None:
            return bool(high <= self.beyond[0] or low >= self.beyond[1])
        checks = (
            (self.at_least, lambda x: low >= x),
            (self.at_most, lambda x: high <= x),
            (self.above, lambda x: low > x),
            (self.below, lambda x: high < x),
        )
        return bool(next(check(limit) for limit, check in checks if limit is not None))

    def __str__(self) -> str:
        ((key, value),) = self.as_dict().items()
        shown = " and ".join(f"{v:g}" for v in value) if isinstance(value, list) else f"{value:g}"
        return f"{key.replace('_', ' ')} {shown}"


@dataclass(frozen=True)
class Part:
    """One number of a claim and where it has to lie.

    Attributes:
        quantity: what is measured, in words.
        holds, fails: where the claim (or the check) holds and where it fails; a missing region can never be found.
        direction: where at least the effect's sign is the claimed one.
        check: whether this part is a check for an artefact: what else could make the deciding number.
    """

    quantity: str
    holds: Region | None = None
    fails: Region | None = None
    direction: Region | None = None
    check: bool = False

    def regions(self) -> dict[str, Any]:
        """The regions that are set, as they stand in the file."""
        sides = {"holds": self.holds, "fails": self.fails, "direction": self.direction}
        return {side: region.as_dict() for side, region in sides.items() if region is not None}


@dataclass(frozen=True)
class PaperSource:
    """Where the paper says it, with what number, and from which of its curves that number is computed here.

    Attributes:
        where: section and figure.
        value: what text and figure say.
        figures: whose digitized curves are put to the rule; none for a claim that the paper makes in words alone.
        part: the part that these curves can be measured by, where it is not the primary one.
    """

    where: str
    value: str
    figures: tuple[int, ...] = ()
    part: str = ""


@dataclass(frozen=True)
class _Head:
    id: str
    group: str
    statement: str
    paper: PaperSource
    quantity: str
    page: str
    min_seeds: int
    primary: str


@dataclass(frozen=True)
class Claim(_Head):
    """One entry of `claims.yaml`.

    Attributes:
        id, group, statement, paper, quantity, page: what it is and where it is shown.
        min_seeds: with fewer it is undecided.
        primary: the part that decides it.
        settings: what the function that measures the claim takes.
        parts: by name.
    """

    settings: Mapping[str, Any]
    parts: Mapping[str, Part]

    def rule(self) -> dict[str, Any]:
        """Everything that decides, as plain data: this is what a digest freezes."""
        return {
            "min_seeds": self.min_seeds,
            "primary": self.primary,
            "parts": {name: part.regions() for name, part in self.parts.items()},
            "settings": dict(self.settings),
            "paper": {"figures": list(self.paper.figures), "part": self.paper.part or self.primary},
        }


def load_claims(path: Path | None = None) -> list[Claim]:
    """All claims in the order of the file (the packaged `claims.yaml` unless another is given).

    Raises:
        InputError: the file is not YAML; an unknown or missing key; a wrong type; a primary part that is not there or
            that nothing could satisfy or fail; two claims of one id; an unknown page or group.
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
    for key, accepted in (("page", PAGES), ("group", tuple(GROUPS))):
        if getattr(head, key) not in accepted:
            raise InputError(f"{where}.{key}: accepted: {', '.join(accepted)}, got {getattr(head, key)!r}")
    if head.min_seeds < 1:
        raise InputError(f"{where}.min_seeds: must be at least 1, got {head.min_seeds}")
    if not isinstance(settings, dict):
        raise InputError(f"{where}.settings: expected a mapping, got {settings!r}")
    if not isinstance(parts, dict) or not parts:
        raise InputError(f"{where}.parts: expected a mapping of at least one part, got {parts!r}")
    built = {name: build(Part, part, f"{where}.parts.{name}") for name, part in parts.items()}
    for key, name in (("primary", head.primary), ("paper.part", head.paper.part or head.primary)):
        if name not in built:
            raise InputError(f"{where}.{key}: no part {name!r}; there are: {', '.join(built)}")
    for side in ("holds", "fails"):
        if getattr(built[head.primary], side) is None:
            raise InputError(f"{where}.parts.{head.primary}.{side}: missing; a rule has to be able to go either way")
    return Claim(**vars(head), settings=settings, parts=built)
