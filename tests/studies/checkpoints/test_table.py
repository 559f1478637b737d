"""Every number that a checkpoint of a run gives, in float64, against copies of the network and autograd."""

import copy
import math
from pathlib import Path

import pandas as pd
import pytest
import torch
from tests import tiny
from tests.reference import twins
from torch import Tensor, nn
from torch.nn import functional as F

from normlab.runs.networks import build_network, build_optimizer
from normlab.runs.training import fit
from normlab.seeding import generator
from normlab.specs.probe import ProbeSpec
from normlab.studies.checkpoints.run import RunProbes

SPEC = ProbeSpec(
    step_sizes=(0.5, 2.0), extra_step_sizes=(0.25,), distances=(0.1,), penalty=0.3, relative_steps=(0.05, 0.01),
    units=2, batches=2, eigenvalue_at=(1,), control_every=1, gradient_shares=True,
)  # fmt: skip
RATE, STEP = 0.1, 1
Batch = tuple[Tensor, Tensor]
Key = tuple[str, str, str, float | None, int]  # probe, quantity, layer, step size, batch
LABELS = [0.05, 0.2, 0.025]  # of the walk along the gradient: the last one takes no part in the summary


def loss_fn(model: nn.Module, batch: Batch) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1])


def penalized(model: nn.Module, batch: Batch) -> Tensor:
    return loss_fn(model, batch) + 0.15 * sum(p.square().sum() for p in model.parameters())


def probed(tmp_path: Path) -> tuple[pd.DataFrame, nn.Module, torch.optim.SGD, list[Batch]]:
    """The rows of the checkpoint of `STEP`; network, optimizer and both batches there, all in float64."""
    batches, test = tiny.load(tiny.write_data(tmp_path / "data"))
    run = tiny.run_spec("batch", steps=3, checkpoint_every=1, checkpoint_at=(), momentum=0.9)
    kept = []
    fit(run, batches, test, on_checkpoint=lambda found: kept.append(copy.deepcopy(found)))
    (checkpoint,) = [found for found in kept if found.step == STEP]
    probes = RunProbes(run, SPEC, batches, 3)
    probes.model.double()
    both = [batches.at(STEP), batches.other(STEP, 1)]
    both = [(images.double(), labels) for images, labels in both]
    batches.at = lambda step: both[0]  # type: ignore[method-assign]
    batches.other = lambda step, number: both[number]  # type: ignore[method-assign]
    for track in probes.tracks:
        track.batch_at = lambda step: both[0]
    probes.measure(checkpoint)
    model = build_network(run, 3).double().train()
    model.load_state_dict(checkpoint.model)
    optimizer = build_optimizer(model, run)
    optimizer.load_state_dict(checkpoint.optimizer)
    return probes.measurements(), model, optimizer, both


def drawn(model: nn.Module, stream: str) -> list[Tensor]:
    draws = generator(0, stream, STEP)
    return [torch.randn(p.shape, generator=draws, dtype=p.dtype) for p in model.parameters()]


def relative(model: nn.Module, vector: list[Tensor]) -> Tensor:
    pairs = zip(model.parameters(), vector, strict=True)
    return torch.cat([(v * w.detach().norm() / v.norm() if w.ndim > 1 else 0 * v).reshape(-1) for w, v in pairs])


def every_walk(model: nn.Module, both: list[Batch]) -> dict[Key, float]:
    gradient = twins.evaluate(model, loss_fn, both[0], twins.weights_of(model))[1]
    g = twins.flat(gradient)
    gaussian = twins.flat(dict(enumerate(drawn(model, "probe"))))  # type: ignore[arg-type]
    random = gaussian * g.norm() / gaussian.norm()
    away = relative(model, drawn(model, "relative_probe"))
    equal, along, shares = [0.1 / g.norm().item()], relative(model, [*gradient.values()]), [0.05, 0.01]
    walks = [
        ("landscape", 0, loss_fn, LABELS, None, LABELS),
        ("landscape", 1, loss_fn, LABELS, None, LABELS),
        ("landscape_penalized", 0, penalized, LABELS, None, LABELS),
        ("landscape_random", 0, loss_fn, LABELS, random, LABELS),
        ("landscape_equal_distance", 0, loss_fn, equal, None, [0.1]),
        ("landscape_relative", 0, loss_fn, shares, along, shares),
        ("landscape_random_relative", 0, loss_fn, shares, away, shares),
    ]
    found: dict[Key, float] = {}
    for probe, number, loss, sizes, direction, labels in walks:
        walk = twins.walk(model, loss, both[number], sizes, direction, "train")
        for (quantity, label), value in twins.walk_rows(walk, labels, min(2, len(labels))).items():
            found[probe, quantity, "", label, number] = value
    return found


