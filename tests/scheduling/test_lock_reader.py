"""dvc.lock is read as DVC reads it."""

from pathlib import Path

import pytest
from dvc.utils.serialize import dump_yaml, load_yaml

from normlab.scheduling.lock_reader import read_lock
from normlab.specs.strict import InputError


def test_this_repository_s_file_is_read_as_dvc_reads_it(repository: Path) -> None:
    path = repository / "dvc.lock"
    ours, theirs = read_lock(path), load_yaml(str(path))["stages"]
    assert list(ours) == list(theirs)
    for name, entry in theirs.items():
        recorded = ours[name]
        assert recorded.cmd.split() == entry["cmd"].split()
        assert list(recorded.deps.items()) == [(dep["path"], dep["md5"]) for dep in entry.get("deps", [])]
        assert list(recorded.outs.items()) == [(out["path"], out["md5"]) for out in entry["outs"]]
        assert list(recorded.sizes.values()) == [out["size"] for out in entry["outs"]]
        assert repr(recorded.params) == repr(entry.get("params", {}).get("params.yaml", {}))  # types too


# what YAML 1.1 would read otherwise: numbers with exponents, sexagesimal and octal ones, digests that look like them
VALUES = [1e-06, 1e300, 0.1, 1.0, 5, -3, True, False, None, "no", "1:20", "050", "1e-3", "0x10", "", "a b", [1e-7, 2]]
DIGESTS = ["12345678901234567890123456789012", "1234567890123456789012345678e012", "0x345678901234567890123456789012"]


def test_every_value_keeps_its_type(tmp_path: Path) -> None:
    outs = [{"path": f"out {n}", "hash": "md5", "md5": digest, "size": n} for n, digest in enumerate(DIGESTS)]
    values = {f"key{n}": value for n, value in enumerate(VALUES)}
    entry = {"cmd": "run " + "--argument value " * 30, "params": {"params.yaml": values}, "outs": outs}
    dump_yaml(str(tmp_path / "dvc.lock"), {"schema": "2.0", "stages": {"run@a": entry}})
    recorded = read_lock(tmp_path / "dvc.lock")["run@a"]
    assert repr(list(recorded.params.values())) == repr(VALUES)
    assert list(recorded.outs.values()) == DIGESTS
    assert recorded.cmd == entry["cmd"].strip()


def test_no_file_records_nothing_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    assert read_lock(tmp_path / "dvc.lock") == {}
    for text in ("schema: '2.0'\nstages:\n  a:\n    deps:\n", "stages: [", "a: 1\n", "stages: {a: {cmd: 3}}\n"):
        (tmp_path / "dvc.lock").write_text(text)
        with pytest.raises(InputError, match=r"not a dvc\.lock"):
            read_lock(tmp_path / "dvc.lock")
