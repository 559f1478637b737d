import json
from pathlib import Path

import pytest
from tests.analysis.outputs import PARAMS, write_outputs
from tests.analysis.synthetic import RECORDED, STEPS, Kind

from normlab.specs.analyze import AnalyzeSpec
from normlab.specs.strict import InputError, load_section
from normlab.tables.assemble import Sources, Tables, assemble
from normlab.tables.frames import select, write_table
from normlab.tables.rows import COLUMNS


def read(root: Path, params: str = PARAMS) -> Tables:
    path = root / "params.yaml"
    path.write_text(params)
    return assemble(load_section(path, "analyze", AnalyzeSpec), path, Sources(root))


def test_all_studies_come_together(tmp_path: Path) -> None:
    write_outputs(tmp_path)
    tables = read(tmp_path)
    assert list(tables.measurements.columns) == list(COLUMNS)
    assert set(tables.measurements["study"]) == {"vgg", "dln", "reparametrization"}
    history = select(tables.measurements, study="vgg", norm_layer="none", seed=1, quantity="train_accuracy")
    assert list(history["step"]) == list(range(0, STEPS, RECORDED))
    assert len(tables.histograms) == 2 * (4 + 2)
    assert set(tables.theory["source"]) == {"random", "checkpoint"}
    assert tables.notes == ()


def test_runs_of_another_length_are_compared_where_a_normalizer_has_no_others(tmp_path: Path) -> None:
    point = "network: [vgg11], norm_layer: [none, batch], learning_rate: [1.0e-1], seed: [0, 1]"
    longer = f"{{{point.replace('none, batch', 'none')}}}, {{{point}, steps: 6000}}"
    params = PARAMS.replace(f"{{{point}}}", longer).replace("norm_layer: [batch], steps", "norm_layer: [], steps")
    write_outputs(tmp_path, params)
    tables = read(tmp_path, params)
    runs = tables.measurements.query("study == 'vgg' and quantity == 'steps'")
    found = sorted(runs[["norm_layer", "variant", "value"]].drop_duplicates().itertuples(index=False, name=None))
    assert found == [("batch", "", 6000.0), ("none", "", float(STEPS)), ("none", "steps=6000", 6000.0)]
    assert set(select(tables.histograms, study="vgg")["norm_layer"]) == {"none", "batch"}


def test_a_diverged_run_stays(tmp_path: Path) -> None:
    write_outputs(tmp_path, kinds={"none": Kind(diverged_at=3500), "batch": Kind()})
    measurements = read(tmp_path).measurements
    gone = select(measurements, quantity="diverged_at", study="vgg", norm_layer="none")
    assert list(gone["value"]) == [3500.0, 3500.0]
    whole = select(measurements, quantity="diverged_at", study="vgg", norm_layer="batch")
    assert whole["value"].isna().all()
    last = select(measurements, study="vgg", norm_layer="none", quantity="loss", probe="history", step=3500)
    assert last["value"].isna().all()


def test_strays_are_named_and_not_read(tmp_path: Path) -> None:
    write_outputs(tmp_path)
    whole = read(tmp_path)
    fewer = read(tmp_path, PARAMS.replace("seed: [0, 1]", "seed: [0]"))
    assert set(select(fewer.measurements, study="vgg")["seed"]) == {0}
    assert len(fewer.measurements) < len(whole.measurements)
    assert len(fewer.notes) == 4  # trainings, probes, and both studies of trained networks
    assert "vgg11-none-0.1-1" in fewer.notes[0]
    assert set(select(fewer.measurements, study="reparametrization")["seed"]) == {0}
    assert set(fewer.theory.loc[fewer.theory["source"] == "checkpoint", "seed"]) == {0}


@pytest.mark.parametrize(
    "missing",
    [
        "models/runs/vgg11-batch-0.1-1/history.parquet",
        "models/runs/vgg11-batch-0.1-1/summary.json",
        "data/probes/vgg11-none-0.1-0/probes.parquet",
        "data/studies/dln/batch-1e-06/measurements.parquet",
        "data/studies/theory/random.parquet",
        "data/studies/assumptions/vgg11-batch-0.1-1/checkpoints.parquet",
        "data/studies/reparametrization/vgg11-none-0.1-0/measurements.parquet",
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
    write_table(tables.theory, tmp_path / "theory.parquet")
    assert (tmp_path / "theory.parquet").stat().st_size > 0


def test_outputs_of_another_run_in_the_folder_are_refused(tmp_path: Path) -> None:
    write_outputs(tmp_path)
    probes = tmp_path / "data/probes"
    (probes / "vgg11-none-0.1-1/probes.parquet").write_bytes((probes / "vgg11-batch-0.1-1/probes.parquet").read_bytes())
    with pytest.raises(InputError, match="column norm_layer should be none, got batch"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("study", "kind", "name"),
    [("assumptions", "batch", "checkpoints"), ("reparametrization", "none", "measurements")],
)
def test_looks_at_another_run_in_the_folder_are_refused(tmp_path: Path, study: str, kind: str, name: str) -> None:
    write_outputs(tmp_path)
    first, second = (tmp_path / f"data/studies/{study}/vgg11-{kind}-0.1-{seed}/{name}.parquet" for seed in (0, 1))
    second.write_bytes(first.read_bytes())
    with pytest.raises(InputError, match="column seed should be 1, got 0"):
        read(tmp_path)


def test_without_networks_to_look_at_the_random_numbers_remain(tmp_path: Path) -> None:
    write_outputs(tmp_path)
    without = PARAMS.replace("norm_layer: [batch], steps", "norm_layer: [], steps")
    tables = read(tmp_path, without.replace("norm_layer: [none], steps", "norm_layer: [], steps"))
    assert set(tables.theory["source"]) == {"random"}
    assert set(tables.measurements["study"]) == {"vgg", "dln"}


def test_a_run_trained_under_other_settings_is_refused(tmp_path: Path) -> None:
    write_outputs(tmp_path)
    path = tmp_path / "models/runs/vgg11-none-0.1-0/summary.json"
    summary = json.loads(path.read_text())
    summary["spec"]["train"]["width"] = 0.5
    path.write_text(json.dumps(summary))
    with pytest.raises(InputError, match="trained under other settings"):
        read(tmp_path)


def test_a_run_without_all_its_checkpoints_is_refused(tmp_path: Path) -> None:
    write_outputs(tmp_path)
    path = tmp_path / "models/runs/vgg11-none-0.1-0/summary.json"
    summary = json.loads(path.read_text())
    path.write_text(json.dumps({**summary, "checkpoints": summary["checkpoints"][:-1]}))
    with pytest.raises(InputError, match=r"summary\.json: names checkpoints of the steps .*, expected "):
        read(tmp_path)


def test_the_network_of_the_claims_has_to_be_in_the_grid(tmp_path: Path) -> None:
    write_outputs(tmp_path)
    with pytest.raises(InputError, match=r"analyze\.network: accepted \(grid\): vgg11, got 'vgg16'"):
        read(tmp_path, PARAMS.replace("network: vgg11", "network: vgg16"))
