"""The data stage: its outputs, byte for byte, and what happens to them when something is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.data.writers import picture

from normlab.data.images import Batches, load_images
from normlab.stages.data import main

TEXTURES = "data: {source: textures, seed: 0, train_per_class: 3, test_per_class: 1}\n"
IMAGE = np.random.default_rng(0).integers(0, 256, (3, 32, 32), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NORMLAB_DATA", raising=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.pipeline
def test_the_stage_writes_the_same_bytes_each_time_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture):
    Path("params.yaml").write_text(TEXTURES)
    main([])
    first = contents(Path("data/prepared"))
    assert "generated textures: 30 train and 10 test images, 10 classes" in capsys.readouterr().out
    main(["--params", "params.yaml", "--out", "again"])
    assert contents(Path("again")) == first
    assert sorted(os.listdir(tmp_path)) == ["again", "data", "params.yaml"]
    assert os.listdir("data") == ["prepared"]
    inputs, targets = Batches(load_images("again", "train"), 8, seed=0).at(0)
    assert inputs.shape == (8, 3, 32, 32)
    assert targets.max() < 10


@pytest.mark.pipeline
def test_an_image_folder_through_the_environment(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            Path("mine", split, name).mkdir(parents=True)
            Path("mine", split, name, "0.png").write_bytes(picture(IMAGE))
    Path("params.yaml").write_text("data: {source: folder}\n")
    monkeypatch.setenv("NORMLAB_DATA", "mine")
    main([])
    assert json.loads(Path("data/prepared/manifest.json").read_text())["classes"] == ["cat", "dog"]
    captured = capsys.readouterr()
    assert "image folder: 2 train and 2 test images" in captured.out
    assert captured.err == ""  # no progress bar where nobody watches


@pytest.mark.pipeline
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("data: {source: folder, path: broken.tar}\n", "broken.tar: not a readable folder, tar or zip archive"),
        ("data: {source: folder, path: mine}\n", "mine: no test/<class>/ folders"),
        ("data: {source: folder, path: mine, size: 32}\n", "data.size: unknown key; accepted: source"),
        ("train: {}\n", "section 'data' is missing"),
    ],
)
def test_bad_input_is_one_line_and_leaves_the_old_outputs(tmp_path: Path, params: str, message: str):
    Path("params.yaml").write_text(TEXTURES)
    main([])
    before = contents(Path("data/prepared"))
    Path("broken.tar").write_bytes(b"no archive")
    Path("mine/train/cat").mkdir(parents=True)
    Path("mine/train/cat/0.png").write_bytes(picture(IMAGE))
    Path("params.yaml").write_text(params)
    done = subprocess.run([sys.executable, "-m", "normlab.stages.data"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert contents(Path("data/prepared")) == before
    assert os.listdir("data") == ["prepared"]
