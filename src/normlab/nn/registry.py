"""The door: normalizers and networks by name, built in or from anybody's module.

A name is one of the package's own (`batch`, `vgg16`) or a dotted path `module:attribute` to any callable; see
`normlab.specs.parts`. The module is imported when its name is asked for, and no other part is.
"""

import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from normlab.specs.errors import InputError
from normlab.specs.parts import Kind, names, resolve

NormLayer = str | Callable[..., nn.Module]
"""A normalizer's name, or a function from the number of channels to a module."""

EXCHANGEABLE = ("affine", "eps", "momentum")
"""Options that every normalizer accepts, so that one can be exchanged for another, and that have no effect where there
is nothing to set."""


def normalizer(kind: NormLayer, channels: int, *, dims: int = 2, **options: Any) -> nn.Module:
    r"""A normalizer for `channels` channels: z = gamma * (y - center) / scale + beta.

    | kind | center and scale are taken over | module |
    |---|---|---|
    | none | nothing: z = y | `torch.nn.Identity` |
    | batch | batch and pixels, per channel: mean, sqrt(variance + eps) | `torch.nn.BatchNorm1d`, `BatchNorm2d` |
    | noisy_batch | as batch, then `Noise` | `NoisyBatchNorm1d`, `NoisyBatchNorm2d` |
    | noise | nothing: z = `Noise`(y) | `Noise` |
    | l1, l2, linf | batch and pixels, per channel: mean, un-centered power mean | `PowerMeanNorm` |
    | batch_detached… | as batch; what the name says is a constant backward | `DetachedBatchNorm1d`, `…2d` |
    | batch_frozen | the first training batch and its pixels, as batch | `FrozenBatchNorm1d`, `FrozenBatchNorm2d` |
    | batch_mean_only | batch and pixels, per channel: mean, 1 | `MeanOnlyBatchNorm` |
    | layer | all channels and pixels of a sample | `torch.nn.GroupNorm` with one group |
    | group | the channels of a group and the pixels of a sample | `torch.nn.GroupNorm` |
    | instance | the pixels of one channel of a sample | `torch.nn.InstanceNorm2d` |
    | module:attribute | whatever the callable returns for `channels` | any |

    None of these draws random numbers when it is made, so that networks which differ in their normalizer alone start
    from the same weights; one of your own should not either. batch, all that are named after it, noisy_batch, l1, l2
    and linf couple the samples of a training batch; they keep running statistics for eval mode, and in train mode
    refuse an input with one value per channel (batch_frozen in its first batch).

    Args:
        kind: a name (`normlab.specs.parts.names("normalizer")` lists the package's own), a dotted path to a callable,
            or the callable itself. It is called with `channels`, and with `dims` and the options its signature names.
        channels: size C of axis 1 of the input, at least 1.
        dims: 2 for inputs (N, C, H, W), 0 for (N, C). There, instance would see one value at a time and is refused, and
            a group of one channel gives its bias alone: name fewer `groups`.
        **options: `affine=True` (learn gamma and beta, one a channel; without it gamma=1, beta=0), `eps=1e-5` (added
            inside the square root for all but l1 and linf, where it is added to the scale), `momentum=0.1` (of the
            running statistics; None for their plain average). These three are accepted by every kind, so that kinds can
            be exchanged for each other, and have no effect where there is nothing to set.
            noisy_batch and noise: `mean_range=0.5, scale_range=1.25, mean_jitter=0.1, scale_jitter=0.1`, see `Noise`.
            group: `groups`, by default the largest divisor of `channels` that is at most 32.

    Returns:
        The module. Its attribute `from_norm_layer` is True: that is how `normlab.nn.structure` finds the normalized
        layers of a network, whatever its modules are called.

    Raises:
        ValueError: an unknown kind, a module that cannot be imported, dims, or value of an option.
        TypeError: an option that the kind does not have, or a callable that is no normalizer.

    Place in the paper: batch in Section 1, noisy_batch and noise in Section 2.1, l1, l2, linf in Section 3.3; layer,
    group and instance are not in the paper.

    Example:
        >>> normalizer("batch", 8).num_features, normalizer("torch.nn:BatchNorm2d", 8, eps=1e-3).eps
        (8, 0.001)
    """
    name, build = _callable(kind, "normalizer")
    _check_settings(channels, dims, options)
    accepted = named_parameters(build)
    given = fitting(build, {"dims": dims})
    for key, value in options.items():
        if accepted is None or key in accepted:
            given[key] = value
        elif key not in EXCHANGEABLE:
            known = ", ".join(dict.fromkeys([*EXCHANGEABLE, *(a for a in accepted[1:] if a != "dims")]))
            raise TypeError(f"{name}: unknown option {key!r}; accepted: {known}")
    _check_call(name, build, (channels,), given, "a normalizer is called with the number of channels alone")
    module = build(channels, **given)
    if not isinstance(module, nn.Module):
        raise TypeError(f"{name}: expected a torch.nn.Module for {channels} channels, got {type(module).__name__}")
    module.from_norm_layer = True  # type: ignore[assignment]
    return module


