"""The paper's noisy BatchNorm: BatchNorm, then the noise block."""

from torch import Tensor, nn

from normlab.nn.inputs import check_input
from normlab.nn.normalizers.noise import Noise


class NoisyBatchNorm1d(nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d`, then `Noise`: inputs (N, C); state and running statistics are those of BatchNorm."""

    batch_coupled = True

    def __init__(
        self, channels: int, *, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True, **noise: float
    ) -> None:
        super().__init__(channels, eps=eps, momentum=momentum, affine=affine)
        self.noise = Noise(channels, dims=0, **noise)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize with batch statistics (running ones in eval mode), then, in train mode, add the noise."""
        check_input(x, self.num_features, 0, "noisy_batch")
        return self.noise(super().forward(x))


class NoisyBatchNorm2d(nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d`, then `Noise`: inputs (N, C, H, W); state and running statistics are BatchNorm's."""

    batch_coupled = True

    def __init__(
        self, channels: int, *, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True, **noise: float
    ) -> None:
        super().__init__(channels, eps=eps, momentum=momentum, affine=affine)
        self.noise = Noise(channels, dims=2, **noise)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize with batch statistics (running ones in eval mode), then, in train mode, add the noise."""
        check_input(x, self.num_features, 2, "noisy_batch")
        return self.noise(super().forward(x))


def noisy_batch(
    channels: int,
    *,
    dims: int = 2,
    affine: bool = True,
    eps: float = 1e-5,
    momentum: float | None = 0.1,
    mean_range: float = 0.5,
    scale_range: float = 1.25,
    mean_jitter: float = 0.1,
    scale_jitter: float = 0.1,
) -> NoisyBatchNorm1d | NoisyBatchNorm2d:
    """BatchNorm, then `Noise`; in eval mode, and with all noise settings off, equal to BatchNorm.

    Place in the paper: Section 2.1, Figures 2 and 8.
    """
    layer = NoisyBatchNorm2d if dims == 2 else NoisyBatchNorm1d
    return layer(
        channels,
        affine=affine,
        eps=eps,
        momentum=momentum,
        mean_range=mean_range,
        scale_range=scale_range,
        mean_jitter=mean_jitter,
        scale_jitter=scale_jitter,
    )
