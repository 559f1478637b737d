"""BatchNorm put into a trained plain network without changing its function: what does it do to the landscape?

The theory compares a network with BatchNorm to the same network without it *at the same function*: gamma = sigma and
beta = mu (Observation 4.3). Two trained networks never are; this is the only comparison that it covers.
"""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from normlab.data.images import Batches, ImageSplit
from normlab.nn.structure import read_structure
from normlab.runs.finished import load_trained
from normlab.runs.networks import build_network, check_network
from normlab.specs.probe import ProbeSpec
from normlab.specs.reparametrization import ReparametrizationSpec
from normlab.specs.strict import InputError
from normlab.specs.training import RunSpec, check_steps
from normlab.studies.checkpoints.walks import record_curvature, record_walks
from normlab.tables.rows import Rows

LARGEST_GAP = 1e-8
"""Of the two functions on the batch, relative. Float64 through at most 56 layers leaves about 1e-12."""


def measure_reparametrization(
    spec: ReparametrizationSpec,
    run: RunSpec,
    folder: Path,
    split: ImageSplit,
    *,
    on_step: Callable[[], None] = lambda: None,
) -> pd.DataFrame:
    """The landscape of a trained plain network before and after BatchNorm is put in, on the batch of that step.

    Everything in float64, along the gradient of the plain mean loss (no L2 penalty: it is another one with gamma and
    beta). `norm_layer` in the table is "none" before, "batch" after, with gamma and beta constant as in the theory, and
    "batch_affine" after, with gamma and beta among the parameters that the walk moves (if `spec.learned_affine`).

    Probes: `landscape`, `landscape_equal_distance`, `curvature` as in the other studies, and `reparametrization` with
    `function_gap` (largest difference of the two networks' logits, relative to the largest logit) on the rows after. A
    run that diverged before a step has the row `reparametrization`, `diverged` (1) there instead; a network that shows
    no normalized layers, or cannot have BatchNorm there, has the row `not_applicable` (1).

    Args:
        spec: section `reparametrization`.
        run: a run without normalizer.
        folder: its output folder.
        split: the train split, on the device to measure on.
        on_step: called after each step.

    Returns:
        A table with the columns `normlab.tables.rows.COLUMNS`, study "reparametrization".

    Raises:
        InputError: a checkpoint is missing, or a step is not on the schedule.
        RuntimeError: the two networks differ on the batch by more than rounding.
    """
    check_steps(spec.steps, run, "reparametrization.steps")
    batches = Batches(split, run.train.batch_size, run.seed, run.train.augment)
    rows = {kind: _rows_of(run, kind) for kind in _kinds(spec)}
    possible = _takes_batch_norm(run, len(split.classes), batches.at(0)[0][:2])
    for step in spec.steps:
        plain = load_trained(run, folder, step, len(split.classes), split.images.device) if possible else None
        if plain is not None:
            inputs, targets = batches.at(step)
            _measure_step(rows, spec, run, step, plain, (inputs.double(), targets), len(split.classes))
        else:
            rows["none"].add("reparametrization", step, {"diverged" if possible else "not_applicable": 1.0})
        on_step()
    frames = [of_kind.frame() for of_kind in rows.values()]
    return pd.concat([frame for frame in frames if len(frame)] or frames, ignore_index=True)


def insert_batch_norm(plain: nn.Module, run: RunSpec, inputs: Tensor, num_classes: int) -> nn.Module:
    """The network with BatchNorm that is the same function on this batch: gamma = sqrt(sigma^2 + eps), beta = mu.

    mu and sigma^2 are those of the plain network's activations at the place of each normalizer, over batch and pixels.
    Then z = gamma (y - mu) / sqrt(sigma^2 + eps) + beta = y at every layer, from the first on.

    Args:
        plain: a network of `run` without normalizers.
        run: its spec.
        inputs: the batch (N, 3, H, W), of the network's type and device.
        num_classes: of the network.

    Returns:
        A network of the same type with the same weights, in train mode.
    """
    network = build_network(dataclasses.replace(run, norm_layer="batch"), num_classes, inputs.device)
    network = network.to(inputs.dtype).train()
    state = plain.state_dict()
    network.load_state_dict({**network.state_dict(), **state})
    moments = _moments(plain, inputs)
    with torch.no_grad():
        for name, (mean, variance) in moments.items():
            norm = network.get_submodule(name)
            norm.weight.copy_((variance + norm.eps).sqrt())  # type: ignore[operator, union-attr]
            norm.bias.copy_(mean)  # type: ignore[operator, union-attr]
    return network


def _moments(plain: nn.Module, inputs: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and population variance per channel at every normalizer's place."""
    found: dict[str, tuple[Tensor, Tensor]] = {}
    handles = []
    for name in read_structure(plain, inputs[:2]).taps:

        def keep(_: nn.Module, __: tuple[Tensor, ...], output: Tensor, name: str = name) -> None:
            axes = (0, *range(2, output.dim()))
            found[name] = (output.mean(axes), output.var(axes, unbiased=False))

        handles.append(plain.get_submodule(name).register_forward_hook(keep))
    with torch.no_grad():
        plain(inputs)
    for handle in handles:
        handle.remove()
    return found


def _measure_step(
    rows: dict[str, Rows],
    spec: ReparametrizationSpec,
    run: RunSpec,
    step: int,
    plain: nn.Module,
    batch: tuple[Tensor, Tensor],
    num_classes: int,
) -> None:
    normalized = insert_batch_norm(plain, run, batch[0], num_classes)
    gap = function_gap(plain, normalized, batch[0])
    if gap > LARGEST_GAP:
        raise RuntimeError(f"{run.name}, step {step}: BatchNorm changed the function by {gap:.1e} (relative)")
    taps = read_structure(normalized, batch[0][:2]).taps
    probe = ProbeSpec(step_sizes=spec.step_sizes, random_directions=False, distances=spec.distances)
    # the penalty of weight decay would differ between the two networks by gamma and beta
    run = dataclasses.replace(run, train=dataclasses.replace(run.train, weight_decay=0.0))
    for kind, of_kind in rows.items():
        network = plain if kind == "none" else normalized
        for name in taps:
            normalized.get_submodule(name).requires_grad_(kind == "batch_affine")
        record_walks(of_kind, network, batch, run, probe, step)
        record_curvature(of_kind, network, [batch], run, probe, step)
        if kind != "none":
            of_kind.add("reparametrization", step, {"function_gap": gap})


def function_gap(first: nn.Module, second: nn.Module, inputs: Tensor) -> float:
    """max |f(x) - h(x)| over the batch and outputs, relative to max |f(x)|; NaN if an output is not finite."""
    with torch.no_grad():
        expected, found = first(inputs), second(inputs)
    if not torch.isfinite(expected).all():
        return math.nan
    return ((found - expected).abs().max() / expected.abs().max()).item()


def _takes_batch_norm(run: RunSpec, num_classes: int, inputs: Tensor) -> bool:
    """Whether the network shows normalized layers, and the same ones once BatchNorm stands there."""
    try:
        plain = check_network(run, num_classes, inputs)
        normalized = check_network(dataclasses.replace(run, norm_layer="batch"), num_classes, inputs)
    except InputError:
        return False
    return bool(plain.taps) and plain.taps == normalized.taps


def _kinds(spec: ReparametrizationSpec) -> tuple[str, ...]:
    return ("none", "batch", "batch_affine") if spec.learned_affine else ("none", "batch")


def _rows_of(run: RunSpec, kind: str) -> Rows:
    return Rows({**run.keys, "study": "reparametrization", "norm_layer": kind})
