"""The walks of the probe stage: which are made, and that the penalty enters loss and gradient."""

import math
from dataclasses import replace

import pytest
import torch

from normlab.probes.directions import gaussian
from normlab.probes.entry import objective_at
from normlab.runs.networks import build_network
from normlab.runs.training import cross_entropy
from normlab.specs.probe import ProbeSpec
from normlab.specs.training import RunSpec, TrainSpec
from normlab.studies.checkpoints.walks import (
    record_curvature,
    record_eigenvalue,
    record_walks,
    relative_direction,
)
from normlab.tables.rows import Rows

TRAIN = TrainSpec(width=0.0625, batch_size=4, steps=1, test_every=1, checkpoint_every=1)
KEYS = {"study": "vgg", "network": "vgg11", "norm_layer": "batch", "learning_rate": 0.1, "seed": 0}
SPEC = ProbeSpec(step_sizes=(0.5, 2.0), random_directions=False)


def _walks(spec: ProbeSpec, weight_decay: float = 0.0):
    run = RunSpec("vgg11", "batch", 0.1, 0, replace(TRAIN, weight_decay=weight_decay))
    model = build_network(run, 10).double().train()
    draws = torch.Generator().manual_seed(0)
    batch = torch.randn(4, 3, 32, 32, dtype=torch.float64, generator=draws), torch.tensor([1, 2, 3, 4])
    rows = Rows(KEYS)
    record_walks(rows, model, batch, run, spec, step=0)
    return rows.frame(), model, batch


def _penalized(model, batch, penalty: float) -> torch.Tensor:
    return cross_entropy(model, batch) + penalty / 2 * sum((p**2).sum() for p in model.parameters())


@pytest.mark.parametrize(("spec", "weight_decay", "used"), [(0.3, 0.0, 0.3), (0.0, 0.2, 0.2), (0.3, 0.2, 0.2)])
def test_penalized_walk_is_the_walk_of_the_penalized_loss(spec: float, weight_decay: float, used: float) -> None:
    rows, model, batch = _walks(replace(SPEC, penalty=spec), weight_decay)
    found = rows[(rows["probe"] == "landscape_penalized") & (rows["quantity"] == "loss")]
    parameters = list(model.parameters())
    start = [p.detach().clone() for p in parameters]
    loss = _penalized(model, batch, used)
    gradient = torch.autograd.grad(loss, parameters)
    expected = [float(loss.detach())]
    for size in (0.05, 0.2):  # 0.5 and 2 learning rates
        with torch.no_grad():
            for p, w, g in zip(parameters, start, gradient, strict=True):
                p.copy_(w - size * g)
            expected.append(float(_penalized(model, batch, used)))
    # the same arithmetic in another order of sums, in float64
    assert list(found["value"]) == pytest.approx(expected, rel=1e-10)


def test_no_penalty_no_such_walk() -> None:
    rows, _, _ = _walks(SPEC)
    assert set(rows["probe"]) == {"landscape"}


def _summary(rows, probe: str, quantity: str):
    chosen = rows[(rows["probe"] == probe) & (rows["quantity"] == quantity) & rows["step_size"].isna()]
    return chosen["value"].item()


def test_relative_steps_move_every_weight_by_the_same_share_of_itself() -> None:
    rows, model, batch = _walks(replace(SPEC, relative_steps=(0.01, 0.1)))
    parameters = list(model.parameters())
    start = [p.detach().clone() for p in parameters]
    loss = cross_entropy(model, batch)
    gradient = torch.autograd.grad(loss, parameters)
    expected, moved = [float(loss.detach())], []
    for share in (0.01, 0.1):
        with torch.no_grad():
            for p, w, g in zip(parameters, start, gradient, strict=True):
                p.copy_(w - share * g * w.norm() / g.norm() if w.ndim > 1 else w)
            pairs = zip(parameters, start, strict=True)
            moved.append([float((p - w).norm() / w.norm()) for p, w in pairs if w.ndim > 1])
            expected.append(float(cross_entropy(model, batch)))
    assert moved == [pytest.approx([share] * 9, rel=1e-10) for share in (0.01, 0.1)]  # 8 kernels and the classifier
    found = rows[(rows["probe"] == "landscape_relative") & (rows["quantity"] == "loss")]
    assert list(found["value"]) == pytest.approx(expected, rel=1e-10)  # the same steps in float64, summed otherwise
    assert found["step_size"].isna().tolist() == [True, False, False]
    assert list(found["step_size"])[1:] == [0.01, 0.1]


