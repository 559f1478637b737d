"""BatchNorm with the statistics of the first training batch, for good."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from normlab.nn.inputs import check_input


class FrozenBatchNorm1d(nn.BatchNorm1d):
    """`batch_frozen` for inputs (N, C)."""

    batch_coupled = True  # in its first forward pass in train mode

    def forward(self, x: Tensor) -> Tensor:
        """The input with the statistics of the first batch; shape and type unchanged."""
        return _normalize(self, x, dims=0)


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """`batch_frozen` for inputs (N, C, H, W)."""

    batch_coupled = True  # in its first forward pass in train mode

    def forward(self, x: Tensor) -> Tensor:
        """The input with the statistics of the first batch; shape and type unchanged."""
        return _normalize(self, x, dims=2)


def batch_frozen(
    channels: int, *, dims: int = 2, affine: bool = True, eps: float = 1e-5
) -> FrozenBatchNorm1d | FrozenBatchNorm2d:
    r"""z = gamma (y - mean_0) / sqrt(variance_0 + eps) + beta, with statistics that no later batch changes.

    mean_0 and variance_0 (biased) are those of this layer's input in its first forward pass in train mode: of the run's
    batch 0 at the initial weights, the layers before it normalized by the same batch. That pass is BatchNorm's; every
    later one is a fixed affine map, in train mode as in eval mode, and v = delta / sigma_0 backward. So the network
    starts where BatchNorm's does and is a plain one from there on.

    The buffers are BatchNorm's: `running_mean` and `running_var` hold mean_0 and variance_0 (0 and 1 before the first
    pass), `num_batches_tracked` is 1 from then on. Not in the paper.
    """
    layer = FrozenBatchNorm2d if dims == 2 else FrozenBatchNorm1d
    return layer(channels, affine=affine, eps=eps)


def _normalize(layer: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor, dims: int) -> Tensor:
    check_input(x, layer.num_features, dims, "batch_frozen")
    assert layer.running_mean is not None
    assert layer.running_var is not None
    if layer.training and layer.num_batches_tracked == 0:
        if x.numel() <= layer.num_features:
            raise ValueError(
                f"batch_frozen: expected more than one value per channel in the first batch, got {tuple(x.shape)}"
            )
        with torch.no_grad():
            wide = x.to(torch.promote_types(x.dtype, torch.float32))
            variance, mean = torch.var_mean(wide, (0, *range(2, x.dim())), correction=0)
            layer.running_mean.copy_(mean)
            layer.running_var.copy_(variance)
            layer.num_batches_tracked.fill_(1)
    return F.batch_norm(x, layer.running_mean, layer.running_var, layer.weight, layer.bias, eps=layer.eps)
