"""The program for a lent machine, at tiny size on the CPU: few files, the bits of the stages, an end in time."""

import json
import time
from pathlib import Path

import pandas as pd
import pytest

from normlab.specs.grid import planned_runs
from normlab.specs.strict import InputError, load_params
from normlab.stages import budget, data, probe, train
from normlab.tables.frames import combine, load_histograms, load_measurements
from normlab.tables.stage_outputs import read_training_study

pytestmark = pytest.mark.pipeline
PARAMS = """
data: {source: textures, seed: 3, train_per_class: 4, test_per_class: 2}
grid: [{network: [vgg11], norm_layer: [none, batch], learning_rate: [1.0e-1], seed: [0]}]
train: {width: 0.0625, batch_size: 16, steps: 4, test_every: 2, checkpoint_every: 2}
probe: {step_sizes: [0.5, 1.0], units: 4}
"""


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    return tmp_path / "params.yaml"


def test_what_comes_back_is_what_the_stages_would_have_made(params: Path) -> None:
    budget.main(["--preset", str(params), "--minutes", "5", "--side-by-side", "2", "--out", "back"])
    back = sorted(path.name for path in Path("back").iterdir())
    assert back == [
        "histograms.parquet",
        "machine.json",
        "manifest.json",
        "measurements.parquet",
        "params.yaml",
        "runs.json",
    ]
    ended = json.loads(Path("back/runs.json").read_text())
    assert sorted(run["run"] for run in ended) == ["vgg11-batch-0.1-0", "vgg11-none-0.1-0"]
    data.main([])
    runs = [planned.spec for planned in planned_runs(load_params(params))]
    for run in runs:
        point = ["--network", run.network, "--norm-layer", run.norm_layer, "--learning-rate", "0.1", "--seed", "0"]
        train.main([*point, "--out", f"models/{run.name}"])
        probe.main(["--run", f"models/{run.name}", "--out", f"probes/{run.name}"])
    by_name = [next(run for run in runs if run.name == entry["run"]) for entry in ended]
    measurements, _ = read_training_study(by_name, Path("models"), Path("probes"))
    found = load_measurements("back/measurements.parquet")
    pd.testing.assert_frame_equal(found, combine(measurements), check_exact=True, check_categorical=False)
    assert len(load_histograms("back/histograms.parquet")) > 0


def test_a_time_that_is_too_short_ends_in_time_and_says_so(params: Path) -> None:
    start = time.time()
    with pytest.raises(InputError, match=r"no run of .*params\.yaml was finished in 0\.02 minutes"):
        budget.main(["--preset", str(params), "--minutes", "0.02", "--out", "back"])
    assert time.time() - start < 60
    assert not Path("back").exists()


def test_a_run_that_cannot_be_made_is_named(params: Path) -> None:
    params.write_text(PARAMS.replace("checkpoint_every: 2}", "checkpoint_every: 2, precision: tf32, device: cpu}"))
    with pytest.raises(
        InputError, match=r"; 2 failed, first vgg11-none-0.1-0: InputError: train.precision: tf32 needs"
    ):
        budget.main(["--preset", str(params), "--minutes", "2", "--out", "back"])


def test_the_runs_of_most_value_alone_are_tried_without_a_forecast(params: Path) -> None:
    budget.main(["--preset", str(params), "--minutes", "5", "--at-most", "1", "--commit", "abc", "--out", "back"])
    (ended,) = json.loads(Path("back/runs.json").read_text())
    assert (ended["run"], ended["predicted"]) == ("vgg11-none-0.1-0", 0.0)
    assert ended["seconds"] > 0
    machine = json.loads(Path("back/machine.json").read_text())
    assert sorted(machine) == ["commit", "processor", "versions"]
    assert machine["commit"] == "abc"
    with pytest.raises(InputError, match="--at-most: must be at least 1, got 0"):
        budget.main(["--preset", str(params), "--minutes", "5", "--at-most", "0", "--out", "back"])
