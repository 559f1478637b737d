"""The slow obvious twin of `normlab.studies.deep_linear`: one seed, one weight vector, the module on raw samples."""

import torch
from torch import Tensor, nn

from normlab.nn import deep_linear, normalizer
from normlab.studies.deep_linear.network import Network
from normlab.studies.deep_linear.problem import draw_data, draw_weights

Batch = tuple[Tensor, Tensor]


def half_squared_error(model: nn.Module, batch: Batch) -> Tensor:
    """1/2 sum over the samples of ||f(x) - y||^2."""
    x, y = batch
    return 0.5 * (model(x) - y).square().sum()


def build_twin(network: Network, params: Tensor) -> nn.Module:
    """`deep_linear` with the flat parameters (P,) of one network."""
    options = {"affine": network.affine, "eps": network.eps}
    model = deep_linear(
        network.depth,
        network.features,
        lambda width: normalizer(network.norm_layer, width, dims=0, **options),
        last_layer=network.last_layer,
    ).double()
    with torch.no_grad():
        for parameter, values in zip(ordered(model), split(ordered(model), params), strict=True):
            parameter.copy_(values)
    return model


def ordered(model: nn.Module) -> list[nn.Parameter]:
    """The module's parameters in the order of the flat vector: matrices, then gammas, then betas."""
    named = list(model.named_parameters())
    matrices = [p for _, p in named if p.ndim == 2]
    gammas = [p for name, p in named if p.ndim == 1 and name.endswith("weight")]
    betas = [p for name, p in named if p.ndim == 1 and name.endswith("bias")]
    return matrices + gammas + betas


def split(like: list[nn.Parameter], params: Tensor) -> list[Tensor]:
    """The flat vector cut into the shapes of `like`."""
    parts = params.split([p.numel() for p in like])
    return [part.view_as(p) for part, p in zip(parts, like, strict=True)]


def flat_gradient(model: nn.Module, batch: Batch) -> Tensor:
    """The gradient of the loss in the order of the flat vector."""
    gradients = torch.autograd.grad(half_squared_error(model, batch), ordered(model))
    return torch.cat([g.flatten() for g in gradients])


def descent(network: Network, seed: int, count: int, rate: float) -> list[float]:
    """The losses before each of `count` updates of plain gradient descent, on 20 samples of 3 features, depth 3."""
    x, teacher = draw_data((seed,), 3, 20)
    model = build_twin(network, network.pack(draw_weights((seed,), 3, 3))[0])
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = half_squared_error(model, (x[0], x[0] @ teacher[0].mT))
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
    return losses