def network(
    name: str | Callable[..., nn.Module],
    *,
    norm_layer: NormLayer | None = None,
    num_classes: int | None = None,
    width: float | None = None,
    **options: Any,
) -> nn.Module:
    """A network by name, with the normalizer as an argument.

    The callable behind `name` gets `norm_layer`, `num_classes` and `width` only where its signature names them (one
    that ends in `**kwargs`, such as torchvision's, gets `norm_layer` and `num_classes`), and where they are not None.
    `norm_layer` reaches it as a function from the number of channels to a module, as torchvision's networks expect it:
    `norm_layer(channels)` for (N, C, H, W), `norm_layer(channels, dims=0)` for (N, C).

    Args:
        name: `vgg16`, `resnet20`, `deep_linear`, … (`normlab.specs.parts.names("network")`), a dotted path, or the
            callable itself.
        norm_layer: what `normalizer` takes as its kind; "none" for the plain network.
        num_classes: number of outputs.
        width: factor on the numbers of channels.
        **options: further arguments, passed on as they are.

    Returns:
        The module. Its initial weights are drawn from torch's global generator.

    Raises:
        ValueError: an unknown name, a module that cannot be imported, or a normalizer for a network that takes none.
        TypeError: a callable that cannot be called like this, or returns no module.

    Example:
        >>> network("torchvision.models:resnet18", norm_layer="l1", num_classes=10).fc.out_features
        10
    """
    own_name, build = _callable(name, "network")
    offered: dict[str, Any] = {"num_classes": num_classes, "width": width}
    if norm_layer is not None:
        offered["norm_layer"] = functools.partial(normalizer, norm_layer)
    given = fitting(build, {key: value for key, value in offered.items() if value is not None})
    if named_parameters(build) is None:
        given |= {key: offered[key] for key in ("norm_layer", "num_classes") if offered.get(key) is not None}
    if norm_layer not in (None, "none") and "norm_layer" not in given:
        raise InputError(f"{own_name}: has no argument norm_layer, so it runs with norm_layer none alone")
    _check_call(own_name, build, (), {**given, **options}, "a network is called with norm_layer, num_classes and width")
    module = build(**given, **options)
    if not isinstance(module, nn.Module):
        raise TypeError(f"{own_name}: expected a torch.nn.Module, got {type(module).__name__}")
    return module


def load(name: str, kind: Kind) -> Callable[..., Any]:
    """The callable behind a name; options that the name itself says (depth 16 of vgg16) are bound.

    Raises:
        InputError: an unknown name, a module that is missing or fails, an attribute that is missing or no callable.
    """
    part = resolve(name, kind)
    try:
        module = importlib.import_module(part.module)
    except Exception as error:  # whatever somebody's module does when it is imported
        if isinstance(error, ModuleNotFoundError) and f"{part.module}.".startswith(f"{error.name}."):
            raise InputError(f"{kind} {name!r}: there is no module {error.name!r}") from None
        reason = " ".join(str(error).split())
        raise InputError(f"{kind} {name!r}: importing {part.module}: {type(error).__name__}: {reason}") from error
    found = getattr(module, part.attribute, None)
    if not callable(found):
        own = {key: value for key, value in vars(module).items() if callable(value) and not key.startswith("_")}
        here = [key for key, value in own.items() if getattr(value, "__module__", "") == module.__name__]
        public = ", ".join(here or own)
        raise InputError(f"{kind} {name!r}: {part.module} has no callable {part.attribute!r}; it has: {public}")
    return functools.partial(found, **part.options) if part.options else found


def named_parameters(build: Callable[..., Any]) -> list[str] | None:
    """The parameters that a callable names, in order; None if it takes any (`**kwargs`) or does not say."""
    try:
        parameters = inspect.signature(build).parameters.values()
    except (TypeError, ValueError):  # some built-in functions have no signature
        return None
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_POSITIONAL]


def fitting(build: Callable[..., Any], offered: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the offered arguments that the signature of `build` names."""
    try:
        named = inspect.signature(build).parameters
    except (TypeError, ValueError):
        return {}
    return {key: value for key, value in offered.items() if key in named}


def _callable(name: NormLayer, kind: Kind) -> tuple[str, Callable[..., Any]]:
    if isinstance(name, str):
        return name, load(name, kind)
    if callable(name):
        return getattr(name, "__qualname__", repr(name)), name
    raise TypeError(f"{kind}: expected a name ({', '.join(names(kind))}, module:attribute) or a callable, got {name!r}")


def _check_call(
    name: str, build: Callable[..., Any], args: tuple[Any, ...], keywords: Mapping[str, Any], expected: str
) -> None:
    """Refuse a callable with another signature before it is called: the error would come from somewhere inside."""
    try:
        signature = inspect.signature(build)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*args, **keywords)
    except TypeError as error:
        raise TypeError(f"{name}: {expected}, but its signature is {signature}: {error}") from None


def _check_settings(channels: int, dims: int, options: Mapping[str, Any]) -> None:
    if not isinstance(channels, int) or isinstance(channels, bool) or channels < 1:
        raise ValueError(f"channels: expected a whole number of at least 1, got {channels!r}")
    if dims not in (0, 2):
        raise ValueError(f"dims: expected 2 for inputs (N, C, H, W) or 0 for (N, C), got {dims!r}")
    eps, momentum = options.get("eps", 1e-5), options.get("momentum", 0.1)
    if not _is_number(eps) or not 0 <= eps < float("inf"):
        raise ValueError(f"eps: expected a finite number of at least 0, got {eps!r}")
    if momentum is not None and not (_is_number(momentum) and 0 <= momentum <= 1):
        raise ValueError(f"momentum: expected a number from 0 to 1, or None, got {momentum!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
