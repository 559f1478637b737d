"""Where a record's runs come from and what they cost."""

from pathlib import Path

import pandas as pd
import pytest

from normlab.records.provenance import LOGS, seconds_of


@pytest.mark.parametrize(
    ("steps", "seconds", "whole"),
    [
        (range(4), [1.0, 2.0, 3.0, 4.0], 4.0),
        (range(2, 4), [1.0, 2.0], 4.0),  # resumed after two updates: the last stretch is taken for all
        (range(3), [5.0, 6.0, 7.5], 7.5),  # diverged at its third update, of however many were planned
    ],
)
def test_seconds_are_of_the_updates_that_were_made(
    steps: range, seconds: list[float], whole: float, tmp_path: Path
) -> None:
    (tmp_path / LOGS).mkdir(parents=True)
    pd.DataFrame({"step": steps, "seconds": seconds}).to_csv(tmp_path / LOGS / "some-run.csv", index=False)
    assert seconds_of(tmp_path, "some-run") == whole


def test_without_a_log_nothing_is_known(tmp_path: Path) -> None:
    assert seconds_of(tmp_path, "some-run") is None
    (tmp_path / LOGS).mkdir(parents=True)
    (tmp_path / LOGS / "some-run.csv").write_text("step,seconds\n")
    assert seconds_of(tmp_path, "some-run") is None
