"""Layers whose backward pass runs another one inside, which adds to `.grad` (reversible layers, Reformer's): what it
adds is a part of the gradient, and no trace."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointFunction, checkpoint

from normlab.probes import covariate_shift, directional_curvature, landscape, top_eigenvalues
from normlab.probes.gradients import gradients_of
from tests.reference import twins
from tests.reference.functions import D, loss_fn, vectors
from tests.reference.traces import no_trace


class Recompute(torch.autograd.Function):
    """Keeps nothing of the forward pass: backward computes it again with a graph, and goes backward through that."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: nn.Module) -> Tensor:
        ctx.layer = layer
        ctx.save_for_backward(x)
        return layer(x.detach()).detach()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            y = ctx.layer(x)
        torch.autograd.backward(y, grad)
        assert x.grad is not None
        return x.grad, None


class Kept(torch.autograd.Function):
    """The forward pass records a graph of its own, and the backward pass goes through that."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: nn.Module) -> Tensor:
        with torch.enable_grad():
            ctx.x = x.detach().requires_grad_()
            ctx.y = layer(ctx.x)
        return ctx.y.detach()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        ctx.y.backward(grad)
        return ctx.x.grad, None


class Thrifty(nn.Module):
    """A layer within such a function; `fed` by a trainable layer, or by a frozen one with a mark that makes autograd
    call the function's backward pass."""

    def __init__(self, function: Any = Recompute, fed: str = "trained") -> None:
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(4, 4, **D), nn.Linear(4, 4, **D), nn.Linear(4, 3, **D)
        self.first.requires_grad_(fed == "trained")
        self.function, self.fed = function, fed

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x)
        if self.fed == "leaf":
            hidden.requires_grad_()
        if self.fed == "dummy":
            hidden = hidden + torch.zeros(4, **D, requires_grad=True)
        return self.last(torch.tanh(self.function.apply(hidden, self.inner)))


FEEDS = ["trained", "leaf", "dummy", "batch"]


def fed(function: Any, feed: str) -> tuple[Thrifty, Any]:
    torch.manual_seed(0)
    model, (x, labels) = Thrifty(function, feed), vectors()
    return model, (x.requires_grad_(feed == "batch"), labels)


def stepped(model: nn.Module, batch: Any, size: float) -> dict[str, Tensor]:
    weights = twins.weights_of(model)
    gradient = twins.evaluate(model, loss_fn, batch, weights)[1]
    return {name: w - size * gradient[name] for name, w in weights.items()}


def walked(model: nn.Module, batch: Any) -> Any:
    """The walk of a model, checked against a deep copy a point, and that it left no trace."""
    with no_trace(model, batch):
        found = landscape(model, loss_fn, batch, [0.1, 0.5])
    truth = twins.walk(model, loss_fn, batch, [0.1, 0.5], None, "train")
    assert found.grad_norm == pytest.approx(truth["grad_norm"], rel=1e-12)
    assert found.losses.tolist() == pytest.approx(truth["losses"], rel=1e-12)
    assert found.gradient_distances.tolist() == pytest.approx(truth["gradient_distances"], rel=1e-9)
    return found


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("function", [Recompute, Kept])
def test_a_function_has_its_share_whatever_feeds_it(function: Any, feed: str) -> None:
    model, batch = fed(function, feed)
    found = walked(model, batch)
    assert not found.notes


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("function", [Recompute, Kept])
def test_the_shift_of_a_layer_alone_has_its_share(function: Any, feed: str) -> None:
    model, batch = fed(function, feed)
    new = stepped(model, batch, 0.3)
    loss_fn(model, batch).backward()  # gradients of the caller's, to which the inner backward pass adds
    with no_trace(model, batch):
        found = covariate_shift(model, loss_fn, batch, learning_rate=0.3)
    before: set[str] = set()
    for name in ("first", "inner", "last"):
        own = tuple(f"{name}.{key}" for key in ("weight", "bias"))
        if own[0] not in new:
            continue
        expected = twins.shift(model, loss_fn, batch, own, before, new)
        assert (found[name].l2, found[name].relative_l2, found[name].cosine) == pytest.approx(expected, abs=1e-12), name
        before |= set(own)


