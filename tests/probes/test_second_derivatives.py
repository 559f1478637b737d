"""A custom autograd function whose backward pass takes for constant what depends on its input has a right gradient and
a wrong second derivative: it is refused, and nothing else is."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from normlab.probes import (
    directional_curvature,
    hessian_vector_product,
    landscape,
    spectral_density,
    top_eigenvalues,
    trace,
)
from tests.reference.traces import no_trace


class InContext(torch.autograd.Function):
    """exp, its derivative kept as an attribute."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.slope = x.exp()
        return ctx.slope.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * ctx.slope


class Saved(torch.autograd.Function):
    """tanh, its derivative computed in the forward pass and saved as torch wants it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(1 - x.tanh().square())
        return x.tanh()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        return grad * slope


class Half(torch.autograd.Function):
    """A product, of which one factor was detached: one of the two mixed derivatives is missing."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.x, ctx.scale = x.detach().clone(), scale
        return scale * x * weight

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        (weight,) = ctx.saved_tensors
        return ctx.scale * grad * weight, (ctx.scale * grad * ctx.x).sum(0), None


class Scaled(nn.Module):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(0.5, 1.5, features))

    def forward(self, x: Tensor) -> Tensor:
        return Half.apply(x, self.weight, 2.0)


class Swish(torch.autograd.Function):
    """Memory-efficient and right: the derivative is computed from the saved input."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x.sigmoid()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        s = x.sigmoid()
        return grad * s * (1 + x * (1 - s))


class Reversed(torch.autograd.Function):
    """Gradient reversal: constant, and rightly so."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return -0.3 * grad


class Rounded(torch.autograd.Function):
    """A straight-through estimator with a clipped range."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x.abs() < 1)
        return (8 * x.clamp(-1, 1)).round() / 8

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (inside,) = ctx.saved_tensors
        return grad * inside


class Masked(torch.autograd.Function):
    """Dropout with a mask that the forward pass draws."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.mask = (torch.rand_like(x) > 0.3).to(x)
        return x * ctx.mask

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * ctx.mask


