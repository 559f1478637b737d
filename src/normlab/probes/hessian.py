"""The Hessian of the objective as an operator: double backward through one graph of the gradient."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from normlab.probes.objective import Objective
from normlab.probes.precision import twice_differentiable
from normlab.probes.vectors import flatten, l2_norm, unflatten


class Hessian:
    """∇²L at the present weights, as the graph of ∇L: each product is one more backward pass through it."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        loss = objective.loss_with_graph()
        with torch.enable_grad():
            raw = torch.autograd.grad(loss, objective.parameters, create_graph=True, allow_unused=True)
        # a gradient without a graph is constant: the loss is linear there, its row of the Hessian is zero
        self.varying = [(i, g) for i, g in enumerate(raw) if g is not None and g.requires_grad]
        self.gradient = objective.dense([None if g is None else g.detach() for g in raw])

    def times(self, vector: Sequence[Tensor]) -> list[Tensor]:
        """Hv, one tensor a trainable parameter."""
        if not self.varying:
            return [torch.zeros_like(v) for v in vector]
        raw = torch.autograd.grad(
            [g for _, g in self.varying],
            self.objective.parameters,
            grad_outputs=[vector[i] for i, _ in self.varying],
            retain_graph=True,
            allow_unused=True,
        )
        return self.objective.dense([None if h is None else h.detach() for h in raw])

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
        return flatten(self.times(unflatten(vector, self.objective.parameters))).to(vector)


@contextmanager
def hessian_of(objective: Objective) -> Iterator[Hessian]:
    """The Hessian at the present weights, within the kernels that have a second derivative."""
    with twice_differentiable(objective.model):
        yield Hessian(objective)
