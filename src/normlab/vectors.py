"""Norms and angles of vectors that are lists of tensors shaped like a model's parameters.

Everything is formed and summed in float64, in pieces that fit a cache: a float32 sum over three million parameters is
wrong in the fifth digit, and squares overflow from 1e19 on.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_PIECE = {"cpu": 2**16, "cuda": 2**24}


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
        (torch.stack([(d := x - y).dot(d), x.dot(y), x.dot(x), y.dot(y)]) for x, y in _pairs(a, b)), 4
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
    return math.sqrt(_reduce((x.dot(x)[None] for x, _ in _pairs(a, a)), 1)[0])


def l2_distance(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """‖a − b‖₂ over all tensors."""
    return math.sqrt(_reduce(((d := x - y).dot(d)[None] for x, y in _pairs(a, b)), 1)[0])


def dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """⟨a, b⟩ over all tensors."""
    return _reduce((x.dot(y)[None] for x, y in _pairs(a, b)), 1)[0]


def check_vector(vector: object, parameters: Sequence[Tensor], what: str) -> list[Tensor]:
    """A caller's list of tensors, one a trainable parameter, cast to the parameters' types and devices.

    Raises:
        TypeError: not a list or tuple of tensors.
        ValueError: another number of tensors, another shape, or a value that is not finite; the message says which.
    """
    if not isinstance(vector, list | tuple) or not all(isinstance(v, Tensor) for v in vector):
        raise TypeError(f"{what} must be a list of tensors shaped like the trainable parameters, got {vector!r:.80}")
    if len(vector) != len(parameters):
        raise ValueError(f"{what} has {len(vector)} tensors, expected {len(parameters)} (one a trainable parameter)")
    for index, (v, p) in enumerate(zip(vector, parameters, strict=True)):
        if v.shape != p.shape:
            raise ValueError(f"{what}[{index}] has shape {tuple(v.shape)}, expected {tuple(p.shape)}")
        if not torch.isfinite(v).all():
            raise ValueError(f"{what}[{index}] must be finite, it holds inf or NaN")
    return [v.detach().to(device=p.device, dtype=p.dtype) for v, p in zip(vector, parameters, strict=True)]


def _pairs(a: Sequence[Tensor], b: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    for x, y in zip(a, b, strict=True):
        size = _PIECE.get(x.device.type, 2**24)
        for p, q in zip(x.detach().reshape(-1).split(size), y.detach().reshape(-1).split(size), strict=True):
            yield p.double(), q.double()


def _reduce(rows: Iterator[Tensor], width: int) -> list[float]:
    """Sum of the rows, with one transfer to the host a device rather than one a tensor."""
    totals: dict[torch.device, Tensor] = {}
    for row in rows:
        totals[row.device] = totals[row.device] + row if row.device in totals else row
    sums = [total.tolist() for total in totals.values()] or [[0.0] * width]
    return [sum(column) for column in zip(*sums, strict=True)]
