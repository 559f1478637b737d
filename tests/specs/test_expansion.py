"""What DVC iterates over: runs.yaml and the folders of parts."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from normlab.scheduling.pipeline import read_stages
from normlab.specs.data import DataSpec
from normlab.specs.expansion import check, expand, write
from normlab.specs.grid import Block, plan
from normlab.specs.strict import InputError
from normlab.specs.study import StudySpec, read_study

QUICK = Path(__file__).parents[2] / "presets" / "quick.yaml"
LAYERS = "from my_sizes import half\n\n\ndef rms(channels):\n    raise NotImplementedError\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working tree with a normalizer of somebody's own, and the package's sources as in the repository."""
    (tmp_path / "my_layers.py").write_text(LAYERS)
    (tmp_path / "my_sizes.py").write_text("half = 0.5\n")
    (tmp_path / "src").symlink_to(QUICK.parents[1] / "src")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def _study(*blocks: Block) -> StudySpec:
    study = read_study(QUICK)
    return dataclasses.replace(study, grid=(*study.grid, *blocks))


def _own(norm_layer: str = "my_layers:rms", network: str = "vgg11", **overrides: tuple[float, ...]) -> Block:
    return Block((network,), (norm_layer,), (0.1,), (0,), overrides)


def test_every_run_has_its_arguments_and_its_own_files(root: Path) -> None:
    study = _study(_own(weight_decay=(4e-4,)))
    write(expand(study, root), root)
    entries = yaml.safe_load((root / "runs.yaml").read_text())
    assert list(entries["runs"]) == [run.name for run in study.runs]
    assert entries["runs"]["vgg11-batch-0.5-0"] == {
        "train": "--network vgg11 --norm-layer batch --learning-rate 0.5 --seed 0",
        "read": "--run models/runs/vgg11-batch-0.5-0",
        "network": "parts/network/vgg",
        "normalizer": "parts/normalizer/batch",
    }
    own = entries["runs"]["vgg11-my_layers.rms-0.1-0-weight_decay=0.0004"]
    assert own["train"].endswith(
        "--norm-layer my_layers:rms --learning-rate 0.1 --seed 0 --variant weight_decay=0.0004"
    )
    linked = {path.name: path.resolve() for path in (root / own["normalizer"]).iterdir()}
    assert linked == {name: root / name for name in ("my_layers.py", "my_sizes.py")}
    batch = [path.resolve().relative_to(QUICK.parents[1]) for path in (root / "parts/normalizer/batch").iterdir()]
    assert batch == [Path("src/normlab/nn/normalizers/batch.py")]
    assert list(entries["assumption_runs"]) == ["vgg11-batch-0.1-0", "vgg11-batch-0.1-1"]
    cell = entries["dln_cells"]["l1-1e-06"]
    assert cell == {"train": "--norm-layer l1 --learning-rate 1e-06", "scale": "parts/scale/l1"}
    scales = [path.resolve().relative_to(QUICK.parents[1]) for path in (root / cell["scale"]).iterdir()]
    assert scales == [Path("src/normlab/studies/scales/l1.py")]
    assert {path.name for path in (root / "parts/scale").iterdir()} == {"none", "batch", "l1"}  # of dln_scan, too


@pytest.mark.parametrize("rate", ["1", "1.0", "10.0e-1", "0.5", "5.0e-1", "1.0e-5"])
def test_a_run_has_one_name_for_who_trains_and_who_reads_it_however_a_rate_is_spelt(root: Path, rate: str) -> None:
    text = QUICK.read_text()
    assert "learning_rate: [5.0e-1]" in text
    (root / "params.yaml").write_text(text.replace("learning_rate: [5.0e-1]", f"learning_rate: [{rate}]"))
    study = read_study(root / "params.yaml")
    write(expand(study, root), root)
    stages = read_stages(QUICK.parents[1] / "dvc.yaml", yaml.safe_load((root / "runs.yaml").read_text()))
    read = [run.name for run in study.runs]
    assert f"vgg11-batch-{float(rate)}-0" in read
    assert [name.partition("@")[2] for name in stages if name.startswith("train@")] == read


def test_runs_that_keep_few_checkpoints_keep_those_that_other_stages_read(root: Path) -> None:
    study = _study()
    few = dataclasses.replace(study, train=dataclasses.replace(study.train, checkpoints="few"))
    entries = expand(few, root).entries
    assert entries["runs"] == {}
    assert list(entries["measured_runs"]) == list(expand(study, root).entries["runs"])
    assert entries["measured_runs"]["vgg11-batch-0.1-0"]["train"].endswith(" --seed 0 --keep 0 200")
    assert entries["measured_runs"]["vgg11-none-0.1-1"]["train"].endswith(" --seed 1 --keep 200")
    assert entries["measured_runs"]["vgg11-none-0.5-0"]["train"].endswith(" --seed 0")
    assert {run.stage(program) for run in plan(few.grid[1:2], few.train) for program in ("train", "probe")} == {
        "measure@vgg11-none-0.5-0",
        "measure@vgg11-batch-0.5-0",
    }


