"""Publishing to a real MLflow store: complete, idempotent, rebuilt from the files, never in the way of a training."""

import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.small_study import BATCH, PARAMS, PLAIN, RUNS, write_probes, write_study

from normlab.stages import publish as stage
from normlab.tracking.collected import collect
from normlab.tracking.names import Series
from normlab.tracking.publishing import StoreChanges, prune, publish
from normlab.tracking.store import CURRENT, KEY, store_uri
from normlab.tracking.tracked import NOTE, TrackedRun


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published study; tests that change it put it back."""
    root = write_study(tmp_path_factory.mktemp("study"))
    assert publish(collect(root), root, _draw) == StoreChanges(kept=0, added=len(RUNS))
    return root


def _draw(run: TrackedRun, folder: Path) -> None:
    if run.study == "vgg":
        (folder / "training.txt").write_text(run.name)


def _client(root: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store_uri(root))


def _runs(root: Path, current: str = "true") -> dict[str, Any]:
    client = _client(root)
    query = f"tags.{CURRENT} = '{current}'"
    found = client.search_runs([e.experiment_id for e in client.search_experiments()], query)
    runs = {run.info.run_name: run for run in found}
    assert current != "true" or len(runs) == len(found), "two current runs of one name"
    return runs


def test_store_address_is_absolute_unless_a_server_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert store_uri() == f"sqlite:///{tmp_path.resolve()}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert store_uri() == "http://localhost:5000"


def test_published_runs_are_flat_and_complete(study: Path) -> None:
    client, runs = _client(study), _runs(study)
    assert {(run.data.tags["study"], name) for name, run in runs.items()} == set(RUNS)
    run = runs[BATCH]
    assert run.info.status == "FINISHED"
    assert "mlflow.parentRunId" not in run.data.tags
    for tag in ("network", "norm_layer", "learning_rate", "seed", "git_commit", "dvc_stage", "spec_digest", KEY):
        assert run.data.tags[tag], tag
    assert run.data.tags["dvc_stage"] == f"train@{BATCH}"
    assert run.data.params["train.width"] == "0.0625"
    assert run.data.params["probe.step_sizes"] == "[0.5, 1.0]"
    assert run.inputs.dataset_inputs[0].dataset.name == "textures"
    assert [artifact.path for artifact in client.list_artifacts(run.info.run_id, "figures")] == ["figures/training.txt"]
    expected = next(one for one in collect(study) if one.name == BATCH).load()
    assert set(run.data.metrics) == set(expected)
    for name in ("fit/train_loss", "landscape/effective_beta"):
        history = client.get_metric_history(run.info.run_id, name)
        assert [(point.step, point.value) for point in history] == expected[name]
    assert client.list_artifacts(runs["claims-tiny"].info.run_id)[0].path == "claims.json"
    assert run.data.tags["preset"] == "tiny"
    assert run.data.tags[NOTE].startswith("vgg11 with normalizer batch at learning rate 0.1, seed 0")
    assert math.isnan(runs["dln-batch-1e-06-0"].data.metrics["fit/train_grad_norm"])


def test_filter_in_the_readme_is_understood(study: Path, repository: Path) -> None:
    line = next(x for x in (repository / "README.md").read_text().splitlines() if x.startswith("- A filter"))
    query = line.split("``")[1].strip()
    client = _client(study)
    experiment = client.get_experiment_by_name("normlab-vgg").experiment_id
    assert client.search_runs([experiment], query) == []  # an untrained network does not pass 80 %
    found = client.search_runs([experiment], query.replace("0.8", "-1"))
    assert [run.info.run_name for run in found] == [BATCH]


def test_second_time_adds_nothing_and_does_not_even_import_mlflow(study: Path) -> None:
    before = {name: run.info.run_id for name, run in _runs(study).items()}
    program = (
        "import sys; from normlab.stages.publish import main; main(sys.argv[1:]); "
        "assert 'mlflow' not in sys.modules and 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", program, "--root", str(study)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{len(RUNS)} as before" in done.stdout
    assert {name: run.info.run_id for name, run in _runs(study).items()} == before


def test_a_changed_output_leaves_history_and_comes_back_when_undone(study: Path) -> None:
    first = _runs(study)[BATCH].info.run_id
    original = (study / "data/probes" / BATCH / "probes.parquet").read_bytes()
    write_probes(study, effective_beta=10.0)
    assert publish(collect(study), study) == StoreChanges(kept=len(RUNS) - 1, added=1, retired=1)
    changed, before = _runs(study)[BATCH], _runs(study, "false")[BATCH]
    assert changed.data.metrics["landscape/effective_beta"] == 14.0
    assert (before.info.run_id, before.data.metrics["landscape/effective_beta"]) == (first, 7.0)
    (study / "data/probes" / BATCH / "probes.parquet").write_bytes(original)
    assert publish(collect(study), study) == StoreChanges(kept=len(RUNS) - 1, restored=1, retired=1)
    assert _runs(study)[BATCH].info.run_id == first


def test_pruning_takes_history_and_nothing_else_and_can_be_undone(study: Path) -> None:
    before = {name: run.info.run_id for name, run in _runs(study).items()}
    publish([run for run in collect(study) if run.name == PLAIN], study)
    assert set(_runs(study, "false")) == {name for _, name in RUNS} - {PLAIN}
    assert prune(study) >= len(RUNS) - 1
    assert set(_runs(study)) == {PLAIN}
    assert _runs(study, "false") == {}
    assert prune(study) == 0
    assert publish(collect(study), study) == StoreChanges(kept=1, restored=len(RUNS) - 1)
    assert {name: run.info.run_id for name, run in _runs(study).items()} == before


def test_a_new_page_is_stored_with_the_run_that_it_belongs_to(study: Path) -> None:
    (study / "reports/html").mkdir()
    (study / "reports/html/index.html").write_text("<p>a page</p>")
    assert publish(collect(study), study, _draw) == StoreChanges(kept=len(RUNS), redrawn=1)
    claims = _runs(study)["claims-tiny"].info.run_id
    assert [artifact.path for artifact in _client(study).list_artifacts(claims, "pages")] == ["pages/index.html"]
    shutil.rmtree(study / "reports/html")
    assert publish(collect(study), study, _draw) == StoreChanges(kept=len(RUNS), redrawn=1)


def test_other_peoples_runs_are_left_alone(study: Path) -> None:
    client = _client(study)
    foreign = client.create_run(client.get_experiment_by_name("normlab-vgg").experiment_id, run_name="mine")
    write_probes(study, effective_beta=20.0)
    publish(collect(study), study)
    prune(study)
    assert client.get_run(foreign.info.run_id).info.lifecycle_stage == "active"
    client.delete_run(foreign.info.run_id)


def test_interrupted_publishing_is_made_good(study: Path) -> None:
    runs = collect(study)
    tags = {"dvc_stage": "train@broken", "spec_digest": "0"}

    def interrupted() -> Series:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish([*runs, TrackedRun("vgg", "broken", {}, tags, runs[0].files, interrupted)], study)
    whole = TrackedRun("vgg", "broken", {}, tags, runs[0].files, lambda: {"fit/train_loss": [(0, 1.0)]})
    assert publish([*runs, whole], study) == StoreChanges(kept=len(RUNS), added=1, removed=1)
    assert publish(runs, study) == StoreChanges(kept=len(RUNS), retired=1)


def test_deleted_store_is_rebuilt(study: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"  # elsewhere, because MLflow keeps a store open as long as its process lives
    shutil.copytree(study, copy, ignore=lambda *_: {"mlflow.db", "mlruns"})
    runs = [run for run in collect(copy) if run.name in (BATCH, "claims-tiny")]
    assert publish(runs, copy) == StoreChanges(kept=0, added=2)
    assert set(_runs(copy)) == {BATCH, "claims-tiny"}


def test_publish_stage_says_in_one_line_that_the_tracker_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/claims.json").write_text("[]")
    (tmp_path / "reports/metrics.json").write_text("{}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/params.yaml/mlflow.db")
    with pytest.raises(SystemExit, match="1"):
        stage.main(["--root", str(tmp_path)])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("publish:")]
    assert len(lines) == 1
