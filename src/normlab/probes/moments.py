"""Distribution of activations: mean, variance and histogram of single units (Figures 1(c), 2, 6, 8)."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from normlab.probes.objective import Batch, objective_at
from normlab.probes.precision import ACCEPTED_DTYPES
from normlab.probes.preservation import tensors_in

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


def activation_moments(
    model: nn.Module,
    batch: Batch,
    layers: Sequence[str],
    *,
    units: int = 64,
    forward: Callable[[nn.Module, Batch], Any] | None = None,
    mode: str = "train",
    generator: torch.Generator | None = None,
) -> dict[str, MomentsProbe]:
    """Mean, variance and histogram of the outputs of the named modules on one batch.

        mean_j = (1/m) Σ_i a_ij        variance_j = (1/m) Σ_i (a_ij − mean_j)²

    for units j (channels) over the m values of the batch, for images over batch × height × width, for sequences over
    batch × positions: the convention of the paper's Appendix A.2.1. The differences of these moments from step to step
    are its Figure 8, the histograms its Figures 1(c), 2 and 6.

    Cost: one forward pass without a graph.

    Args:
        model: any module.
        batch: one batch.
        layers: module names, as in `model.named_modules()`. The channel axis of an output is 1 for two or four
            dimensions and the last for three; of a tuple the first tensor counts; several calls of one module in a
            forward pass are pooled.
        units: how many channels at most; fewer if the layer has fewer.
        forward: `forward(model, batch)` runs the model; by default `model(batch)`, or `model(batch[0])` for a tuple
            or list such as a `DataLoader` yields.
        mode: "train" (batch statistics; default) or "eval".
        generator: source of the choice of channels, by default torch's global CPU state, which is not consumed. Layers
            draw in the order of the forward pass.

    Returns:
        Name of the module → its moments, in the order of `layers`.

    Raises:
        TypeError: a bfloat16 or half model, outputs that are not float32 or float64.
        ValueError: an unknown layer (the message lists the valid ones), one that the forward pass does not call, an
            output of one or five dimensions, `units` below 1.
    """
    if isinstance(units, bool) or not isinstance(units, int) or units < 1:
        raise ValueError(f"units must be a positive integer, got {units!r}")
    if isinstance(layers, str) or not isinstance(layers, Sequence):
        raise TypeError(f"layers must be a sequence of module names, got {layers!r}")
    run = forward or _default_forward
    with objective_at(model, run, batch, mode=mode, trainable=False) as objective:
        modules = dict(objective.model.named_modules(remove_duplicate=False))
        for name in layers:
            if name not in modules:
                raise ValueError(f"unknown layer {name!r}: modules are {', '.join(filter(None, modules))}")
        draw = generator or objective.state.random.generator()
        taps = {modules[name]: _Tap(name, units, draw) for name in layers}
        objective.without_graph(lambda: objective.run(lambda inner: run(inner, batch), _tapped(taps)))
        return {name: taps[modules[name]].moments(mode) for name in layers}


class _Tap:
    """Copies of the chosen channels of one module's outputs: a later in-place ReLU must not reach them."""

    def __init__(self, name: str, units: int, generator: torch.Generator) -> None:
        self.name = name
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
        if tensor.ndim not in (2, 3, 4):
            raise ValueError(
                f"layer {self.name!r} puts out shape {tuple(tensor.shape)}; "
                "accepted are (N, C), (N, L, C) and (N, C, H, W)"
            )
        channels = tensor.movedim(-1 if tensor.ndim == 3 else 1, 0)
        if self.units is None:
            self.units = self._choose(channels.shape[0])
        elif int(self.units[-1]) >= channels.shape[0]:
            raise ValueError(f"layer {self.name!r} is called several times, with different numbers of channels")
        picked = channels.detach().index_select(0, self.units.to(channels.device))
        self.values.append(picked.reshape(len(self.units), -1).cpu())

    def _choose(self, channels: int) -> Tensor:
        if channels <= self.limit:
            return torch.arange(channels, device="cpu")
        order = torch.randperm(channels, generator=self.generator, device=self.generator.device)
        return order[: self.limit].sort().values.cpu()

    def moments(self, mode: str) -> MomentsProbe:
        if self.units is None:
            raise ValueError(f"layer {self.name!r} is not called in the forward pass, so it has no outputs")
        values = torch.cat(self.values, dim=1)
        exact = values.double()
        edges, histogram, notes = _histogram(exact)
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


def _default_forward(model: nn.Module, batch: Batch) -> Any:
    return model(batch[0]) if isinstance(batch, tuple | list) else model(batch)
