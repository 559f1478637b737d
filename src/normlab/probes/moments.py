"""Distribution of activations: mean, variance and histogram of single units (Figures 1(c), 2, 6, 8)."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from normlab.probes.accepted import checked_names, matching
from normlab.probes.batches import takes_batches
from normlab.probes.entry import objective_at
from normlab.probes.objective import Batch
from normlab.probes.precision import ACCEPTED_DTYPES
from normlab.probes.preservation import tensors_in
from normlab.probes.units import unit_axis
from normlab.probes.vectors import shown

BINS = 64


@dataclass(frozen=True)
class MomentsProbe:
    """The outputs of one module on one batch, for U of its units (channels).

    Attributes:
        units: (U,) indices of the units, ascending, int64.
        mean: (U,) mean over the batch (and over pixels or positions), in the units of the activation.
        variance: (U,) population variance (1/m) over the same axes, in the model's floating type like `mean`.
        edges: (B + 1,) float64 edges of B equal bins, from the smallest to the largest finite value of these units.
        histogram: (U, B) counts, int64; a bin holds its left edge, the last one its right edge too.
        mode: "train" or "eval".
        notes: reasons of undefined values and remarks.
    """

    units: Tensor
    mean: Tensor
    variance: Tensor
    edges: Tensor
    histogram: Tensor
    mode: str
    notes: tuple[str, ...] = ()

    def scalars(self) -> dict[str, float]:
        """The summary that `Monitor` logs: mean and variance averaged over the units."""
        return {"mean": self.mean.double().mean().item(), "variance": self.variance.double().mean().item()}

    def plot(self, ax: Any = None) -> Any:
        """Histograms of the units, on matplotlib axes (which are returned; new ones by default)."""
        from normlab.probes.plots import plot_moments

        return plot_moments(self, ax)


@takes_batches
def activation_moments(
    model: nn.Module,
    batch: Batch,
    layers: Sequence[str],
    *,
    units: int = 64,
    forward: Callable[[nn.Module, Batch], Any] | None = None,
    mode: str = "train",
    generator: torch.Generator | None = None,
    axis: int | None = None,
    also: Sequence[nn.Module] = (),
    histograms: bool = True,
) -> dict[str, MomentsProbe]:
    """Mean, variance and histogram of the outputs of the named modules on one batch.

        mean_j = (1/m) Σ_i a_ij        variance_j = (1/m) Σ_i (a_ij − mean_j)²

    for units j (channels) over the m values of the batch, for images over batch × height × width, for sequences over
    batch × positions: the convention of the paper's Appendix A.2.1. The differences of these moments from step to step
    are its Figure 8, the histograms its Figures 1(c), 2 and 6.

    The units lie along one axis of the output: for convolutions and for batch, instance and group normalization that of
    the channels (N, C, …), or (C, …) of one sample where the layer takes one, for linear, embedding and recurrent
    layers and layer normalization the last (N, …, C), also of images kept as (N, H, W, C). A class that is derived from
    one of these, with a forward of its own, may have moved them (torchvision's `LayerNorm2d`): then the one of axis 1
    and the last counts that is as long as the layer has units; if both are or neither is, the axis of the type, but a
    layer normalization is refused. Other modules put out what they like: axis 1 is taken for two or four dimensions and
    the last for three. `axis` says otherwise.

    Cost: one forward pass without a graph (with one if the model differentiates inside).

    Args:
        model: any module.
        batch: one batch; or `batches=`, as in `landscape`.
        layers: module names, as in `model.named_modules()`, or patterns of them ("features.*"). Of a tuple of outputs
            the first tensor counts; several calls of one module in a forward pass are pooled.
        units: how many channels at most; fewer if the layer has fewer.
        forward: `forward(model, batch)` runs the model; by default `model(batch)`, or `model(batch[0])` for a tuple
            or list such as a `DataLoader` yields.
        mode: "train" (batch statistics; default) or "eval".
        generator: source of the choice of channels, by default torch's global CPU state, which is not consumed. Layers
            draw in the order of the forward pass.
        axis: of the units in the outputs of all `layers`; by default by the type of the layer, as above.
        also: modules outside of the model whose state `forward` changes, where it does not show them.
        histograms: False for mean and variance alone (the histograms take most of the time): `edges` is then (1,), and
            `histogram` (U, 0).

    Returns:
        Name of the module → its moments, in the order of `layers`.

    Example:
        >>> import torch
        >>> from normlab.probes import activation_moments
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
        >>> activation_moments(model, torch.eye(2), ["1"])["1"].units
        tensor([0, 1, 2])

    Raises:
        TypeError: a bfloat16 or half model, outputs that are not float32 or float64, `layers` that are no names, an
            `axis` that is no integer, a `forward` that cannot be called.
        ValueError: an unknown layer (the message lists the valid ones), one that the forward pass does not call, an
            output of one dimension (or of five and more from a module whose axis is not known), a layer normalization
            that may have moved its features to either of two axes, `units` below 1.
    """
    if isinstance(units, bool) or not isinstance(units, int) or units < 1:
        raise ValueError(f"units must be a positive integer, got {shown(units)}")
    if axis is not None and (isinstance(axis, bool) or not isinstance(axis, Integral)):
        raise TypeError(f"axis must be an integer, or None for that of the layer's type, got {shown(axis)}")
    if forward is not None and not callable(forward):
        raise TypeError(f"forward must be callable as forward(model, batch), or None, got {shown(forward)}")
    layers = checked_names(layers)
    run = _default_forward if forward is None else forward
    with objective_at(model, run, batch, mode=mode, trainable=False, also=also) as objective:
        modules = dict(objective.model.named_modules(remove_duplicate=False))
        for name in layers:
            if not matching([name], list(modules)):
                raise ValueError(f"unknown layer {shown(name)}: modules are {', '.join(filter(None, modules))}")
        names = matching(layers, list(modules)) or []
        draw = generator or objective.state.random.generator()
        taps = {modules[name]: _Tap(name, units, draw, axis) for name in names}
        objective.without_graph(lambda: objective.run(lambda inner: run(inner, batch), _tapped(taps)))
        return {name: taps[modules[name]].moments(mode, histograms) for name in names}


class _Tap:
    """Copies of the chosen channels of one module's outputs: a later in-place ReLU must not reach them."""

    def __init__(self, name: str, units: int, generator: torch.Generator, axis: int | None) -> None:
        self.name = name
        self.axis = axis
        self.limit = units
        self.generator = generator
        self.units: Tensor | None = None
        self.values: list[Tensor] = []

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        tensor = next(tensors_in(output), None)
        if tensor is None:
            raise ValueError(f"layer {self.name!r} does not put out a tensor, got {type(output).__name__}")
        if tensor.dtype not in ACCEPTED_DTYPES:
            raise TypeError(f"layer {self.name!r} puts out {tensor.dtype}; moments are of float32 and float64 outputs")
        channels = tensor.movedim(self._axis_of(module, tensor), 0)
        if self.units is None:
            self.units = self._choose(channels.shape[0])
        elif int(self.units[-1]) >= channels.shape[0]:
            raise ValueError(f"layer {self.name!r} is called several times, with different numbers of channels")
        picked = channels.detach().index_select(0, self.units.to(channels.device))
        self.values.append(picked.reshape(len(self.units), -1).cpu())

    def _axis_of(self, module: nn.Module, output: Tensor) -> int:
        axis = unit_axis(module, output.shape) if self.axis is None else self.axis
        if output.ndim < 2 or axis is None or not -output.ndim <= axis < output.ndim:
            reason = f"there is no axis {axis}" if self.axis is not None else "the axis of the units is not known"
            advice = "accepted are (N, C), (N, L, C), (N, C, H, W), others with axis="
            if axis is None and 2 <= output.ndim <= 4:
                advice = (
                    f"{type(module).__name__} has a forward of its own and may have moved them: say where with axis="
                )
            raise ValueError(f"layer {self.name!r} puts out shape {tuple(output.shape)}, in which {reason}; {advice}")
        return axis

    def _choose(self, channels: int) -> Tensor:
        if channels <= self.limit:
            return torch.arange(channels, device="cpu")
        order = torch.randperm(channels, generator=self.generator, device=self.generator.device)
        return order[: self.limit].sort().values.cpu()

    def moments(self, mode: str, histograms: bool) -> MomentsProbe:
        if self.units is None:
            raise ValueError(f"layer {self.name!r} is not called in the forward pass, so it has no outputs")
        values = torch.cat(self.values, dim=1)
        exact = values.double()
        edges, histogram, notes = _histogram(exact) if histograms else _no_histogram(exact)
        return MomentsProbe(
            units=self.units,
            mean=exact.mean(dim=1).to(values.dtype),
            variance=exact.var(dim=1, correction=0).to(values.dtype),
            edges=edges,
            histogram=histogram,
            mode=mode,
            notes=notes,
        )


@contextmanager
def _tapped(taps: dict[nn.Module, _Tap]) -> Iterator[None]:
    handles = []
    try:
        for module, tap in taps.items():
            handles.append(module.register_forward_hook(tap))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _histogram(values: Tensor) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Edges (B + 1,) common to all units and counts (U, B) of the finite values."""
    finite = torch.isfinite(values)
    notes: tuple[str, ...] = ()
    if not finite.all():
        notes = (f"{int((~finite).sum())} of {values.numel()} values are not finite: not in the histogram",)
    low, high = (values[finite].min().item(), values[finite].max().item()) if finite.any() else (0.0, 1.0)
    if low == high:
        margin = max(0.5, math.ulp(low) * BINS)
        low, high = low - margin, high + margin
    edges = torch.linspace(low, high, BINS + 1, dtype=torch.float64, device="cpu")
    edges[-1] = high
    bins = torch.bucketize(values.contiguous(), edges, right=True).sub_(1).clamp_(0, BINS - 1)
    histogram = torch.zeros(len(values), BINS, dtype=torch.int64, device="cpu").scatter_add_(1, bins, finite.long())
    return edges, histogram, notes


def _no_histogram(values: Tensor) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    edges = torch.zeros(1, dtype=torch.float64, device="cpu")
    return edges, torch.zeros(len(values), 0, dtype=torch.int64, device="cpu"), ()


def _default_forward(model: nn.Module, batch: Batch) -> Any:
    return model(batch[0]) if isinstance(batch, tuple | list) else model(batch)
