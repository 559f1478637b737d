"""BatchNorm that takes the batch's variance for a constant in its backward pass."""

from normlab.nn.detached import DetachedBatchNorm1d, DetachedBatchNorm2d, build_detached


def batch_detached_variance(
    channels: int, *, dims: int = 2, affine: bool = True, eps: float = 1e-5, momentum: float | None = 0.1
) -> DetachedBatchNorm1d | DetachedBatchNorm2d:
    r"""z = gamma (y - mean) / sqrt(variance + eps) + beta, as BatchNorm; backward, with delta = gamma dL/dz:

        v = (delta - mean(delta)) / sigma

    BatchNorm's backward pass without the part that removes the gradient along the normalized activations.
    See `normlab.nn.detached.build_detached`. Not in the paper.
    """
    return build_detached(channels, ["variance"], dims=dims, affine=affine, eps=eps, momentum=momentum)
