"""The one place where loss and gradient are taken at other weights."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from normlab.nn import normalizer
from normlab.probes.accepted import batch_coupled_names, unwrapped
from normlab.probes.entry import objective_at
from tests.reference.models import BY_NAME
from tests.reference.traces import no_trace


def test_gradient_and_loss_at_other_weights() -> None:
    model, loss_fn, batch = BY_NAME["mlp"].make()
    with no_trace(model, batch), objective_at(model, loss_fn, batch) as objective:
        loss, gradient = objective.gradient()
        objective.walk(gradient, 0.1)
        expected = 0.1 * torch.cat([g.reshape(-1) for g in gradient]).norm().item()
        assert objective.distance(expected) == expected
        assert objective.distance(0.0) == pytest.approx(expected)  # too short to be taken on trust: measured
        assert objective.loss() < loss  # a step against the gradient
        objective.walk(gradient, 0)
        assert objective.distance(0.0) == 0.0
        assert objective.loss() == loss
        objective.place([torch.zeros_like(p) for p in objective.parameters])
        assert objective.loss() == pytest.approx(torch.log(torch.tensor(3.0)).item())  # uniform over three classes


def test_the_first_evaluation_of_all_is_at_the_weights_that_were_asked_for() -> None:
    model, x = nn.Linear(1, 1, bias=False, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    nn.init.constant_(model.weight, 3.0)
    for move, expected in (("walk", 1.0), ("place", 7.0)):
        with no_trace(model, x), objective_at(model, lambda m, x: m(x).sum(), x) as objective:
            one = [torch.ones(1, 1, dtype=torch.float64)]
            objective.walk(one, 2.0) if move == "walk" else objective.place([7 * one[0]])
            assert objective.loss() == expected
            assert objective.loss() == expected


def test_a_distance_below_the_rounding_of_large_weights_is_measured() -> None:
    model = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    nn.init.constant_(model.weight, 1e6)  # the next number is 1.2e-10 away
    with objective_at(model, lambda m, x: m(x).sum(), torch.ones(1, 1, dtype=torch.float64)) as objective:
        direction = [torch.ones(1, 1, dtype=torch.float64)]
        objective.walk(direction, 1e-11)
        assert objective.distance(1e-11) == 0.0
        objective.walk(direction, 1e-3)
        assert objective.distance(1e-3) == 1e-3  # on trust: measured, it would be off by 2e-11


def test_every_evaluation_starts_from_the_same_state() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))
            self.calls = 0
            self.register_buffer("drift", torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            self.drift += 1
            x.add_(1.0)
            return self.scale * (x.sum() + self.calls + self.drift + torch.rand(()))

    model, x = Counting(), torch.zeros(2)
    with no_trace(model, (x,)), objective_at(model, lambda m, b: m(b), x) as objective:
        assert len({objective.loss() for _ in range(4)}) == 1


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda m, x: m(x), r"shape \(4, 3\)"),
        (lambda m, x: m(x).sum()[None], r"shape \(1,\)"),
        (lambda m, x: m(x).sum().item(), "got float"),
        (lambda m, x: m(x).sum().detach(), "attached to the graph"),
        (lambda m, x: x.sum(), "attached to the graph"),
        (lambda m, x: m(x).sum().to(torch.complex64), "real scalar"),
    ],
)
def test_a_loss_that_is_no_scalar_on_the_graph_is_refused(loss: object, message: str) -> None:
    model, x = nn.Linear(2, 3), torch.ones(4, 2)
    for gradient in (True, False):
        with (
            no_trace(model, (x,)),
            pytest.raises(ValueError, match=message),
            objective_at(model, loss, x) as objective,
        ):
            _ = objective.gradient() if gradient else objective.loss()


def test_models_and_batches_that_cannot_be_probed_are_refused() -> None:
    def loss(m: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return m(x).sum()

    for model, batch, arguments, error, message in [
        (nn.Linear(1, 1).requires_grad_(False), None, {}, ValueError, "no trainable parameter"),
        (nn.ReLU(), None, {}, ValueError, "no trainable parameter"),
        (nn.LazyLinear(2), None, {}, ValueError, "not initialized"),
        (nn.Linear(1, 1), iter([1]), {}, ValueError, "iterator"),
        (nn.Linear(1, 1), None, {"mode": None}, ValueError, "mode must be"),
        (nn.Linear(1, 1).bfloat16(), None, {}, TypeError, "cast the model"),
        (torch.relu, None, {}, TypeError, "torch.nn.Module"),
    ]:
        with pytest.raises(error, match=message), objective_at(model, loss, batch, **arguments):
            pass


def test_wrappers_are_opened_and_replicas_refused() -> None:
    inner = nn.Linear(2, 2)
    assert unwrapped(nn.DataParallel(inner)) is inner
    assert unwrapped(torch.compile(inner)) is inner
    replicas = nn.DataParallel(inner)
    replicas.device_ids = [0, 1]
    with pytest.raises(TypeError, match="statistics of its own chunk"):
        unwrapped(nn.Sequential(replicas))


def test_batch_coupled_normalizers_are_recognized() -> None:
    model = nn.Sequential(
        *(normalizer(kind, 4) for kind in ("batch", "noisy_batch", "l1", "l2", "linf")),
        *(normalizer(kind, 4) for kind in ("none", "layer", "group", "instance", "noise")),
        nn.SyncBatchNorm(4),
        nn.InstanceNorm2d(4, track_running_stats=True),
        nn.BatchNorm2d(4, track_running_stats=False),
    )
    assert batch_coupled_names(model) == ["0", "1", "2", "3", "4", "10", "11", "12"]


def test_eval_mode_warns_at_the_line_of_the_caller() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    from normlab.probes import landscape

    with pytest.warns(UserWarning, match="running statistics") as caught:
        landscape(model, lambda m, x: m(x).square().sum(), torch.ones(3, 2), [0.1], mode="eval")
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        landscape(nn.Linear(2, 2), lambda m, x: m(x).square().sum(), torch.ones(3, 2), [0.1], mode="eval")


def test_it_works_whatever_mode_of_autograd_the_caller_is_in() -> None:
    model, loss_fn, batch = BY_NAME["mlp"].make()
    for context in (torch.no_grad(), torch.inference_mode(), torch.enable_grad()):
        with context, objective_at(model, loss_fn, batch) as objective:
            assert objective.gradient()[1][0].abs().sum() > 0


def test_a_batch_of_one_says_what_to_do() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    x = torch.ones(1, 2)
    with (
        no_trace(model, (x,)),
        pytest.raises(ValueError, match="probe a larger batch"),
        objective_at(model, lambda m, b: F.mse_loss(m(b), b[:, :1]), x) as objective,
    ):
        objective.gradient()