@pytest.mark.parametrize("with_gradients", [False, True])
def test_what_an_inner_backward_pass_adds_is_part_of_the_gradient(with_gradients: bool) -> None:
    torch.manual_seed(0)
    model, batch = Thrifty(), vectors()
    if with_gradients:
        loss_fn(model, batch).backward()
    walked(model, batch)


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("function", [Recompute, Kept])
def test_curvature_through_it_is_refused_in_one_line(function: Any, feed: str) -> None:
    model, batch = fed(function, feed)
    with no_trace(model, batch), pytest.raises(RuntimeError, match=r"as in a reversible .* no second derivative"):
        directional_curvature(model, loss_fn, batch)


class Twice(torch.autograd.Function):
    """A backward pass with a graph: x³."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x**2 * grad


class Once(Twice):
    """The same without a graph, and without saying so."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return Twice.backward(ctx, grad).detach()


class Shaped(nn.Module):
    def __init__(self, function: Any, linear: bool) -> None:
        super().__init__()
        self.first, self.last, self.function, self.linear = nn.Linear(4, 3, **D), nn.Linear(3, 3, **D), function, linear

    def forward(self, x: Tensor) -> Tensor:
        cubes = self.function.apply(self.first(x))
        return cubes if self.linear else self.last(cubes)


def summed(model: nn.Module, batch: Any) -> Tensor:
    """Linear in the function's output, so that the gradient arrives there as a constant."""
    return model(batch[0]).sum()


@pytest.mark.parametrize(("linear", "loss"), [(False, loss_fn), (True, summed)])
def test_a_backward_pass_without_a_graph_has_no_second_derivative(linear: bool, loss: Any) -> None:
    torch.manual_seed(0)
    batch = vectors()
    with pytest.raises(RuntimeError, match=r"OnceBackward.* no second derivative"):
        top_eigenvalues(Shaped(Once, linear), loss, batch)
    torch.manual_seed(0)
    model = Shaped(Twice, linear)
    with no_trace(model, batch):
        found = top_eigenvalues(model, loss, batch, parameters="first.*", tol=1e-10, max_products=200)
    own = [index for index, name in enumerate(names_of(model)) if name.startswith("first.")]
    truth = torch.linalg.eigvalsh(twins.hessian(model, loss, batch)[own][:, own])
    assert found.values[0].item() == pytest.approx(truth.max().item(), rel=1e-6)


def names_of(model: nn.Module) -> list[str]:
    """The name of each trainable number."""
    return [name for name, p in twins.trainable(model).items() for _ in range(p.numel())]


class Ignoring(Twice):
    """The same, and an input that it leaves alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mark: Tensor) -> Tensor:
        return Twice.forward(ctx, x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return Twice.backward(ctx, grad), None


def test_an_input_that_a_function_ignores_does_not_hinder_the_curvature() -> None:
    torch.manual_seed(0)
    model, batch = nn.Linear(4, 3, **D), vectors()
    mark = torch.zeros(1, **D, requires_grad=True)  # a leaf behind the function, and no parameter
    plain = directional_curvature(model, lambda m, b: (m(b[0]) ** 3).sum(), batch)
    found = directional_curvature(model, lambda m, b: Ignoring.apply(m(b[0]), mark).sum(), batch)
    assert (found.rayleigh, found.stretch) == pytest.approx((plain.rayleigh, plain.stretch), rel=1e-12)


class Adding(torch.autograd.Function):
    """Adds to the gradients of all parameters of a layer, within the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: nn.Module) -> Tensor:
        ctx.save_for_backward(x)
        ctx.layer = layer
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        with torch.enable_grad():
            sum(p.square().sum() for p in ctx.layer.parameters()).backward()
        return 2 * grad, None


def test_the_refusal_names_how_many_parameters_and_the_shape_of_the_first() -> None:
    model, batch = nn.Linear(4, 3, **D), vectors()
    message = r"gradient of 2 parameters \(the first of shape \(3, 4\)\) comes from a backward pass inside"
    with pytest.raises(RuntimeError, match=message):
        directional_curvature(model, lambda m, b: Adding.apply(m(b[0]), m).square().sum(), batch)


@pytest.mark.parametrize("block", ["first.*", "inner.*"])
def test_a_block_of_the_curvature_through_it_is_refused_too(block: str) -> None:
    model, batch = fed(Recompute, "trained")
    with no_trace(model, batch), pytest.raises(RuntimeError, match="no second derivative"):
        top_eigenvalues(model, loss_fn, batch, parameters=block)


