"""What a stage will cost: seconds, memory and disk, from the specs and what a few steps take on this machine.

Predictions to plan by, good to a factor of about two; a training says more exactly what it will take when it starts
(`normlab.runs.cost`). Numbers without another source are those of the quick preset.
"""

import dataclasses
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from normlab.runs.networks import build_network, checkpoint_bytes
from normlab.scheduling import gradients
from normlab.scheduling.calibration import Calibration
from normlab.scheduling.pipeline import Stage
from normlab.specs.dln import DlnCell
from normlab.specs.study import StudySpec
from normlab.specs.training import RunSpec

IMAGE_BYTES = 32 * 32 * 3
CLASSES, PER_CLASS = 10, 5000  # where the settings do not say: as CIFAR-10, which has a fifth of that for the test
SECONDS = {"check": 3.0, "analyze": 20.0, "report": 10.0, "index": 5.0}  # beside the start
DRAWN_SECONDS, DECODED_SECONDS = 6e-4, 1e-3  # an image
HISTORY_BYTES, FILES_BYTES = 45, 20_000  # parquet: an update; what a file has beside its rows
PROBED_BYTES, HISTOGRAM_BYTES = 3_000, 1_500  # a probed step; a layer's histogram
DEEP_LINEAR_ROWS, DEEP_LINEAR_BYTES = 170, 10  # of a seed and probed step; a row
TABLES_BYTES, PAGE_BYTES = 100_000, 1_000_000  # of a run in reports/tables; a page
OF_RUNS = ("train", "probe", "measure", "assumptions", "reparametrization")
COPIES = 6  # of the weights: themselves, gradients, and what probes remember and compare


@dataclass(frozen=True)
class StageCost:
    """Of one stage.

    Attributes:
        seconds: on one core, or on the GPU.
        memory: bytes of its process at their most; on a GPU, there.
        disk: bytes of its outputs.
    """

    seconds: float
    memory: float
    disk: float


