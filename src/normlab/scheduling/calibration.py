"""How fast this machine is: a few steps of what takes long, timed once and remembered.

On the processor it is the seconds of one core that count, so that another program beside this one changes little.
"""

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from normlab.runs.networks import build_network, build_optimizer
from normlab.runs.training import train_step
from normlab.specs.dln import DlnCell, DlnSpec
from normlab.specs.theory import TheorySpec
from normlab.specs.training import RunSpec
from normlab.studies.deep_linear.network import build_network as build_deep_linear
from normlab.studies.deep_linear.problem import draw_problem, draw_weights
from normlab.studies.statements.random_cases import measure_random_cases

KNOWN = Path("scratch/plan/seconds.json")  # below the root; `make clean` removes it
SLOW_SECONDS = 0.5  # a step that takes longer is timed on a part of its batch
START = "import pandas, torch, normlab.runs.training, normlab.probes"


class Calibration:
    """Seconds that this machine takes, each measured when it is first asked for.

    Args:
        root: of the repository; what was measured is kept below it.
        device: where networks are trained.
    """

    def __init__(self, root: Path, device: torch.device) -> None:
        self.path, self.device = root / KNOWN, device
        try:
            self._seconds: dict[str, float] = json.loads(self.path.read_bytes())
        except (OSError, ValueError):
            self._seconds = {}

    def training_step(self, run: RunSpec, num_classes: int) -> float:
        """Of one update of `run`, on random images."""
        train = run.train
        settings = f"{train.width:g} {train.batch_size} {train.classifier} {train.momentum > 0} {train.precision}"
        key = f"step {run.network} {run.norm_layer} {settings} {num_classes}"
        return self._known(key, lambda: self._time_step(run, num_classes))

    def deep_linear_gradient(self, spec: DlnSpec, cell: DlnCell, runs: int = 1) -> float:
        """Of one full-batch gradient of the deep linear network, of all seeds, and `runs` weights of each, at once."""
        sizes = f"{spec.depth} {spec.features} {spec.samples} {len(spec.seeds)} {runs}"
        key = f"deep linear {cell.norm_layer} {cell.variant} {spec.affine} {spec.last_layer} {sizes}"
        return self._known(key, lambda: _time_deep_linear(spec, cell, runs))

    def theory_case(self, spec: TheorySpec) -> float:
        """Of one case of every statement, of all sizes and seeds."""
        one = dataclasses.replace(spec, cases=1)
        return self._known(
            f"theory {spec.samples} {len(spec.seeds)}", lambda: fastest(lambda: measure_random_cases(one), 1)
        )

    def start(self) -> float:
        """Of a fresh process that imports what a training needs."""
        command = [sys.executable, "-c", START]
        return self._known("start", lambda: fastest(lambda: subprocess.run(command, check=True), 1, _children))

    def save(self) -> None:
        """Remember what was measured."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps(self._seconds, indent=2) + "\n")
        os.replace(partial, self.path)

    def _known(self, name: str, measure: Callable[[], float]) -> float:
        device = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        key = f"{name} on {device}, torch {torch.__version__}"
        if key not in self._seconds:
            self._seconds[key] = measure()
        return self._seconds[key]

    def _time_step(self, run: RunSpec, num_classes: int) -> float:
        """On a sixteenth of the batch; where that is fast enough, on the whole of it."""
        model = build_network(run, num_classes, self.device).train()
        size = run.train.batch_size
        part = max(2, size // 16)
        seconds = self._time(model, run, part, num_classes) * size / part
        return seconds if seconds > SLOW_SECONDS else self._time(model, run, size, num_classes)

    def _time(self, model: nn.Module, run: RunSpec, size: int, num_classes: int) -> float:
        optimizer = build_optimizer(model, dataclasses.replace(run, learning_rate=1e-6))
        batch = (torch.randn(size, 3, 32, 32, device=self.device), torch.arange(size, device=self.device) % num_classes)
        clock = time.perf_counter if self.device.type == "cuda" else time.process_time
        return fastest(lambda: train_step(model, optimizer, run, batch, 0, run.train.precision).tolist(), 2, clock)


def _time_deep_linear(spec: DlnSpec, cell: DlnCell, runs: int) -> float:
    network = build_deep_linear(spec.varied(cell.variant), cell.norm_layer)
    problem = draw_problem(spec.seeds, spec.features, spec.samples)
    weights = network.pack(draw_weights(spec.seeds, spec.depth, spec.features))[:, None].expand(-1, runs, -1)
    with torch.no_grad():
        return fastest(lambda: network.evaluate(problem, weights), 2)


def fastest(call: Callable[[], object], repeats: int, clock: Callable[[], float] = time.process_time) -> float:
    """Seconds, by `clock`, of the fastest of `repeats` calls, after one to warm up."""
    seconds = []
    for _ in range(repeats + 1):
        start = clock()
        call()
        seconds.append(clock() - start)
    return min(seconds[1:])


def _children() -> float:
    """Seconds of a core that ended child processes took."""
    times = os.times()
    return times.children_user + times.children_system
