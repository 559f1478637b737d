"""GroupNorm, PyTorch's own, with a default number of groups."""

from torch import nn


def group(channels: int, *, affine: bool = True, eps: float = 1e-5, groups: int | None = None) -> nn.GroupNorm:
    """z = gamma (y - mean) / sqrt(variance + eps) + beta over the channels of a group and the pixels of a sample.

    `torch.nn.GroupNorm`. Not in the paper.

    Args:
        channels: size C of axis 1 of the input.
        affine: learn gamma and beta, one a channel.
        eps: see above.
        groups: a divisor of `channels`; by default the largest that is at most 32. For inputs (N, C) a group of one
            channel gives its beta alone.

    Raises:
        ValueError: a number of groups that does not divide the channels.
    """
    if groups is None:
        groups = next(candidate for candidate in range(min(32, channels), 0, -1) if channels % candidate == 0)
    if not isinstance(groups, int) or groups < 1 or channels % groups:
        raise ValueError(f"groups: expected a divisor of the {channels} channels, got {groups!r}")
    return nn.GroupNorm(groups, channels, eps=eps, affine=affine)
