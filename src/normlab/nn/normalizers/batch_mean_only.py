"""BatchNorm's first half: the batch's mean is removed, the scale stays."""

import torch
from torch import Tensor, nn

from normlab.nn.inputs import check_input


class MeanOnlyBatchNorm(nn.Module):
    r"""z = gamma (y - mean) + beta, per channel over the batch (and its pixels); gradients flow through the mean.

    Backward, with delta = gamma dL/dz: v = delta - mean(delta).

    The running mean follows PyTorch's BatchNorm, r <- (1 - momentum) r + momentum * mean, and takes the batch's place
    in eval mode. Mean-only batch normalization of Salimans and Kingma (2016), here without their weight normalization.

    Args:
        channels: size C of axis 1 of the input.
        dims: 2 for inputs (N, C, H, W), 0 for (N, C).
        affine: learn gamma (`weight`, from 1) and beta (`bias`, from 0), one a channel.
        momentum: weight of the newest batch in the running mean, or None for the plain average.

    Raises:
        ValueError: an input of another shape, or, in train mode, with one value per channel.
    """

    batch_coupled = True
    running_mean: Tensor
    num_batches_tracked: Tensor

    def __init__(self, channels: int, *, dims: int = 2, affine: bool = True, momentum: float | None = 0.1) -> None:
        super().__init__()
        self.channels, self.dims, self.momentum = channels, dims, momentum
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        """The centered input; shape and type unchanged. Computed in float32 at least."""
        check_input(x, self.channels, self.dims, "batch_mean_only")
        given, x = x.dtype, x.to(torch.promote_types(x.dtype, torch.float32))
        mean = self._batch_mean(x) if self.training else self.running_mean
        shape = (1, self.channels) + (1,) * self.dims
        z = x - mean.view(shape)
        if self.weight is not None and self.bias is not None:
            z = z * self.weight.view(shape) + self.bias.view(shape)
        return z.to(given)

    def _batch_mean(self, x: Tensor) -> Tensor:
        if x.numel() <= self.channels:
            raise ValueError(
                f"batch_mean_only: expected more than one value per channel in train mode, got {tuple(x.shape)}"
            )
        mean = x.mean((0, *range(2, x.dim())))
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            momentum = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        return mean

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return f"{self.channels}, affine={self.weight is not None}, momentum={self.momentum}"


def batch_mean_only(
    channels: int, *, dims: int = 2, affine: bool = True, momentum: float | None = 0.1
) -> MeanOnlyBatchNorm:
    """z = gamma (y - mean) + beta: see `MeanOnlyBatchNorm`. Not in the paper."""
    return MeanOnlyBatchNorm(channels, dims=dims, affine=affine, momentum=momentum)
