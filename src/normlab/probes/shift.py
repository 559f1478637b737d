"""Internal covariate shift as the paper defines it (Definition 2.1, Figure 3)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils.parametrize import ParametrizationList

from normlab.probes.accepted import batch_coupled_names, checked_names, matching
from normlab.probes.batches import takes_batches
from normlab.probes.entry import objective_at
from normlab.probes.forward_order import ForwardOrder, own_parameters
from normlab.probes.next_step import NO_STEP, optimizer_step, plain_step, stands_still
from normlab.probes.objective import Batch, LossFn, Objective
from normlab.probes.vectors import compare, shown

# torch's batch and instance normalizers have no public base, and other people's derive from this one directly
_NORMALIZERS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


@dataclass(frozen=True)
class ShiftProbe:
    """How one layer's gradient G changes when the layers before it take their next step, to G'.

    Attributes:
        l2: ‖G − G'‖₂, in units of the gradient.
        relative_l2: ‖G − G'‖₂ / ‖G‖₂, free of scale; NaN if G = 0.
        cosine: ⟨G, G'⟩ / (‖G‖‖G'‖); NaN if one of them is 0.
        mode: "train" or "eval".
        notes: reasons of undefined values and remarks.
    """

    l2: float
    relative_l2: float
    cosine: float
    mode: str
    notes: tuple[str, ...] = ()

    def scalars(self) -> dict[str, float]:
        """The summary that `Monitor` logs."""
        return {"l2": self.l2, "relative_l2": self.relative_l2, "cosine": self.cosine}

    def plot(self, ax: Any = None) -> Any:
        """Relative change and cosine, on matplotlib axes (which are returned; new ones by default)."""
        from normlab.probes.plots import plot_shift

        return plot_shift(self, ax)


@takes_batches
def covariate_shift(
    model: nn.Module,
    loss_fn: LossFn,
    batch: Batch,
    *,
    layers: Sequence[str] | None = None,
    learning_rate: float | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    mode: str = "train",
    also: Sequence[nn.Module] = (),
) -> dict[str, ShiftProbe]:
    """Internal covariate shift of each layer k between this step and the next (the paper's Definition 2.1).

        G_k  = ∇_{W_k} L(W_1, …, W_{k−1}, W_k, W_{k+1}, …)
        G'_k = ∇_{W_k} L(W_1⁺, …, W_{k−1}⁺, W_k, W_{k+1}, …)        W⁺ = the next step from the simultaneous gradient
        shift: ‖G_k − G'_k‖₂ (ideal 0), ‖G_k − G'_k‖₂/‖G_k‖₂, and the cosine between them (ideal 1)

    "Before k" means: used earlier in the forward pass than the layer's own parameters, as observed on one forward pass.
    All parameters used before take their new values (weights, biases, normalizers' scale and shift); the layer's own,
    a tied one among them, and later ones keep the old. The first layer has the shift 0 and the cosine 1, exactly.
    `l2` scales with the gradient, which a normalizer changes: compare networks by `relative_l2` and `cosine`.

    Cost: one forward and backward pass, and one for each further layer (backward only down to that layer).

    Args:
        model: any module.
        loss_fn: `loss_fn(model, batch)` → scalar tensor.
        batch: one batch; both gradients see it. Or `batches=`, as in `landscape`.
        layers: module names (as in `model.named_modules()`) or patterns of them ("features.*"); by default every module
            with a trainable weight matrix or kernel (two or more dimensions) that is not a normalizer. Normalizers may
            be named.
        learning_rate: for W⁺ = W − learning_rate·G (plain SGD).
        optimizer: for its real next step from its present state, groups and weight decay, taken on a copy; parameters
            outside of it stay, and the hooks of its `step` are not run. Give exactly one of the two. Where its step
            changes nothing (gradient accumulation) the shifts are NaN, and `notes` says so.
        mode: "train" (batch statistics; default) or "eval".
        also: modules outside of the model whose state the loss changes, where `loss_fn` does not show them.

    Returns:
        Name of the module → its shift, in the order of `layers` (default: the order of `model.named_modules()`). The
        gradient is that of all of the module's own parameters (weight and bias), not of its submodules'.

    Example:
        >>> import torch
        >>> from normlab.probes import covariate_shift
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh(), torch.nn.Linear(2, 1))
        >>> shifts = covariate_shift(model, lambda m, x: m(x).square().sum(), torch.eye(2), learning_rate=0.1)
        >>> list(shifts), shifts["0"].cosine
        (['0', '2'], 1.0)

    Raises:
        TypeError: a bfloat16 or half model, `layers` that are no names, something that is no optimizer.
        ValueError: neither or both of `learning_rate` and `optimizer`, an unknown layer (the message lists the valid
            ones), an optimizer that needs a closure, and what `landscape` refuses.
    """
    if (learning_rate is None) == (optimizer is None):
        raise ValueError(
            "give exactly one of learning_rate (plain SGD) and optimizer (its real next step), got "
            + ("neither" if optimizer is None else "both")
        )
    layers = None if layers is None else checked_names(layers)
    with objective_at(model, loss_fn, batch, mode=mode, also=also) as objective:
        chosen = _choose(objective.model, layers)
        order = ForwardOrder(objective.model)
        raw = objective.raw_gradient(objective.loss_with_graph(order))
        dense = objective.dense(raw)
        gradient = dict(zip(map(id, objective.parameters), dense, strict=True))
        if optimizer is None:
            new = plain_step(objective, dense, learning_rate)
        else:
            new = optimizer_step(objective, raw, optimizer)
            if stands_still(objective, dense, new):
                return {name: ShiftProbe(math.nan, math.nan, math.nan, mode, (NO_STEP,)) for name in chosen}
        unused = {id(p) for p, g in zip(objective.parameters, raw, strict=True) if g is None}
        found = {}
        for name, module in chosen.items():
            weights = _mixed(objective, module, new, order)
            found[name] = _measure(objective, order.owned[module], gradient, weights, mode, unused)
        objective.recheck()
        notes = tuple(objective.notes)
    return {name: replace(probe, notes=probe.notes + notes) for name, probe in found.items()} if notes else found


def _mixed(objective: Objective, module: nn.Module, new: list[Tensor], order: ForwardOrder) -> list[Tensor] | None:
    """Weights with new values before the module and old ones from it on; None if no value differs."""
    own = {id(p) for p in order.owned[module]}
    time = order.of_module(module)
    mixed = [
        value if id(p) not in own and order.of_parameter(p) < time else old
        for p, value, old in zip(objective.parameters, new, objective.weights, strict=True)
    ]
    pairs = zip(mixed, objective.weights, strict=True)
    moved = any(value is not old and not torch.equal(value, old) for value, old in pairs)
    return mixed if moved else None


def _measure(
    objective: Objective,
    own: list[nn.Parameter],
    gradient: dict[int, Tensor],
    weights: list[Tensor] | None,
    mode: str,
    unused: set[int],
) -> ShiftProbe:
    old = [gradient[id(p)] for p in own]
    if weights is None:
        new = old
    else:
        objective.place(weights)
        raw = objective.raw_gradient(objective.loss_with_graph(), own)
        new = objective.dense(raw, own)
    change = compare(old, new)
    notes = []
    if all(id(p) in unused for p in own):
        notes.append("the loss does not use this layer: its gradient is zero")
    if change.norm_a == 0:
        notes.append("zero gradient: relative_l2 and cosine are undefined")
    elif change.norm_b == 0:
        notes.append("zero gradient after the step of the layers before: cosine is undefined")
    if not math.isfinite(change.distance):
        notes.append("a gradient is not finite")
    relative = math.nan if change.norm_a == 0 else change.distance / change.norm_a
    return ShiftProbe(change.distance, relative, change.cosine, mode, tuple(notes))


def _choose(model: nn.Module, layers: Sequence[str] | None) -> dict[str, nn.Module]:
    """The modules to measure by name, in order."""
    everything = dict(model.named_modules(remove_duplicate=False))
    valid = {
        name: module
        for name, module in everything.items()
        if own_parameters(module) and not _inside_parametrization(name, everything)
    }
    if layers is None:
        coupled = set(batch_coupled_names(model))
        return {
            name: module
            for name, module in model.named_modules()
            if name in valid
            and not isinstance(module, _NORMALIZERS)
            and name not in coupled
            and any(p.ndim >= 2 for p in own_parameters(module))
        }
    names = matching(layers, list(valid))
    if names is None:
        unknown = next(name for name in layers if not matching([name], list(valid)))
        raise ValueError(
            f"unknown layer {shown(unknown)}: layers with trainable parameters of their own are {', '.join(valid)}"
        )
    return {name: valid[name] for name in names}


def _inside_parametrization(name: str, modules: dict[str, nn.Module]) -> bool:
    """Whether a module is machinery of `torch.nn.utils.parametrize`: its parameters count as those of its layer."""
    parts = name.split(".")
    return any(isinstance(modules.get(".".join(parts[:end])), ParametrizationList) for end in range(1, len(parts) + 1))
