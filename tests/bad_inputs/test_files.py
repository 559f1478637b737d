"""Damaged files between the stages: the next stage names the file in one line before it computes anything."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests import tiny

from normlab.runs.checkpoint import checkpoint_path
from normlab.specs.strict import InputError
from normlab.stages import probe, train
from normlab.tables.stage_outputs import read_training_study

pytestmark = pytest.mark.pipeline
POINT = ["--network", "vgg11", "--norm-layer", "batch", "--learning-rate", "0.1", "--seed", "0"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared data set, a training on it and its probes."""
    root = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        (root / "params.yaml").write_text(tiny.PARAMS)
        tiny.write_data(root / "prepared")
        train.main(["--data", "prepared", *POINT, "--out", "runs/vgg11-batch-0.1-0"])
        probe.main(["--data", "prepared", "--run", "runs/vgg11-batch-0.1-0", "--out", "probes/vgg11-batch-0.1-0"])
    return root


@pytest.fixture
def root(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.chdir(copy)
    return copy


def _refused(action: Callable[[], object], line: str) -> None:
    with pytest.raises(InputError) as caught:
        action()
    said = " ".join(str(caught.value).split())
    assert line in said, said
    assert len(said) < 600


def _probe() -> None:
    probe.main(["--data", "prepared", "--run", "runs/vgg11-batch-0.1-0", "--out", "again"])


def _json(change: Callable[[Any], Any]) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps(change(json.loads(path.read_text()))))


def _with(**values: object) -> Callable[[Path], object]:
    return _json(lambda summary: {**summary, **values})


def _spec(**values: object) -> Callable[[Path], object]:
    return _json(lambda summary: {**summary, "spec": {**summary["spec"], **values}})


def _without(key: str) -> Callable[[Path], object]:
    return _json(lambda summary: {name: value for name, value in summary.items() if name != key})


NO_SUMMARY = "summary.json: not the summary of a training run"
OTHER = "was trained under other settings than `train` has now"
SUMMARIES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "summary.json: no such file; expected the output folder of a training run"),
    "empty": (lambda path: path.write_bytes(b""), "summary.json: not JSON"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:80]), "summary.json: not JSON"),
    "not text": (lambda path: path.write_bytes(b"\xff\xfe\x00"), "summary.json: not JSON"),
    "a list": (_json(lambda summary: [summary]), NO_SUMMARY),
    "null": (_json(lambda summary: None), NO_SUMMARY),
    "a number that JSON has not": (lambda path: path.write_text("[1e999"), "summary.json: not JSON"),
    "nested without end": (lambda path: path.write_text("[" * 100_000), "summary.json: not JSON"),
    "no spec": (_without("spec"), NO_SUMMARY),
    "a spec that is text": (_with(spec="vgg11"), NO_SUMMARY),
    "a spec without a seed": (_spec(seed=None), NO_SUMMARY),
    "a network that is a list": (_spec(network=["vgg11"]), NO_SUMMARY),
    "a rate that is text": (_spec(learning_rate="0.1"), NO_SUMMARY),
    "a seed that is text": (_spec(seed="0"), NO_SUMMARY),
    "settings that are text": (_spec(train="fast"), NO_SUMMARY),
    "another rate": (_spec(learning_rate=-1.0), "must be a positive number"),
    "another network": (_spec(network="vgg12"), "grid.network: accepted: "),
    "another width": (_spec(train={"width": 1.0}), OTHER),
    "diverged at a word": (_with(diverged_at="soon"), NO_SUMMARY),
    "diverged before it began": (_with(diverged_at=-3), NO_SUMMARY),
    "no checkpoints": (_with(checkpoints=[]), "summary.json: "),
    "checkpoints that are text": (_with(checkpoints="all"), NO_SUMMARY),
}  # fmt: skip


@pytest.mark.parametrize("kind", SUMMARIES)
def test_a_damaged_summary_is_one_line(root: Path, kind: str) -> None:
    damage, line = SUMMARIES[kind]
    damage(root / "runs/vgg11-batch-0.1-0/summary.json")
    _refused(_probe, line)
    assert not (root / "again").exists()


