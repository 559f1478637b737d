"""What the paper's l_p normalizers share: BatchNorm with the power mean of the un-centered activations for sigma."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from normlab.nn.inputs import check_input


class PowerMeanNorm(nn.Module, ABC):
    r"""Batch normalization by the mean and the l_p power mean, per channel over batch (and pixels).

        mu = mean(y)
        z  = gamma * (y - mu) / (s_p + eps) + beta          s_p of the un-centered y, given by the subclass

    `eps` keeps the quotient finite (for p = 2 it stands inside the root). Gradients flow through mu and s_p, and stay
    finite on channels that are zero everywhere.

    Running statistics follow PyTorch's BatchNorm: r <- (1 - momentum) r + momentum * (batch value), starting from
    `running_mean` 0 and `running_scale` 1, `num_batches_tracked` counts the training forwards, and `momentum=None` is
    the plain average over all of them. `running_scale` averages s_p without eps; there is no unbiased version of it.
    Eval mode uses them in place of the batch's.

    Place in the paper: Section 3.3 and Figures 5, 6, 12, 13 ("fix the first-order moment as BatchNorm does, then
    normalize by the average of their l_p-norm, before shifting the mean"); the power mean is our reading of "average".

    Args:
        channels: size C of axis 1 of the input.
        dims: 2 for inputs (N, C, H, W), 0 for (N, C).
        eps: see above.
        momentum: weight of the newest batch in the running statistics, or None for the plain average.
        affine: learn gamma (`weight`, from 1) and beta (`bias`, from 0), one a channel.

    Raises:
        ValueError: an input of another shape, or, in train mode, with one value per channel.
    """

    batch_coupled = True
    kind: str
    """The subclass's name, for messages."""
    running_mean: Tensor
    running_scale: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        channels: int,
        *,
        dims: int = 2,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
    ) -> None:
        super().__init__()
        self.channels, self.dims = channels, dims
        self.eps, self.momentum, self.affine = eps, momentum, affine
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_scale", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        """The normalized input; shape and type unchanged. Like torch's normalizers it computes in float32 at least."""
        check_input(x, self.channels, self.dims, self.kind)
        given, x = x.dtype, x.to(torch.promote_types(x.dtype, torch.float32))
        if self.training:
            mean, denominator = self._batch_statistics(x)
        else:
            mean, denominator = self.running_mean, self.denominator(self.running_scale)
        shape = (1, self.channels) + (1,) * self.dims
        z = (x - mean.view(shape)) / denominator.view(shape)
        if self.weight is not None and self.bias is not None:
            z = z * self.weight.view(shape) + self.bias.view(shape)
        return z.to(given)

    def denominator(self, scale: Tensor) -> Tensor:
        """What the centered input is divided by, from s_p."""
        return scale + self.eps

    @abstractmethod
    def batch_scale(self, x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """s_p of x (N, C, ...) over all axes but the channels', and the denominator, both (C,), differentiable in x."""

    def _batch_statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.numel() <= self.channels:
            raise ValueError(
                f"{self.kind}: expected more than one value per channel in train mode, got an input of shape "
                f"{tuple(x.shape)}"
            )
        axes = (0, *range(2, x.dim()))
        mean = x.mean(axes)
        scale, denominator = self.batch_scale(x, axes)
        self._track(mean.detach(), scale.detach())
        return mean, denominator

    @torch.no_grad()
    def _track(self, mean: Tensor, scale: Tensor) -> None:
        self.num_batches_tracked.add_(1)
        momentum = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.mul_(1 - momentum).add_(mean, alpha=momentum)
        self.running_scale.mul_(1 - momentum).add_(scale, alpha=momentum)

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return f"{self.kind}, {self.channels}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}"
