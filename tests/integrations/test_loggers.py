"""The logger that needs no library; the others are tested in `tests/others`."""

import csv
import math
from pathlib import Path

import pytest

from normlab.integrations.loggers import CsvLogger

NUMBERS = {"walk/loss": 0.1 + 0.2, "shift/features.3/cosine": -1.0}


def test_csv_gives_the_same_floats_and_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "probes.csv"
    with CsvLogger(path) as log:
        log(0, NUMBERS)
        log(1, {})
    with CsvLogger(path) as log:
        log(2, {"walk/loss": math.inf})
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert [(row["step"], row["name"], float(row["value"])) for row in rows] == [
        ("0", "walk/loss", 0.1 + 0.2),
        ("0", "shift/features.3/cosine", -1.0),
        ("2", "walk/loss", math.inf),
    ]


def test_csv_refuses_a_file_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="columns step, name, value, got 'a,b'"):
        CsvLogger(path)
    assert path.read_text() == "a,b\n1,2\n"
