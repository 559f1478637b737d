"""Programs on which the probes once gave a wrong number, a trace or a traceback, each held against a deep copy."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from normlab.probes import covariate_shift, landscape
from tests.reference.functions import assert_walk_is_true, loss_fn, vectors
from tests.reference.traces import no_trace


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def test_01_memory_shared_with_an_attribute() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.start = torch.randn(3, 4, dtype=torch.float64)
            self.w = nn.Parameter(self.start)

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.w.T

    torch.manual_seed(0)
    assert_walk_is_true(Shared(), loss_fn, vectors())


@pytest.mark.parametrize("used", [False, True])
def test_01_spectral_norm_of_hooks_before_and_after_its_first_forward(used: bool) -> None:
    model = mlp()
    nn.utils.spectral_norm(model[0])  # fresh: .weight lies over weight_orig
    if used:
        model(vectors()[0])
        model[0].weight = model[0].weight.detach()  # a deep copy refuses a graph
    assert_walk_is_true(model, loss_fn, vectors())


def test_03_an_entry_popped_from_the_batch_and_one_bound_anew() -> None:
    model = mlp()

    def popping(m: nn.Module, b: dict[str, Tensor]) -> Tensor:
        return cross_entropy(m(b["x"]), b.pop("labels"))

    def scaling(m: nn.Module, b: dict[str, Tensor]) -> Tensor:
        b["x"] = b["x"] * 2
        return cross_entropy(m(b["x"]), b["labels"])

    x, y = vectors()
    batch = {"x": x, "labels": y}
    for loss in (popping, scaling):
        assert_walk_is_true(model, loss, batch)
        assert list(batch) == ["x", "labels"]
        assert batch["x"] is x
        assert batch["labels"] is y


class Observer(nn.Module):
    """As torch.ao's observer of channels: resizes a buffer when first used."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.empty(0, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        if not self.low.numel():
            self.low.resize_(x.shape[1]).copy_(x.amin(0))
        return x + self.low.sum()


def test_04_a_buffer_that_is_resized_and_attached_to_the_graph() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), Observer(), nn.Linear(5, 3)).double()
    assert_walk_is_true(model, loss_fn, vectors())
    assert model[2].low.shape == (0,)
    model.eval()
    with no_trace(model, vectors()):
        landscape(model, lambda m, b: cross_entropy(torch.dropout(m(b[0]), 0.1, True), b[1]), vectors(), [0.1])


def test_04_what_cannot_be_put_back_is_named_and_everything_else_is_put_back() -> None:
    class Stubborn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = np.zeros(3)
            self.linear = nn.Linear(4, 3).double()
            self.norm = nn.BatchNorm1d(3).double()

        def forward(self, x: Tensor) -> Tensor:
            if self.table.flags.writeable:
                self.table += 1.0
                self.table.flags.writeable = False
            return self.norm(self.linear(x))

    model = Stubborn().eval()
    weight, mean, state = model.linear.weight.clone(), model.norm.running_mean.clone(), torch.get_rng_state()
    with pytest.warns(
        RuntimeWarning, match=r"could not put back a numpy array of shape \(3,\) .*all else is as before"
    ):
        landscape(model, lambda m, b: loss_fn(m, b) + torch.rand(()), vectors(), [0.1])
    assert torch.equal(model.linear.weight, weight)
    assert torch.equal(model.norm.running_mean, mean)
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module.training for module in model.modules())


def test_07_values_of_gradients_are_kept() -> None:
    model, batch = mlp(), vectors()

    def auxiliary(m: nn.Module, b: tuple[Tensor, Tensor]) -> Tensor:
        m(b[0]).square().mean().backward()
        return loss_fn(m, b)

    plain = landscape(model, loss_fn, batch, [0.1])
    loss_fn(model, batch).backward()
    before = [p.grad.clone() for p in model.parameters()]
    with no_trace(model, batch):
        found = landscape(model, auxiliary, batch, [0.1])
    # the auxiliary loss is no part of the gradient of the one that is returned
    assert (found.grad_norm, found.losses.item(), found.betas.item()) == pytest.approx(
        (plain.grad_norm, plain.losses.item(), plain.betas.item()), rel=1e-12
    )
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), before, strict=True))
    model.zero_grad()
    with no_trace(model, batch):
        landscape(model, auxiliary, batch, [0.1])
    assert all(p.grad is None for p in model.parameters())


class SAM(torch.optim.Optimizer):
    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    def step(self, closure: Any = None) -> None:
        assert closure is not None, "SAM requires closure"


class Accumulating(torch.optim.SGD):
    """As within Accelerate's `accumulate()`: the step does nothing until the last micro-batch."""

    def step(self, closure: Any = None) -> None:
        return None


def test_13_an_optimizer_without_a_next_step() -> None:
    model, batch = mlp(), vectors()
    with no_trace(model, batch), pytest.raises(ValueError, match=r"SAM needs a closure .* use learning_rate="):
        covariate_shift(model, loss_fn, batch, optimizer=SAM(model.parameters(), 0.1))
    optimizer = Accumulating(model.parameters(), lr=0.5)
    with no_trace(model, batch, optimizer):
        found = covariate_shift(model, loss_fn, batch, optimizer=optimizer)
    for probe in found.values():
        assert all(map(math.isnan, probe.scalars().values()))
        assert "changes no weight" in probe.notes[0]


class Lightning:
    """The shape of lightning.pytorch.core.optimizer.LightningOptimizer: imitates the class, steps in the trainer."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer
        self.__class__ = type("Lightning" + type(optimizer).__name__, (type(self), type(optimizer)), {})

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        return self._optimizer

    def toggle_model(self) -> None: ...

    def step(self, closure: Any = None, **_: Any) -> None:
        raise RuntimeError("not attached to a `Trainer`")


class Accelerated(torch.optim.Optimizer):
    """The shape of accelerate.optimizer.AcceleratedOptimizer."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return self.optimizer.param_groups

    @property
    def step_was_skipped(self) -> bool:
        return False

    def step(self, closure: Any = None) -> None:
        return None


@pytest.mark.parametrize("wrapper", [Lightning, Accelerated])
def test_23_wrapped_optimizers_are_opened(wrapper: Callable[[torch.optim.Optimizer], Any]) -> None:
    model, batch = mlp(), vectors()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with no_trace(model, batch, optimizer):
        found = covariate_shift(model, loss_fn, batch, optimizer=wrapper(optimizer))
    assert found == covariate_shift(model, loss_fn, batch, learning_rate=0.1)  # the first step with momentum is plain
