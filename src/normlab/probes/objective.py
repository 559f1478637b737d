"""Loss and gradient of a model on one batch, at any weights, with everything restored: the one place for that.

    L(w) = loss_fn(model with weights w, batch)

Every probe enters `objective_at`, evaluates L and its gradient there as often as it needs, and leaves the model as it
was, bit for bit, also after an exception or Ctrl-C (`normlab.probes.preservation`). Within the block L is a
*function*: each evaluation starts from the same buffers, batch and random draws (common random numbers), so that two
losses differ because their weights differ, and Dropout or noisy BatchNorm is not read as curvature.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.parameter import is_lazy

from normlab.probes.precision import floating_dtype, full_precision, refuse_low_precision
from normlab.probes.preservation import ModelState, preserved
from normlab.probes.vectors import l2_distance, l2_norm

Batch: TypeAlias = Any
LossFn: TypeAlias = Callable[[nn.Module, Batch], Tensor]


class Objective:
    """L at the weights that the model holds now; made by `objective_at` and valid inside its block only.

    Attributes:
        model: the model itself (unwrapped from torch.compile or a DataParallel over at most one device).
        parameters: the n trainable parameters in the order of `model.parameters()`, each once.
        weights: their values at entry, the base point w.
        dtype: floating type of the results.
        state: what is restored; `state.random.generator()` continues the caller's random stream without consuming it.
    """

    def __init__(self, model: nn.Module, loss_fn: LossFn, batch: Batch, dtype: torch.dtype, state: ModelState) -> None:
        self.model = model
        self.dtype = dtype
        self.state = state
        self.parameters = [p for p, _, requires_grad, _ in state.parameters if requires_grad]
        self.weights = [value for _, value, requires_grad, _ in state.parameters if requires_grad]
        self._loss_fn = loss_fn
        self._batch = batch
        self._checked = False
        self._weight_norm: float | None = None

    def loss(self) -> float:
        """L at the present weights, without a graph; one forward pass."""
        if not self._checked:  # only a graph shows that the loss depends on the parameters
            return self.loss_with_graph().item()
        with torch.no_grad():
            return self._evaluate().item()

    def loss_with_graph(self, around: AbstractContextManager[object] | None = None) -> Tensor:
        """L at the present weights, attached to its graph; `around` is entered for the forward pass alone."""
        loss = self._evaluate(around)
        if not loss.requires_grad:
            raise ValueError(
                "loss_fn must return a loss that is attached to the graph of the model's parameters; this one does not "
                "require a gradient (computed under no_grad, detached, or independent of the parameters)"
            )
        if not self._checked:
            refuse_low_precision(loss)
            self._checked = True
        return loss

    def gradient(self) -> tuple[float, list[Tensor]]:
        """L and ∇L at the present weights, zeros for unused parameters; one forward and one backward pass."""
        loss = self.loss_with_graph()
        return loss.item(), self.dense(self.raw_gradient(loss))

    def raw_gradient(self, loss: Tensor, parameters: Sequence[Tensor] | None = None) -> list[Tensor | None]:
        """∇L as autograd gives it: None where a parameter is unused, sparse where the layer says so."""
        return list(torch.autograd.grad(loss, self.parameters if parameters is None else parameters, allow_unused=True))

    def dense(self, gradient: Sequence[Tensor | None], parameters: Sequence[Tensor] | None = None) -> list[Tensor]:
        """A raw gradient with zeros for None and strided tensors for sparse ones."""
        pairs = zip(self.parameters if parameters is None else parameters, gradient, strict=True)
        return [
            torch.zeros_like(p, requires_grad=False) if g is None else (g.to_dense() if g.is_sparse else g)
            for p, g in pairs
        ]

    def walk(self, direction: Sequence[Tensor], step_size: float) -> None:
        """Put w_k = w − step_size·direction into the model."""
        if step_size == 0:  # 0·inf is NaN, but no step is no step
            self.place(self.weights)
            return
        with torch.no_grad():
            for parameter, weight, d in zip(self.parameters, self.weights, direction, strict=True):
                torch.add(weight, d, alpha=-step_size, out=parameter.data)

    def distance(self, expected: float) -> float:
        """‖w_k − w‖₂ for the weights w_k in the model, which should be about `expected`.

        Rounding of w_k changes the distance by at most about ε‖w‖, at a right angle to it on average: a distance far
        above that is as expected, and only a short one is measured (it may be 0 where w_k rounds to w).
        """
        if self._weight_norm is None:
            self._weight_norm = l2_norm(self.weights)
        if expected > 1e3 * torch.finfo(self.dtype).eps * self._weight_norm:
            return expected
        return l2_distance([p.detach() for p in self.parameters], self.weights)

    def place(self, weights: Sequence[Tensor]) -> None:
        """Put these weights into the model; one tensor a trainable parameter."""
        for parameter, weight in zip(self.parameters, weights, strict=True):
            parameter.data.copy_(weight)

    def run(self, call: Callable[[nn.Module], Any], around: AbstractContextManager[object] | None = None) -> Any:
        """`call(model)` under the rules of one evaluation; `around` is entered after everything is rewound."""
        self.state.rewind()
        try:
            with around or nullcontext():
                return call(self.model)
        except ValueError as error:
            if "more than 1 value per channel" in str(error) or "more than 1 spatial element" in str(error):
                raise ValueError(
                    f"{error}: a batch statistic needs at least two values per channel; probe a larger batch, or use "
                    "mode='eval'"
                ) from error
            raise

    def _evaluate(self, around: AbstractContextManager[object] | None = None) -> Tensor:
        loss = self.run(lambda model: self._loss_fn(model, self._batch), around)
        if not isinstance(loss, Tensor):
            raise ValueError(f"loss_fn must return a scalar tensor, got {type(loss).__name__}")
        if loss.ndim:
            raise ValueError(f"loss_fn must return a scalar tensor (no dimensions), got shape {tuple(loss.shape)}")
        if loss.is_complex():
            raise ValueError(f"loss_fn must return a real scalar tensor, got {loss.dtype}")
        return loss


@contextmanager
def objective_at(
    model: nn.Module,
    loss_fn: LossFn,
    batch: Batch,
    *,
    mode: str = "train",
    trainable: bool = True,
) -> Iterator[Objective]:
    """Enter the objective of a model on one batch; on leaving, however, everything is as it was.

    Args:
        model: any module with float32 or float64 parameters.
        loss_fn: `loss_fn(model, batch)` → scalar tensor attached to the graph.
        batch: one batch, whatever `loss_fn` understands. A list of several batches is not accumulated: batch
            statistics belong to one batch, so their average over chunks is not the statistic of the union.
        mode: "train" (batch statistics, Dropout on) or "eval"; set on every submodule, frozen ones included.
        trainable: refuse a model without trainable parameters.

    Raises:
        TypeError: not a module, not callable, bfloat16 or half, a data-parallel wrapper over several devices.
        ValueError: an unknown mode, an iterator as batch, no trainable parameter, parameters not yet initialized.
    """
    if mode not in ("train", "eval"):
        raise ValueError(f"mode must be 'train' or 'eval', got {mode!r}")
    if not callable(loss_fn):
        raise TypeError(f"loss_fn must be callable as loss_fn(model, batch), got {type(loss_fn).__name__}")
    if isinstance(batch, Iterator):
        raise ValueError(f"batch must be one batch, got an iterator ({type(batch).__name__}); pass next(iterator)")
    model = unwrapped(model)
    for name, parameter in model.named_parameters():
        if is_lazy(parameter):
            raise ValueError(f"parameter {name!r} is not initialized yet; run the model once before probing it")
    dtype = floating_dtype(model)
    if trainable and not any(p.requires_grad for p in model.parameters()):
        raise ValueError("the model has no trainable parameter: at least one must have requires_grad=True")
    if mode == "eval" and (coupled := batch_coupled_names(model)):
        warnings.warn(
            f"mode='eval': {len(coupled)} batch-coupled normalizers ({coupled[0]!r}, …) are measured with their "
            "running statistics, not with the batch statistics that training uses",
            stacklevel=4,
        )
    with preserved(model, batch) as state, full_precision(model), torch.inference_mode(False), torch.enable_grad():
        for module in model.modules():
            module.training = mode == "train"  # not model.train(): a caller's override could leave layers out
        yield Objective(model, loss_fn, batch, dtype, state)


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside torch.compile and one-device DataParallel wrappers.

    Raises:
        TypeError: not a module, or replicas on several devices, whose batch statistics are those of their own chunk.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    for name, module in model.named_modules():
        kind = type(module).__name__
        several = isinstance(module, nn.DataParallel) and len(module.device_ids) > 1
        if several or kind in ("DistributedDataParallel", "FullyShardedDataParallel"):
            raise TypeError(
                f"{kind} at {name or 'the top'!r}: each replica has the batch statistics of its own chunk; probe the "
                "wrapped module (model.module) on one device"
            )
    while isinstance(model, nn.DataParallel) or type(model).__name__ == "OptimizedModule":
        model = model.get_submodule("module" if isinstance(model, nn.DataParallel) else "_orig_mod")
    return model


def batch_coupled_names(model: nn.Module) -> list[str]:
    """Names of the normalizers whose training output couples the samples of a batch (or that keep running
    statistics of it): every torch BatchNorm, InstanceNorm with running statistics, and any module with a true
    attribute `batch_coupled`, as normlab's own have."""
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm)
        or (isinstance(module, _InstanceNorm) and module.track_running_stats)
        or getattr(module, "batch_coupled", False) is True
    ]
