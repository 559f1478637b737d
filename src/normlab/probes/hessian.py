"""The Hessian of the objective as an operator: double backward through one graph of the gradient."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from normlab.probes.accepted import batch_coupled_names, matching
from normlab.probes.batches import Together
from normlab.probes.gradients import own_functions
from normlab.probes.objective import Batch, Objective
from normlab.probes.precision import twice_differentiable
from normlab.probes.second_derivatives import judged, recorded_calls, watched_hooks
from normlab.probes.vectors import flatten, l2_norm, real_size, shown, unflatten


class Hessian:
    """∇²L at the present weights, as the graph of ∇L: each product is one more backward pass through it.

    Attributes:
        parameters: those that H is taken over, a diagonal block of the whole; all trainable ones by default.
        gradient: ∇L with respect to them, detached.
        size: how many real numbers they hold.
    """

    def __init__(self, objective: Objective, parameters: Sequence[Tensor] | None = None) -> None:
        self.objective = objective
        self.parameters = list(objective.parameters if parameters is None else parameters)
        self.size = sum(map(real_size, self.parameters))
        replacing: list[str] = []
        loss, calls = self._with_calls(objective.loss_with_graph(watched_hooks(replacing)), replacing)
        with torch.enable_grad():
            raw = objective.raw_gradient(loss, self.parameters, create_graph=True)
        for remark in (*judged(calls), *replacing):
            objective.note(remark)
        # a gradient without a graph is constant: the loss is linear there, its row of the Hessian is zero
        self.varying = [(i, g) for i, g in enumerate(raw) if g is not None and g.requires_grad]
        self.gradient = objective.dense([None if g is None else g.detach() for g in raw], self.parameters)
        linear = set(range(len(raw))).difference(i for i, _ in self.varying)
        if not all(bool(self.gradient[i].isfinite().all()) for i in linear):
            objective.note("the gradient is not finite: what is said of the Hessian does not hold")

    def _with_calls(self, loss: Tensor, replacing: list[str]) -> tuple[Tensor, dict[Any, tuple[Any, ...]]]:
        """The loss, evaluated once more if there are Python functions to be looked at; one call of each of these."""
        known = self.objective.judged_functions
        functions = [f for f in dict.fromkeys(node._forward_cls for node in own_functions(loss)) if f not in known]
        calls: dict[Any, tuple[Any, ...]] = {}
        if functions:
            known.update(functions)
            with watched_hooks(replacing):
                loss = self.objective.loss_with_graph(recorded_calls(functions, calls))
        return loss, calls

    def times(self, vector: Sequence[Tensor]) -> list[Tensor]:
        """Hv, one tensor a parameter."""
        if not self.varying:
            return [torch.zeros_like(v) for v in vector]
        raw = torch.autograd.grad(
            [g for _, g in self.varying],
            self.parameters,
            grad_outputs=[vector[i] for i, _ in self.varying],
            retain_graph=True,
            allow_unused=True,
        )
        return self.objective.dense([None if h is None else h.detach() for h in raw], self.parameters)

    def start(self, gaussian: Tensor) -> Tensor:
        """A random vector (n,) plus the gradient, both of unit length.

        A random vector alone has a share of 1/√n in the top eigenvector; the gradient of a network has a large one,
        which saves a few products, and the random part still reaches eigenvectors orthogonal to the gradient.
        """
        gradient = flatten(self.gradient).to(gaussian)
        norm = l2_norm(self.gradient)
        gaussian = gaussian / torch.linalg.vector_norm(gaussian)
        both = gaussian + gradient / norm if 0 < norm < math.inf else gaussian
        # with one parameter the two can be opposite
        return both if torch.linalg.vector_norm(both) > 1e-3 else gaussian

    def times_flat(self, vector: Tensor) -> Tensor:
        """Hv for a real vector (n,) that holds all parameters in order."""
        return flatten(self.times(unflatten(vector, self.parameters))).to(vector)

    def drawing(self, generator: torch.Generator | None) -> Callable[[], Tensor]:
        """A function that draws standard Gaussian vectors (n,)."""
        draws = generator or self.objective.state.random.generator()
        device, dtype = self.parameters[0].device, self.objective.dtype
        return lambda: torch.randn(self.size, generator=draws, device=draws.device, dtype=dtype).to(device)


class MeanHessian(Hessian):
    """(1/B) Σ_b ∇²L_b over B batches, each with its own statistics: the Hessian of the mean of their losses.

    Every product evaluates each batch anew, so that the memory is that of one batch's graph.
    """

    def __init__(self, objective: Objective, parameters: Sequence[Tensor] | None = None) -> None:
        self.objective = objective
        self.parameters = list(objective.parameters if parameters is None else parameters)
        self.size = sum(map(real_size, self.parameters))
        self.gradient = self._mean(lambda hessian: hessian.gradient)
        if coupled := batch_coupled_names(objective.model):
            objective.notes.append(
                f"{coupled[0]!r} couples the samples of a batch: each batch has its own statistics, so this is the "
                "Hessian of the mean of the batches' losses, not that of the loss on their union"
            )

    def times(self, vector: Sequence[Tensor]) -> list[Tensor]:
        """Hv, one tensor a parameter."""
        return self._mean(lambda hessian: hessian.times(vector))

    def _mean(self, of: Callable[[Hessian], list[Tensor]]) -> list[Tensor]:
        total = [torch.zeros_like(p, requires_grad=False) for p in self.parameters]
        for index in range(self.objective.batches):
            self.objective.turn_to(index)
            with torch.enable_grad():
                hessian = Hessian(self.objective, self.parameters)
            torch._foreach_add_(total, of(hessian))
        torch._foreach_div_(total, self.objective.batches)
        return total


@contextmanager
def hessian_of(objective: Objective, parameters: Sequence[Tensor] | None = None) -> Iterator[Hessian]:
    """The Hessian at the present weights, within the kernels that have a second derivative; over several batches, the
    mean."""
    with twice_differentiable(objective.model):
        yield (Hessian if objective.batches == 1 else MeanHessian)(objective, parameters)


def check_hessian(kind: str, batch: Batch) -> None:
    """The argument `hessian` of a probe of the spectrum.

    Raises:
        ValueError: neither "each" nor "mean", or the mean of one batch.
    """
    if kind not in ("each", "mean"):
        raise ValueError(f"hessian must be 'each' or 'mean', got {kind!r}")
    if kind == "mean" and not isinstance(batch, Together):
        raise ValueError("hessian='mean' is over several batches: give batches=, a list or a DataLoader of them")


def chosen_parameters(objective: Objective, patterns: str | Sequence[str] | None) -> list[Tensor]:
    """The trainable parameters whose names match one of the patterns ("features.*"); all for None.

    Raises:
        TypeError: neither a string nor a sequence of them.
        ValueError: a pattern that no name matches (the message lists the names), or no pattern.
    """
    if patterns is None:
        return list(objective.parameters)
    wanted = [patterns] if isinstance(patterns, str) else patterns
    if not isinstance(wanted, Sequence) or not all(isinstance(pattern, str) for pattern in wanted):
        raise TypeError(f"parameters must be a pattern of names or a sequence of them, got {shown(patterns)}")
    named: dict[str, Tensor] = {name: p for name, p in objective.model.named_parameters() if p.requires_grad}
    chosen = matching(wanted, list(named))
    if not chosen:
        unknown = next((pattern for pattern in wanted if matching([pattern], list(named)) is None), patterns)
        raise ValueError(f"no trainable parameter matches {unknown!r}: names are {', '.join(named)}")
    return [p for name, p in named.items() if name in chosen]