class StageCosts:
    """What the stages of a study cost.

    Args:
        study: the study.
        calibration: how fast this machine is.
    """

    def __init__(self, study: StudySpec, calibration: Calibration) -> None:
        self.study, self.calibration = study, calibration
        self.classes = study.data.num_classes or CLASSES
        self.runs = {run.name: run for run in study.runs}
        self.cells = {cell.name: cell for cell in study.dln_grid.cells}
        self.process = _resident_bytes()

    def of(self, stage: Stage) -> StageCost:
        """The cost of one stage of the study."""
        return StageCost(self.seconds(stage), self.memory(stage), self.disk(stage))

    def seconds(self, stage: Stage) -> float:
        """Of one core, or of the GPU, with the start of the process."""
        study, calibration, key = self.study, self.calibration, stage.key
        if stage.template in OF_RUNS:
            run = self.runs[key]
            seconds = self._gradients(stage.template, run) * calibration.training_step(run, self.classes)
        elif stage.template == "data":
            seconds = self._images() * (DRAWN_SECONDS if study.data.source == "textures" else DECODED_SECONDS)
        elif stage.template == "dln":
            gradient = calibration.deep_linear_gradient(study.dln, self.cells[key])
            seconds = gradients.of_deep_linear(study.dln) * gradient
        elif stage.template == "dln_scan":
            scan, rates = study.dln_scan, study.dln_scan.learning_rate
            cells = [DlnCell(kind, rates[0]) for kind in scan.norm_layer]
            seconds = scan.steps * sum(calibration.deep_linear_gradient(study.dln, cell, len(rates)) for cell in cells)
        elif stage.template == "theory":
            seconds = study.theory.cases * calibration.theory_case(study.theory)
        else:
            seconds = SECONDS[stage.template]
        return calibration.start() + seconds

    def memory(self, stage: Stage) -> float:
        """Of the process: what it imports, the images, weights, and what a backward pass keeps of a batch."""
        images = self._images() * IMAGE_BYTES
        if stage.template not in OF_RUNS:
            return self.process + images
        probe, size = self.study.probe, self._size(self.runs[stage.key])
        graph_of_graph = bool(probe.curvature or probe.eigenvalue_at)
        wider = {"train": 1, "assumptions": 4, "reparametrization": 4}.get(stage.template, 1 + graph_of_graph)
        return self.process + images + COPIES * size.weights + wider * size.activations

    def disk(self, stage: Stage) -> float:
        """Of its outputs."""
        study = self.study
        if stage.template in ("train", "probe", "measure"):
            run = self.runs[stage.key]
            trained = len(study.kept(run)) * self._size(run).checkpoint + run.train.steps * HISTORY_BYTES
            regular = run.train.steps // run.train.checkpoint_every + 1
            histograms = regular * self._size(run).layers * HISTOGRAM_BYTES
            probed = len(run.train.checkpoint_steps) * PROBED_BYTES + histograms
            return FILES_BYTES + {"train": trained, "probe": probed, "measure": trained + probed}[stage.template]
        if stage.template == "data":
            return self._images() * (IMAGE_BYTES + 8)
        if stage.template == "dln":
            probed = study.dln.steps // study.dln.probe_every + 1
            rows = len(study.dln.seeds) * (study.dln.steps / study.dln.loss_every + DEEP_LINEAR_ROWS * probed)
            return rows * DEEP_LINEAR_BYTES + FILES_BYTES
        if stage.template == "analyze":
            return len(self.runs) * TABLES_BYTES
        return PAGE_BYTES if stage.template in ("report", "index") else FILES_BYTES

    def study_of(self, stage: Stage) -> str:
        """What the stage belongs to, as a person calls it."""
        if stage.template in ("train", "probe", "measure"):
            return f"{self.runs[stage.key].network}: training, probes"
        names = {"check": "images", "data": "images", "dln": "deep linear", "dln_scan": "deep linear"}
        names |= {"theory": "statements", "assumptions": "statements", "reparametrization": "BatchNorm put in"}
        return names.get(stage.template, "tables and pages")

    def _gradients(self, template: str, run: RunSpec) -> float:
        study, layers = self.study, self._size(run).layers
        tested = self.classes * self._tested_per_class() + study.data.held_out
        if template == "assumptions":
            return gradients.of_assumptions(study.assumptions, layers)
        if template == "reparametrization":
            return gradients.of_reparametrization(study.reparametrization)
        training = gradients.of_training(run, tested) if template in ("train", "measure") else 0.0
        return training + (gradients.of_probes(run, study.probe, layers) if template in ("probe", "measure") else 0.0)

    def _size(self, run: RunSpec) -> "_Size":
        return _size(dataclasses.replace(run, learning_rate=1.0, seed=0), self.classes)

    def _images(self) -> int:
        data = self.study.data
        trained = data.train_images if data.train_images is not None else self.classes * PER_CLASS - data.held_out
        return trained + data.held_out + self.classes * self._tested_per_class()

    def _tested_per_class(self) -> int:
        return self.study.data.test_per_class or PER_CLASS // 5


@dataclass(frozen=True)
class _Size:
    """Of a run's network: bytes of its weights, of a checkpoint, and of what a batch's backward pass needs; layers."""

    weights: int
    checkpoint: int
    activations: int
    layers: int


@cache
def _size(run: RunSpec, num_classes: int) -> _Size:
    """Found without numbers: on torch's meta device a forward pass only says what it would keep."""
    with torch.device("meta"):
        model = build_network(run, num_classes, "meta").train()
        kept: dict[int, torch.UntypedStorage] = {}  # views of one memory count once

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            kept[storage._cdata] = storage
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            scores = model(torch.empty(run.train.batch_size, 3, 32, 32))
            F.cross_entropy(scores, torch.zeros(run.train.batch_size, dtype=torch.int64))
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    layers = sum(
        any(parameter.ndim >= 2 for parameter in module.parameters(recurse=False)) for module in model.modules()
    )
    activations = sum(storage.nbytes() for storage in kept.values())
    return _Size(weights, checkpoint_bytes(run, num_classes), activations, layers)


def _resident_bytes() -> int:
    """Of this process, which has imported what a stage imports; 400 MB where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 400_000_000
