"""The logger that needs no library; the others are tested in `tests/others`."""

import csv
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from normlab.integrations.loggers import CsvLogger, MlflowLogger, TensorBoardLogger, WandbLogger

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


@pytest.mark.parametrize("cut", ["1,a,2", "1,a", "1,a,2.5e-0", '1,"a'])
def test_csv_does_not_go_on_in_a_row_without_an_end(tmp_path: Path, cut: str) -> None:
    path = tmp_path / "probes.csv"
    whole = "step,name,value\n" + "0,a,1.0\n" * 500
    path.write_text(whole + cut)
    with pytest.raises(ValueError, match=re.escape(f"{path}: the last row, {cut!r}, has no line end")):
        CsvLogger(path)
    assert path.read_text() == whole + cut
    path.write_text(whole + "1,a,2.5\n")  # what the message says to do
    with CsvLogger(path) as log:
        log(2, {"a": 3.0})
    assert path.read_text() == whole + "1,a,2.5\n2,a,3.0\n"


@pytest.mark.parametrize("start", ["step,name,value", "\n1,a,2.0\n", "step,na"])
def test_csv_does_not_go_on_after_a_header_that_is_none(tmp_path: Path, start: str) -> None:
    path = tmp_path / "probes.csv"
    path.write_text(start)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        CsvLogger(path)
    assert path.read_text() == start
    path.write_text("")
    CsvLogger(path).close()
    assert path.read_text() == "step,name,value\n"


def test_csv_refuses_what_is_no_step_with_its_numbers_and_writes_nothing_then(tmp_path: Path) -> None:
    path = tmp_path / "probes.csv"
    with CsvLogger(path) as log:
        message = "expected log(step, numbers), a number and a dict of numbers, got {'a': 1.0} and 3"
        with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
            log({"a": 1.0}, 3)  # type: ignore[arg-type]
        for step, numbers in (("1", {"a": 1.0}), (None, {}), (1, [("a", 1.0)]), (1, None), (torch.ones(2), {})):
            with pytest.raises(TypeError, match=r"^expected log\(step, numbers\), a number and .*, got .*$"):
                log(step, numbers)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="could not convert"):
            log(1, {"a": 1.0, "b": "high"})  # type: ignore[dict-item]
        for step in (2, np.int64(2), torch.tensor(2), np.array(2)):
            log(step, {"a": torch.tensor(0.5)})  # type: ignore[arg-type, dict-item]
    assert path.read_text() == "step,name,value\n" + "2,a,0.5\n" * 4


@pytest.mark.parametrize("kind", [TensorBoardLogger, MlflowLogger, WandbLogger])
def test_the_others_refuse_it_too_before_they_need_their_packages(kind: Any) -> None:
    log = object.__new__(kind)
    with pytest.raises(TypeError, match=r"^expected log\(step, numbers\), a number and .*, got {'a': 1.0} and 3$"):
        log({"a": 1.0}, 3)
