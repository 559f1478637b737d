"""All measurements at all checkpoints of one training run."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor

from normlab.data.images import Batches
from normlab.nn.structure import read_structure
from normlab.probes import covariate_shift
from normlab.runs.checkpoint import Checkpoint
from normlab.runs.finished import read_checkpoint, restore
from normlab.runs.networks import build_network, build_optimizer
from normlab.runs.training import cross_entropy, train_step
from normlab.seeding import seed_all
from normlab.specs.probe import ProbeSpec
from normlab.specs.training import RunSpec
from normlab.studies.checkpoints.activations import ActivationTrack
from normlab.studies.checkpoints.layers import (
    cosine_with_gradient,
    gradient_shares,
    layer_grad_norms,
    weight_sizes,
)
from normlab.studies.checkpoints.walks import record_curvature, record_eigenvalue, record_gradient_walk, record_walks
from normlab.tables.rows import Rows


def probe_run(
    run: RunSpec,
    spec: ProbeSpec,
    folder: Path,
    steps: Sequence[int],
    batches: Batches,
    num_classes: int,
    *,
    on_step: Callable[[int], None] = lambda step: None,
) -> "RunProbes":
    """Measure the run at the checkpoints of `steps`, each on the batch that training saw at that step.

    Args:
        run: the run's spec.
        spec: what to measure.
        folder: the run's folder with its checkpoints.
        steps: the checkpoints, in increasing order.
        batches: the run's training batches, on the device to measure on.
        num_classes: of the data set.
        on_step: called after each checkpoint.

    Raises:
        InputError: a checkpoint is missing, damaged, or of another spec.
    """
    probes = RunProbes(run, spec, batches, num_classes)
    for step in steps:
        probes.measure(read_checkpoint(run, folder, step))
        on_step(step)
    return probes


class RunProbes:
    """All measurements of one run, checkpoint by checkpoint, on a network of their own.

    Args:
        run: the run's spec.
        spec: what to measure.
        batches: the run's training batches, on the device to measure on.
        num_classes: of the data set.
    """

    def __init__(self, run: RunSpec, spec: ProbeSpec, batches: Batches, num_classes: int) -> None:
        self.run, self.spec, self.batches = run, spec, batches
        self.rows = Rows(run.keys)
        self.model = build_network(run, num_classes, batches.split.images.device).train()
        self.optimizer = build_optimizer(self.model, run)
        fixed = batches.fixed()
        structure = read_structure(self.model, fixed[0][:2])
        for layer, place in structure.places.items():
            self.rows.add("structure", 0, {"place": place}, layer=layer)
        producers = list(dict.fromkeys(structure.producers.values()))
        self.tracks = [
            ActivationTrack("activations", structure.taps, spec.units, run.seed, batches.at),
            ActivationTrack("activations_fixed", producers, spec.units, run.seed, lambda step: fixed),
            ActivationTrack("activations_fixed", structure.taps, spec.units, run.seed, lambda step: fixed),
        ]

    def measure(self, checkpoint: Checkpoint) -> None:
        """Rows of one checkpoint; they have to come in increasing order.

        Raises:
            ValueError: the checkpoint was written under another spec.
        """
        restore(self.model, self.optimizer, checkpoint, self.run)
        run, spec, rows, model, step = self.run, self.spec, self.rows, self.model, checkpoint.step
        batch = self.batches.at(step)
        seed_all(run.seed, "noise", step)  # the draws of training's update `step`; every probe puts them back
        others = [self.batches.other(step, number) for number in range(1, spec.batches)]
        controls = run.train.checkpoint_steps.index(step) % spec.control_every == 0 or step == run.train.steps
        self._landscape(step, batch, others, controls)
        # a gradient for every layer, so the further batches are among the dear controls
        for number, on in enumerate([batch, *others] if controls else [batch]):
            self._shift(step, on, number)
        for layer, values in weight_sizes(model, run.learning_rate).items():
            rows.add("weights", step, values, layer=layer)
        if self.spec.gradient_shares:
            self._shares(step, batch)
        if not self.tracks[0].layers:
            rows.add("activations", step, {"normalized_layers": 0.0})  # why there are no other rows of activations
        regular = run.train.is_regular(step)
        now = [track.measure(model, step, histograms=regular) for track in self.tracks]
        # the model moves on, in float32 whatever it is trained in; the next checkpoint replaces it
        train_step(model, self.optimizer, run, batch, step)
        for layer, norm in layer_grad_norms(model).items():
            rows.add("gradients", step, {"layer_grad_norm": norm}, layer=layer)
        seed_all(run.seed, "noise", step + 1)
        for track, before in zip(self.tracks, now, strict=True):
            track.record(rows, step, before, track.measure(model, step + 1, histograms=False), regular)
        if regular:
            self.tracks[0].keep_histograms(rows, step, now[0])

    def _shares(self, step: int, batch: tuple[Tensor, Tensor]) -> None:
        """What the normalizers' backward passes keep, and where the vector that training follows points."""
        for layer, values in gradient_shares(self.model, cross_entropy, batch, self.tracks[2].layers).items():
            self.rows.add("gradient_shares", step, values, layer=layer)
        if angle := cosine_with_gradient(self.model, cross_entropy, batch):
            self.rows.add("followed", step, angle)

    def measurements(self) -> pd.DataFrame:
        """All rows so far: one a step × quantity."""
        return self.rows.frame()

    def histograms(self) -> pd.DataFrame:
        """The histograms of the example units so far."""
        return self.tracks[0].histograms()

    def write(self, folder: Path) -> None:
        """Write `probes.parquet` and `histograms.parquet`."""
        self.measurements().to_parquet(folder / "probes.parquet", index=False)
        self.histograms().to_parquet(folder / "histograms.parquet", index=False)

    def state_dict(self) -> dict[str, Any]:
        """What was measured, and what later checkpoints are compared with."""
        return {"rows": self.rows.state_dict(), "tracks": [track.state_dict() for track in self.tracks]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the checkpoints of `state`."""
        self.rows.load_state_dict(state["rows"])
        for track, of_track in zip(self.tracks, state["tracks"], strict=True):
            track.load_state_dict(of_track)

    def _landscape(
        self, step: int, batch: tuple[Tensor, Tensor], others: Sequence[tuple[Tensor, Tensor]], controls: bool
    ) -> None:
        """Walks and curvature on training's batch of the step and on the further ones."""
        run, spec, rows, model = self.run, self.spec, self.rows, self.model
        record_walks(rows, model, batch, run, spec, step, controls=controls)
        for number, other in enumerate(others, start=1):
            record_gradient_walk(rows, model, other, run, spec, step, number)
        if controls:
            record_curvature(rows, model, [batch, *others], run, spec, step)
        record_eigenvalue(rows, model, batch, run, spec, step)

    def _shift(self, step: int, batch: tuple[Tensor, Tensor], number: int) -> None:
        """How far each layer's gradient moves when the layers before it are updated, on one minibatch."""
        for layer, shift in covariate_shift(self.model, cross_entropy, batch, optimizer=self.optimizer).items():
            values = {"l2": shift.l2, "relative_l2": shift.relative_l2, "cosine": shift.cosine}
            self.rows.add("shift", step, values, layer=layer, batch=number)
