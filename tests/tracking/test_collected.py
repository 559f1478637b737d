"""The runs that a tracker stores are what the files say: names, settings, series, and keys that follow the content."""

import math
from pathlib import Path

import pandas as pd
import pytest
from tests.small_study import BATCH, DLN_STEPS, PARAMS, PLAIN, RUNS, write_probes, write_study

from normlab.specs.strict import InputError
from normlab.tracking.collected import collect
from normlab.tracking.names import MAX_POINTS
from normlab.tracking.tracked import NOTE, TrackedRun


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def runs(study: Path) -> dict[str, TrackedRun]:
    return {run.name: run for run in collect(study)}


def test_collects_every_output_as_one_flat_run(runs: dict[str, TrackedRun]) -> None:
    assert [(run.study, run.name) for run in runs.values()] == list(RUNS)
    run = runs[BATCH]
    assert run.params["norm_layer"] == "batch"
    assert run.params["train.width"] == 0.0625
    assert run.params["data.source"] == "textures"
    assert run.params["probe.step_sizes"] == [0.5, 1.0]
    assert run.dataset is not None
    assert run.dataset[0] == "textures"
    assert run.tags["diverged_at"] == "never"
    assert run.seconds > 0
    assert runs["claims-tiny"].tags["claim.C1"] == "supported"
    assert run.labels["preset"] == "tiny"
    assert run.labels[NOTE].startswith("vgg11 with normalizer batch at learning rate 0.1, seed 0: 6 updates")


def test_series_are_the_numbers_of_the_files(study: Path, runs: dict[str, TrackedRun]) -> None:
    series = runs[BATCH].load()
    history = pd.read_parquet(study / "models/runs" / BATCH / "history.parquet")
    assert series["fit/train_loss"] == list(zip(history["step"], history["loss"], strict=True))
    assert [step for step, _ in series["fit/test_accuracy"]] == [0, 3, 6]
    assert series["landscape/effective_beta"] == [(2, 5.0), (4, 7.0)]
    assert series["landscape/loss_range"] == [(2, math.inf), (4, math.inf)]
    assert series["layers/shift/cosine/features.conv5"] == [(2, 0.5), (4, 0.5)]
    assert "landscape/beta" not in series  # one value a step size has no place on a step axis
    assert runs["claims-tiny"].load() == {"cells/vgg11-batch-0.1/test_accuracy": [(0, 0.5)]}  # 0.1 is no folder


def test_long_series_are_thinned_and_seeds_kept_apart(runs: dict[str, TrackedRun]) -> None:
    loss = runs["dln-batch-1e-06-1"].load()["fit/train_loss"]
    assert len(loss) <= MAX_POINTS + 1
    assert loss[0] == (0, 2.0)
    assert loss[-1][0] == DLN_STEPS - 1


def test_keys_follow_settings_and_content_alone(tmp_path: Path) -> None:
    def keys() -> dict[str, str]:
        return {run.name: run.key for run in collect(tmp_path)}

    write_study(tmp_path)
    first = keys()
    (tmp_path / "logs/wall-times" / f"{BATCH}.csv").write_text("step,seconds\n0,9.5\n")
    assert keys() == first
    write_probes(tmp_path, effective_beta=4.0)
    second = keys()
    assert {name for name in first if first[name] != second[name]} == {BATCH}
    (tmp_path / "params.yaml").write_text(PARAMS.replace("depth: 5", "depth: 6"))
    changed = {name for name in first if keys()[name] != second[name]}
    assert changed == {"dln-batch-1e-06-0", "dln-batch-1e-06-1", "claims-tiny"}


def test_labels_and_pages_are_shown_and_are_no_part_of_what_a_run_is(tmp_path: Path) -> None:
    def state() -> dict[str, tuple[str, str]]:
        return {run.name: (run.key, run.shown) for run in collect(tmp_path)}

    write_study(tmp_path)
    first = state()
    (tmp_path / "reports/html").mkdir()
    (tmp_path / "reports/html/index.html").write_text("<p>a page</p>")
    second = state()
    assert {name for name in first if first[name] != second[name]} == {"claims-tiny"}
    assert {name: key for name, (key, _) in first.items()} == {name: key for name, (key, _) in second.items()}
    claims = next(run for run in collect(tmp_path) if run.name == "claims-tiny")
    assert [path.name for path in claims.attachments["pages"]] == ["index.html"]
    (tmp_path / "params.yaml").write_text(PARAMS.replace("preset: tiny", "preset: other"))
    third = state()
    assert third[BATCH][0] == second[BATCH][0]
    assert third[BATCH][1] != second[BATCH][1]


def test_only_runs_of_the_grid_with_outputs_are_collected(tmp_path: Path) -> None:
    write_study(tmp_path)
    (tmp_path / "models/runs" / PLAIN / "summary.json").unlink()
    (tmp_path / "params.yaml").write_text(PARAMS.replace("seed: [0]", "seed: [0, 1]").split("dln_grid")[0])
    (tmp_path / "reports/metrics.json").unlink()
    assert [run.name for run in collect(tmp_path)] == [BATCH]


def test_unusable_params_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"params\.yaml: no such file"):
        collect(tmp_path)
