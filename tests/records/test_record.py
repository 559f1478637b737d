"""Records of a tiny study: what is taken in, what is refused, and that a reader gets what the clone has."""

import contextlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from tests.records.conftest import PARAMS, RUNS, train

from normlab.pages.records import Record
from normlab.records import record as records
from normlab.records.record import add
from normlab.records.results import record_tables
from normlab.specs.analyze import AnalyzeSpec
from normlab.specs.strict import InputError, load_section
from normlab.specs.study import read_study
from normlab.tables.assemble import Sources, assemble
from normlab.tables.frames import combine, select
from normlab.tables.stage_outputs import read_training_study

pytestmark = pytest.mark.pipeline


@pytest.fixture
def copy(clone: Path, tmp_path: Path) -> Path:
    """The clone, to be changed."""
    return Path(shutil.copytree(clone, tmp_path / "copy"))


@pytest.fixture
def record(clone: Path, tmp_path: Path) -> Record:
    found = Record(tmp_path / "reports/published/tiny")
    add(found, clone)
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_finished_is_taken_in_and_the_rest_is_listed(record: Record) -> None:
    manifest = record.manifest
    assert list(manifest["finished"]) == [f"runs/{RUNS[0]}", f"runs/{RUNS[1]}", "dln/batch-1e-06", "statements/random"]
    assert manifest["missing"] == [f"runs/{RUNS[2]}", "dln/none-1e-06", *(f"statements/{run}" for run in RUNS[1:])]
    assert manifest["planned"] == 8
    (source,) = manifest["sources"]
    assert source["versions"]["torch"]
    assert "cores" in source["processor"]
    about = manifest["finished"][f"runs/{RUNS[0]}"]
    assert about["seconds"] > 0
    assert manifest["core_hours"] == round(sum(x.get("seconds", 0) for x in manifest["finished"].values()) / 3600, 2)
    assert len(json.loads((record.folder / "data.json").read_text())["held_out"]) == 10
    assert (record.folder / "params.yaml").read_text() == PARAMS


def test_a_reader_gets_the_clone_s_numbers_in_single_precision(record: Record, clone: Path) -> None:
    mine = record_tables(record)
    runs = read_study(record.params).runs[:2]
    theirs = combine(read_training_study(runs, clone / "models/runs", clone / "data/probes")[0])
    found = select(mine.measurements, study="vgg", batch=[0, 1])
    keys = [name for name in found if name != "value"]
    both = [
        frame.astype(dict.fromkeys(keys, object)).sort_values(keys).reset_index(drop=True)
        for frame in (found, select(theirs, batch=[0, 1]))
    ]
    pd.testing.assert_frame_equal(both[0], both[1], rtol=1e-6, check_dtype=False)  # one rounding to 24 bits
    assert len(mine.histograms)
    assert len(mine.theory)


def test_adding_twice_adds_nothing_and_a_later_addition_what_is_new(record: Record, copy: Path) -> None:
    before = files(record.folder)
    assert add(record, copy) == []
    assert files(record.folder) == before
    with contextlib.chdir(copy):
        train(RUNS[2])
    assert add(record, copy) == [f"runs/{RUNS[2]}"]
    after = files(record.folder)
    assert {name: after[name] for name in before if name != "manifest.json"}.items() <= before.items()
    assert f"runs/{RUNS[2]}" not in record.manifest["missing"]


def test_all_of_it_added_is_what_the_stage_analyze_reads(copy: Path, record: Record) -> None:
    params = PARAMS.replace("[training, dln, theory]", "[training]")
    (copy / "params.yaml").write_text(params)
    with contextlib.chdir(copy):
        train(RUNS[2])
    whole = Record(record.folder.parent / "whole")
    add(whole, copy)
    assert whole.manifest["missing"] == []
    spec = load_section(copy / "params.yaml", "analyze", AnalyzeSpec)
    theirs = assemble(spec, copy / "params.yaml", Sources(copy)).measurements
    assert len(record_tables(whole).measurements) == len(theirs)


def test_other_numbers_are_refused_and_nothing_changes(record: Record, copy: Path) -> None:
    before = files(record.folder)
    history = copy / "models/runs" / RUNS[0] / "history.parquet"
    pd.read_parquet(history).assign(loss=1.0).to_parquet(history, index=False)
    with contextlib.chdir(copy):
        train(RUNS[2])  # new, and not taken in beside what is refused
    with pytest.raises(
        InputError, match=rf"the record has other numbers of runs/{RUNS[0]}; a record is never rewritten"
    ):
        add(record, copy)
    assert files(record.folder) == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps: 6,", "steps: 8,", "section train is not that of the record tiny"),
        ("units: 4", "units: 5", "section probe is not that of the record tiny"),
        ("{network: [vgg11], norm_layer: [none, batch]", "{network: [vgg11], norm_layer: [none]", "no longer names"),
    ],
)
def test_other_settings_are_refused(record: Record, copy: Path, old: str, new: str, message: str) -> None:
    before = files(record.folder)
    assert old in PARAMS
    (copy / "params.yaml").write_text(PARAMS.replace(old, new))
    with pytest.raises(InputError, match=message):
        add(record, copy)
    assert files(record.folder) == before


def test_other_images_are_refused(record: Record, copy: Path) -> None:
    path = copy / "data/prepared/manifest.json"
    path.write_text(path.read_text().replace("sha256:", "sha256:0"))
    with pytest.raises(InputError, match="other images than those of the record tiny"):
        add(record, copy)


def test_large_runs_and_records_are_refused(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, message in (("LARGEST_RUN", r"runs/vgg11-none-0\.1-0: .* bytes"), ("LARGEST_RECORD", "at most 9,000")):
        monkeypatch.setattr(records, name, 9000)
        with pytest.raises(InputError, match=message):
            add(Record(tmp_path / "tiny"), clone)
        monkeypatch.undo()
    assert files(tmp_path / "tiny") == {}


def test_what_a_killed_process_left_is_cleared(record: Record, copy: Path) -> None:
    with contextlib.chdir(copy):
        train(RUNS[2])
    (record.folder / ".adding-1").mkdir()
    (record.folder / "runs" / RUNS[2]).mkdir()
    (record.folder / "runs" / RUNS[2] / "measurements.parquet").write_bytes(b"half")
    assert add(record, copy) == [f"runs/{RUNS[2]}"]
    assert not (record.folder / ".adding-1").exists()
    assert len(record_tables(record).measurements)


def test_what_a_lent_machine_says_of_itself_is_what_the_manifest_says(record: Record, copy: Path) -> None:
    said = {"commit": "abc", "versions": {"python": "3.12.3", "torch": "2.11.0"}, "processor": "NVIDIA H100, 16 cores"}
    (copy / "machine.json").write_text(json.dumps(said))
    shutil.rmtree(record.folder)
    add(record, copy)
    assert record.manifest["sources"] == [said]
    (copy / "machine.json").write_text("{")
    with pytest.raises(InputError, match=r"machine\.json: not what the program budget says"):
        add(record, copy)
