"""Norms and angles of vectors that are lists of tensors shaped like a model's parameters.

Complex numbers are pairs of real ones: ‖z‖₂² = Σ |z|², ⟨y, z⟩ = Re Σ ȳz, as torch's gradients of real losses take them.

A float32 sum over three million parameters is wrong in the fifth digit, and squares overflow from 1e19 on. So float32
products are summed in short pieces, the pieces in float64, and vectors whose squares come near the limits of float32
are taken in float64 altogether.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

_PIECE = {"cpu": 2**14, "cuda": 2**24}  # a GPU sums in a tree, however long
_SAFE_SQUARES = (1e-24, 1e36)  # sums of float32 squares outside may have lost terms to under- or overflow
Pieces = Callable[[Tensor, Tensor], list[Tensor]]


@dataclass(frozen=True)
class Comparison:
    """Two vectors a and b: `distance` = ‖a − b‖₂, `cosine` = ⟨a, b⟩/(‖a‖‖b‖) (NaN if one of them is zero), and their
    norms."""

    distance: float
    cosine: float
    norm_a: float
    norm_b: float


def compare(a: Sequence[Tensor], b: Sequence[Tensor]) -> Comparison:
    """Distance and cosine of two vectors; equal vectors have exactly the distance 0 and the cosine 1."""
    distance, product, square_a, square_b = _reduce(
        a, b, lambda x, y: [(d := x - y).dot(d), x.dot(y), x.dot(x), y.dot(y)], squares=(0, 2, 3)
    )
    norm_a, norm_b = math.sqrt(square_a), math.sqrt(square_b)
    if norm_a == 0 or norm_b == 0:
        cosine = math.nan
    elif distance == 0:
        cosine = 1.0
    else:
        cosine = product / norm_a / norm_b
        cosine = cosine if math.isnan(cosine) else max(-1.0, min(1.0, cosine))
    return Comparison(math.sqrt(distance), cosine, norm_a, norm_b)


def l2_norm(a: Sequence[Tensor]) -> float:
    """‖a‖₂ over all tensors."""
    return math.sqrt(_reduce(a, a, lambda x, _: [x.dot(x)], squares=(0,))[0])


def l2_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """‖a − b‖₂ over all tensors."""
    return math.sqrt(_reduce(a, b, lambda x, y: [(d := x - y).dot(d)], squares=(0,))[0])


def dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """⟨a, b⟩ over all tensors."""
    return _reduce(a, b, lambda x, y: [x.dot(y), x.dot(x), y.dot(y)], squares=(1, 2))[0]


def real_parts(tensor: Tensor) -> Tensor:
    """The elements as one real vector, detached; a complex number is two, its real and its imaginary part."""
    tensor = tensor.detach()
    return (torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor).reshape(-1)


def flatten(tensors: Sequence[Tensor]) -> Tensor:
    """All elements as one real vector, in order, on the first one's device."""
    return torch.cat([real_parts(t).to(real_parts(tensors[0]).device) for t in tensors])


def unflatten(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """The tensors that a real vector holds, with the shapes, types and devices of `like`."""
    parts = vector.split([real_size(t) for t in like])
    shaped = [
        torch.view_as_complex(part.view(*t.shape, 2)) if t.is_complex() else part.view(t.shape)
        for part, t in zip(parts, like, strict=True)
    ]
    return [part.to(device=t.device, dtype=t.dtype) for part, t in zip(shaped, like, strict=True)]


def real_size(tensor: Tensor) -> int:
    """How many real numbers a tensor holds."""
    return tensor.numel() * (2 if tensor.is_complex() else 1)


def is_finite_real(value: object) -> bool:
    """Whether a value is a finite real number, and no truth value."""
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer that no float holds
        return False


def shown(value: object) -> str:
    """A value as a message shows it: its repr as one line of at most 80 characters."""
    try:
        text = repr(value)
    except Exception:  # the value is a wrong one, and may be wrong in this too: an integer of 5000 digits has no repr
        text = f"<{type(value).__name__}>"
    return " ".join(map(str.strip, text.splitlines()))[:80]


def check_vector(vector: object, parameters: Sequence[Tensor], what: str) -> list[Tensor]:
    """A caller's list of tensors, one a trainable parameter, cast to the parameters' types and devices.

    Raises:
        TypeError: not a list or tuple of tensors.
        ValueError: another number of tensors, another shape, one that is not dense, without values (meta), complex for
            a real parameter, or with a value that is not finite in the parameter's type; the message says which.
    """
    if not isinstance(vector, list | tuple) or not all(isinstance(v, Tensor) for v in vector):
        raise TypeError(f"{what} must be a list of tensors shaped like the trainable parameters, got {shown(vector)}")
    if len(vector) != len(parameters):
        raise ValueError(f"{what} has {len(vector)} tensors, expected {len(parameters)} (one a trainable parameter)")
    return [_like(v, p, f"{what}[{index}]") for index, (v, p) in enumerate(zip(vector, parameters, strict=True))]


def _like(v: Tensor, parameter: Tensor, what: str) -> Tensor:
    if v.is_nested or v.layout != torch.strided:
        raise ValueError(f"{what} must be a dense tensor, got one that is {'nested' if v.is_nested else v.layout}")
    if v.shape != parameter.shape:
        raise ValueError(f"{what} has shape {tuple(v.shape)}, expected {tuple(parameter.shape)}")
    if v.is_meta:
        raise ValueError(f"{what} must hold values, got a tensor on the meta device")
    if v.is_complex() and not parameter.is_complex():
        raise ValueError(f"{what} must be real, as its parameter is ({parameter.dtype}), got {v.dtype}")
    cast = v.detach().to(device=parameter.device, dtype=parameter.dtype)
    if not torch.isfinite(cast).all():
        raise ValueError(f"{what} must be finite, it holds inf or NaN (as {parameter.dtype})")
    return cast


def _reduce(a: Sequence[Tensor], b: Sequence[Tensor], terms: Pieces, squares: tuple[int, ...]) -> list[float]:
    """Sums over all pieces of the terms; those at `squares` are sums of squares and tell whether float32 sufficed."""
    sums = _sum(terms(x, y) for x, y in _pieces(a, b))
    low, high = _SAFE_SQUARES
    if any(x.dtype in (torch.float32, torch.complex64) for x in a) and not all(
        low < sums[index] < high for index in squares
    ):
        sums = _sum(terms(x.double(), y.double()) for x, y in _pieces(a, b))
    return sums


def _pieces(a: Sequence[Tensor], b: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    for x, y in zip(a, b, strict=True):
        size = _PIECE.get(x.device.type, 2**24)
        x, y = real_parts(x), real_parts(y)
        yield from [(x, y)] if x.numel() <= size else zip(x.split(size), y.split(size), strict=True)


def _sum(rows: Iterator[list[Tensor]]) -> list[float]:
    """Sums of the columns in float64, with one transfer to the host a device rather than one a piece."""
    by_device: dict[torch.device, list[list[Tensor]]] = {}
    for row in rows:
        by_device.setdefault(row[0].device, []).append(row)
    totals = [
        torch.stack([torch.stack(column).sum(dtype=torch.float64) for column in zip(*rows_there, strict=True)]).tolist()
        for rows_there in by_device.values()
    ]
    return [sum(column) for column in zip(*totals, strict=True)] or [0.0] * 4