def test_relative_steps_do_not_see_the_scale_in_front_of_a_normalizer() -> None:
    """Twice the weights in front of normalizers are the same function: the walk has the same losses."""
    losses = []
    for scale in (1.0, 2.0):
        run = RunSpec("vgg11", "batch", 0.1, 0, TRAIN)
        model = build_network(run, 10).double().train()
        for name, module in model.named_modules():
            if hasattr(module, "eps"):
                module.eps = 1e-20  # torch refuses 0
            if ".conv" in name:
                with torch.no_grad():
                    module.weight.mul_(scale)
        draws = torch.Generator().manual_seed(0)
        batch = torch.randn(4, 3, 32, 32, dtype=torch.float64, generator=draws), torch.tensor([1, 2, 3, 4])
        rows = Rows(KEYS)
        record_walks(rows, model, batch, run, replace(SPEC, relative_steps=(0.05,)), step=0)
        frame = rows.frame()
        losses.append([_summary(frame, probe, "loss_low_steps") for probe in ("landscape_relative", "landscape")])
    assert losses[0][0] == pytest.approx(losses[1][0], rel=1e-9)  # float64; the statistics of 4 images amplify rounding
    assert losses[0][1] != pytest.approx(losses[1][1], rel=1e-2)


def test_random_relative_steps_have_the_share_and_not_the_gradients_direction() -> None:
    rows, model, batch = _walks(replace(SPEC, relative_steps=(0.01, 0.1), random_directions=True))
    with objective_at(model, cross_entropy, batch) as objective:
        vectors = gaussian(objective, torch.Generator().manual_seed(3)), objective.gradient()[1]
        random, gradient = (relative_direction(objective, vector) for vector in vectors)
    for w, u, g in zip(model.parameters(), random, gradient, strict=True):
        if w.ndim > 1:
            assert u.norm().item() == pytest.approx(w.norm().item(), rel=1e-12)
            assert abs((u * g).sum() / (u.norm() * g.norm())) < 0.5  # at most 5 standard deviations, 1/√108, of chance
        else:
            assert not u.any()
    probes = ("landscape_relative", "landscape_random_relative")
    along, away = (_summary(rows, probe, "loss_range_steps") for probe in probes)
    assert along != away
    again, *_ = _walks(replace(SPEC, relative_steps=(0.01, 0.1), random_directions=True))
    assert _summary(again, probes[1], "loss_low_steps") == _summary(rows, probes[1], "loss_low_steps")


def test_a_layer_without_gradient_stays() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 2)).double()
    with torch.no_grad():
        model[0].bias.fill_(-100.0)  # no unit is active, so no gradient reaches the first layer
    batch = torch.ones(3, 2, dtype=torch.float64), torch.tensor([0, 1, 0])
    with objective_at(model, cross_entropy, batch) as objective:
        direction = relative_direction(objective, objective.gradient()[1])
    assert torch.equal(direction[0], torch.zeros(2, 2, dtype=torch.float64))
    assert all(torch.isfinite(d).all() for d in direction)


def _linear(weights: list[list[float]]) -> torch.nn.Module:
    model = torch.nn.Linear(2, len(weights), bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor(weights))
    return model


def test_where_the_gradient_is_zero_there_are_no_steps_of_a_given_distance_or_share() -> None:
    """One class alone: its loss is 0 whatever the weights are."""
    run = RunSpec("vgg11", "batch", 0.1, 0, TRAIN)
    spec = replace(SPEC, distances=(0.1,), relative_steps=(0.1,), random_directions=True)
    batch = torch.tensor([[1.0, 2.0], [3.0, -1.0]]).double(), torch.tensor([0, 0])
    rows = Rows(KEYS)
    record_walks(rows, _linear([[1.0, -1.0]]), batch, run, spec, step=0)
    assert set(rows.frame()["probe"]) == {"landscape", "landscape_random"}


