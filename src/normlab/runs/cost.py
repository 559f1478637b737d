"""What a training run will cost, measured on its own first batch before it starts."""

import math
import time
from dataclasses import dataclass

import torch

from normlab.data.images import Batches
from normlab.runs.networks import build_network, build_optimizer
from normlab.runs.training import train_step
from normlab.specs.training import RunSpec

TIMED_STEPS = 2


@dataclass(frozen=True)
class Cost:
    """Expected cost of a run.

    Attributes:
        seconds: of all training steps, from the time of a few; tests and checkpoints come on top.
        disk_bytes: of its checkpoints.
        checkpoints: how many there will be.
        parameters: how many numbers the network has.
    """

    seconds: float
    disk_bytes: int
    checkpoints: int
    parameters: int

    def __str__(self) -> str:
        time_left = f"{self.seconds:.0f} s" if self.seconds < 120 else f"{self.seconds / 60:.0f} min"
        disk = f"{self.disk_bytes / 1e6:.0f} MB"
        return f"{self.parameters:,} parameters, about {time_left}, {self.checkpoints} checkpoints of {disk} in all"


def predict_cost(run: RunSpec, batches: Batches, device: torch.device) -> Cost:
    """Time a few training steps on a network of its own, so that nothing of the real run is touched.

    Args:
        run: the run to come.
        batches: its batches.
        device: where it will train.
    """
    model = build_network(run, len(batches.split.classes), device).train()
    optimizer = build_optimizer(model, run)
    batch = batches.at(0)
    precision = run.train.precision
    train_step(model, optimizer, run, batch, 0, precision)  # the first step also allocates and chooses algorithms
    start = time.perf_counter()
    for _ in range(TIMED_STEPS):
        values = train_step(model, optimizer, run, batch, 0, precision)
    values.tolist()  # waits for the device
    seconds = (time.perf_counter() - start) / TIMED_STEPS
    state = [*model.state_dict().values()]
    momentum = sum(p.numel() * p.element_size() for p in model.parameters()) if run.train.momentum else 0
    per_checkpoint = sum(tensor.numel() * tensor.element_size() for tensor in state) + momentum
    checkpoints = len(run.train.checkpoint_steps)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Cost(math.ceil(run.train.steps * seconds), per_checkpoint * checkpoints, checkpoints, parameters)
