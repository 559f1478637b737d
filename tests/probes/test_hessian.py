"""The Hessian as an operator: its block, its start vector, its products and what is asked of its arguments."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from normlab.probes import directional_curvature, spectral_density, trace
from normlab.probes.batches import Together
from normlab.probes.entry import objective_at
from normlab.probes.hessian import Hessian, check_hessian, chosen_parameters, hessian_of
from normlab.probes.objective import Objective
from tests.reference.models import BY_NAME, quadratic

D = {"dtype": torch.float64}


class Product(nn.Module):
    """L = 3 a²b + c·x + 2 d² with d a pair; `unused` has no part in it, `frozen` is not trained."""

    def __init__(self) -> None:
        super().__init__()
        for name, value in (("a", 2.0), ("b", 5.0), ("c", 1.0), ("unused", 1.0), ("frozen", 1.0)):
            setattr(self, name, nn.Parameter(torch.tensor([value], **D), requires_grad=name != "frozen"))
        self.d = nn.Parameter(torch.tensor([1.0, -1.0], **D))

    def forward(self, x: Tensor) -> Tensor:
        return (3 * self.a**2 * self.b + self.c * x).sum() + 2 * self.d.square().sum()


@contextmanager
def product(batch: Any = None) -> Iterator[Objective]:
    x = torch.ones(1, **D) if batch is None else batch
    with objective_at(Product(), lambda m, x: m(x), x) as objective:
        yield objective


NAMES = ["a", "b", "c", "unused", "d"]


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (None, NAMES),
        ("*", NAMES),
        ("a", ["a"]),
        (["d", "a"], ["a", "d"]),  # in the model's order
        (("[bc]",), ["b", "c"]),
        (["u*", "unused"], ["unused"]),
    ],
)
def test_parameters_are_chosen_by_name(patterns: Any, chosen: list[str]) -> None:
    with product() as objective:
        named = dict(objective.model.named_parameters())
        found = chosen_parameters(objective, patterns)
        assert [id(p) for p in found] == [id(named[name]) for name in chosen]


def test_patterns_that_choose_nothing_or_are_no_names_are_refused() -> None:
    with product() as objective:
        for none in ("frozen", ["A"], []):
            with pytest.raises(ValueError, match=r"no trainable parameter matches .*: names are a, b, c, unused, d$"):
                chosen_parameters(objective, none)
        for patterns in (["u*", "nothing"], ["nothing", "u*"]):  # a misspelled name beside a right one
            with pytest.raises(ValueError, match=r"^no trainable parameter matches 'nothing': names are a, b"):
                chosen_parameters(objective, patterns)
        for wrong in (1, ["a", 1], {"a"}, [None]):
            with pytest.raises(TypeError, match="parameters must be a pattern of names or a sequence of them, got"):
                chosen_parameters(objective, wrong)  # type: ignore[arg-type]


def test_gradient_and_products_by_hand() -> None:
    with product() as objective, hessian_of(objective) as hessian:
        assert type(hessian) is Hessian
        assert hessian.size == 6
        assert [g.tolist() for g in hessian.gradient] == [[60.0], [12.0], [1.0], [0.0], [4.0, -4.0]]
        vector = [torch.tensor(one, **D) for one in ([1.0], [10.0], [7.0], [7.0], [1.0, 2.0])]
        # ∂²L: aa = 6b = 30, ab = 6a = 12, dd = 4, all else 0
        expected = [[30.0 + 120.0], [12.0], [0.0], [0.0], [4.0, 8.0]]
        for _ in range(2):  # as often as needed
            assert [h.tolist() for h in hessian.times(vector)] == expected
        flat = torch.tensor([1.0, 10.0, 7.0, 7.0, 1.0, 2.0], **D)
        assert hessian.times_flat(flat).tolist() == [150.0, 12.0, 0.0, 0.0, 4.0, 8.0]
        block = Hessian(objective, [objective.parameters[4], objective.parameters[0]])
        assert block.size == 3
        assert [g.tolist() for g in block.gradient] == [[4.0, -4.0], [60.0]]
        assert block.times_flat(torch.tensor([1.0, 2.0, 3.0], **D)).tolist() == [4.0, 8.0, 90.0]
        linear = Hessian(objective, [objective.parameters[2]])
        assert linear.times([torch.ones(1, **D)])[0].tolist() == [0.0]


def test_over_several_batches_gradient_and_products_are_means() -> None:
    batches = Together([torch.tensor([x], **D) for x in (1.0, 2.0, 6.0)])
    with product(batches) as objective, hessian_of(objective) as hessian:
        assert objective.batches == 3
        assert hessian.size == 6
        assert [g.tolist() for g in hessian.gradient] == [[60.0], [12.0], [3.0], [0.0], [4.0, -4.0]]
        assert hessian.times_flat(torch.ones(6, **D)).tolist() == [42.0, 12.0, 0.0, 0.0, 4.0, 4.0]


def test_a_start_vector_is_a_random_one_and_the_gradient_both_of_unit_length() -> None:
    with product() as objective, hessian_of(objective) as hessian:
        gaussian = torch.tensor([3.0, 0.0, 0.0, 4.0, 0.0, 0.0], **D)
        g = [60.0, 12.0, 1.0, 0.0, 4.0, -4.0]
        norm = math.sqrt(sum(x * x for x in g))
        expected = [x / 5 + y / norm for x, y in zip(gaussian.tolist(), g, strict=True)]
        assert hessian.start(gaussian).tolist() == pytest.approx(expected, rel=1e-12)
        opposite = torch.tensor([-x for x in g], **D)  # the sum would be zero: the random one alone
        assert hessian.start(opposite).tolist() == pytest.approx([-x / norm for x in g], rel=1e-12)
        near = torch.tensor([-x for x in g], **D)
        near[3] = norm / 2  # nearly opposite: the sum has a length of 0.46
        expected_near = [x / norm - x / (norm * math.sqrt(1.25)) for x in g]
        expected_near[3] = 0.5 / math.sqrt(1.25)
        assert hessian.start(near).tolist() == pytest.approx(expected_near, rel=1e-9)  # a difference of like numbers
        hessian.gradient = [g / 1e6 for g in hessian.gradient]  # its length does not count
        assert hessian.start(gaussian).tolist() == pytest.approx(expected, rel=1e-12)
        for odd in (0.0, math.inf, math.nan):
            hessian.gradient = [torch.full_like(p, odd) for p in hessian.parameters]
            assert hessian.start(gaussian).tolist() == pytest.approx([0.6, 0, 0, 0.8, 0, 0], rel=1e-12)


def test_random_vectors_continue_the_callers_stream_or_a_generators() -> None:
    torch.manual_seed(5)
    with product() as objective, hessian_of(objective) as hessian:
        draw, own = hessian.drawing(None), hessian.drawing(torch.Generator().manual_seed(3))
        found, given = [draw() for _ in range(2)], own()
    assert [torch.equal(one, torch.randn(6, **D)) for one in found] == [True, True]
    assert torch.equal(given, torch.randn(6, generator=torch.Generator().manual_seed(3), **D))


def test_which_hessian_is_asked_for() -> None:
    several = Together([1, 2])
    check_hessian("each", 1)
    check_hessian("each", several)
    check_hessian("mean", several)
    with pytest.raises(ValueError, match="is over several batches"):
        check_hessian("mean", (1, 2))
    for wrong in ("both", "", "means", None):
        with pytest.raises(ValueError, match="hessian must be 'each' or 'mean', got"):
            check_hessian(wrong, several)  # type: ignore[arg-type]


BAD: list[tuple[Any, dict[str, Any], str]] = [
    *((trace, {"max_products": n}, "max_products must be an integer of at least 6") for n in (5, True, 6.0, "9")),
    *((spectral_density, {"vectors": n}, "vectors must be an integer of at least 1") for n in (0, True, 1.0)),
    *((spectral_density, {"steps": n}, "steps must be an integer of at least 1") for n in (0, True, 1.0)),
    *((spectral_density, {"points": n}, "points must be an integer of at least 2") for n in (1, True, 2.0)),
    *((spectral_density, {"width": w}, "width must be a positive") for w in (0, -1.0, math.inf, math.nan, "1")),
]


@pytest.mark.parametrize(("probe", "arguments", "message"), BAD)
def test_bad_arguments_are_named(probe: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        probe(*BY_NAME["mlp"].make(), **arguments)


def test_the_least_arguments_are_accepted() -> None:
    made = quadratic(torch.tensor([1.0, 3.0], **D))
    assert trace(*made, max_products=6).value == pytest.approx(4.0, rel=1e-12)
    found = spectral_density(*made, vectors=1, steps=1, points=2, width=1)
    assert (len(found.grid), found.products, found.width) == (2, 1, 1)


def test_the_curvature_along_a_large_gradient_does_not_overflow() -> None:
    # L = ½ h w² at w = 1e30 in float32: g = h w, and gᵀHg = h³w² is beyond float32
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1e30)
    scale = 1e-30
    found = directional_curvature(model, lambda m, x: (m.weight * x).square().sum() * scale / 2, torch.tensor(1e4))
    assert found.grad_norm == pytest.approx(1e8, rel=1e-6)  # float32
    assert (found.rayleigh, found.stretch) == pytest.approx((1e-22, 1e-22), rel=1e-5)
    assert found.notes == ()


@pytest.mark.parametrize(
    ("loss", "norm", "note"),
    [
        (lambda m, x: 0 * m.weight.sum() * x, 0.0, "zero gradient: the curvature along it is undefined"),
        (lambda m, x: m.weight.sum() * math.inf, math.inf, "the gradient is not finite: the curvature along it is"),
        (lambda m, x: m.weight.abs().pow(1.5).sum(), 0.0, "zero gradient"),
    ],
)
def test_a_gradient_along_which_there_is_no_curvature(loss: Any, norm: float, note: str) -> None:
    model = nn.Linear(1, 1, bias=False, **D)
    nn.init.constant_(model.weight, 0.0)
    found = directional_curvature(model, loss, torch.ones((), **D))
    assert (math.isnan(found.rayleigh), math.isnan(found.stretch), found.grad_norm) == (True, True, norm)
    assert found.notes[0].startswith(note)
    assert found.scalars().keys() == {"rayleigh", "stretch", "grad_norm"}
