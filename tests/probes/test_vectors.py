"""Norms, distances and angles of lists of tensors."""

import math

import pytest
import torch
from torch import Tensor, nn

from normlab.probes.vectors import check_vector, compare, dot, l2_distance, l2_norm, shown


def test_closed_forms_over_several_tensors() -> None:
    a = [torch.tensor([[3.0, 0.0]]), torch.tensor(4.0)]
    b = [torch.tensor([[0.0, 0.0]]), torch.tensor(2.0)]
    assert l2_norm(a) == 5.0
    assert dot(a, b) == 8.0
    assert l2_distance(a, b) == pytest.approx(math.sqrt(13))
    found = compare(a, b)
    assert (found.norm_a, found.norm_b) == (5.0, 2.0)
    assert found.cosine == pytest.approx(0.8)
    assert found.distance == pytest.approx(math.sqrt(13))


def test_equal_vectors_have_exactly_distance_zero_and_cosine_one() -> None:
    a = [torch.randn(1000, generator=torch.Generator().manual_seed(0))]
    assert (compare(a, [a[0].clone()]).distance, compare(a, a).cosine) == (0.0, 1.0)
    assert compare(a, [-a[0]]).cosine == pytest.approx(-1.0, rel=1e-12)  # rounding of two square roots


def test_long_and_large_float32_vectors_neither_round_nor_overflow() -> None:
    draws = torch.Generator().manual_seed(0)
    long = torch.randn(300_000, generator=draws)
    assert l2_norm([long]) == pytest.approx(long.double().norm().item(), rel=1e-7)  # float32 products in short pieces
    assert l2_norm([torch.full((4,), 1e30)]) == pytest.approx(2e30, rel=1e-6)  # 1e30 itself is rounded in float32
    assert compare([torch.full((4,), 1e30)], [torch.full((4,), -1e30)]).cosine == pytest.approx(-1.0)


def test_memory_layout_does_not_matter() -> None:
    a = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    b = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    last = a.to(memory_format=torch.channels_last)
    assert compare([last], [b]) == compare([a], [b])


def test_undefined_and_non_finite() -> None:
    zero, one = [torch.zeros(2)], [torch.ones(2)]
    assert math.isnan(compare(zero, one).cosine)
    assert math.isnan(compare(zero, zero).cosine)
    assert math.isnan(compare([torch.tensor([math.nan, 0.0])], one).distance)
    assert compare([torch.tensor([math.inf, 0.0])], one).distance == math.inf
    assert l2_norm([]) == 0.0


def test_a_vector_of_the_caller_is_checked_and_cast() -> None:
    parameters = [torch.zeros(2, dtype=torch.float64)]
    assert check_vector([torch.ones(2)], parameters, "vector")[0].dtype == torch.float64
    with pytest.raises(ValueError, match=r"vector\[0\] must be finite"):
        check_vector([torch.tensor([1.0, math.inf])], parameters, "vector")
    with pytest.raises(TypeError, match="list of tensors"):
        check_vector(torch.ones(1, 2), parameters, "vector")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.ones(2).to("meta"), "must hold values, got a tensor on the meta device"),
        (torch.ones(2).to_sparse(), "must be a dense tensor, got one that is torch.sparse_coo"),
        (torch.ones(2).to_mkldnn(), "must be a dense tensor, got one that is torch._mkldnn"),
        (
            torch.nested.nested_tensor([torch.ones(2)], layout=torch.jagged),
            "must be a dense tensor, got one that is nested",
        ),
        (
            torch.ones(2, dtype=torch.complex64),
            r"must be real, as its parameter is \(torch.float32\), got torch.complex64",
        ),
        (torch.full((2,), 1e300, dtype=torch.float64), r"must be finite, it holds inf or NaN \(as torch.float32\)"),
    ],
)
def test_a_vector_that_a_parameter_cannot_hold_is_refused_in_one_line(wrong: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^vector\[1\] .*{message}$"):
        check_vector([torch.ones(2), wrong], [torch.zeros(2)] * 2, "vector")


def test_a_real_vector_is_taken_for_complex_parameters() -> None:
    found = check_vector([torch.ones(2)], [torch.zeros(2, dtype=torch.complex128)], "vector")[0]
    assert found.tolist() == [1 + 0j] * 2


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a  b", "'a  b'"),
        ("x" * 100, "'" + 79 * "x"),
        (torch.eye(2), "tensor([[1., 0.], [0., 1.]])"),
        (nn.Sequential(nn.ReLU()), "Sequential( (0): ReLU() )"),
        ([10**5000], "<list>"),  # Python refuses to write it out
        (Unspeakable(), "<Unspeakable>"),
    ],
)
def test_any_value_is_shown_in_one_line_of_at_most_80_characters(value: object, text: str) -> None:
    assert shown(value) == text
