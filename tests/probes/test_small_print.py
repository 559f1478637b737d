"""Sums of very large and very small numbers, summaries, remarks and counts of results, each by hand."""

import cmath
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from normlab.probes import landscape, landscape_plane, spectral_density, trace
from normlab.probes.monitor import Budget
from normlab.probes.vectors import compare, dot, flatten, l2_distance, l2_norm, real_size, unflatten
from tests.reference.models import BY_NAME, quadratic

TYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[Tensor], list[Tensor]]:
    """Two vectors over one to three tensors of one type, of sizes from 1e-28 to 1e28 each."""
    dtype = draw(st.sampled_from(TYPES))
    sizes, seed = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)), draw(st.integers(0, 999))
    draws = torch.Generator().manual_seed(seed)
    scales = [10.0 ** draw(st.integers(-28, 28)) for _ in range(2)]
    a, b = ([scale * torch.randn(n, dtype=dtype, generator=draws) for n in sizes] for scale in scales)
    return a, b


def listed(tensors: list[Tensor]) -> list[complex]:
    return [complex(value) for tensor in tensors for value in tensor.tolist()]


@settings(deadline=None, max_examples=150)
@given(pairs())
def test_norms_and_angles_are_those_of_plain_numbers(found: tuple[list[Tensor], list[Tensor]]) -> None:
    a, b = found
    x, y = listed(a), listed(b)
    norms = [math.sqrt(math.fsum(abs(value) ** 2 for value in one)) for one in (x, y)]
    away = math.sqrt(math.fsum(abs(u - v) ** 2 for u, v in zip(x, y, strict=True)))
    product = math.fsum((u.conjugate() * v).real for u, v in zip(x, y, strict=True))
    close = {"rel": 1e-5}  # a float32 difference is rounded, and so are squares in float32
    assert (l2_norm(a), l2_norm(b)) == pytest.approx(tuple(norms), **close)
    assert l2_distance(a, b) == pytest.approx(away, **close)
    assert dot(a, b) == pytest.approx(product, rel=1e-5, abs=1e-6 * norms[0] * norms[1])  # terms may cancel
    both = compare(a, b)
    assert (both.norm_a, both.norm_b, both.distance) == pytest.approx((*norms, away), **close)
    assert both.cosine == pytest.approx(product / norms[0] / norms[1], abs=1e-5)


def test_flat_vectors_hold_both_parts_of_complex_numbers() -> None:
    mixed = [torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([cmath.rect(5, 1), 6j], dtype=torch.complex64)]
    vector = flatten(mixed)
    assert vector.tolist() == pytest.approx([1, 2, 3, 4, 5 * math.cos(1), 5 * math.sin(1), 0, 6])
    assert [real_size(one) for one in mixed] == [4, 4]
    again = unflatten(vector, mixed)
    assert all(torch.equal(one, other) and one.dtype == other.dtype for one, other in zip(again, mixed, strict=True))


def bowl(point: list[float]) -> tuple[nn.Module, object, None]:
    """L(w) = ½ ‖w‖²."""
    model = nn.ParameterList([nn.Parameter(torch.tensor(point, dtype=torch.float64))])
    return model, lambda m, batch: 0.5 * m[0].square().sum(), None


ZERO = "zero gradient: gradient cosines are undefined, and so are betas where the walk does not move"
STAYS = "step size 0: beta is undefined (no distance moved) and left out of effective_beta"
STILL = "the walk does not move the weights at step sizes [1e-300]: beta is undefined there"
FORWARD = "forward-only: the gradient's distances, cosines and betas were not measured"


@pytest.mark.parametrize(
    ("point", "steps", "gradients", "remarks"),
    [
        ([1.0], [0.5, -1.0], True, ()),
        ([1.0], [0.5], False, (FORWARD,)),
        ([0.0], [0.5], True, (ZERO,)),
        ([0.0], [0.5], False, (FORWARD, ZERO)),
        ([1.0], [0.5, 0.0], True, (STAYS,)),
        ([1.0], [1e-300, 0.5], True, (STILL,)),
        ([1.0], [0.5, 1e200], True, ("loss or gradient is not finite at step sizes [1e+200]",)),
        ([1.0], [0.5, 1e200], False, (FORWARD, "loss or gradient is not finite at step sizes [1e+200]")),
    ],
)  # fmt: skip
def test_remarks_on_a_walk(point: list[float], steps: list[float], gradients: bool, remarks: tuple[str, ...]) -> None:
    found = landscape(*bowl(point), steps, gradients=gradients)
    assert found.notes == remarks


def test_a_walk_logs_what_was_measured() -> None:
    full = landscape(*bowl([3.0, 4.0]), [1.0, -1.0])
    assert full.scalars() == pytest.approx(
        {
            "loss": 12.5,
            "loss_low": 0.0,
            "loss_high": 50.0,
            "loss_range": 50.0,
            "grad_norm": 5.0,
            "gradient_distance_low": 5.0,
            "gradient_distance_high": 5.0,
            "effective_beta": 1.0,
        },
        abs=1e-12,
    )
    forward = landscape(*bowl([3.0, 4.0]), [1.0, -1.0], gradients=False)
    assert set(forward.scalars()) == {"loss", "loss_low", "loss_high", "loss_range", "grad_norm"}
    ones = [torch.ones(2, dtype=torch.float64)]
    given = landscape(*bowl([3.0, 4.0]), [1.0], gradients=False, direction=ones)  # no gradient was taken
    assert given.scalars() == pytest.approx({"loss": 12.5, "loss_low": 6.5, "loss_high": 12.5, "loss_range": 6.0})


