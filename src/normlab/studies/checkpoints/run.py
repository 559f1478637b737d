"""All measurements at all checkpoints of one training run."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from normlab.data.images import Batches
from normlab.probes import covariate_shift
from normlab.runs.checkpoint import Checkpoint
from normlab.runs.finished import read_checkpoint
from normlab.runs.networks import build_network, build_optimizer
from normlab.runs.training import cross_entropy, train_step
from normlab.seeding import seed_all
from normlab.specs.probe import ProbeSpec
from normlab.specs.training import RunSpec
from normlab.studies.checkpoints.activations import ActivationTrack
from normlab.studies.checkpoints.walks import record_curvature, record_walks
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
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measure the run at the checkpoints of `steps`, each on the batch that training saw at that step.

    Args:
        run: the run's spec.
        spec: what to measure.
        folder: the run's folder with its checkpoints.
        steps: the checkpoints, in increasing order.
        batches: the run's training batches, on the device to measure on.
        num_classes: of the data set.
        on_step: called after each checkpoint.

    Returns:
        The measurements (one row a step × quantity) and the histograms of the example units.

    Raises:
        InputError: a checkpoint is missing, damaged, or of another spec.
    """
    rows = Rows(run.keys)
    model = build_network(run, num_classes, batches.split.images.device).train()
    optimizer = build_optimizer(model, run)
    taps = [name for name, _ in model.named_modules() if name.rsplit(".", 1)[-1].startswith("norm")]
    track = ActivationTrack(taps, spec.units, run.seed)
    for step in steps:
        restore(model, optimizer, read_checkpoint(run, folder, step), run)
        _probe_step(rows, track, model, optimizer, run, spec, batches, step)
        on_step(step)
    return rows.frame(), track.histograms()


def restore(model: nn.Module, optimizer: torch.optim.Optimizer, checkpoint: Checkpoint, run: RunSpec) -> None:
    """Put `model` and `optimizer` into the state of `checkpoint`.

    Raises:
        ValueError: the checkpoint was written under another spec than `run`.
    """
    if checkpoint.spec != run.as_dict():
        raise ValueError(f"checkpoint of step {checkpoint.step} belongs to {checkpoint.spec}, not to {run.as_dict()}")
    model.load_state_dict(checkpoint.model)
    optimizer.load_state_dict(checkpoint.optimizer)
    optimizer.zero_grad(set_to_none=True)


def _probe_step(
    rows: Rows,
    track: ActivationTrack,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    run: RunSpec,
    spec: ProbeSpec,
    batches: Batches,
    step: int,
) -> None:
    batch = batches.at(step)
    seed_all(run.seed, "noise", step)  # the draws of training's update `step`; every probe puts them back
    record_walks(rows, model, batch, run, spec, step)
    record_curvature(rows, model, batch, run, spec, step)
    for layer, shift in covariate_shift(model, cross_entropy, batch, optimizer=optimizer).items():
        values = {"l2": shift.l2, "relative_l2": shift.relative_l2, "cosine": shift.cosine}
        rows.add("shift", step, values, layer=layer)
    now = track.measure(model, batch)
    train_step(model, optimizer, run, batch, step)  # the model moves on; the next checkpoint replaces it
    for layer, norm in _layer_grad_norms(model).items():
        rows.add("gradients", step, {"layer_grad_norm": norm}, layer=layer)
    seed_all(run.seed, "noise", step + 1)
    track.record(rows, step, now, track.measure(model, batches.at(step + 1)), run.train.is_regular(step))


def _layer_grad_norms(model: nn.Module) -> dict[str, float]:
    """‖∇‖₂ over weight and bias of every layer with a weight matrix or kernel, from the gradients just computed."""
    norms = {}
    for name, module in model.named_modules():
        own: list[Tensor] = [p.grad for p in module.parameters(recurse=False) if p.grad is not None]
        if any(gradient.ndim >= 2 for gradient in own):
            norms[name] = float(torch.linalg.vector_norm(torch.cat([gradient.flatten() for gradient in own])))
    return norms