def test_a_part_of_an_installed_package_is_a_version(root: Path) -> None:
    import torchvision

    version = torchvision.__version__.partition("+")[0]
    expansion = expand(_study(_own("none", "torchvision.models:resnet18")), root)
    entry = expansion.entries["runs"]["torchvision.models.resnet18-none-0.1-0"]
    assert entry["train"].endswith(f" --seed 0 --package torchvision=={version}")
    assert entry["read"] == f"--run models/runs/torchvision.models.resnet18-none-0.1-0 --package torchvision=={version}"
    write(expansion, root)
    assert (root / entry["network"] / "requirement.txt").read_text() == f"torchvision=={version}\n"
    check(expansion, root)


def test_a_data_set_of_one_s_own_has_its_files(root: Path) -> None:
    (root / "my_images.py").write_text("import my_sizes\n\n\ndef load():\n    raise NotImplementedError\n")
    study = dataclasses.replace(_study(), data=DataSpec("my_images:load"))
    write(expand(study, root), root)
    linked = {path.resolve() for path in (root / "parts/data/my_images.load").iterdir()}
    assert linked == {root / "my_images.py", root / "my_sizes.py"}


def test_writing_again_changes_nothing_and_what_is_not_used_any_more_goes(root: Path) -> None:
    expansion = expand(_study(_own()), root)
    assert "parts/normalizer/my_layers.rms" in write(expansion, root)
    before = (root / "runs.yaml").stat().st_mtime_ns
    assert write(expansion, root) == []
    assert (root / "runs.yaml").stat().st_mtime_ns == before
    changed = write(expand(_study(), root), root)
    assert changed == ["runs.yaml: 14 runs", "parts/normalizer/my_layers.rms"]
    assert not (root / "parts/normalizer/my_layers.rms").exists()
    assert (root / "my_layers.py").read_text() == LAYERS


def test_what_does_not_agree_is_refused_with_what_to_do(root: Path) -> None:
    expansion = expand(_study(_own()), root)
    with pytest.raises(
        InputError, match=r"^runs.yaml, parts/data/textures, parts/network/.*: not what params.yaml says now; run `make"
    ):
        check(expansion, root)
    write(expansion, root)
    check(expansion, root)
    with pytest.raises(InputError, match=r"^runs.yaml, parts/normalizer/my_layers.rms: not what"):
        check(expand(_study(), root), root)
    (root / "my_layers.py").write_text(LAYERS.replace("my_sizes", "my_other"))
    (root / "my_other.py").write_text("half = 0.5\n")
    with pytest.raises(InputError, match=r"^parts/normalizer/my_layers.rms: not what"):  # it imports another file now
        check(expand(_study(_own()), root), root)


def test_a_part_that_does_not_exist_is_refused(root: Path) -> None:
    with pytest.raises(InputError, match="'my_layers:RMS': my_layers has no 'RMS'; it has: half, rms"):
        expand(_study(_own("my_layers:RMS")), root)


DVC = """
vars: [runs.yaml]
stages:
  train:
    foreach: ${runs}
    do:
      cmd: echo ${item.train} > ${key}.txt
      deps: ["${item.network}", "${item.normalizer}"]
      outs: ["${key}.txt"]
"""


@pytest.mark.pipeline
def test_dvc_looks_through_the_links_and_finds_the_runs_of_an_edited_file(root: Path) -> None:
    def dvc(*arguments: str) -> str:
        command = [sys.executable, "-m", "dvc", *arguments]
        return subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout

    study = _study()
    two = dataclasses.replace(study.grid[0], norm_layer=("none", "batch"), seed=(0,))
    write(expand(dataclasses.replace(study, grid=(two, _own())), root), root)
    (root / "params.yaml").touch()
    (root / "dvc.yaml").write_text(DVC)
    dvc("init", "--no-scm", "--quiet")
    dvc("repro", "--quiet")
    assert json.loads(dvc("status", "--json")) == {}
    (root / "my_sizes.py").write_text("half = 0.25\n")
    changes = [{"changed deps": {"parts/normalizer/my_layers.rms": "modified"}}]
    assert json.loads(dvc("status", "--json")) == {"train@vgg11-my_layers.rms-0.1-0": changes}
