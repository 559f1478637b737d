"""All normalizers under one name: `normalizer(kind, channels)`."""

from typing import Any

from torch import nn

from normlab.nn.lp import LpNorm
from normlab.nn.noise import Noise, NoisyBatchNorm1d, NoisyBatchNorm2d

KINDS = ("none", "batch", "noisy_batch", "noise", "l1", "l2", "linf", "layer", "group", "instance")
"""The kinds that `normalizer` knows."""

_NOISE_OPTIONS = ("mean_range", "scale_range", "mean_jitter", "scale_jitter")
_COMMON_OPTIONS = ("affine", "eps", "momentum")


def normalizer(kind: str, channels: int, *, dims: int = 2, **options: Any) -> nn.Module:
    r"""A normalizer for `channels` channels: z = gamma * (y - center) / scale + beta.

    | kind | center and scale are taken over | module |
    |---|---|---|
    | none | nothing: z = y | `torch.nn.Identity` |
    | batch | batch and pixels, per channel: mean, sqrt(variance + eps) | `torch.nn.BatchNorm1d`, `BatchNorm2d` |
    | noisy_batch | as batch, then `Noise` | `NoisyBatchNorm1d`, `NoisyBatchNorm2d` |
    | noise | nothing: z = `Noise`(y) | `Noise` |
    | l1, l2, linf | batch and pixels, per channel: mean, un-centered power mean | `LpNorm` |
    | layer | all channels and pixels of a sample | `torch.nn.GroupNorm` with one group |
    | group | the channels of a group and the pixels of a sample | `torch.nn.GroupNorm` |
    | instance | the pixels of one channel of a sample | `torch.nn.InstanceNorm2d` |

    No normalizer draws random numbers when it is made, so that networks which differ in their normalizer alone start
    from the same weights. batch, noisy_batch, l1, l2 and linf couple the samples of a training batch; they keep running
    statistics for eval mode, and in train mode refuse an input with one value per channel.

    Args:
        kind: one of `KINDS`.
        channels: size C of axis 1 of the input, at least 1.
        dims: 2 for inputs (N, C, H, W), 0 for (N, C). There, instance would see one value at a time and is refused, and
            a group of one channel gives its bias alone: name fewer `groups`.
        **options: `affine=True` (learn gamma and beta, one a channel; without it gamma=1, beta=0), `eps=1e-5` (added
            inside the square root for all but l1 and linf, where it is added to the scale), `momentum=0.1` (of the
            running statistics; None for their plain average). These three are accepted by every kind, so that kinds can
            be exchanged for each other, and have no effect where there is nothing to set.
            noisy_batch and noise: `mean_range=0.5, scale_range=1.25, mean_jitter=0.1, scale_jitter=0.1`, see `Noise`.
            group: `groups`, by default the largest divisor of `channels` that is at most 32.

    Raises:
        ValueError: an unknown kind, dims, or value of an option.
        TypeError: an option that the kind does not have.

    Place in the paper: batch in Section 1, noisy_batch and noise in Section 2.1, l1, l2, linf in Section 3.3; layer,
    group and instance are not in the paper.
    """
    _check(kind, channels, dims, options)
    affine, eps = options.get("affine", True), options.get("eps", 1e-5)
    statistics = {"affine": affine, "eps": eps, "momentum": options.get("momentum", 0.1)}
    noise = {name: options[name] for name in _NOISE_OPTIONS if name in options}
    match kind:
        case "none":
            return nn.Identity()
        case "batch":
            return (nn.BatchNorm2d if dims == 2 else nn.BatchNorm1d)(channels, **statistics)
        case "noisy_batch":
            return (NoisyBatchNorm2d if dims == 2 else NoisyBatchNorm1d)(channels, **statistics, **noise)
        case "noise":
            return Noise(channels, dims=dims, **noise)
        case "layer":
            return nn.GroupNorm(1, channels, eps=eps, affine=affine)
        case "group":
            return nn.GroupNorm(options.get("groups") or default_groups(channels), channels, eps=eps, affine=affine)
        case "instance":
            return nn.InstanceNorm2d(channels, eps=eps, affine=affine)
        case _:
            return LpNorm(kind, channels, dims=dims, **statistics)


def default_groups(channels: int) -> int:
    """The largest divisor of `channels` that is at most 32."""
    return next(groups for groups in range(min(32, channels), 0, -1) if channels % groups == 0)


def _check(kind: str, channels: int, dims: int, options: dict[str, Any]) -> None:
    if kind not in KINDS:
        raise ValueError(f"unknown normalizer {kind!r}; the kinds are: {', '.join(KINDS)}")
    if not isinstance(channels, int) or isinstance(channels, bool) or channels < 1:
        raise ValueError(f"channels: expected a whole number of at least 1, got {channels!r}")
    if dims not in (0, 2):
        raise ValueError(f"dims: expected 2 for inputs (N, C, H, W) or 0 for (N, C), got {dims!r}")
    if kind == "instance" and dims == 0:
        raise ValueError("instance: needs pixels (dims=2); with dims=0 each channel of a sample is a single value")
    accepted: tuple[str, ...] = _COMMON_OPTIONS
    if kind in ("noisy_batch", "noise"):
        accepted += _NOISE_OPTIONS
    if kind == "group":
        accepted += ("groups",)
    for name in options:
        if name not in accepted:
            raise TypeError(f"{kind}: unknown option {name!r}; accepted: {', '.join(accepted)}")
    eps, momentum, groups = options.get("eps", 1e-5), options.get("momentum", 0.1), options.get("groups")
    if not 0 <= eps < float("inf"):
        raise ValueError(f"eps: expected a finite number of at least 0, got {eps!r}")
    if momentum is not None and not 0 <= momentum <= 1:
        raise ValueError(f"momentum: expected a number from 0 to 1, or None, got {momentum!r}")
    if groups is not None and (not isinstance(groups, int) or groups < 1 or channels % groups):
        raise ValueError(f"groups: expected a divisor of the {channels} channels, got {groups!r}")
