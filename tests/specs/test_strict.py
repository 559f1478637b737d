"""Every wrong settings file is one clear line; every right one arrives with its types."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from normlab.specs.strict import InputError, build, load_params, load_section, require


@dataclass(frozen=True)
class Inner:
    size: int


@dataclass(frozen=True)
class Sample:
    count: int
    rate: float
    kind: Literal["a", "b"]
    sizes: tuple[float, ...]
    flag: bool = False
    name: str = "x"
    inner: Inner | None = None

    def __post_init__(self) -> None:
        require(self.count >= 1, "s.count", "must be at least 1", self.count)


GOOD = {"count": 2, "rate": 1, "kind": "a", "sizes": [1, 2.5]}


def test_values_arrive_with_their_types() -> None:
    sample = build(Sample, {**GOOD, "inner": {"size": 3}}, "s")
    assert sample == Sample(2, 1.0, "a", (1.0, 2.5), inner=Inner(3))
    assert isinstance(sample.rate, float)
    assert build(Sample, GOOD | {"count": 2**31 - 1}, "s").count == 2**31 - 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 2.0}, r"s\.count: expected a whole number, got 2\.0"),
        ({"count": True}, r"s\.count: expected a whole number, got True"),
        ({"count": 2**31}, r"s\.count: expected a whole number of at most 2,147,483,647, got 2147483648$"),
        ({"count": -(10**30)}, r"s\.count: expected a whole number of at most 2,147,483,647, got -1000"),
        ({"count": 0}, r"s\.count: must be at least 1, got 0"),
        ({"rate": "1e-3x"}, r"s\.rate: expected a number .*got '1e-3x'"),
        ({"rate": 10**400}, r"s\.rate: expected a number"),
        ({"rate": False}, r"s\.rate: expected a number"),
        ({"kind": "c"}, r"s\.kind: expected one of a, b, got 'c'"),
        ({"sizes": 3}, r"s\.sizes: expected a list"),
        ({"sizes": [1, "x"]}, r"s\.sizes\[1\]: expected a number"),
        ({"flag": "yes"}, r"s\.flag: expected true or false, got 'yes'"),
        ({"extra": 1}, r"s\.extra: unknown key; accepted: count, rate"),
        ({"inner": {"sizes": 3}}, r"s\.inner\.sizes: unknown key; accepted: size"),
    ],
)
def test_a_wrong_value_names_key_value_and_what_is_accepted(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        build(Sample, GOOD | change, "s")
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(InputError, match=r"s\.count: missing; expected a whole number"):
        build(Sample, {key: value for key, value in GOOD.items() if key != "count"}, "s")


def test_yaml_is_read_by_the_rules_of_version_1_2_as_dvc_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("s: {count: 2, rate: 1.0e-3, kind: a, sizes: [1.0e-3, .5, 2], name: 'no'}\n")
    sample = load_section(path, "s", Sample)
    assert (sample.rate, sample.sizes, sample.name) == (1e-3, (1e-3, 0.5, 2.0), "no")


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [1", "not valid YAML"), ("- 1\n", "expected a mapping of sections"), ("t: 1\n", "section 's' is missing")],
)
def test_an_unusable_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_section(path, "s", Sample)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_params(tmp_path / "none.yaml")