def every_shift(model: nn.Module, optimizer: torch.optim.SGD, both: list[Batch]) -> dict[Key, float]:
    """In a VGG the parameters are registered in the order of their use."""
    found: dict[Key, float] = {}
    names = [name for name, _ in model.named_parameters()]
    layers = [name.removesuffix(".weight") for name, p in model.named_parameters() if p.ndim > 1]
    for number, batch in enumerate(both):
        twin, stepper = copy.deepcopy((model, optimizer))
        stepper.zero_grad()
        loss_fn(twin, batch).backward()
        stepper.step()
        new = twins.weights_of(twin)
        for layer in layers:
            own = tuple(name for name in names if name.startswith(f"{layer}."))
            before = set(names[: names.index(own[0])])
            moved = twins.shift(model, loss_fn, batch, own, before, new)
            for quantity, value in zip(("l2", "relative_l2", "cosine"), moved, strict=True):
                found["shift", quantity, layer, None, number] = value
    return found


def every_layer(model: nn.Module, batch: Batch) -> dict[Key, float]:
    gradient = twins.evaluate(model, loss_fn, batch, twins.weights_of(model))[1]
    found: dict[Key, float] = {}
    for name, weight in twins.weights_of(model).items():
        if weight.ndim > 1:
            layer = name.removesuffix(".weight")
            square = weight.square().sum().item()
            own = [value.reshape(-1) for key, value in gradient.items() if key.startswith(f"{layer}.")]
            found["weights", "weight_norm", layer, None, 0] = math.sqrt(square)
            found["weights", "effective_rate", layer, None, 0] = RATE / square
            found["gradients", "layer_grad_norm", layer, None, 0] = torch.cat(own).norm().item()
    return found


def every_curvature(model: nn.Module, both: list[Batch]) -> dict[Key, float]:
    found: dict[Key, float] = {}
    rayleighs = []
    for number, batch in enumerate(both):
        twin = copy.deepcopy(model)
        parameters = list(twin.parameters())
        gradient = torch.autograd.grad(loss_fn(twin, batch), parameters, create_graph=True)
        fixed = [g.detach() for g in gradient]
        image = torch.autograd.grad(sum((a * b).sum() for a, b in zip(gradient, fixed, strict=True)), parameters)
        g, h = (torch.cat([part.reshape(-1) for part in parts]) for parts in (fixed, image))
        rayleighs.append((g @ h / (g @ g)).item())
        found["curvature", "rayleigh", "", None, number] = rayleighs[-1]
        found["curvature", "stretch", "", None, number] = (h.norm() / g.norm()).item()
    found["curvature", "batch_sharpness", "", None, 0] = sum(rayleighs) / 2
    found["curvature", "batch_sharpness_times_rate", "", None, 0] = RATE * sum(rayleighs) / 2
    return found


def test_every_number_of_a_checkpoint(tmp_path: Path) -> None:
    frame, model, optimizer, both = probed(tmp_path)
    rows = frame[
        (frame["step"] == STEP) & ~frame["probe"].isin(["activations", "activations_fixed", "gradient_shares"])
    ]
    found: dict[Key, float] = {}
    for row in rows.itertuples():
        size = None if math.isnan(row.step_size) else float(f"{row.step_size:.9g}")
        key = row.probe, row.quantity, row.layer, size, row.batch
        assert key not in found
        found[key] = row.value
    top, residual = (
        found.pop(("curvature", name, "", None, 0)) for name in ("top_eigenvalue", "top_eigenvalue_residual")
    )
    wanted = every_walk(model, both) | every_shift(model, optimizer, both) | every_layer(model, both[0])
    wanted |= every_curvature(model, both)
    assert set(found) == set(wanted)
    for key, value in wanted.items():
        # float64, other sums; a layer's statistics over few pixels amplify rounding, and differences of gradients do
        assert found[key] == pytest.approx(value, rel=1e-6, abs=1e-9), key
    assert found["curvature", "rayleigh", "", None, 0] <= top + 1e-9  # no vector is more curved than the top one
    assert 0 <= residual <= 1e-2 * abs(top)
    structure = frame[frame["probe"] == "structure"]
    assert set(structure["step"]) == {0}
    places = structure.set_index("layer")["value"].to_dict()
    assert places == {f"features.{tap}{place}": place for tap in ("conv", "norm") for place in range(1, 9)}
