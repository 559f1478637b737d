"""Largest eigenvalues of a symmetric operator from products with vectors: Lanczos with full reorthogonalization.

The basis V is orthonormal to working precision (two passes of Gram-Schmidt), and the projected matrix S = VᵀHV, all of
whose entries the orthogonalization yields anyway, is kept whole. So there are no ghost copies of eigenvalues, and a
Krylov chain that has closed (an invariant subspace) or has converged can be left for a fresh random vector orthogonal
to it: only so do repeated eigenvalues show.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RitzValues:
    """k approximate eigenvalues, largest algebraic first, their residuals ‖Hv − θv‖₂ for unit v, and how it ended."""

    values: list[float]
    residuals: list[float]
    converged: bool
    products: int
    notes: tuple[str, ...] = ()
    share: float = math.nan  # of the watched vector's square that lies in the space of the k vectors


def quadrature(product: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Nodes θ and weights τ² of the Gauss quadrature with the measure of the start vector v (n,), not zero:

        Σ_i τ_i² f(θ_i) ≈ vᵀ f(H) v / vᵀv        exact for polynomials of degree up to 2·steps − 1

    Fewer nodes than steps where the Krylov space closes; NaN where a product is not finite.
    """
    space = _KrylovSpace(start)
    while True:
        image = product(space.last)
        if not torch.isfinite(image).all():
            return (torch.full((1,), math.nan, dtype=torch.float64, device="cpu"),) * 2
        space.absorb(image)
        if space.size == min(steps, space.dimension) or not space.tails:
            nodes, vectors = torch.linalg.eigh(space.projected)
            return nodes, vectors[0].square()
        space.extend(lambda: start, newest=True)


def largest_eigenvalues(
    product: Callable[[Tensor], Tensor],
    start: Tensor,
    draw: Callable[[], Tensor],
    k: int,
    tol: float,
    max_products: int,
    watched: Tensor | None = None,
) -> RitzValues:
    """The k largest Ritz values of a symmetric operator on vectors (n,), n ≥ k.

    A value counts as accurate when its residual is at most tol·|θ| (for |θ| near zero: of a small fraction of the
    operator's norm, as ARPACK does). One starting vector shows one copy of a repeated eigenvalue, so for k > 1 another
    random vector is then followed for as many products again, until the values no longer change.

    Args:
        product: v ↦ Hv.
        start: the first vector (n,), not zero.
        draw: a fresh Gaussian vector (n,).
        k: how many values.
        tol: relative tolerance of the residuals.
        max_products: limit on the number of products, at least k.
        watched: a vector (n,) whose share in the space of the k vectors is wanted.
    """
    space = _KrylovSpace(start)
    top: list[float] = []
    check_until = 0  # the present top values must survive an independent start up to here
    while True:
        image = product(space.last)
        if not torch.isfinite(image).all():
            note = "a Hessian-vector product is not finite: the eigenvalues are undefined"
            return RitzValues([math.nan] * k, [math.nan] * k, False, space.size, (note,))
        space.absorb(image)
        used = space.size
        values, residuals, floor = space.ritz(k)
        accurate = used >= k and all(r <= tol * max(abs(v), floor) for v, r in zip(values, residuals, strict=True))
        changed = len(top) != k or any(abs(a - b) > tol * max(abs(a), floor) for a, b in zip(values, top, strict=True))
        notes = space.symmetry_notes()
        if used == space.dimension or (accurate and (k == 1 or (not changed and used >= check_until))):
            return RitzValues(values, residuals, True, used, notes, space.share(k, watched))
        if used >= max_products:
            note = f"not converged within {max_products} products to a relative residual of {tol:g}"
            if accurate:
                note = "no product was left to look for repeated values"
            return RitzValues(values, residuals, accurate, used, (*notes, note), space.share(k, watched))
        if accurate and changed:
            top, check_until = values, min(2 * used, space.dimension)
            space.restart(draw)
        else:
            space.extend(draw, newest=used < check_until)


