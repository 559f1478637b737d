"""The section on the arithmetic of training: what the tables allow to say, and that there is nothing to compare."""

from pathlib import Path

import pandas as pd
import pytest
from tests.pages.study import write_results

from normlab.pages.precision import NONE, precision_comparison
from normlab.pages.results import Results


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    return write_results(tmp_path)


def test_without_such_runs_it_says_so(paths: dict[str, str]) -> None:
    assert repr(precision_comparison(Results.load(**paths))) == NONE


def test_runs_in_both_arithmetics_are_set_beside_each_other(paths: dict[str, str]) -> None:
    table = Path(paths["tables"]) / "measurements.parquet"
    measured = pd.read_parquet(table)
    of_batch = measured[(measured["study"] == "vgg") & (measured["norm_layer"] == "batch")]
    pd.concat([measured, of_batch.assign(variant="precision=bf16")]).to_parquet(table, index=False)
    shown = precision_comparison(Results.load(**paths))
    lines = repr(shown).splitlines()
    assert lines[0] == "|  | float32 | reduced | reduced ÷ float32 | float32's spread | the same |"
    rows = [line.split(" | ") for line in lines if line.startswith("| BatchNorm, bf16: ")]
    assert rows
    assert all(row[1] == row[2] for row in rows)  # the same numbers under two names
    assert all(row[3] in ("1", "undefined") for row in rows)
    assert lines[-1].startswith("BatchNorm, bf16, against float32: the same within the seeds' spread: ")
    assert "<table>" in shown.markup
