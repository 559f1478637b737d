"""Predictions: what can be known exactly agrees with what is done, the rest within a factor."""

import dataclasses
from collections import Counter
from pathlib import Path

import pytest
import torch
from tests import tiny
from torch import nn

from normlab.runs.checkpoint import Checkpoint, portable
from normlab.runs.networks import build_optimizer
from normlab.scheduling import gradients
from normlab.scheduling.calibration import KNOWN, Calibration
from normlab.scheduling.lock_reader import read_lock
from normlab.scheduling.pipeline import Stage, read_stages
from normlab.scheduling.stage_costs import StageCosts
from normlab.specs.expansion import expand
from normlab.specs.probe import ProbeSpec
from normlab.specs.study import StudySpec, read_study
from normlab.studies.checkpoints.run import RunProbes

SPECS = [
    ProbeSpec((1.0,), random_directions=False, curvature=False),
    ProbeSpec((0.5, 1.0), (0.25,), penalty=1e-4, distances=(0.1, 1.0), relative_steps=(0.1,), curvature=False),
    ProbeSpec((0.5, 1.0, 2.0), batches=2, control_every=2, curvature=False),
]


@pytest.mark.parametrize("spec", SPECS)
def test_the_passes_of_the_probes_are_counted(tmp_path: Path, spec: ProbeSpec) -> None:
    run = tiny.run_spec("batch")
    batches, test = tiny.load(tiny.write_data(tmp_path))
    probes = RunProbes(run, spec, batches, len(test.classes))
    counted = 0.0

    def count(module: nn.Module, inputs: object) -> None:
        nonlocal counted
        counted += 1 if torch.is_grad_enabled() else gradients.FORWARD

    probes.model.register_forward_pre_hook(count)
    state = {name: tensor.clone() for name, tensor in probes.model.state_dict().items()}
    for step in run.train.checkpoint_steps:
        optimizer = build_optimizer(probes.model, run).state_dict()
        probes.measure(portable(Checkpoint(step, run.as_dict(), state, optimizer)))
    layers = sum(isinstance(module, nn.Conv2d | nn.Linear) for module in probes.model.modules())
    # the hook sees forward passes, and takes each for a whole gradient; those of the shift go back only to the layer
    controls = -(-len(run.train.checkpoint_steps) // spec.control_every)
    shifts = len(run.train.checkpoint_steps) + (spec.batches - 1) * controls
    predicted = gradients.of_probes(run, spec, layers) + shifts * (layers - 1) / 3
    assert 0.8 * counted < predicted < counted  # looks at the base point are forward passes with a graph


def costs(study: StudySpec, root: Path) -> StageCosts:
    return StageCosts(study, Calibration(root, torch.device("cpu")))


def stages_of(study: StudySpec, repository: Path) -> dict[str, Stage]:
    return read_stages(repository / "dvc.yaml", expand(study, repository).entries)


def test_the_paper_preset_fits_in_60_gb(repository: Path, tmp_path: Path) -> None:
    paper = read_study(repository / "presets/paper.yaml")
    found = costs(paper, tmp_path)
    disk = sum(found.disk(stage) for stage in stages_of(paper, repository).values())
    assert 2 * disk < 60e9  # in the working tree and in DVC's cache
    # the weights alone of VGG-16 in those checkpoints that other stages read, and in the last: no less can be right
    kept = sum(len(paper.kept(run)) for run in paper.runs if run.network == "vgg16")
    assert disk > kept * 14.7e6 * 4


def test_the_quick_preset_took_about_the_disk_that_is_predicted(repository: Path, tmp_path: Path) -> None:
    quick = read_study(repository / "presets/quick.yaml")
    found, recorded = costs(quick, tmp_path), read_lock(repository / "dvc.lock")
    took, predicted = Counter[str](), Counter[str]()
    for name, stage in stages_of(quick, repository).items():
        if name in recorded:
            took[stage.template] += sum(recorded[name].sizes.values())
            predicted[stage.template] += round(found.disk(stage))
    assert {"train", "probe", "dln", "report"} <= took.keys()
    for template in took:
        assert predicted[template] < 3 * took[template] + 1e6, template
        assert took[template] < 2 * predicted[template] + 1e6, template


def test_memory_is_linear_in_the_batch(repository: Path, tmp_path: Path) -> None:
    quick = read_study(repository / "presets/quick.yaml")
    stage = stages_of(quick, repository)["train@vgg11-l1-0.1-0"]
    found = []
    for size in (64, 128, 192):
        study = dataclasses.replace(quick, train=dataclasses.replace(quick.train, batch_size=size))
        with_size = costs(study, tmp_path)
        found.append(with_size.memory(stage) - with_size.process)
    assert found[2] - found[1] == pytest.approx(found[1] - found[0], rel=0.01)
    # L1 normalization keeps at least its input and output: 64 images more of 8 channels of 32 x 32 float32
    assert found[1] - found[0] > 2 * 64 * 8 * 32 * 32 * 4


def test_what_was_measured_is_kept(tmp_path: Path) -> None:
    run = tiny.run_spec("batch")
    first = Calibration(tmp_path, torch.device("cpu"))
    seconds = first.training_step(run, 3)
    assert 0 < seconds < 5
    first.save()
    again = Calibration(tmp_path, torch.device("cpu"))
    assert again.training_step(dataclasses.replace(run, seed=5), 3) == seconds
    (tmp_path / KNOWN).write_text("{")
    assert 0 < Calibration(tmp_path, torch.device("cpu")).training_step(run, 3) < 5
