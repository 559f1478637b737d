"""A run of a record, trained once more: bit for bit here, and what would differ elsewhere is noticed."""

import shutil
from pathlib import Path

import pytest
from tests.records.conftest import RUNS

from normlab.pages.records import Record
from normlab.records.files import read_measurements, write_measurements
from normlab.records.record import add
from normlab.records.repeat import repeat_run
from normlab.rerun import compare_metrics, load_tolerances
from normlab.specs.strict import InputError
from normlab.stages import rerun

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def repository(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    add(Record(root / "reports/published/tiny"), clone)
    return root


def test_a_run_comes_out_bit_for_bit(repository: Path, capfd: pytest.CaptureFixture) -> None:
    rerun.main(["--root", str(repository), "--record", "tiny", "--run", RUNS[1]])
    said = capfd.readouterr().out
    assert "**no difference that matters**" in said
    assert f"`{RUNS[1]}` is bit-identical" in said


def test_what_was_changed_is_noticed(repository: Path, tmp_path: Path) -> None:
    record = Record(Path(shutil.copytree(repository / "reports/published/tiny", tmp_path / "tiny")))
    path = record.folder / "runs" / RUNS[1] / "measurements.parquet"
    frame = read_measurements(path)
    moved = (frame["probe"] == "history") & (frame["quantity"] == "loss") & (frame["step"] == 3)
    write_measurements(frame.assign(value=frame["value"].where(~moved, frame["value"] * 1.01)), path)
    (tmp_path / "work").mkdir()
    repeated = repeat_run(record, RUNS[1], tmp_path / "work")
    assert not repeated.identical
    found = compare_metrics(repeated.committed, repeated.now, load_tolerances("record_tolerances.yaml"))
    assert [(change.name, change.allowed) for change in found] == [("first.loss.3", None)]


def test_bad_names_are_one_line(repository: Path) -> None:
    with pytest.raises(InputError, match=r"RECORD and RUN: expected both"):
        rerun.main(["--root", str(repository), "--run", RUNS[0]])
    with pytest.raises(InputError, match=rf"RUN: no finished run '{RUNS[2]}' in the record tiny; there are: "):
        rerun.main(["--root", str(repository), "--record", "tiny", "--run", RUNS[2]])
