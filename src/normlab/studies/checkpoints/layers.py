"""Layer by layer: how large weights and gradients are, and what the normalizers' backward passes leave of these."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from normlab.probes.entry import objective_at
from normlab.probes.objective import Batch, LossFn


def weight_sizes(model: nn.Module, learning_rate: float) -> dict[str, dict[str, float]]:
    """By layer with a weight matrix or kernel w: `weight_norm` = ‖w‖₂ and `effective_rate` = η/‖w‖₂².

    A layer in front of a normalizer computes the same function at α·w, and a step of η there turns w as far as one of
    η/α² would at w: it is η/‖w‖² that says how fast such a layer moves (van Laarhoven 2017). Biases do not count. A
    layer whose weights are all zero has the rate inf.
    """
    sizes = {}
    for name, module in model.named_modules():
        if _has_matrix(module):
            square = torch.stack([w.detach().double().square().sum() for w in _own(module) if w.ndim >= 2]).sum()
            sizes[name] = {"weight_norm": float(square.sqrt()), "effective_rate": float(learning_rate / square)}
    return sizes


def layer_grad_norms(model: nn.Module) -> dict[str, float]:
    """‖∇‖₂ over weight and bias of every layer with a weight matrix or kernel, from the gradients just computed."""
    norms = {}
    for name, module in model.named_modules():
        own: list[Tensor] = [p.grad for p in module.parameters(recurse=False) if p.grad is not None]
        if any(gradient.ndim >= 2 for gradient in own):
            norms[name] = float(torch.linalg.vector_norm(torch.cat([gradient.flatten() for gradient in own])))
    return norms


def gradient_shares(
    model: nn.Module, loss_fn: LossFn, batch: Batch, layers: Sequence[str]
) -> dict[str, dict[str, float]]:
    r"""By normalized layer, means over its channels of what its backward pass keeps of the gradient.

    Per channel, over the m values (samples × pixels) of its input y and output z, with g = ∂L/∂z, v = ∂L/∂y as the
    backward pass gives it, and ŷ = (y − mean(y)) / std(y):

        kept = ‖v‖² var(y) / (‖g‖² var(z)),   mean_part = m mean(g)² / ‖g‖²,   scale_part = ⟨g, ŷ⟩² / (m ‖g‖²)

    z is affine in y with slope γ/σ, var(z) = (γ/σ)² var(y): `kept` is ‖v‖² / ((γ/σ)² ‖g‖²), 1 where the layer only
    rescales. BatchNorm projects the two parts out, kept = 1 − mean_part − scale_part (Theorem 4.1, for eps = 0); in
    other networks they say what it would project out. ⟨g, ŷ⟩ = ∂L/∂γ and m·mean(g) = ∂L/∂β, so that both parts fade
    where γ and β are near stationary.

    One forward and one backward pass. Channels with constant y or z, or with g = 0, are left out; a layer without any
    other has NaN.

    Args:
        model: in train mode; it stays as it is.
        loss_fn: the loss.
        batch: of that loss.
        layers: names of modules with one tensor (N, C, ...) as input and output of one shape.
    """
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def tap(name: str):  # type: ignore[no-untyped-def]
        return lambda module, inputs, output: seen.__setitem__(name, (inputs[0], output))

    with objective_at(model, loss_fn, batch) as objective:
        loss = objective.loss_with_graph(_hooked(model, {name: tap(name) for name in layers}))
        tensors = [tensor for name in layers for tensor in seen[name]]
        gradients = iter(torch.autograd.grad(loss, tensors))
        return {name: _shares(*seen[name], next(gradients), next(gradients)) for name in layers}


def _shares(y: Tensor, z: Tensor, v: Tensor, g: Tensor) -> dict[str, float]:
    y, z, v, g = (tensor.detach().double().transpose(0, 1).flatten(1) for tensor in (y, z, v, g))
    y_hat = y - y.mean(1, keepdim=True)
    variance, square = y_hat.square().mean(1), g.square().sum(1)
    kept = v.square().sum(1) * variance / (square * z.var(1, correction=0))
    mean_part = y.shape[1] * g.mean(1).square() / square
    scale_part = (g * y_hat).sum(1).square() / (y.shape[1] * variance * square)
    shares = torch.stack([kept, mean_part, scale_part])
    defined = shares.isfinite().all(0)
    means = shares[:, defined].mean(1).tolist()  # NaN of none
    return dict(zip(("kept", "mean_part", "scale_part"), means, strict=True))


def cosine_with_gradient(model: nn.Module, loss_fn: LossFn, batch: Batch) -> dict[str, float] | None:
    """How the vector that training follows lies to the loss's own gradient, where normalizers detach statistics.

    `cosine` = ⟨u, ∇L⟩ / (‖u‖ ‖∇L‖) and `norm_ratio` = ‖u‖ / ‖∇L‖ over all parameters: u is what the backward pass
    gives, ∇L the same with nothing detached (`normlab.nn.detached`). None for a network in which nothing is.
    """
    modules = [module for module in model.modules() if getattr(module, "detached_statistics", None)]
    if not modules:
        return None
    with objective_at(model, loss_fn, batch) as objective:
        followed = torch.cat([g.flatten().double() for g in objective.gradient()[1]])
        loss = objective.loss_with_graph(_attached(modules))
        true = torch.cat([g.flatten().double() for g in objective.dense(objective.raw_gradient(loss))])
    lengths = torch.linalg.vector_norm(followed), torch.linalg.vector_norm(true)
    return {
        "cosine": float(torch.dot(followed, true) / (lengths[0] * lengths[1])),
        "norm_ratio": float(lengths[0] / lengths[1]),
    }


@contextmanager
def _hooked(model: nn.Module, hooks: Mapping[str, Callable[..., None]]) -> Iterator[None]:
    """Forward hooks by module name, for the block."""
    handles = [model.get_submodule(name).register_forward_hook(hook) for name, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _attached(modules: Sequence[nn.Module]) -> Iterator[None]:
    """The backward pass of these normalizers with nothing detached, for the block."""
    before = [module.detached_statistics for module in modules]
    try:
        for module in modules:
            module.detached_statistics = frozenset()  # type: ignore[assignment]
        yield
    finally:
        for module, statistics in zip(modules, before, strict=True):
            module.detached_statistics = statistics


def _own(module: nn.Module) -> list[nn.Parameter]:
    return list(module.parameters(recurse=False))


def _has_matrix(module: nn.Module) -> bool:
    return any(parameter.ndim >= 2 for parameter in _own(module))