def _state(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        state = torch.load(path, weights_only=True)
        torch.save(change(state) or state, path)

    return damage


class _Exploit:
    def __reduce__(self) -> tuple:
        return open, ("owned", "w")


UNREADABLE = "step-000000.pt: not a readable checkpoint"
UNFIT = "step-000000.pt: does not fit the network of vgg11-batch-0.1-0"
CHECKPOINTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "step-000000.pt: no such file"),
    "empty": (lambda path: path.write_bytes(b""), UNREADABLE),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:1000]), UNREADABLE),
    "zeros": (lambda path: path.write_bytes(bytes(1000)), UNREADABLE),
    "text": (lambda path: path.write_text("no checkpoint"), UNREADABLE),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "step-000000.pt: no such file"),
    "a pickle that calls": (lambda path: path.write_bytes(pickle.dumps(_Exploit())), UNREADABLE),
    "a whole network": (lambda path: torch.save(torch.nn.Linear(1, 1), path), UNREADABLE),
    "a tensor": (lambda path: torch.save(torch.zeros(3), path), UNREADABLE),
    "a list": (lambda path: torch.save([1, 2], path), UNREADABLE),
    "without weights": (_state(lambda state: state.pop("model") and None), UNREADABLE),
    "with more": (_state(lambda state: state.update(more=1)), UNREADABLE),
    "weights that are a list": (_state(lambda state: state.update(model=[1])), UNREADABLE),
    "an optimizer that is text": (_state(lambda state: state.update(optimizer="sgd")), UNREADABLE),
    "a step that is text": (_state(lambda state: state.update(step="0")), UNREADABLE),
    "another step": (_state(lambda state: state.update(step=4)), "belongs to other settings"),
    "another spec": (_state(lambda state: state.update(spec={})), "belongs to other settings"),
    "a weight too few": (_state(lambda state: state["model"].popitem() and None), UNFIT),
    "a weight too many": (_state(lambda state: state["model"].update(more=torch.zeros(1))), UNFIT),
    "a weight of another shape": (_state(lambda s: s["model"].update({"classifier.bias": torch.zeros(7)})), UNFIT),
    "a weight that is a number": (_state(lambda s: s["model"].update({"classifier.bias": 0.0})), UNREADABLE),
    "an optimizer of another network": (_state(lambda s: s["optimizer"].update(param_groups=[])), UNFIT),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_damaged_checkpoint_is_one_line(root: Path, kind: str) -> None:
    damage, line = CHECKPOINTS[kind]
    damage(checkpoint_path(root / "runs/vgg11-batch-0.1-0", 0))
    _refused(_probe, line)
    assert not (root / "again").exists()
    assert not (root / "owned").exists()


PREPARED: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no manifest": ("manifest.json", Path.unlink, "manifest.json: no such file"),
    "a manifest cut short": ("manifest.json", lambda path: path.write_text("{"), "manifest.json: not a manifest"),
    "a manifest that is a list": ("manifest.json", lambda path: path.write_text("[]"), "manifest.json: not a manifest"),
    "a manifest without classes": ("manifest.json", _without("classes"), "manifest.json: not a manifest"),
    "one mean too few": ("manifest.json", _with(mean=[0.5, 0.5]), "manifest.json: not a manifest"),
    "a mean that is text": ("manifest.json", _with(mean=["a", "b", "c"]), "manifest.json: not a manifest"),
    "a deviation of zero": ("manifest.json", _with(std=[0.1, 0.1, 0.0]), "manifest.json: not a manifest"),
    "no images": ("train_images.npy", Path.unlink, "train_images.npy: not a readable array"),
    "images cut short": (
        "train_images.npy", lambda path: path.write_bytes(path.read_bytes()[:500]), "train_images.npy: not a readable"
    ),
    "images that are objects": (
        "train_images.npy", lambda path: np.save(path, np.array([_Exploit()]), allow_pickle=True), "not a readable"
    ),
    "images of another type": (
        "train_images.npy", lambda path: np.save(path, np.zeros((60, 3, 32, 32))), "expected uint8 N×3×32×32"
    ),
    "a number in place of images": ("train_images.npy", lambda path: np.save(path, np.uint8(3)), "expected uint8"),
    "labels beyond the classes": ("train_labels.npy", lambda path: np.save(path, np.arange(60)), "expected 0 … 2"),
    "a label too few": ("train_labels.npy", lambda path: np.save(path, np.zeros(59, int)), "int64, one an image"),
    "fewer images than a batch": (
        "train_images.npy",
        lambda path: (np.save(path, np.zeros((8, 3, 32, 32), np.uint8)),
                      np.save(path.with_name("train_labels.npy"), np.zeros(8, int))),
        "must be at most the 8 images",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", PREPARED)
def test_damaged_images_are_one_line(root: Path, kind: str) -> None:
    name, damage, line = PREPARED[kind]
    damage(root / "prepared" / name)
    _refused(lambda: train.main(["--data", "prepared", *POINT, "--out", "again"]), line)
    assert not (root / "again").exists()
    assert not (root / "owned").exists()


@pytest.mark.parametrize(
    "file", ["runs/vgg11-batch-0.1-0/history.parquet", "runs/vgg11-batch-0.1-0/test.parquet",
             "probes/vgg11-batch-0.1-0/probes.parquet", "probes/vgg11-batch-0.1-0/histograms.parquet"],
)  # fmt: skip
@pytest.mark.parametrize("content", [None, b"", b"PAR1", b"x" * 1000])
def test_a_damaged_table_is_one_line(root: Path, file: str, content: bytes | None) -> None:
    path = root / file
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    _refused(lambda: read_training_study([tiny.run_spec()], root / "runs", root / "probes"), f"{path}: ")
