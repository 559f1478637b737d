"""The paper's l1 normalizer: the mean absolute value of the un-centered activations in place of sigma."""

from torch import Tensor

from normlab.nn.power_mean import PowerMeanNorm


class L1Norm(PowerMeanNorm):
    """z = gamma (y - mean) / (s + eps) + beta with s = mean|y|, per channel over the batch (and its pixels)."""

    kind = "l1"

    def batch_scale(self, x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """mean|x| per channel, and the denominator."""
        scale = x.abs().mean(axes)
        return scale, self.denominator(scale)


def l1(channels: int, *, dims: int = 2, affine: bool = True, eps: float = 1e-5, momentum: float | None = 0.1) -> L1Norm:
    """The l1 normalizer; see `L1Norm` and `PowerMeanNorm`. Place in the paper: Section 3.3, Figures 5, 6, 12, 13."""
    return L1Norm(channels, dims=dims, affine=affine, eps=eps, momentum=momentum)
