"""The paper's l-infinity normalizer: the largest absolute value of the un-centered activations in place of sigma."""

from torch import Tensor

from normlab.nn.power_mean import PowerMeanNorm


class LinfNorm(PowerMeanNorm):
    """z = gamma (y - mean) / (s + eps) + beta with s = max|y|, per channel over the batch (and its pixels).

    Where several |y| tie for the maximum they share its gradient equally.
    """

    kind = "linf"

    def batch_scale(self, x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """max|x| per channel, and the denominator."""
        scale = x.abs().amax(axes)
        return scale, self.denominator(scale)


def linf(
    channels: int, *, dims: int = 2, affine: bool = True, eps: float = 1e-5, momentum: float | None = 0.1
) -> LinfNorm:
    """The l-infinity normalizer; see `LinfNorm` and `PowerMeanNorm`. Place in the paper: Section 3.3."""
    return LinfNorm(channels, dims=dims, affine=affine, eps=eps, momentum=momentum)
