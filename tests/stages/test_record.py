"""Program `record`: what it keeps is what the results are, and nothing half-written."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests import tiny

from normlab.analysis.changes import frozen
from normlab.analysis.rules import load_claims
from normlab.specs.strict import InputError
from normlab.stages import record
from normlab.tables.rows import Rows

pytestmark = pytest.mark.pipeline
QUANTITIES = {"loss": 2.0, "loss_low": 1.0, "loss_high": 3.0, "gradient_distance_low": 1.0}
QUANTITIES |= {"gradient_distance_high": 2.0, "effective_beta": 20.0}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder with the results of a tiny study."""
    manifest = tiny.write_data(tmp_path / "data" / "prepared") / "manifest.json"
    kept = {"title": "Colors", "official": False, "counts": {"train": 60, "test": 30}, "digest": "ab"}
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | kept))
    sections = ["train: {steps: 6}", "probe: {step_sizes: [0.5, 1.0]}", "report: {preset: tiny}"]
    analyze = "analyze: {network: vgg11, learning_rate: 0.1}"
    (tmp_path / "params.yaml").write_text("\n".join([*sections, analyze]))
    frames = []
    points = [("vgg", "none"), ("vgg", "batch"), ("reparametrization", "none")]
    for study, kind in points:  # the last probes a network of the first again, at the same steps
        keys = {"study": study, "network": "vgg11", "norm_layer": kind, "learning_rate": 0.1, "seed": 0}
        rows = Rows(keys)
        for step in range(4):
            rows.add("landscape", step, QUANTITIES)
        frames.append(rows.frame())
    (tmp_path / "reports" / "tables").mkdir(parents=True)
    pd.concat(frames).to_parquet(tmp_path / "reports" / "tables" / "measurements.parquet", index=False)
    (tmp_path / "reports" / "claims.json").write_text('[{"id": "C1"}]')
    (tmp_path / "reports" / "metrics.json").write_text('{"a": 1}')
    return tmp_path


def test_the_record_holds_results_settings_and_data_in_stable_bytes(results: Path) -> None:
    record.main(["tiny", "--root", str(results)])
    folder = results / "reports" / "published" / "tiny"
    assert json.loads((folder / "claims.json").read_text()) == [{"id": "C1"}]
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["data"]["title"] == "Colors"
    assert settings["train"] == {"steps": 6}
    assert settings["frozen"] == frozen(load_claims())  # which rules and which code gave the verdicts
    picture = (folder / "landscape.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    record.main(["tiny", "--root", str(results)])
    assert (folder / "landscape.png").read_bytes() == picture
    assert np.sum([path.stat().st_size for path in folder.iterdir()]) < 500_000  # small enough for Git


def test_bad_names_and_missing_results_are_refused_and_keep_the_old_record(results: Path) -> None:
    record.main(["tiny", "--root", str(results)])
    with pytest.raises(InputError, match=r"name: expected lower-case letters"):
        record.main(["../x", "--root", str(results)])
    (results / "reports" / "metrics.json").unlink()
    with pytest.raises(InputError, match=r"metrics\.json: no such file; run `make repro` first"):
        record.main(["tiny", "--root", str(results)])
    assert (results / "reports" / "published" / "tiny" / "metrics.json").is_file()


def test_rules_are_frozen_once_before_the_first_run(tmp_path: Path) -> None:
    record.main(["tiny", "--root", str(tmp_path), "--freeze"])
    stored = (tmp_path / "reports" / "published" / "tiny" / "frozen.json").read_text()
    assert json.loads(stored) == frozen(load_claims())
    with pytest.raises(InputError, match=r"frozen\.json: is there already"):
        record.main(["tiny", "--root", str(tmp_path), "--freeze"])
