"""The longest chain of work is begun first, with the best knowledge of how long stages take."""

from pathlib import Path

import pytest

from normlab.scheduling.order import OTHER, SECONDS, Durations, ranks
from normlab.specs.yaml12 import load_yaml

NEEDS = {"data": set(), "train@a": {"data"}, "train@b": {"data"}, "probe@a": {"train@a"}, "end": {"probe@a", "train@b"}}


def test_a_stage_counts_with_the_longest_chain_behind_it() -> None:
    found = ranks(NEEDS, {"data": 1.0, "train@a": 10.0, "train@b": 20.0, "probe@a": 30.0, "end": 5.0})
    assert found == {"end": 5.0, "probe@a": 35.0, "train@b": 25.0, "train@a": 45.0, "data": 46.0}


def test_what_was_measured_comes_before_its_kind_and_the_table(tmp_path: Path) -> None:
    path = tmp_path / "seconds.json"
    durations = Durations(path)
    assert durations.expected(["train@a", "mine"]) == {"train@a": SECONDS["train"], "mine": OTHER}
    durations.measured("train@a", 4.0)
    durations.measured("train@b", 8.0)
    durations.save()
    expected = Durations(path).expected(["train@a", "train@c", "probe@a", "probe@c"])
    longer_or_shorter = SECONDS["probe"] * 4.0 / 6.0
    assert expected == pytest.approx(
        {"train@a": 4.0, "train@c": 6.0, "probe@a": longer_or_shorter, "probe@c": SECONDS["probe"]}
    )


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"train": "long"}', '{"train": null}', "\x00"])
def test_a_damaged_file_holds_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "seconds.json"
    path.write_text(text)
    assert Durations(path).expected(["train"]) == {"train": SECONDS["train"]}


def test_the_table_lists_stages_of_the_study(repository: Path) -> None:
    assert set(SECONDS) <= set(load_yaml(repository / "dvc.yaml")["stages"])
