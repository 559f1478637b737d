"""The paper's l2 normalizer: the root mean square of the un-centered activations in place of sigma."""

from torch import Tensor

from normlab.nn.power_mean import PowerMeanNorm


class L2Norm(PowerMeanNorm):
    """z = gamma (y - mean) / sqrt(s^2 + eps) + beta with s = sqrt(mean y^2), per channel over the batch (and pixels).

    With mean 0 it equals BatchNorm.
    """

    kind = "l2"

    def batch_scale(self, x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """sqrt(mean x^2) per channel, and the denominator."""
        # eps inside the root: the derivative of a bare sqrt at an all-zero channel is infinite
        power = x.square().mean(axes)
        return power.detach().sqrt(), (power + self.eps).sqrt()

    def denominator(self, scale: Tensor) -> Tensor:
        """sqrt(s^2 + eps)."""
        return (scale.square() + self.eps).sqrt()


def l2(channels: int, *, dims: int = 2, affine: bool = True, eps: float = 1e-5, momentum: float | None = 0.1) -> L2Norm:
    """The l2 normalizer; see `L2Norm` and `PowerMeanNorm`. Place in the paper: Section 3.3, Figures 5, 6, 12, 13."""
    return L2Norm(channels, dims=dims, affine=affine, eps=eps, momentum=momentum)