class _KrylovSpace:
    """An orthonormal basis, the operator projected on it, and what of the operator's images lies outside of it."""

    def __init__(self, start: Tensor) -> None:
        self.dimension = start.numel()
        self.basis: list[Tensor] = []
        self.projected = torch.zeros(0, 0, dtype=torch.float64, device="cpu")
        self.tails: dict[int, Tensor] = {}  # column j -> the part of H·v_j that is orthogonal to the basis
        self.asymmetry = 0.0
        self._mirror: tuple[int, float] | None = None  # (j, ⟨last, H·v_j⟩), to be found again as ⟨v_j, H·last⟩
        self._append(start)

    @property
    def size(self) -> int:
        return len(self.basis)

    @property
    def last(self) -> Tensor:
        return self.basis[-1]

    def absorb(self, image: Tensor) -> None:
        """Take in H·v for the last basis vector v."""
        length = torch.linalg.vector_norm(image).item()
        coefficients, tail = self._split(image)
        size = self.size
        if self._mirror is not None:
            column, expected = self._mirror
            self.asymmetry = max(self.asymmetry, abs(coefficients[column].item() - expected))
        grown = torch.zeros(size, size, dtype=torch.float64, device="cpu")
        grown[: size - 1, : size - 1] = self.projected
        grown[-1, :] = grown[:, -1] = coefficients
        self.projected = grown
        noise = 50 * torch.finfo(image.dtype).eps * max(length, torch.linalg.matrix_norm(grown, 2).item())
        if torch.linalg.vector_norm(tail).item() > noise:
            self.tails[size - 1] = tail

    def ritz(self, k: int) -> tuple[list[float], list[float], float]:
        """The largest k (or all) Ritz values and their residuals; and the size below which a value counts as zero."""
        values, vectors = torch.linalg.eigh(self.projected)
        values, vectors = values.flip(0), vectors.flip(1)
        residuals = []
        for column in range(min(k, self.size)):
            parts = [tail * vectors[j, column].item() for j, tail in self.tails.items()]
            residuals.append(torch.linalg.vector_norm(torch.stack(parts).sum(0)).item() if parts else 0.0)
        floor = torch.finfo(self.last.dtype).eps ** (2 / 3) * values.abs().max().item()
        return values[:k].tolist(), residuals, floor

    def share(self, k: int, watched: Tensor | None) -> float:
        """Share of a vector's square that lies in the space of the k largest Ritz vectors; NaN for none or zero."""
        if watched is None or not (length := torch.linalg.vector_norm(watched.double()).item()):
            return math.nan
        _, vectors = torch.linalg.eigh(self.projected)
        inside = torch.stack([v.dot(watched / length) for v in self.basis]).double().cpu()
        return min(1.0, (vectors.flip(1)[:, :k].T @ inside).square().sum().item())

    def extend(self, draw: Callable[[], Tensor], newest: bool) -> None:
        """Add the direction that the operator leads to: that of the newest chain, or of the largest remainder."""
        if not self.tails:
            self.restart(draw)
            return
        column = max(self.tails) if newest else max(self.tails, key=lambda j: self.tails[j].norm().item())
        tail = self.tails.pop(column)
        self._append(tail)
        self._mirror = (column, torch.linalg.vector_norm(tail).item())

    def restart(self, draw: Callable[[], Tensor]) -> None:
        """Add a random direction orthogonal to the basis."""
        self._append(draw())
        self._mirror = None

    def symmetry_notes(self) -> tuple[str, ...]:
        """A remark if the products are not those of a symmetric operator."""
        scale = torch.linalg.matrix_norm(self.projected, 2).item()
        if self.asymmetry <= 1e-2 * scale:  # rounding of float32 products stays far below
            return ()
        return (
            f"the Hessian-vector products are not symmetric (off by {self.asymmetry / scale:.1e} of the largest "
            "eigenvalue): a layer has a wrong second derivative, or the loss is not deterministic",
        )

    def _append(self, vector: Tensor) -> None:
        vector = vector / torch.linalg.vector_norm(vector)
        _, vector = self._split(vector)
        # normalized first, split again: what is left of a nearly dependent vector is orthogonal only then
        _, vector = self._split(vector / torch.linalg.vector_norm(vector))
        vector = vector / torch.linalg.vector_norm(vector)
        self.basis.append(vector)
        for column, tail in self.tails.items():
            self.tails[column] = tail - vector * vector.dot(tail)

    def _split(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients on the basis (float64) and the remainder, by two passes of Gram-Schmidt."""
        coefficients = torch.zeros(self.size, dtype=torch.float64, device="cpu")
        rest = vector.clone()
        for _ in range(2):
            for index, v in enumerate(self.basis):
                c = v.dot(rest)
                rest.sub_(v * c)
                coefficients[index] += c.item()
        return coefficients, rest