class Fused(torch.autograd.Function):
    """The forward pass itself goes backward, and adds to `.grad`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: nn.Module) -> Tensor:
        with torch.enable_grad():
            inner = x.detach().requires_grad_()
            loss = layer(inner).square().mean()
            loss.backward()
        ctx.grad = inner.grad
        return loss.detach()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.grad * grad, None


def fused_loss(model: Any, batch: Any) -> Tensor:
    return Fused.apply(model.first(batch[0]), model.last)


@pytest.mark.parametrize("with_gradients", [False, True])
def test_a_share_that_the_forward_pass_adds_is_refused(with_gradients: bool) -> None:
    model, batch = fed(Recompute, "trained")
    if with_gradients:
        fused_loss(model, batch).backward()
    with no_trace(model, batch), pytest.raises(RuntimeError, match=r"\.grad of 2 parameters .* FusedBackward"):
        landscape(model, fused_loss, batch, [0.1])


def energy_loss(model: nn.Module, batch: Any) -> Tensor:
    """Forces by `.backward()`, which leaves gradients of the energy behind; they are none of the loss."""
    x = batch[0].detach().clone().requires_grad_()
    torch.tanh(model(x)).sum().backward(create_graph=True)
    assert x.grad is not None
    return x.grad.square().mean()


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph")
def test_what_a_forward_pass_without_such_a_function_leaves_in_grad_is_no_share() -> None:
    torch.manual_seed(0)
    model, batch = nn.Sequential(nn.Linear(4, 4, **D), nn.Tanh(), nn.Linear(4, 3, **D)), vectors()
    with no_trace(model, batch):
        found = landscape(model, energy_loss, batch, [0.1, 0.1])
    twin = nn.Sequential(nn.Linear(4, 4, **D), nn.Tanh(), nn.Linear(4, 3, **D))
    twin.load_state_dict(model.state_dict())
    gradient = torch.autograd.grad(energy_loss(twin, batch), list(twin.parameters()), allow_unused=True)
    norm = torch.cat([g.reshape(-1) for g in gradient if g is not None]).norm().item()
    assert found.grad_norm == pytest.approx(norm, rel=1e-12)


class Checkpointed(nn.Module):
    """A body whose forward pass is computed again in the backward pass; `frozen` before it, as in fine-tuning."""

    def __init__(self, reentrant: bool | None) -> None:
        super().__init__()
        self.reentrant = reentrant
        self.first = nn.Linear(4, 4, **D).requires_grad_(False)
        self.body = nn.Sequential(nn.Linear(4, 4, **D), nn.BatchNorm1d(4, **D), nn.Tanh(), nn.Dropout(0.3))
        self.last = nn.Linear(4, 3, **D)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x)
        if self.reentrant is None:
            return self.last(self.body(hidden))
        hidden = hidden.requires_grad_()  # what a reentrant checkpoint needs, and transformers sees to
        return self.last(checkpoint(self.body, hidden, use_reentrant=self.reentrant))


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("frozen", [True, False])
def test_a_checkpointed_model_is_measured_as_a_plain_one(reentrant: bool, frozen: bool) -> None:
    found = []
    for kind in (None, reentrant):
        torch.manual_seed(0)
        model, batch = Checkpointed(kind), vectors()
        model.first.requires_grad_(not frozen)
        with no_trace(model, batch):
            walk = landscape(model, loss_fn, batch, [0.1, 0.5])
            curvature = directional_curvature(model, loss_fn, batch)
        found.append([walk.grad_norm, *walk.losses.tolist(), *walk.gradient_distances.tolist(), curvature.rayleigh])
    assert found[0] == pytest.approx(found[1], rel=1e-12)
    assert "apply" not in CheckpointFunction.__dict__


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_gradient_leaves_the_gradients_that_were_there(create_graph: bool) -> None:
    first, second = (torch.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    first.grad = grad = torch.tensor([5.0, 6.0])
    found = gradients_of((first**2 * second).sum(), [first, second], create_graph)
    assert [g.tolist() for g in found if g is not None] == [[2.0, 8.0], [1.0, 4.0]]  # 2 x y and x^2 at x = y
    assert first.grad is grad
    assert grad.tolist() == [5.0, 6.0]
    assert second.grad is None
