"""The weights after the next training step, computed on copies: plain SGD, or what an optimizer would really do."""

import copy
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from normlab.probes.objective import Objective
from normlab.probes.vectors import is_finite_real, shown

NO_STEP = (
    "the optimizer's step changes no weight (it accumulates gradients, a scaler skips it, or its learning rate is 0): "
    "the next step is unknown"
)
_INSTEAD = "use learning_rate= (covariate_shift) or direction= (landscape) in its place"
_STEP_HOOKS = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")


def plain_step(objective: Objective, gradient: Sequence[Tensor], learning_rate: Any) -> list[Tensor]:
    """W⁺ = W − learning_rate·G, one tensor a trainable parameter.

    Raises:
        ValueError: the learning rate is not a finite real number.
    """
    if not is_finite_real(learning_rate):
        raise ValueError(f"learning_rate must be a finite real number, got {shown(learning_rate)}")
    return [torch.add(w, g, alpha=-float(learning_rate)) for w, g in zip(objective.weights, gradient, strict=True)]


def optimizer_step(objective: Objective, raw_gradient: Sequence[Tensor | None], optimizer: Any) -> list[Tensor]:
    """W⁺ of the optimizer's next `step()`, from a copy of its state; parameters outside of it keep their values.

    A parameter that the loss does not use has no gradient, so the optimizer leaves it alone, as in training after
    `zero_grad()`. The copy has no hooks and no scheduler, so nothing of the caller's is called. Of Lightning's and
    Accelerate's wrappers the optimizer inside counts.

    Raises:
        TypeError: not a torch optimizer.
        ValueError: the optimizer is another model's, needs a closure (LBFGS, SAM), or cannot step outside of its
            training loop.
    """
    optimizer = _bare(optimizer)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"optimizer must be a torch.optim.Optimizer, got {type(optimizer).__name__}")
    gradients = dict(zip(map(id, objective.parameters), raw_gradient, strict=True))
    copies: dict[int, Tensor] = {}
    held = [p for group in optimizer.param_groups for p in group["params"]]
    if gradients.keys().isdisjoint(map(id, held)):
        raise ValueError(
            f"none of the {len(held)} parameters of this {type(optimizer).__name__} is a trainable parameter of the "
            "model; give the optimizer that trains it (one made before the model was copied trains the original)"
        )
    for parameter in held:
        twin = parameter.detach().clone().requires_grad_(parameter.requires_grad)
        grad = gradients.get(id(parameter))
        twin.grad = None if grad is None else grad.detach().clone()
        copies[id(parameter)] = twin
    try:
        twin_optimizer = _copy(optimizer, copies)
        # the class's step: an instance's own `step` is a scheduler's wrapper, which would step the original
        type(twin_optimizer).step(twin_optimizer)
    except Exception as error:
        reason = "needs a closure for its step, which a probe cannot give"
        if "closure" not in str(error):
            reason = f"cannot step on a copy outside of its training loop ({type(error).__name__}: {error})"
        raise ValueError(f"{type(optimizer).__name__} {reason}; {_INSTEAD}") from error
    pairs = zip(objective.parameters, objective.weights, strict=True)
    return [copies[id(p)].detach() if id(p) in copies else w for p, w in pairs]


def stands_still(objective: Objective, gradient: Sequence[Tensor], new: Sequence[Tensor]) -> bool:
    """Whether an optimizer has left every weight where it was although there is a gradient."""
    unmoved = all(w is n or torch.equal(w, n) for w, n in zip(objective.weights, new, strict=True))
    return unmoved and any(bool(g.any()) for g in gradient)


def _bare(optimizer: Any) -> Any:
    """The optimizer inside Lightning's `LightningOptimizer` and Accelerate's `AcceleratedOptimizer`, known by what
    only they have: their own `step` belongs to a training loop."""
    while any(hasattr(type(optimizer), mark) for mark in ("toggle_model", "step_was_skipped")):
        optimizer = optimizer.optimizer
    return optimizer


def _copy(optimizer: torch.optim.Optimizer, copies: dict[int, Tensor]) -> torch.optim.Optimizer:
    """A deep copy in which every parameter is its given copy; everything else that the step can change is copied.

    What is kept by the `id` of a parameter is kept by that of its copy.
    """
    twin = object.__new__(type(optimizer))
    memo: dict[int, Any] = {**copies, id(optimizer): twin}
    for name, value in vars(optimizer).items():
        if name == "step":
            continue
        # hooks are the caller's own code: they are not run
        twin.__dict__[name] = OrderedDict() if name in _STEP_HOOKS else copy.deepcopy(value, memo)
    for value in twin.__dict__.values():
        for key in [key for key in value if key in copies] if isinstance(value, dict) else ():
            value[id(copies[key])] = value.pop(key)
    return twin
