"""The two stage programs of the deep linear study on a tiny section."""

import dataclasses

import pandas as pd
import pytest
import yaml
from tests.studies.deep_linear.test_study import SPEC

from normlab.stages import command, dln, dln_scan
from normlab.tables.rows import COLUMNS

pytestmark = pytest.mark.pipeline


@pytest.fixture
def params(tmp_path):
    section = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(SPEC).items()}
    scan = {"norm_layer": ["none", "l1"], "learning_rate": [0.001, 0.002], "steps": 4, "loss_every": 2}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({"dln": section, "dln_scan": scan}))
    return path


def cell(params, out, norm_layer="batch", learning_rate="0.002"):
    dln.main(["--params", str(params), "--norm-layer", norm_layer, "--learning-rate", learning_rate, "--out", str(out)])


def test_a_cell_writes_both_tables_and_the_same_bytes_again(params, tmp_path):
    cell(params, tmp_path / "a" / "batch-0.002")
    cell(params, tmp_path / "b")
    frame = pd.read_parquet(tmp_path / "a" / "batch-0.002" / "measurements.parquet")
    assert tuple(frame.columns) == COLUMNS
    assert set(frame["learning_rate"]) == {0.002}
    assert set(frame["norm_layer"]) == {"batch"}
    assert sorted(frame["seed"].unique()) == [0, 7]
    for name in ("measurements.parquet", "histograms.parquet"):
        assert (tmp_path / "a" / "batch-0.002" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["batch-0.002"]


def test_a_variant_is_in_the_rows(params, tmp_path):
    variant = ["--norm-layer", "batch", "--learning-rate", "0.002", "--variant", "last_layer=true"]
    dln.main(["--params", str(params), *variant, "--out", str(tmp_path / "cell")])
    assert set(pd.read_parquet(tmp_path / "cell" / "measurements.parquet")["variant"]) == {"last_layer=true"}


def test_scan_writes_every_normalizer_and_rate(params, tmp_path):
    dln_scan.main(["--params", str(params), "--out", str(tmp_path / "scan")])
    frame = pd.read_parquet(tmp_path / "scan" / "measurements.parquet")
    found = frame.groupby(["norm_layer", "learning_rate", "seed"]).size()
    assert len(found) == 2 * 2 * 2
    assert set(frame["study"]) == {"dln_scan"}


def test_bad_input_is_one_line_before_any_work(params, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        "sys.argv",
        [
            "dln",
            "--params",
            str(params),
            "--norm-layer",
            "layer",
            "--learning-rate",
            "1e-3",
            "--out",
            str(tmp_path / "x"),
        ],
    )
    with pytest.raises(SystemExit) as stop:
        command.run(dln.main)
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: dln_grid.norm_layer: accepted: batch, l1, l2, linf, none, got 'layer'\n"
    assert not (tmp_path / "x").exists()
