"""Loss and gradient of a model on one batch, at any weights: the one place for that.

    L(w) = loss_fn(model with weights w, batch)

Every probe enters the objective (`normlab.probes.entry`) and evaluates L and its gradient there as often as it needs.
Within the block L is a *function*: each evaluation starts from the same buffers, batch and random draws (common random
numbers), so that two losses differ because their weights differ, and Dropout or noisy BatchNorm is not read as
curvature.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from normlab.probes.batches import Together
from normlab.probes.gradients import gradient_marks, gradients_of, total
from normlab.probes.precision import refuse_low_precision
from normlab.probes.preservation import ModelState
from normlab.probes.vectors import l2_distance, l2_norm

Batch: TypeAlias = Any
LossFn: TypeAlias = Callable[[nn.Module, Batch], Tensor]


class Objective:
    """L at the weights that were put in place; made by `objective_at` and valid inside its block only.

    Attributes:
        model: the model itself (unwrapped from torch.compile or a DataParallel over at most one device).
        parameters: the n trainable parameters in the order of `model.parameters()`, each once.
        weights: their values at entry, the base point w.
        dtype: floating type of the results.
        state: what is restored; `state.random.generator()` continues the caller's random stream without consuming it.
        notes: remarks on all evaluations so far.
        judged_functions: classes of `torch.autograd.Function` whose second derivative has been looked at.
    """

    def __init__(self, model: nn.Module, loss_fn: LossFn, batch: Batch, dtype: torch.dtype, state: ModelState) -> None:
        self.model = model
        self.dtype = dtype
        self.state = state
        self.parameters = state.trainable
        self.weights = state.weights.values
        self.notes: list[str] = []
        self.judged_functions: set[type] = set()
        self._loss_fn = loss_fn
        self._batches = batch if isinstance(batch, Together) else (batch,)
        self._turn = 0  # which batch the evaluations see
        self._slots = state.inventory.slots()
        self._in_memory: object = self.weights  # the point whose weights the model has now
        self._point: tuple[Sequence[Tensor], float] | Sequence[Tensor] = self.weights
        self._checked = False
        self._needs_graph = False
        self._marks: list[tuple[int, int]] = []  # of the gradients, before the last forward pass
        self._bases: dict[int, float] = {}  # the loss of each batch at the base point
        self._rechecked = False
        self._weight_norm: float | None = None

    @property
    def batches(self) -> int:
        """How many batches there are: one, but for probes of the mean over several."""
        return len(self._batches)

    def note(self, remark: str) -> None:
        """Keep a remark, once."""
        if remark not in self.notes:
            self.notes.append(remark)

    def turn_to(self, index: int) -> None:
        """The next evaluations are on this batch."""
        self._turn = index

    def loss(self) -> float:
        """L at the present weights, without a graph (unless the model differentiates inside); one forward pass."""
        if not self._checked:  # only a graph shows that the loss depends on the parameters
            return self.loss_with_graph().item()
        return self.without_graph(self._evaluate).item()

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
        if self._point is self.weights:
            self._compare_base(loss.item())
        return loss

    def without_graph(self, evaluate: Callable[[], Any]) -> Any:
        """`evaluate()` under no_grad; with a graph where the model needs one (it differentiates, as a PINN does)."""
        if not self._needs_graph:
            try:
                with torch.no_grad():
                    return evaluate()
            except RuntimeError as error:
                if "require grad" not in str(error):
                    raise
                self._needs_graph = True
        return evaluate()

    def recheck(self) -> None:
        """See that the base point still has its loss, and note if not; one forward pass, or none if it was seen.

        Within a call every evaluation starts from the same state, as far as it can be reached. What differs then is
        state that the probe does not see, or a computation that is not deterministic.
        """
        if not self._rechecked:
            self.place(self.weights)
            self.loss_with_graph()

    def _compare_base(self, loss: float) -> None:
        """Take note of a loss at the base point; all of them should be equal."""
        base = self._bases.get(self._turn)
        if base is None:
            self._bases[self._turn] = loss
            return
        exact = all(p.device.type == "cpu" for p in self.parameters)
        allowed = 0.0 if exact else 1e2 * torch.finfo(self.dtype).eps * abs(base)  # atomic sums of a GPU
        same = loss == base or abs(loss - base) <= allowed or (math.isnan(loss) and math.isnan(base))
        if not same and not self._rechecked:
            self.notes.append(
                f"the base point evaluated once more gives another loss ({loss!r} for {base!r}): loss_fn or the "
                "model changes a state that the probe does not see, or is not deterministic, so losses differ not by "
                "the weights alone; name modules outside of the model with also=[…]"
            )
        self._rechecked = True

    def gradient(self) -> tuple[float, list[Tensor]]:
        """L and ∇L at the present weights, zeros for unused parameters; one forward and one backward pass."""
        loss = self.loss_with_graph()
        return loss.item(), self.dense(self.raw_gradient(loss))

    def raw_gradient(
        self, loss: Tensor, parameters: Sequence[Tensor] | None = None, create_graph: bool = False
    ) -> list[Tensor | None]:
        """∇L as autograd gives it: None where a parameter is unused, sparse where the layer says so.

        Where the forward pass has put another parameter in a parameter's place, the gradient is that of the name.
        """
        wanted = self.parameters if parameters is None else parameters
        replaced = {index: p for index, old in enumerate(wanted) if (p := self._in_place_of(old)) is not None}
        # a forward pass may freeze a parameter: it has no gradient then
        sources = [*enumerate(wanted), *replaced.items()]
        sources = [(index, p) for index, p in sources if p.requires_grad]
        found: list[Tensor | None] = [None] * len(wanted)
        marks = zip(self.parameters, self._marks, gradient_marks(self.parameters), strict=True)
        added = [p for p, before, after in marks if before != after]
        gradients = gradients_of(loss, [p for _, p in sources], create_graph, added)
        for (index, _), gradient in zip(sources, gradients, strict=True):
            found[index] = total((found[index], gradient))
        return found

    def _in_place_of(self, parameter: Tensor) -> Tensor | None:
        """The parameter that the forward pass has put in this one's place, if it can have a gradient of its shape."""
        owner, key = self._slots[id(parameter)]
        now = owner._parameters.get(key)
        usable = now is not None and now is not parameter and now.requires_grad and now.shape == parameter.shape
        return now if usable else None

    def dense(self, gradient: Sequence[Tensor | None], parameters: Sequence[Tensor] | None = None) -> list[Tensor]:
        """A raw gradient with zeros for None and strided tensors for sparse ones."""
        pairs = zip(self.parameters if parameters is None else parameters, gradient, strict=True)
        return [
            torch.zeros_like(p, requires_grad=False) if g is None else (g.to_dense() if g.is_sparse else g)
            for p, g in pairs
        ]

    def walk(self, direction: Sequence[Tensor], step_size: float) -> None:
        """The next evaluations are at w_k = w − step_size·direction."""
        self._point = (direction, step_size) if step_size else self.weights  # 0·inf is NaN, but no step is no step

    def place(self, weights: Sequence[Tensor]) -> None:
        """The next evaluations are at these weights; one tensor a trainable parameter."""
        self._point = weights

    def distance(self, expected: float) -> float:
        """‖w_k − w‖₂ for the weights of the next evaluation, which should be about `expected`.

        Rounding of w_k changes the distance by at most about ε‖w‖, at a right angle to it on average: a distance far
        above that is as expected, and only a short one is measured (it may be 0 where w_k rounds to w).
        """
        if self._weight_norm is None:
            self._weight_norm = l2_norm(self.weights)
        if expected > 1e3 * torch.finfo(self.dtype).eps * self._weight_norm:
            return expected
        self._write()
        self._in_memory = self._point
        return l2_distance(self.state.weights.aliases, self.weights)

    def _write(self) -> None:
        """Put the weights of the present point into the model's memory."""
        targets = self.state.weights.aliases
        with torch.no_grad():
            if isinstance(self._point, tuple):
                direction, step_size = self._point
                for target, weight, d in zip(targets, self.weights, direction, strict=True):
                    torch.add(weight, d, alpha=-step_size, out=target)
            elif targets:
                torch._foreach_copy_(targets, list(self._point))

    def run(self, call: Callable[[nn.Module], Any], around: AbstractContextManager[object] | None = None) -> Any:
        """`call(model)` under the rules of one evaluation; `around` is entered after everything is rewound."""
        if self.state.rewind() or self._point is not self._in_memory:
            self._write()
        self._in_memory = None  # a forward pass may change weights
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

    def _call(self, model: nn.Module) -> Tensor:
        self._marks = gradient_marks(self.parameters)
        return self._loss_fn(model, self._batches[self._turn])

    def _evaluate(self, around: AbstractContextManager[object] | None = None) -> Tensor:
        loss = self.run(self._call, around)
        if not isinstance(loss, Tensor):
            raise ValueError(f"loss_fn must return a scalar tensor, got {type(loss).__name__}")
        if loss.ndim:
            raise ValueError(f"loss_fn must return a scalar tensor (no dimensions), got shape {tuple(loss.shape)}")
        if loss.is_complex():
            raise ValueError(f"loss_fn must return a real scalar tensor, got {loss.dtype}")
        return loss
