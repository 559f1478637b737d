"""Along which axis of a layer's output its units (channels, features) lie."""

from collections.abc import Sequence

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm

# _NormBase, _ConvNd, _InstanceNorm: the bases have no public name, and other people's layers derive from them directly
_CHANNELS_FIRST = (_NormBase, nn.GroupNorm)
_LAYER_NORMS = (nn.LayerNorm, nn.RMSNorm)
_FEATURES_LAST = (*_LAYER_NORMS, nn.Linear, nn.Bilinear, nn.Embedding, nn.RNNBase, nn.MultiheadAttention)
_NUMBERS = {  # under which name a layer keeps how many units it has
    _ConvNd: "out_channels",
    _NormBase: "num_features",
    nn.GroupNorm: "num_channels",
    nn.LayerNorm: "normalized_shape",
    nn.RMSNorm: "normalized_shape",
    nn.Linear: "out_features",
    nn.Bilinear: "out_features",
    nn.Embedding: "embedding_dim",
}


def unit_axis(module: nn.Module, shape: Sequence[int]) -> int | None:
    """Along which axis of its output, of this shape, a module's units lie; None if that cannot be told.

    Of torch's own layers that is known by their type. A class derived from one, with a forward of its own, may have
    moved them: its units lie on the one of axis 1 and the last that is as long as the layer has units. Where both are,
    or neither is, the axis of the type counts, but that of a layer normalization is unknown: most of those that have a
    forward of their own have it in order to move their features.
    """
    if getattr(module, "batch_coupled", False) is True:
        return 1
    home = _axis_of_type(module)
    if home is None:
        return {2: 1, 3: -1, 4: 1}.get(len(shape))
    sizes = () if _has_forward_of_torch(module) else _sizes(module)
    if not sizes:
        return home
    # of a normalized_shape of several axes the last one counts, and they begin at axis 1 or end at the last
    home, places = home + len(shape) if home < 0 else home, {len(sizes), len(shape) - 1}
    found = {place for place in (*places, home) if tuple(shape[max(0, place + 1 - len(sizes)) : place + 1]) == sizes}
    if len(places) > 1 and isinstance(module, _LAYER_NORMS):
        return found.pop() if len(found) == 1 else None
    return home if home in found or len(found) != 1 else found.pop()


def _axis_of_type(module: nn.Module) -> int | None:
    """Where layers of this type have their units if they do not move them; None if any axis may be theirs."""
    if isinstance(module, _ConvNd):
        return -1 - len(module.kernel_size)  # also without a batch axis
    if isinstance(module, _InstanceNorm):
        try:
            return -module._get_no_batch_dim()  # as torch's forward pass finds it, also without a batch axis
        except NotImplementedError:
            return 1
    if isinstance(module, _CHANNELS_FIRST):
        return 1
    return -1 if isinstance(module, _FEATURES_LAST) else None


def _has_forward_of_torch(module: nn.Module) -> bool:
    return str(getattr(type(module).forward, "__module__", "")).split(".")[0] == "torch"


def _sizes(module: nn.Module) -> tuple[int, ...]:
    """How long the axes of the units are, as the layer says; () if it does not."""
    found = next((getattr(module, name, ()) for kind, name in _NUMBERS.items() if isinstance(module, kind)), ())
    return tuple(found) if isinstance(found, Sequence) else (found,)
