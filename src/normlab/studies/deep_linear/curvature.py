r"""Second derivatives of the deep linear network's loss, batched over seeds.

    stretch = ||H g|| / ||g||  (the limit of beta_k as eta_k -> 0),   rayleigh = g^T H g / g^T g,
    top_eigenvalue = lambda_max(H), the sharpness; gradient descent lives at the edge of stability where it is 2 / lr.

H is the full Hessian over all parameters; l1 and linf have it almost everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from normlab.studies.deep_linear.network import Network
from normlab.studies.deep_linear.problem import Problem

Product = Callable[[Tensor], Tensor]
_ROUNDING = 1e-13  # of the products' size: what is left of a vector that lies in the space already


def hessian(network: Network, problem: Problem, params: Tensor) -> Product:
    """The map v -> H v at `params` (S, P), (S, P) -> (S, P), one Hessian a seed.

    The gradient's own graph is built once; each product costs one backward pass through it.
    """
    with torch.enable_grad():
        point = params.detach().clone().requires_grad_()
        gradient = network.evaluate(problem, point[:, None])[1][:, 0]

    def product(vector: Tensor) -> Tensor:
        # the Jacobian of a gradient is symmetric, so its vector-Jacobian product is H v
        return torch.autograd.grad(gradient, point, vector, retain_graph=True)[0]

    return product


def directional_curvature(product: Product, gradient: Tensor) -> dict[str, Tensor]:
    """ "rayleigh" and "stretch" along the gradient (S, P), each (S,); NaN where the gradient is zero."""
    unit = gradient / torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    image = product(unit)
    return {
        "rayleigh": torch.linalg.vecdot(unit, image),
        "stretch": torch.linalg.vector_norm(image, dim=1),
    }


@dataclass(frozen=True)
class TopEigenvalue:
    """`values` (S,) and `residuals` (S,) = ||H u - value u|| of the Ritz vectors; `products` spent."""

    values: Tensor
    residuals: Tensor
    products: int


def top_eigenvalue(product: Product, start: Tensor, max_products: int, tolerance: float = 1e-3) -> TopEigenvalue:
    """The largest (algebraic) eigenvalue of each seed's Hessian by Lanczos with full reorthogonalization.

    Args:
        product: v -> H v, (S, P) -> (S, P).
        start: (S, P), not zero.
        max_products: at most this many products.
        tolerance: stop when every residual is below this fraction of its value. A seed whose Hessian is not finite
            gives NaN and holds up nobody.
    """
    basis = (start / torch.linalg.vector_norm(start, dim=1, keepdim=True))[:, None]
    diagonal: list[Tensor] = []
    off_diagonal: list[Tensor] = []
    size = start.new_zeros(len(start))
    found = TopEigenvalue(start.new_full((len(start),), torch.nan), start.new_full((len(start),), torch.nan), 0)
    for count in range(1, max_products + 1):
        image = product(basis[:, -1])
        quotient = torch.linalg.vecdot(image, basis[:, -1])
        # of a space that is exhausted the new vector is 0; the first quotient is below the largest eigenvalue
        diagonal.append(torch.where(basis[:, -1].any(1), quotient, diagonal[0]) if diagonal else quotient)
        size = torch.maximum(size, torch.linalg.vector_norm(image, dim=1))
        for _ in range(2):  # once leaves an error of the size of the cancellation, twice is enough
            image = image - ((basis @ image[..., None]).mT @ basis)[:, 0]
        rest = torch.linalg.vector_norm(image, dim=1)
        exhausted = rest <= _ROUNDING * size
        off_diagonal.append(torch.where(exhausted, 0.0, rest))
        if count % 5 == 0 or count == max_products:
            found = _ritz(torch.stack(diagonal, 1), torch.stack(off_diagonal, 1))
            if not (found.residuals > tolerance * found.values.abs()).any():
                break
        following = torch.where(exhausted[:, None], 0.0, image / rest[:, None])
        basis = torch.cat([basis, following[:, None]], 1)
    return found


def _ritz(diagonal: Tensor, off_diagonal: Tensor) -> TopEigenvalue:
    """Largest Ritz value and its residual of the Lanczos matrices (S, m); the last off-diagonal entry is the rest."""
    finite = diagonal.isfinite().all(1) & off_diagonal.isfinite().all(1)
    between = off_diagonal[:, :-1]
    matrix = torch.diag_embed(diagonal) + torch.diag_embed(between, 1) + torch.diag_embed(between, -1)
    values, vectors = torch.linalg.eigh(torch.where(finite[:, None, None], matrix, 0))
    residuals = off_diagonal[:, -1] * vectors[:, -1, -1].abs()
    nan = torch.full_like(residuals, torch.nan)
    return TopEigenvalue(
        torch.where(finite, values[:, -1], nan), torch.where(finite, residuals, nan), diagonal.shape[1]
    )