class Relu(torch.autograd.Function):
    """Piecewise linear: the slope is constant between the kinks."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.positive = x > 0
        return x * ctx.positive

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * ctx.positive


class Single(torch.autograd.Function):
    """Right, and of one precision alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.float().square().to(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return (2 * grad.float() * x.float()).to(x)


class Called(nn.Module):
    """A function as a layer, kept under another name, as most are."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function.apply

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def _model(layer: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), layer, nn.Linear(6, 3))


def _loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def _batch() -> tuple[Tensor, Tensor]:
    return torch.randn(8, 4, generator=torch.Generator().manual_seed(1)), torch.arange(8) % 3


FORWARDS = {function: function.__dict__["forward"] for function in (InContext, Saved, Half)}
WRONG = {"in_context": lambda: Called(InContext), "saved": lambda: Called(Saved), "half": lambda: Scaled(6)}
PROBES = {
    "curvature": directional_curvature,
    "product": lambda m, f, b: hessian_vector_product(m, f, b, [torch.ones_like(p) for p in m.parameters()]),
    "eigenvalues": top_eigenvalues,
    "trace": lambda m, f, b: trace(m, f, b, max_products=6),
    "density": lambda m, f, b: spectral_density(m, f, b, vectors=1, steps=2),
    "mean": lambda m, f, b: top_eigenvalues(m, f, batches=[b, b], hessian="mean"),
}


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("layer", WRONG)
def test_what_is_taken_for_constant_is_refused(layer: str, probe: str) -> None:
    model, batch = _model(WRONG[layer]()), _batch()
    with no_trace(model, batch), pytest.raises(RuntimeError, match="takes for constant what depends on its input"):
        PROBES[probe](model, _loss, batch)
    assert all(function.__dict__["forward"] is own for function, own in FORWARDS.items())
    found = landscape(model, _loss, batch, [0.1])  # its gradient is right, and stays measurable
    assert not found.notes


RIGHT = [Swish, Masked, Relu, Single]


@pytest.mark.parametrize("function", RIGHT)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])  # of the activations: no scale of the input raises an alarm
def test_functions_that_are_right_are_measured(function: Any, scale: float) -> None:
    model, (x, y) = _model(Called(function)), _batch()
    with no_trace(model, (x, y)):
        found = directional_curvature(model, _loss, (scale * x, y))
    assert not found.notes
    assert found.stretch >= 0


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize(("function", "scale"), [(Reversed, 1e-3), (Reversed, 1.0), (Reversed, 1e3), (Rounded, 1.0)])
def test_a_backward_pass_that_is_no_derivative_is_measured_and_said(function: Any, scale: float, probe: str) -> None:
    """Reversed gradients are those of no loss: what a walk sees of them is not what their second derivative says."""
    model, (x, y) = _model(Called(function)), _batch()
    with no_trace(model, (x, y)):
        found: Any = PROBES[probe](model, _loss, (scale * x, y))
    if probe == "product":  # tensors, which have no notes
        return
    notes = [note for note in found.notes if f"{function.__name__} is not the derivative of its forward pass" in note]
    assert len(notes) == 1


class Hooked(nn.Module):
    """A layer that hangs a hook on what passes through it."""

    def __init__(self, hook: Any) -> None:
        super().__init__()
        self.hook = hook

    def forward(self, x: Tensor) -> Tensor:
        x = x.view_as(x)
        if x.requires_grad:
            x.register_hook(self.hook)
        return x


def _reverse(gradient: Tensor) -> Tensor:
    return -gradient


SEEN: list[Tensor] = []
HARMLESS = {"looks": SEEN.append, "gives the same": lambda gradient: gradient}


@pytest.mark.parametrize("probe", [name for name in PROBES if name != "product"])
def test_a_hook_that_replaces_a_gradient_is_said(probe: str) -> None:
    register_hook = Tensor.register_hook
    model, batch = _model(Hooked(_reverse)), _batch()
    with no_trace(model, batch):
        found: Any = PROBES[probe](model, _loss, batch)
    assert len([note for note in found.notes if "hook (_reverse) replaces its gradient" in note]) == 1
    assert Tensor.register_hook is register_hook
    function: Any = PROBES[probe](_model(nn.Sequential(Called(Swish), Hooked(_reverse))), _loss, batch)
    assert any("hook (_reverse) replaces its gradient" in note for note in function.notes)  # evaluated once more


@pytest.mark.parametrize("hook", HARMLESS)
def test_a_hook_that_replaces_nothing_raises_no_alarm(hook: str) -> None:
    found = directional_curvature(_model(Hooked(HARMLESS[hook])), _loss, _batch())
    assert not found.notes
    assert found.stretch == directional_curvature(_model(nn.Identity()), _loss, _batch()).stretch


def test_the_value_beside_a_right_function_is_that_of_its_formula() -> None:
    batch = _batch()
    found = top_eigenvalues(_model(Called(Swish)).double(), _loss, (batch[0].double(), batch[1]), tol=1e-8)
    plain = top_eigenvalues(_model(nn.SiLU()).double(), _loss, (batch[0].double(), batch[1]), tol=1e-8)
    assert found.values[0].item() == pytest.approx(plain.values[0].item(), rel=1e-7)  # tol bounds the residual


class Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(6, 6), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return checkpoint(self.inner, x, use_reentrant=True)


class Sequenced(nn.Module):
    """Attention and an LSTM over the features as a sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.lstm = nn.LSTM(6, 6, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        steps = x[:, None, :].expand(-1, 3, -1)
        return self.lstm(self.attention(steps, steps, steps)[0])[0][:, -1]


class Pooled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.max_pool1d(x[:, None], 2).flatten(1).repeat(1, 2)


ORDINARY = {
    "relu": nn.ReLU, "hardsigmoid": nn.Hardsigmoid, "max_pool": Pooled, "checkpoint": Checkpointed,
    "batch_norm": lambda: nn.BatchNorm1d(6), "dropout": nn.Dropout, "sequence": Sequenced,
    "spectral_norm": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(6, 6)),
}  # fmt: skip


@pytest.mark.parametrize("layer", ORDINARY)
def test_ordinary_models_raise_no_alarm(layer: str) -> None:
    model, batch = _model(ORDINARY[layer]()), _batch()
    with no_trace(model, batch):
        assert not directional_curvature(model, _loss, batch).notes


class OfComplex(torch.autograd.Function):
    """|z|² of a complex layer, by its formula."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.save_for_backward(z)
        return z.abs().square()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (z,) = ctx.saved_tensors
        return 2 * grad * z


class Complexly(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return OfComplex.apply(torch.complex(x, x.roll(1, -1)))


def test_what_has_a_complex_input_is_not_judged() -> None:
    model, batch = _model(Complexly()), _batch()
    assert not directional_curvature(model, _loss, batch).notes
