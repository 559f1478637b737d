"""A run is refused before it trains, keeps the checkpoints that were asked for, and writes all about itself."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tests import tiny

from normlab.runs import prepared
from normlab.runs.checkpoint import Checkpoint, load_checkpoint
from normlab.runs.finished import read_run, read_steps
from normlab.runs.prepared import prepare_run
from normlab.runs.training import fit
from normlab.specs.strict import InputError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """With images held out of training: nine of the first ones."""
    folder = tiny.write_data(tmp_path / "data")
    for kind in ("images", "labels"):
        values = np.load(folder / f"train_{kind}.npy")
        np.save(folder / f"held_out_{kind}.npy", values[:9])
        np.save(folder / f"train_{kind}.npy", values[9:])
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "held_out": list(range(9))}))
    return folder


def test_all_about_a_run_is_written(data: Path, tmp_path: Path) -> None:
    run = tiny.run_spec("noisy_batch", weight_decay=0.01)
    folder, seen, steps = tmp_path / "out", [], []
    folder.mkdir()
    made = prepare_run(run, data)
    made.train_into(folder, on_checkpoint=seen.append, on_step=lambda step, values: steps.append(step))
    assert made.kept == (0, 1, 2, 4, 6)
    assert [checkpoint.step for checkpoint in seen] == [0, 1, 2, 4, 6]
    assert steps == [0, 1, 2, 3, 4, 5]
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    checkpoints = {f"checkpoints/step-{step:06d}.pt" for step in made.kept}
    assert names == checkpoints | {"history.parquet", "test.parquet", "held_out.parquet", "summary.json"}

    whole = fit(run, made.batches, made.test, held_out=made.held_out)
    tables = {"history": whole.steps, "test": whole.test, "held_out": whole.held_out}
    for name, table in tables.items():
        pd.testing.assert_frame_equal(pd.read_parquet(folder / f"{name}.parquet"), table, check_exact=True)
    assert list(tables["held_out"]["step"]) == [0, 3, 6]  # type: ignore[index]
    # a VGG-11 of 1/16: kernels and biases of 3×3 convolutions, gamma and beta of each, and the last layer
    widths = [3, 4, 8, 16, 16, 32, 32, 32, 32]
    convolutions = sum(9 * a * b + 3 * b for a, b in pairwise(widths))
    assert json.loads((folder / "summary.json").read_text()) == {
        "name": run.name,
        "study": run.study,
        "spec": json.loads(json.dumps(run.as_dict())),
        "spec_digest": run.digest,
        "parameters": convolutions + 33 * 3,
        "diverged_at": None,
        "checkpoints": [0, 1, 2, 4, 6],
        "device": "cpu",
    }
    assert read_run(folder, run.train) == run
    assert read_steps(folder, run) == (0, 1, 2, 4, 6)


def test_few_checkpoints_are_those_asked_for_and_the_last(data: Path, tmp_path: Path) -> None:
    run = tiny.run_spec("none", checkpoints="few")
    folder, seen = tmp_path / "out", []
    folder.mkdir()
    made = prepare_run(run, data, keep=[4, 0])
    assert made.kept == (0, 4, 6)
    made.train_into(folder, on_checkpoint=lambda checkpoint: seen.append(checkpoint.step))
    assert seen == [0, 1, 2, 4, 6]  # who looks at the training on the way sees all of the schedule
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == [
        "step-000000.pt",
        "step-000004.pt",
        "step-000006.pt",
    ]
    assert load_checkpoint(folder / "checkpoints/step-000004.pt").step == 4
    assert prepare_run(run, data).kept == (6,)


def test_a_run_that_diverged_has_the_checkpoints_before(data: Path, tmp_path: Path) -> None:
    run = tiny.run_spec("none", learning_rate=1e12, steps=40, checkpoint_every=10)
    folder = tmp_path / "out"
    folder.mkdir()
    prepare_run(run, data).train_into(folder)
    summary = json.loads((folder / "summary.json").read_text())
    history = pd.read_parquet(folder / "history.parquet")
    assert summary["diverged_at"] == len(history) - 1 > 0
    assert summary["checkpoints"] == [step for step in (0, 1, 10, 20, 30, 40) if step <= summary["diverged_at"]]
    assert len(list((folder / "checkpoints").iterdir())) == len(summary["checkpoints"])


def test_a_folder_without_one_of_its_checkpoints_is_not_written_as_finished(data: Path, tmp_path: Path) -> None:
    made, folder = prepare_run(tiny.run_spec("none"), data), tmp_path / "out"
    folder.mkdir()

    def lose(checkpoint: Checkpoint) -> None:
        (folder / "checkpoints/step-000001.pt").unlink(missing_ok=True)

    with pytest.raises(InputError, match=r"step-000001\.pt: no such file; 4 of 5 checkpoints are there; run the train"):
        made.train_into(folder, on_checkpoint=lose)
    assert not (folder / "summary.json").exists()


@pytest.mark.parametrize(
    ("changes", "keep", "said"),
    [
        ({"device": "cuda:63"}, (), r"^train\.device: 'cuda:63' is not available here"),
        (
            {"precision": "tf32"},
            (),
            r"^train\.precision: tf32 needs a CUDA device of capability 8\.0 or more, got cpu$",
        ),
        ({}, (3,), r"^--keep: vgg11-none-0\.1-0 keeps no checkpoint of step 3; "),
    ],
)
def test_what_cannot_be_run_is_refused(
    data: Path, changes: dict[str, object], keep: tuple[int, ...], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        prepare_run(tiny.run_spec("none", **changes), data, keep)


def test_it_is_tried_on_two_images_of_its_own_and_with_the_classes_of_its_data(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    monkeypatch.setattr(prepared, "check_network", lambda run, classes, inputs: tried.append((classes, inputs)))
    made = prepare_run(tiny.run_spec("none", seed=5), data)
    ((classes, inputs),) = tried
    assert classes == 3
    assert torch.equal(inputs, made.batches.at(0)[0][:2])
    assert (made.batches.seed, len(made.test), made.held_out and len(made.held_out)) == (5, 30, 9)


def test_a_resume_point_is_good_for_the_same_run_data_and_settings_alone(data: Path) -> None:
    made = prepare_run(tiny.run_spec("batch"), data)
    plain = made.circumstances("normlab.stages.train", interval=3)
    assert plain == made.circumstances("normlab.stages.train", interval=3)
    few = prepare_run(tiny.run_spec("batch", checkpoints="few"), data, keep=[0])
    others = {
        "settings": [
            made.circumstances("normlab.stages.train", interval=4),
            prepare_run(tiny.run_spec("batch", seed=1), data).circumstances("normlab.stages.train", interval=3),
            few.circumstances("normlab.stages.train", interval=3),
        ],
        "source": [made.circumstances("normlab.stages.measure", interval=3)],
    }
    for name, found in others.items():
        for other in found:
            assert [key for key in plain if plain[key] != other[key]] == [name]
    resnet = prepare_run(tiny.run_spec("l1"), data).circumstances("normlab.stages.train", interval=3)
    assert [key for key in plain if plain[key] != resnet[key]] == ["settings", "source"]
    manifest = json.loads((data / "manifest.json").read_text())
    (data / "manifest.json").write_text(json.dumps({**manifest, "std": [0.5, 0.5, 0.5]}))
    other = prepare_run(tiny.run_spec("batch"), data).circumstances("normlab.stages.train", interval=3)
    assert [key for key in plain if plain[key] != other[key]] == ["data"]
