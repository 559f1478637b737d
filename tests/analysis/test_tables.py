import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.analysis.outputs import PARAMS, write_outputs
from tests.analysis.synthetic import STEPS, Kind, training_run

from normlab.analysis.assemble import Sources, assemble
from normlab.analysis.tables import combine, load_histograms, load_measurements, select, write_table
from normlab.records import COLUMNS
from normlab.specs.analyze import AnalyzeSpec
from normlab.specs.strict import InputError, load_section

FRAME = combine([training_run("none", 0.1, 0, Kind(rough=math.inf)), training_run("batch", 0.1, 1, Kind())])


def read(root: Path, params: str = PARAMS):
    path = root / "params.yaml"
    path.write_text(params)
    return assemble(load_section(path, "analyze", AnalyzeSpec), path, Sources(root))


def test_select_by_equality_membership_and_rounded_floats() -> None:
    found = select(FRAME, probe="landscape", quantity=["beta", "loss"], step=10, norm_layer="none", step_size=0.1)
    assert list(found["quantity"]) == ["loss", "beta"]
    assert len(select(FRAME, learning_rate=0.1 * (1 + 1e-9))) == len(FRAME)
    assert len(select(FRAME, learning_rate=0.1001)) == 0


def test_select_rows_without_a_step_size() -> None:
    found = select(FRAME, probe="landscape", quantity="loss", step=0, seed=1, step_size=None)
    assert len(found) == 1
    both = select(FRAME, probe="landscape", quantity="loss", step=0, seed=1, step_size=[None, 0.2])
    assert len(both) == 2


def test_select_refuses_an_unknown_column() -> None:
    with pytest.raises(ValueError, match="unknown column 'normalizer'; there are: study"):
        select(FRAME, normalizer="batch")


def test_tables_come_back_as_written_with_inf_and_nan(tmp_path: Path) -> None:
    write_table(FRAME, tmp_path / "tables" / "measurements.parquet")
    again = load_measurements(tmp_path / "tables" / "measurements.parquet")
    pd.testing.assert_frame_equal(again, FRAME, check_categorical=False)
    assert np.isinf(select(again, norm_layer="none", quantity="loss_range")["value"]).all()
    assert again["step_size"].isna().any()


def test_the_same_rows_are_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_table(FRAME, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_table_of_other_columns_is_refused(tmp_path: Path) -> None:
    write_table(FRAME.drop(columns="layer"), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"t\.parquet: expected the columns study, .*layer"):
        load_measurements(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="no such file"):
        load_histograms(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("not parquet")
    with pytest.raises(InputError, match="not a readable parquet file") as caught:
        load_measurements(tmp_path / "text.parquet")
    assert "\n" not in str(caught.value)


def test_all_studies_come_together(tmp_path: Path) -> None:
    write_outputs(tmp_path)
    tables = read(tmp_path)
    assert list(tables.measurements.columns) == list(COLUMNS)
    assert set(tables.measurements["study"]) == {"vgg", "dln", "reparametrization"}
    history = select(tables.measurements, study="vgg", norm_layer="none", seed=1, quantity="train_accuracy")
    assert list(history["step"]) == list(range(STEPS))
    assert len(tables.histograms) == 2 * (4 + 2)
    assert set(tables.theory["source"]) == {"random", "checkpoint"}
    assert tables.notes == ()


def test_a_diverged_run_stays(tmp_path: Path) -> None:
    write_outputs(tmp_path, kinds={"none": Kind(diverged_at=35), "batch": Kind()})
    measurements = read(tmp_path).measurements
    gone = select(measurements, quantity="diverged_at", study="vgg", norm_layer="none")
    assert list(gone["value"]) == [35.0, 35.0]
    whole = select(measurements, quantity="diverged_at", study="vgg", norm_layer="batch")
    assert whole["value"].isna().all()
    last = select(measurements, study="vgg", norm_layer="none", quantity="loss", probe="history", step=35)
    assert last["value"].isna().all()


def test_strays_are_named_and_not_read(tmp_path: Path) -> None:
    write_outputs(tmp_path)
    whole = read(tmp_path)
    fewer = read(tmp_path, PARAMS.replace("seed: [0, 1]", "seed: [0]"))
    assert set(select(fewer.measurements, study="vgg")["seed"]) == {0}
    assert len(fewer.measurements) < len(whole.measurements)
    assert len(fewer.notes) == 2
    assert "vgg11-none-0.1-1" in fewer.notes[0]


@pytest.mark.parametrize(
    "missing",
    [
        "models/runs/vgg11-batch-0.1-1/history.parquet",
        "models/runs/vgg11-batch-0.1-1/summary.json",
        "data/probes/vgg11-none-0.1-0/probes.parquet",
        "data/studies/dln/batch-1e-06/measurements.parquet",
        "data/studies/theory/checkpoints.parquet",
        "data/studies/reparametrization/measurements.parquet",
    ],
)
def test_a_missing_output_is_named(tmp_path: Path, missing: str) -> None:
    write_outputs(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(InputError) as caught:
        read(tmp_path)
    assert missing in str(caught.value)
    assert "no such file" in str(caught.value)


def test_a_study_that_is_not_named_is_not_needed(tmp_path: Path) -> None:
    write_outputs(tmp_path)
    (tmp_path / "data/studies/theory/random.parquet").unlink()
    tables = read(tmp_path, PARAMS.replace("[training, dln, theory, reparametrization]", "[training]"))
    assert set(tables.measurements["study"]) == {"vgg"}
    assert len(tables.theory) == 0


def test_outputs_of_another_run_in_the_folder_are_refused(tmp_path: Path) -> None:
    write_outputs(tmp_path)
    probes = tmp_path / "data/probes"
    (probes / "vgg11-none-0.1-1/probes.parquet").write_bytes((probes / "vgg11-batch-0.1-1/probes.parquet").read_bytes())
    with pytest.raises(InputError, match="column norm_layer should be none, got batch"):
        read(tmp_path)


def test_a_run_trained_under_other_settings_is_refused(tmp_path: Path) -> None:
    write_outputs(tmp_path)
    path = tmp_path / "models/runs/vgg11-none-0.1-0/summary.json"
    summary = json.loads(path.read_text())
    summary["spec"]["train"]["width"] = 0.5
    path.write_text(json.dumps(summary))
    with pytest.raises(InputError, match="trained under other settings"):
        read(tmp_path)


def test_the_network_of_the_claims_has_to_be_in_the_grid(tmp_path: Path) -> None:
    write_outputs(tmp_path)
    with pytest.raises(InputError, match=r"analyze\.network: accepted \(grid\.network\): vgg11, got 'vgg16'"):
        read(tmp_path, PARAMS.replace("network: vgg11", "network: vgg16"))
