"""The noise block of the paper's Algorithm 1."""

import torch
from torch import Tensor, nn

from normlab.nn.inputs import check_input


class Noise(nn.Module):
    r"""Random shift and scale of every activation, redrawn at every forward pass.

    For channel j, and for sample (and pixel) i:

        mu_j ~ U(-mean_range, mean_range)           sg_j ~ U(1, scale_range)
        m_ij ~ U(mu_j - mean_jitter, mu_j + mean_jitter)      s_ij ~ N(sg_j, scale_jitter)
        a_ij <- s_ij * a_ij + m_ij

    `scale_jitter` is the standard deviation (the paper leaves open whether 0.1 is that or the variance). mu_j and sg_j
    are shared over the batch and its pixels. Draws come from the global random number generator of the input's device.
    In eval mode, and with `mean_range=0, scale_range=1, mean_jitter=0, scale_jitter=0`, the block returns its input
    and draws nothing (the paper does not say what happens at test time).

    Place in the paper: Section 2.1 and Algorithm 1 in Appendix A; put behind a normalizer it is the "noisy BatchNorm"
    of Figures 2 and 8, put on the plain network it is the control that "prevents it from training entirely".

    Args:
        channels: size C of axis 1 of the input.
        dims: 2 for inputs (N, C, H, W), 0 for (N, C).
        mean_range: half width of the range of the shifts, at least 0.
        scale_range: upper end of the range of the scales, at least 1.
        mean_jitter: half width of the range of m_ij around mu_j, at least 0.
        scale_jitter: standard deviation of s_ij around sg_j, at least 0.

    Raises:
        ValueError: a range or jitter out of bounds, or an input of another shape.
    """

    adds_noise = True

    def __init__(
        self,
        channels: int,
        *,
        dims: int = 2,
        mean_range: float = 0.5,
        scale_range: float = 1.25,
        mean_jitter: float = 0.1,
        scale_jitter: float = 0.1,
    ) -> None:
        super().__init__()
        lowest = {"mean_range": 0.0, "scale_range": 1.0, "mean_jitter": 0.0, "scale_jitter": 0.0}
        given = (mean_range, scale_range, mean_jitter, scale_jitter)
        for (name, bound), value in zip(lowest.items(), given, strict=True):
            if not bound <= value < float("inf"):
                raise ValueError(f"{name}: expected a finite number of at least {bound:g}, got {value!r}")
        self.channels, self.dims = channels, dims
        self.mean_range, self.scale_range = float(mean_range), float(scale_range)
        self.mean_jitter, self.scale_jitter = float(mean_jitter), float(scale_jitter)

    def forward(self, x: Tensor) -> Tensor:
        """The input (N, C, H, W) or (N, C), shifted and scaled; shape, type and device unchanged."""
        check_input(x, self.channels, self.dims, "noise")
        off = (self.mean_range, self.scale_range, self.mean_jitter, self.scale_jitter) == (0.0, 1.0, 0.0, 0.0)
        if off or not self.training:
            return x
        per_channel = (1, self.channels) + (1,) * self.dims
        wide = torch.promote_types(x.dtype, torch.float32)  # the same draws for reduced types, and no rounding of them
        mean = x.new_empty(per_channel, dtype=wide).uniform_(-1.0, 1.0) * self.mean_range
        scale = 1.0 + x.new_empty(per_channel, dtype=wide).uniform_(0.0, 1.0) * (self.scale_range - 1.0)
        # drawn contiguous, whatever x's memory format: the same draws for both, and torch's fast path on the CPU
        means, scales = (torch.empty(x.shape, dtype=wide, device=x.device) for _ in range(2))
        means.uniform_(-1.0, 1.0).mul_(self.mean_jitter).add_(mean)
        scales.normal_().mul_(self.scale_jitter).add_(scale)
        return (x * scales).add_(means).to(x.dtype)

    def extra_repr(self) -> str:
        """The settings, for printing."""
        return (
            f"{self.channels}, mean_range={self.mean_range}, scale_range={self.scale_range}, "
            f"mean_jitter={self.mean_jitter}, scale_jitter={self.scale_jitter}"
        )


def noise(
    channels: int,
    *,
    dims: int = 2,
    mean_range: float = 0.5,
    scale_range: float = 1.25,
    mean_jitter: float = 0.1,
    scale_jitter: float = 0.1,
) -> Noise:
    """The noise block alone, on the plain network: see `Noise`."""
    return Noise(
        channels,
        dims=dims,
        mean_range=mean_range,
        scale_range=scale_range,
        mean_jitter=mean_jitter,
        scale_jitter=scale_jitter,
    )
