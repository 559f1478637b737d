"""The exact maximum of a quadratic form over the ball between 0 and a vector."""

import torch
from torch import Tensor


def maximize_in_ball(matrix: Tensor, v: Tensor) -> tuple[Tensor, float]:
    """The largest u' M u over all u with ||u - v/2|| <= ||v||/2, and a u (m,) that attains it.

    With u = v/2 + r s, r = ||v||/2 and ||s|| <= 1 it is a trust-region problem: at the maximum (nu I - A) s = b for
    A = r^2 M, b = (r/2) M v and a multiplier nu >= max(0, largest eigenvalue of A). nu is found by bisection on
    ||s(nu)|| = 1 in the eigenbasis of A; when b has nothing along the top eigenvectors, one of them fills s up to the
    sphere.

    Args:
        matrix: (m, m) float64; its symmetric part counts.
        v: (m,) float64.

    Place in the paper: the maximization step in the proof of Theorem C.1, done exactly.
    """
    radius = 0.5 * torch.linalg.vector_norm(v)
    matrix = 0.5 * (matrix + matrix.T)
    if radius == 0:
        return torch.zeros_like(v), 0.0
    values, vectors = torch.linalg.eigh(radius**2 * matrix)
    b = vectors.T @ (0.5 * radius * (matrix @ v))
    u = 0.5 * v + radius * (vectors @ _solve(values, b))
    best = torch.dot(u, matrix @ u)
    ends = (torch.zeros_like(v), v)  # rounding must not lose to the two known members of the ball
    for end in ends:
        value = torch.dot(end, matrix @ end)
        if value > best:
            u, best = end, value
    return u, best.item()


def _solve(values: Tensor, b: Tensor) -> Tensor:
    """s maximizing sum(values s^2 + 2 b s) over ||s|| <= 1; `values` ascending."""
    top = values[-1].clamp_min(0.0)
    scale = torch.maximum(values.abs().max(), torch.linalg.vector_norm(b))
    if scale == 0:
        return torch.zeros_like(b)
    tiny = 1e-14 * scale
    along = values >= top - tiny  # the top eigenspace, empty when all eigenvalues are negative
    s = torch.where(along, 0.0, b / torch.where(along, 1.0, top - values))
    rest = 1.0 - torch.dot(s, s)
    if torch.linalg.vector_norm(b[along]) <= tiny and rest >= 0:
        if along.any():
            s[-1] = rest.sqrt()
        return s
    low, high = top, top + torch.linalg.vector_norm(b) + tiny
    for _ in range(200):  # bisection: the interval halves to the spacing of float64 well before
        middle = 0.5 * (low + high)
        if torch.linalg.vector_norm(b / (middle - values)) > 1.0:
            low = middle
        else:
            high = middle
    return b / (high - values)