def test_the_summary_of_a_plane_has_the_base_point_in_it() -> None:
    axes = tuple([one.to(torch.float64)] for one in torch.tensor([[2.0, 0.0], [1.0, 1.0]]))
    found = landscape_plane(*bowl([0.0, 1.0]), [1.0, 2.0], [1.0], directions=axes)
    assert found.losses.tolist() == [[0.5 * (9 + 4), 0.5 * (25 + 4)]]
    assert found.scalars() == {"loss": 0.5, "loss_low": 0.5, "loss_high": 14.5, "loss_range": 14.0}
    assert found.lengths == pytest.approx((2.0, math.sqrt(2)))
    assert found.cosine == pytest.approx(1 / math.sqrt(2))
    assert (found.mode, found.directions, found.trajectory, found.distances) == ("train", "given", None, None)
    broken = landscape_plane(*bowl([0.0, math.nan]), [1.0], [1.0], directions=axes)
    assert [math.isnan(broken.scalars()[name]) for name in ("loss_low", "loss_high", "loss_range")] == [True] * 3


def test_random_directions_of_a_plane_have_unit_length_and_a_line_is_no_plane() -> None:
    model, loss, batch = BY_NAME["mlp"].make()
    found = landscape_plane(model, loss, batch, [1.0], [1.0], directions="random")
    assert found.lengths == pytest.approx((1.0, 1.0))
    assert found.directions == "random"
    line = [[p.detach() + step for p in model.parameters()] for step in (1.0, 2.0)]
    with pytest.raises(ValueError, match="lies on one line through the weights"):
        landscape_plane(model, loss, batch, [1.0], [1.0], directions="trajectory", trajectory=line)
    with pytest.raises(TypeError, match="pair of lists"):
        landscape_plane(model, loss, batch, [1.0], [1.0], directions=([], [], []))


@pytest.mark.parametrize(("most", "used"), [(6, 6), (7, 6), (8, 6), (9, 9), (19, 18), (20, 20), (21, 20)])
def test_a_trace_uses_thirds_of_its_products_or_one_a_parameter(most: int, used: int) -> None:
    found = trace(*quadratic(torch.arange(20.0, dtype=torch.float64)), max_products=most)
    assert found.products == used
    assert found.scalars() == {"value": found.value, "standard_error": found.standard_error, "products": used}
    assert (found.standard_error == 0) == (most >= 20)


def test_a_density_has_the_grid_width_and_products_that_were_asked_for() -> None:
    eigenvalues = torch.tensor([-1.0, 0.5, 3.0], dtype=torch.float64)
    model, loss, _ = quadratic(eigenvalues)
    found = spectral_density(model, loss, torch.diag(eigenvalues), vectors=2, steps=2, points=11, width=0.5)
    assert (found.products, found.width, len(found.grid), len(found.nodes)) == (4, 0.5, 11, 2)
    ends = [min(min(one.tolist()) for one in found.nodes), max(max(one.tolist()) for one in found.nodes)]
    assert (found.grid[0].item(), found.grid[-1].item()) == pytest.approx((ends[0] - 3.0, ends[1] + 3.0))
    for place, value in zip(found.grid.tolist(), found.density.tolist(), strict=True):
        bumps = [
            weight * math.exp(-((place - node) ** 2) / (2 * 0.25)) / (0.5 * math.sqrt(2 * math.pi))
            for nodes, weights in zip(found.nodes, found.weights, strict=True)
            for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True)
        ]
        assert value == pytest.approx(sum(bumps) / 2, rel=1e-12)
    whole = spectral_density(model, loss, torch.diag(eigenvalues), vectors=1, steps=9)
    assert whole.products == 3  # the space is closed
    assert whole.width == pytest.approx(0.04)  # a hundredth of the range


def test_a_budget_by_hand() -> None:
    now = 0.0
    budget = Budget(0.5, clock=lambda: now)

    def run(name: str, seconds: float) -> None:
        nonlocal now
        with budget.spending(name):
            now += seconds

    assert next(budget.affordable(["dear"])) == "dear"  # what never ran may run when nothing is owed
    run("dear", 4.0)
    assert list(budget.affordable(["dear", "new"])) == []  # 4 s are owed
    now = 11.9  # 7.9 s outside of the probes allow 3.95
    assert list(budget.affordable(["dear", "new"])) == []
    now = 12.0  # 8 s allow the 4 that were spent
    assert next(budget.affordable(["dear", "new"])) == "new"
    run("new", 1.0)
    now = 23.0  # 18 s outside allow 9: the 5 that were spent, and 4 more
    assert list(budget.affordable(["dear", "new"])) == ["new", "dear"]
    now = 22.9
    assert list(budget.affordable(["dear", "new"])) == ["new"]
