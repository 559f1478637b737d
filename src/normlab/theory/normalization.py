"""One normalized unit: what its gradient and Hessian are, and what the statements about it have in common.

Notation of all statements: m samples; y (m,) the outputs of one unit before BatchNorm, mu = mean(y),
sigma^2 = mean (y - mu)^2 (no eps), yhat = (y - mu) / sigma, z = gamma yhat + beta with constant gamma and beta; the
same loss L of z; g = dL/dz (m,), hessian = d^2 L/dz^2 (m, m); v = dL/dy (m,). The loss may be a sum or a mean over
samples, as long as g and hessian belong to the same one. "Without BatchNorm" means a network whose outputs are z
themselves, so that its gradient is g: the comparison is at the same point, gamma = sigma and beta = mu (Observation
4.3).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

TOLERANCE = 1e-9
"""Allowed rounding error of a comparison, relative to the largest term in it. Float64 leaves about 1e-15 per operation,
times the cancellation in y - mu (up to 1e5 for outputs far from zero)."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A statement with the numbers put in: printed and corrected.

    Attributes:
        lhs: its left side.
        rhs_printed: its right side as the paper prints it.
        rhs_corrected: its right side in the corrected form, which is an equality for every statement here.
        assumptions: what the statement, or a conclusion from it, needs: name -> whether it is true of these numbers.
        holds_printed: whether the printed relation is true of these numbers, up to `TOLERANCE`.
        holds_corrected: whether the corrected relation is.
    """

    lhs: float
    rhs_printed: float
    rhs_corrected: float
    assumptions: dict[str, bool]
    holds_printed: bool
    holds_corrected: bool


@dataclass(frozen=True)
class Unit:
    """mu, sigma, yhat of one unit, with the products that the statements use.

    Attributes:
        m: number of samples.
        mu: mean of y.
        sigma: standard deviation of y (population).
        gamma: scale after normalization.
        yhat: (m,) normalized outputs: mean 0, squared norm m.
        g: (m,) gradient at the normalizer's output.
        overlap: <g, yhat>.
        v: (m,) gradient at y, `normalized_gradient`.
    """

    m: int
    mu: float
    sigma: float
    gamma: float
    yhat: Tensor
    g: Tensor
    overlap: float
    v: Tensor

    @property
    def gain(self) -> float:
        """gamma^2 / sigma^2."""
        return (self.gamma / self.sigma) ** 2


def measure_unit(y: Tensor, g: Tensor, gamma: float) -> Unit:
    """The `Unit` of checked y, g (m,) and gamma.

    Raises:
        TypeError: y or g is not a float64 tensor.
        ValueError: shapes differ, m < 2, a value is not finite, sigma = 0 or gamma = 0.
    """
    check_vector("y", y)
    check_vector("g", g)
    if y.shape != g.shape:
        raise ValueError(f"g: expected the shape of y, {tuple(y.shape)}, got {tuple(g.shape)}")
    if len(y) < 2:
        raise ValueError(f"y: expected at least 2 samples, got {len(y)}")
    gamma = check_number("gamma", gamma)
    if gamma == 0:
        raise ValueError("gamma: expected a number other than 0; with gamma = 0 the unit passes no gradient")
    y, g = y.detach(), g.detach()
    mu, sigma, yhat = _normalize(y)
    overlap = torch.dot(g, yhat)
    v = (gamma / sigma) * (g - g.mean() - yhat * (overlap / len(y)))
    return Unit(len(y), mu, sigma, gamma, yhat, g, overlap.item(), v)


def _normalize(y: Tensor) -> tuple[float, float, Tensor]:
    centered = y - y.mean()
    centered = centered - centered.mean()  # once more: removes the rounding of a large mean
    sigma = centered.square().mean().sqrt()
    if sigma <= 1e-14 * y.abs().max():
        raise ValueError(f"y: expected outputs that differ (sigma > 0), got {len(y)} equal values")
    return y.mean().item(), sigma.item(), centered / sigma


def normalized_gradient(y: Tensor, g: Tensor, gamma: float) -> Tensor:
    """Fact C.1: v = dL/dy = gamma/(m sigma) (m g - 1 <1, g> - yhat <g, yhat>) = (gamma/sigma) P g, a vector (m,).

    P = I - 11'/m - yhat yhat'/m is the projector that removes the mean and the part along yhat.

    Example:
        >>> import torch
        >>> from normlab.theory import normalized_gradient
        >>> y = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
        >>> g = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)
        >>> [round(value, 3) for value in normalized_gradient(y, g, gamma=1.0).tolist()]  # its mean is 0
        [0.63, -0.945, 0.315]

    Raises:
        TypeError: y or g is not a float64 tensor.
        ValueError: shapes differ, m < 2, a value is not finite, sigma = 0 or gamma = 0.

    Place in the paper: Appendix C.1, Fact C.1.
    """
    return measure_unit(y, g, gamma).v


def normalized_hessian(y: Tensor, g: Tensor, hessian: Tensor, gamma: float) -> Tensor:
    """The Hessian of the loss in the outputs before BatchNorm, a matrix (m, m).

        d^2 L/dy^2 = (gamma^2/sigma^2) [ P H P - 1/(m gamma) ( gt yhat' + yhat gt' - (3/m) <g, yhat> yhat yhat'
                                                               + <g, yhat> (I - 11'/m) ) ],      gt = g - mean(g)

    Example:
        >>> import torch
        >>> from normlab.theory import normalized_hessian
        >>> y = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
        >>> g = torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)
        >>> hessian = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
        >>> found = normalized_hessian(y, g, hessian, gamma=1.0)
        >>> bool(torch.allclose(found, found.T)), bool((found.sum(1).abs() < 1e-12).all())  # shifts change nothing
        (True, True)

    Raises:
        TypeError: an argument is not a float64 tensor.
        ValueError: shapes do not fit, m < 2, a value is not finite, sigma = 0 or gamma = 0.

    Place in the paper: Appendix C.2, equations 41 and 42.
    """
    unit = measure_unit(y, g, gamma)
    check_hessian(hessian, unit.m)
    return unit_hessian(unit, hessian.detach())


def unit_hessian(unit: Unit, hessian: Tensor) -> Tensor:
    """`normalized_hessian` of a measured unit."""
    center = torch.eye(unit.m, dtype=torch.float64, device=unit.g.device) - 1.0 / unit.m
    projector = center - torch.outer(unit.yhat, unit.yhat) / unit.m
    centered = torch.outer(unit.g - unit.g.mean(), unit.yhat)
    spread = centered + centered.T + unit.overlap * center
    spread = spread - (3.0 / unit.m) * unit.overlap * torch.outer(unit.yhat, unit.yhat)
    return unit.gain * (projector @ hessian @ projector - spread / (unit.m * unit.gamma))


def equal(a: float, b: float, *terms: float) -> bool:
    """a = b up to `TOLERANCE` times the largest of |a|, |b| and the |terms| that were added up to them."""
    return abs(a - b) <= TOLERANCE * max(abs(a), abs(b), *map(abs, terms), 0.0)


def at_most(a: float, b: float, *terms: float) -> bool:
    """a <= b up to the same rounding."""
    return a <= b or equal(a, b, *terms)


def check_vector(name: str, value: Tensor) -> None:
    """Raise unless `value` is a finite float64 tensor of one axis."""
    check_tensor(name, value)
    if value.dim() != 1:
        raise ValueError(f"{name}: expected a vector (one axis), got shape {tuple(value.shape)}")


def check_hessian(hessian: Tensor, m: int) -> None:
    """Raise unless `hessian` is a finite float64 tensor (m, m)."""
    check_tensor("hessian", hessian)
    if hessian.shape != (m, m):
        raise ValueError(f"hessian: expected shape ({m}, {m}), got {tuple(hessian.shape)}")


def check_tensor(name: str, value: Tensor) -> None:
    """Raise unless `value` is a finite float64 tensor."""
    if not isinstance(value, Tensor) or value.dtype != torch.float64:
        found = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(f"{name}: expected a float64 tensor, got {found}")
    if not torch.isfinite(value).all():
        raise ValueError(f"{name}: expected finite values, got inf or NaN")


def check_number(name: str, value: float) -> float:
    """`value` as a finite float; a tensor of one element is accepted."""
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name}: expected a number, got {value!r}") from None
    if not math.isfinite(number):
        raise ValueError(f"{name}: expected a finite number, got {number}")
    return number
