"""Layer by layer: how large weights and gradients are."""

import torch
from torch import Tensor, nn


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


def _own(module: nn.Module) -> list[nn.Parameter]:
    return list(module.parameters(recurse=False))


def _has_matrix(module: nn.Module) -> bool:
    return any(parameter.ndim >= 2 for parameter in _own(module))
