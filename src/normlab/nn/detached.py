"""BatchNorm whose backward pass takes statistics of the batch for constants; its forward pass stays BatchNorm's."""

from collections.abc import Collection
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from normlab.nn.inputs import check_input

Statistic = Literal["mean", "variance"]
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


class DetachedBatchNorm1d(nn.BatchNorm1d):
    """`build_detached` for inputs (N, C)."""

    batch_coupled = True

    def __init__(self, channels: int, detached: Collection[Statistic], **options: Any) -> None:
        super().__init__(channels, **options)
        self.detached_statistics = frozenset(detached)

    def forward(self, x: Tensor) -> Tensor:
        """The normalized input; shape and type unchanged."""
        return _normalize(self, x, self.detached_statistics, dims=0)

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return f"{super().extra_repr()}, detached={sorted(self.detached_statistics)}"


class DetachedBatchNorm2d(nn.BatchNorm2d):
    """`build_detached` for inputs (N, C, H, W)."""

    batch_coupled = True

    def __init__(self, channels: int, detached: Collection[Statistic], **options: Any) -> None:
        super().__init__(channels, **options)
        self.detached_statistics = frozenset(detached)

    def forward(self, x: Tensor) -> Tensor:
        """The normalized input; shape and type unchanged."""
        return _normalize(self, x, self.detached_statistics, dims=2)

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return f"{super().extra_repr()}, detached={sorted(self.detached_statistics)}"


def build_detached(
    channels: int, detached: Collection[Statistic], *, dims: int, affine: bool, eps: float, momentum: float | None
) -> DetachedBatchNorm1d | DetachedBatchNorm2d:
    r"""BatchNorm that, in train mode, does not differentiate through the statistics named in `detached`.

        ŷ = (y − μ) / σ,   σ = sqrt(variance + eps),   z = γ ŷ + β          (forward: BatchNorm)

    With δ = γ ∂L/∂z, and means ⟨·⟩ over the m values of a channel, what reaches the layer below is

        v = (δ − a ⟨δ⟩ − b ŷ ⟨δ ŷ⟩) / σ       a = 0 where the mean is detached, b = 0 where the variance is; else 1

    ∂L/∂γ and ∂L/∂β are BatchNorm's; with a = b = 1 so is v, the projection of Theorem 4.1. (Whether the mean inside
    the variance is detached makes no difference: ∂variance/∂μ = 0 at the batch's own mean.)

    The vector that training follows is then **not the gradient of the loss**: that is BatchNorm's. Where a probe
    differentiates twice (‖Hg‖), what is detached is constant in both derivatives: H is the Hessian of the loss with
    these statistics held at their values.

    Running statistics, eval mode and state are BatchNorm's. Like torch's normalizers it computes in float32 at least.

    Place in the paper: none; it takes the backward pass of Theorem 4.1 apart (preset `projection`).

    Args:
        channels: size C of axis 1 of the input.
        detached: "mean", "variance", or both.
        dims: 2 for inputs (N, C, H, W), 0 for (N, C).
        affine: learn γ and β.
        eps: inside of the square root.
        momentum: of the running statistics, None for their plain average.

    Example:
        >>> build_detached(8, ["mean"], dims=2, affine=True, eps=1e-5, momentum=0.1).detached_statistics
        frozenset({'mean'})
    """
    layer = DetachedBatchNorm2d if dims == 2 else DetachedBatchNorm1d
    return layer(channels, detached, affine=affine, eps=eps, momentum=momentum)


def _normalize(layer: BatchNorm, x: Tensor, detached: Collection[str], dims: int) -> Tensor:
    check_input(x, layer.num_features, dims, "detached BatchNorm")
    if not layer.training:
        return F.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias, eps=layer.eps)
    if x.numel() <= layer.num_features:
        raise ValueError(
            f"detached BatchNorm: expected more than one value per channel in train mode, got {tuple(x.shape)}"
        )
    given, x = x.dtype, x.to(torch.promote_types(x.dtype, torch.float32))
    variance, mean = torch.var_mean(x, (0, *range(2, x.dim())), correction=0)
    _track(layer, mean, variance, x.numel() // layer.num_features)
    mean = mean.detach() if "mean" in detached else mean
    variance = variance.detach() if "variance" in detached else variance
    scale = (variance + layer.eps).rsqrt()
    if layer.affine:
        scale = scale * layer.weight
    # one product and one sum a value, as in torch's own kernel: γ and β are folded into two numbers a channel
    shift = layer.bias - mean * scale if layer.affine else -mean * scale
    shape = (1, layer.num_features) + (1,) * dims
    return (x * scale.view(shape) + shift.view(shape)).to(given)


@torch.no_grad()
def _track(layer: BatchNorm, mean: Tensor, variance: Tensor, count: int) -> None:
    """Move running statistics as `torch.nn.BatchNorm2d` does: r ← (1 − momentum) r + momentum · (batch value).

    Args:
        layer: whose `running_mean` and `running_var` move.
        mean: (C,) of the batch.
        variance: (C,) of the batch, biased; the running one averages the unbiased.
        count: values a channel.
    """
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.num_batches_tracked is not None
    layer.num_batches_tracked.add_(1)
    momentum = 1.0 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
    layer.running_mean.lerp_(mean.to(layer.running_mean.dtype), momentum)
    layer.running_var.lerp_((variance * (count / (count - 1))).to(layer.running_var.dtype), momentum)