def test_the_largest_eigenvalue_is_found_at_its_steps_and_not_for_weights_that_overflowed() -> None:
    run, spec = RunSpec("vgg11", "batch", 0.1, 0, TRAIN), replace(SPEC, eigenvalue_at=(0, 4))
    batch = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]]).double(), torch.tensor([0, 1, 1])
    weights = [[0.1, -0.3], [0.2, 0.4]]
    found = {}
    for step, used in ((0, weights), (3, weights), (4, [[0.1, math.inf], [0.2, 0.4]])):
        rows = Rows(KEYS)
        record_eigenvalue(rows, _linear(used), batch, run, spec, step)
        found[step] = rows.frame()
    assert [len(frame) for frame in found.values()] == [2, 0, 0]

    def loss(flat: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(batch[0] @ flat.view(2, 2).T, batch[1])

    hessian = torch.autograd.functional.hessian(loss, torch.tensor(weights).double().flatten())
    expected = torch.linalg.eigvalsh(hessian)[-1].item()
    # a residual of 1 % leaves an error of its square
    assert _summary(found[0], "curvature", "top_eigenvalue") == pytest.approx(expected, rel=1e-3)
    assert 0 <= _summary(found[0], "curvature", "top_eigenvalue_residual") <= 1e-2 * expected


def test_controls_can_be_left_out() -> None:
    spec = replace(SPEC, penalty=0.1, distances=(0.1,), relative_steps=(0.1,), random_directions=True)
    run = RunSpec("vgg11", "batch", 0.1, 0, TRAIN)
    model = build_network(run, 10).double().train()
    batch = torch.randn(4, 3, 32, 32, dtype=torch.float64), torch.tensor([1, 2, 3, 4])
    found = {}
    for controls in (True, False):
        rows = Rows(KEYS)
        record_walks(rows, model, batch, run, spec, step=0, controls=controls)
        found[controls] = set(rows.frame()["probe"])
    assert found[False] == {"landscape"}
    others = {f"landscape_{name}" for name in ("penalized", "random", "equal_distance", "relative", "random_relative")}
    assert found[True] == {"landscape", *others}


def test_batch_sharpness_is_the_mean_curvature_of_single_batches_along_their_own_gradients() -> None:
    run = RunSpec("vgg11", "batch", 0.1, 0, TRAIN)
    model = build_network(run, 10).double().train()
    draws = torch.Generator().manual_seed(1)
    batches = [
        (torch.randn(4, 3, 32, 32, dtype=torch.float64, generator=draws), torch.tensor([1, 2, 3, 4])) for _ in range(3)
    ]
    rows = Rows(KEYS)
    record_curvature(rows, model, batches, run, SPEC, step=7)
    frame = rows.frame()
    parameters, expected = list(model.parameters()), []
    for batch in batches:
        gradient = torch.autograd.grad(cross_entropy(model, batch), parameters, create_graph=True)
        along = sum((g * g.detach()).sum() for g in gradient)
        image = torch.autograd.grad(along, parameters)
        square = sum((g.detach() ** 2).sum() for g in gradient)
        expected.append(float(sum((h * g.detach()).sum() for h, g in zip(image, gradient, strict=True)) / square))
    single = frame[frame["quantity"] == "rayleigh"]
    assert list(single["batch"]) == [0, 1, 2]
    assert list(single["value"]) == pytest.approx(expected, rel=1e-8)  # second derivatives in float64, other sums
    mean = sum(expected) / 3
    assert _summary(frame, "curvature", "batch_sharpness") == pytest.approx(mean, rel=1e-8)
    assert _summary(frame, "curvature", "batch_sharpness_times_rate") == pytest.approx(0.1 * mean, rel=1e-8)
    alone = Rows(KEYS)
    record_curvature(alone, model, batches[:1], run, SPEC, step=7)
    assert set(alone.frame()["quantity"]) == {"rayleigh", "stretch"}  # one batch has no spread
