"""BatchNorm that takes the batch's mean and variance for constants in its backward pass."""

from normlab.nn.detached import DetachedBatchNorm1d, DetachedBatchNorm2d, build_detached


def batch_detached(
    channels: int, *, dims: int = 2, affine: bool = True, eps: float = 1e-5, momentum: float | None = 0.1
) -> DetachedBatchNorm1d | DetachedBatchNorm2d:
    r"""z = gamma (y - mean) / sqrt(variance + eps) + beta, as BatchNorm; backward, with delta = gamma dL/dz:

        v = delta / sigma

    Nothing of the gradient is projected out; it is rescaled alone.
    See `normlab.nn.detached.build_detached`. Not in the paper.
    """
    return build_detached(channels, ["mean", "variance"], dims=dims, affine=affine, eps=eps, momentum=momentum)
