"""Every normalizer's scale and its derivative, from sums over lists of plain numbers."""

import math

import pytest
import torch
from torch import Tensor

from normlab.specs.parts import names
from normlab.studies.deep_linear.network import Network

EPS = 0.3  # large, so that its place in the formula shows
FEATURES, SAMPLES = 2, 6
KINDS = [name for name in names("scale") if name != "none"]
Vector = list[float]


def size(kind: str, row: Vector, samples: list[Vector]) -> float:
    """s of one unit, whose outputs are `row` times each of the samples; their last coordinate is 1."""
    outputs = [math.fsum(a * b for a, b in zip(row, z, strict=True)) for z in samples]
    mean = math.fsum(outputs) / len(outputs)
    return {
        "batch": lambda: math.sqrt(math.fsum((y - mean) ** 2 for y in outputs) / len(outputs) + EPS),
        "l2": lambda: math.sqrt(math.fsum(y * y for y in outputs) / len(outputs) + EPS),
        "l1": lambda: math.fsum(map(abs, outputs)) / len(outputs) + EPS,
        "linf": lambda: max(map(abs, outputs)) + EPS,
    }[kind]()


def slope(kind: str, row: Vector, samples: list[Vector]) -> Vector:
    """Central differences of s."""
    width, found = 1e-5, []
    for place in range(len(row)):
        up, down = ([*row[:place], row[place] + step, *row[place + 1 :]] for step in (width, -width))
        found.append((size(kind, up, samples) - size(kind, down, samples)) / (2 * width))
    return found


def white(seed: int) -> Tensor:
    """Samples (F+1, N) with mean 0, identity covariance and a last row of ones."""
    x = torch.randn(SAMPLES, FEATURES, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x = x - x.mean(0)
    z = torch.linalg.solve_triangular(torch.linalg.cholesky(x.T @ x / SAMPLES), x.T, upper=False)
    return torch.cat([z, torch.ones(1, SAMPLES, dtype=torch.float64)])


def scale_of(kind: str, samples: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    spread = torch.tensor([1.0] * FEATURES + [0.0], dtype=torch.float64)
    function = Network(kind, 2, FEATURES).scale
    assert function is not None
    return function(samples, maps, spread, EPS)


@pytest.mark.parametrize("kind", KINDS)
def test_scale_and_derivative_of_every_unit_are_those_of_its_outputs(kind: str) -> None:
    samples = torch.stack([white(1), white(2)])  # of two seeds, three variants each
    maps = torch.randn(6, FEATURES, FEATURES + 1, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    inverse, derivative = scale_of(kind, samples, maps)
    assert (inverse.shape, derivative.shape) == ((6, FEATURES, 1), (6, FEATURES, FEATURES + 1))
    for place in range(6):
        of_seed = samples[place // 3].T.tolist()
        for unit, row in enumerate(maps[place].tolist()):
            # a sum of six numbers in another order
            assert inverse[place, unit].item() == pytest.approx(1 / size(kind, row, of_seed), rel=1e-12)
            # rounding of 1e-16 over 2e-5, and the square of the width
            assert derivative[place, unit].tolist() == pytest.approx(slope(kind, row, of_seed), abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_unit_that_is_zero_everywhere_has_eps_alone_and_no_derivative(kind: str) -> None:
    inverse, derivative = scale_of(kind, white(1)[None], torch.zeros(1, FEATURES, FEATURES + 1, dtype=torch.float64))
    least = EPS if kind in ("l1", "linf") else math.sqrt(EPS)
    assert inverse.flatten().tolist() == pytest.approx([1 / least] * FEATURES, rel=1e-15)
    assert not derivative.any()


def test_of_two_largest_samples_the_first_sets_the_derivative_of_the_largest() -> None:
    samples = torch.tensor([[1.0, -2.0, 2.0, 0.5], [3.0, 1.0, -4.0, 0.0], [1.0] * 4], dtype=torch.float64)
    maps = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]], dtype=torch.float64)
    _, derivative = scale_of("linf", samples[None], maps[None])
    # outputs 1, -2, 2, 0.5 and their negatives: |.| is largest at the second and the third sample
    assert derivative[0].tolist() == [[2.0, -1.0, -1.0], [-2.0, 1.0, 1.0]]


def test_an_output_of_zero_takes_no_part_in_the_derivative_of_the_mean() -> None:
    samples = torch.tensor([[0.0, -2.0, 2.0, 0.5], [3.0, 1.0, -4.0, 0.0], [1.0] * 4], dtype=torch.float64)
    _, derivative = scale_of("l1", samples[None], torch.tensor([[[1.0, 0.0, 0.0]]], dtype=torch.float64))
    # signs 0, -1, 1, 1 of four samples
    assert derivative[0].tolist() == [[4.5 / 4, -5.0 / 4, 1.0 / 4]]
