"""The tensors that the statements speak about, taken from a network and a batch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from normlab.runs.training import cross_entropy
from normlab.theory import Theorem41, theorem_4_1


@dataclass(frozen=True)
class TrainedUnit:
    """One unit (channel) of one BatchNorm layer on one batch; m is batch x pixels.

    Attributes:
        layer: name of the BatchNorm module.
        unit: its index.
        gamma: its scale.
        y: (m,) its inputs.
        g: (m,) gradient of the mean loss at its outputs.
        result: Theorem 4.1 on these numbers, or None where it is not defined (sigma = 0, gamma = 0, values not finite).
        curvature_v: v'Hv, H the Hessian of the loss in this unit's outputs, the other units fixed.
        curvature_g: g'Hg.
        scale_v: ||Hv|| ||v||, the size that the sign of v'Hv is judged against.
        weight_gradient_v: ||X'v||, X (m, inputs x 9) the patches that the 3x3 convolution sees: the gradient of the
        weights. weight_gradient_g: ||X'g||, the same without BatchNorm.
        bias_gradient_g: <1, g>, what a column of ones in X adds to X'g; it adds <1, v> = 0 to X'v.
    """

    layer: str
    unit: int
    gamma: float
    y: Tensor
    g: Tensor
    result: Theorem41 | None
    curvature_v: float = float("nan")
    curvature_g: float = float("nan")
    scale_v: float = float("nan")
    weight_gradient_v: float = float("nan")
    weight_gradient_g: float = float("nan")
    bias_gradient_g: float = float("nan")


def evenly_spaced(names: Sequence[str], count: int = 0) -> list[str]:
    """`count` of the names, evenly spaced from first to last; all of them with 0, or where there are no more."""
    if count == 0 or count >= len(names):
        return list(names)
    if count == 1:
        return list(names[:1])
    return [names[round(index * (len(names) - 1) / (count - 1))] for index in range(count)]


def measure_units(
    model: nn.Module,
    batch: tuple[Tensor, Tensor],
    units: Mapping[str, Sequence[int]],
    producers: Mapping[str, str],
) -> Iterator[TrainedUnit]:
    """Measure units of BatchNorm layers on one batch, in train mode.

    One forward and one backward pass with a graph serve all layers. Each unit costs two Hessian-vector products through
    the layers behind it: H v = d/dz <g(z), v> with v on the unit's channel and z the layer's output.

    Args:
        model: a float64 network in train mode; its running statistics move.
        batch: inputs (float64) and targets.
        units: which units of which BatchNorm layers.
        producers: BatchNorm layer → the convolution or linear layer whose output it normalizes
            (`normlab.nn.structure`).
    """
    taps = _Taps(model, units)
    loss = cross_entropy(model, batch)
    taps.close()
    outputs = [taps.outputs[name] for name in units]
    gradients = torch.autograd.grad(loss, outputs, create_graph=True)
    for name, output, gradient in zip(units, outputs, gradients, strict=True):
        weight = model.get_parameter(f"{producers[name]}.weight")
        yield from _measure_layer(model, name, units[name], weight, taps.inputs[name], output, gradient)


class _Taps:
    """Inputs and outputs of the named modules in the next forward pass."""

    def __init__(self, model: nn.Module, names: Iterable[str]) -> None:
        self.inputs: dict[str, Tensor] = {}
        self.outputs: dict[str, Tensor] = {}
        self._handles = [model.get_submodule(name).register_forward_hook(self._hook(name)) for name in names]

    def _hook(self, name: str):  # type: ignore[no-untyped-def]
        def keep(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self.inputs[name], self.outputs[name] = inputs[0], output

        return keep

    def close(self) -> None:
        for handle in self._handles:
            handle.remove()


def _measure_layer(
    model: nn.Module, name: str, units: Sequence[int], weight: Tensor, y: Tensor, z: Tensor, gradient: Tensor
) -> Iterator[TrainedUnit]:
    scales = model.get_parameter(f"{name}.weight").tolist()
    defined: dict[int, Theorem41] = {}
    for unit in units:
        result = _theorem(y[:, unit], gradient[:, unit], scales[unit])
        if result is not None:
            defined[unit] = result
    shape = y[:, 0].shape
    sides = {unit: (result.v.view(shape), gradient[:, unit].detach()) for unit, result in defined.items()}
    # without bias: X alone. One call gives X'u for all units: row j of the weights' gradient sees channel j only
    products = [_weight_gradients(y, weight, {unit: pair[i] for unit, pair in sides.items()}) for i in range(2)]
    for unit in units:
        flat_y, flat_g = y[:, unit].detach().flatten(), gradient[:, unit].detach().flatten()
        gamma = scales[unit]
        if unit not in defined:
            yield TrainedUnit(name, unit, gamma, flat_y, flat_g, None)
            continue
        v, g = sides[unit]
        h_v, h_g = (_hessian_product(gradient, z, unit, side) for side in (v, g))
        yield TrainedUnit(
            name,
            unit,
            gamma,
            flat_y,
            flat_g,
            defined[unit],
            curvature_v=torch.sum(v * h_v).item(),
            curvature_g=torch.sum(g * h_g).item(),
            scale_v=(torch.linalg.vector_norm(h_v) * torch.linalg.vector_norm(v)).item(),
            weight_gradient_v=products[0][unit],
            weight_gradient_g=products[1][unit],
            bias_gradient_g=flat_g.sum().item(),
        )


def _theorem(y: Tensor, g: Tensor, gamma: float) -> Theorem41 | None:
    try:
        return theorem_4_1(y.detach().flatten(), g.detach().flatten(), gamma)
    except ValueError:  # sigma = 0, gamma = 0 or not finite: the statement is about something else
        return None


def _weight_gradients(y: Tensor, weight: Tensor, sides: dict[int, Tensor]) -> dict[int, float]:
    """||X'u|| for each unit's u, by the convolution's own backward pass."""
    if not sides:
        return {}
    outer = torch.zeros_like(y)
    for unit, side in sides.items():
        outer[:, unit] = side
    gradient = torch.autograd.grad(y, weight, outer, retain_graph=True)[0]
    return {unit: torch.linalg.vector_norm(gradient[unit]).item() for unit in sides}


def _hessian_product(gradient: Tensor, z: Tensor, unit: int, side: Tensor) -> Tensor:
    """H u for the unit's block H of the Hessian in z."""
    inner = torch.sum(gradient[:, unit] * side)
    return torch.autograd.grad(inner, z, retain_graph=True)[0][:, unit]
