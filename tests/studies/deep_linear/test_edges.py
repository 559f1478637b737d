"""Walks and shift where rounding, small numbers and graphs could show: by numbers that a network does not have."""

import pytest
import torch
from tests.studies.deep_linear.conftest import Instance, build_instance
from torch import Tensor

from normlab.studies.deep_linear.curvature import hessian
from normlab.studies.deep_linear.landscape import Walk, relative_directions, walk
from normlab.studies.deep_linear.network import Network
from normlab.studies.deep_linear.problem import draw_problem, draw_weights
from normlab.studies.deep_linear.shift import covariate_shift

MANY = range(60)


def many() -> tuple[Network, Instance]:
    """Sixty seeds, so that some quotient of equal numbers comes out above 1."""
    network = Network("batch", 3, 3)
    problem = draw_problem(MANY, 3, 12)
    params = network.pack(draw_weights(MANY, 3, 3))
    nothing = torch.empty(0)
    return network, Instance(network, problem, params, nothing, nothing)


def stepped(instance: Instance, gradient: Tensor, sizes: list[float]) -> Walk:
    """Along the true gradient, compared with another one."""
    loss, direction = instance.gradient()
    steps = torch.tensor(sizes, dtype=torch.float64).expand(len(loss), -1)
    return walk(instance.network, instance.problem, instance.params, loss, gradient, direction, steps)


@pytest.mark.parametrize("factor", [2.0, -1.0])
def test_a_point_that_did_not_move_has_no_beta_even_where_its_gradient_is_another(factor: float) -> None:
    instance = build_instance("batch")
    _, gradient = instance.gradient()
    found = stepped(instance, factor * gradient, [0.0, 1e-3])
    assert (found.moved[:, 0] == 0).all()
    assert (found.distances[:, 0] > 0).all()
    assert found.betas[:, 0].isnan().all()
    assert found.betas[:, 1].isfinite().all()
    # of a difference of gradients: |1 - factor| of the gradient's length, up to their rounding
    torch.testing.assert_close(found.distances[:, 0], abs(1 - factor) * gradient.norm(dim=1), rtol=1e-10, atol=0)


def test_a_step_below_one_has_a_beta() -> None:
    instance = build_instance("l2")
    found = stepped(instance, instance.gradient()[1], [1e-9])
    assert (found.moved < 1e-3).all()
    assert found.betas.isfinite().all()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_no_cosine_is_beyond_one_by_rounding(sign: float) -> None:
    network, instance = many()
    _, gradient = instance.gradient()
    lengths = torch.linalg.vector_norm(gradient, dim=1)
    assert (torch.linalg.vecdot(gradient, gradient) / lengths / lengths > 1).any()  # so the test can fail
    cosines = stepped(instance, sign * gradient, [0.0] * 3).cosines
    assert cosines.abs().max() == 1.0
    # of gradients that agree to 1e-13
    torch.testing.assert_close(cosines, torch.full_like(cosines, sign), rtol=1e-12, atol=0)
    shift = covariate_shift(network, instance.problem, instance.params, sign * gradient, 1e-15, (2, 3))["cosine"]
    assert shift.abs().max() == 1.0
    torch.testing.assert_close(shift, torch.full_like(shift, sign), rtol=1e-12, atol=0)


@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_small_and_large_gradients_have_the_same_cosine_and_direction(size: float) -> None:
    network, instance = many()
    params, problem = instance.params, instance.problem
    _, gradient = instance.gradient()
    first = covariate_shift(network, problem, params, size * gradient, 1.0, (1,))
    assert (first["cosine"] == 1).all()
    assert (first["l2"] == 0).all()
    torch.testing.assert_close(
        relative_directions(network, params, size * gradient),
        relative_directions(network, params, gradient),
        rtol=1e-14,  # two roundings
        atol=0,
    )


def test_neither_needs_a_graph() -> None:
    instance = build_instance("batch")
    loss, gradient = instance.gradient()
    params = instance.params.clone().requires_grad_()
    steps = torch.full((3, 1), 1e-3, dtype=torch.float64)
    found = walk(instance.network, instance.problem, params, loss, gradient, gradient, steps)
    shift = covariate_shift(instance.network, instance.problem, params, gradient, 1e-3, (2,))
    assert not any(value.requires_grad for value in (*found.per_step_size().values(), *shift.values()))


def test_a_hessian_is_the_same_where_gradients_are_switched_off_and_leaves_the_parameters_alone() -> None:
    instance = build_instance("l1")
    vector = torch.ones_like(instance.params)
    expected = hessian(instance.network, instance.problem, instance.params)(vector)
    params = instance.params.clone().requires_grad_()
    with torch.no_grad():
        product = hessian(instance.network, instance.problem, params)
        assert torch.equal(product(vector), expected)
        assert torch.equal(product(vector), expected)  # as often as one likes
    assert params.grad is None
    assert torch.equal(params, instance.params)


def test_the_edges_of_a_walk_are_those_of_its_first_points() -> None:
    """Two seeds by hand: of the second nothing moved at the first two points."""
    inf, nan = float("inf"), float("nan")
    found = Walk(
        loss=torch.tensor([5.0, 1.0]),
        grad_norm=torch.tensor([7.0, 8.0]),
        losses=torch.tensor([[4.0, 6.0, 99.0], [3.0, 2.0, -99.0]]),
        distances=torch.tensor([[0.5, 0.25, 99.0], [0.0, inf, -99.0]]),
        cosines=torch.zeros(2, 3),
        betas=torch.tensor([[2.0, 9.0, 99.0], [nan, nan, 99.0]]),
        moved=torch.tensor([[0.25, 0.5, 1.0], [0.0, 0.0, 1.0]]),
    )
    summary = {name: [None if v != v else v for v in value.tolist()] for name, value in found.summary(2).items()}
    assert summary == {
        "loss": [5.0, 1.0],
        "grad_norm": [7.0, 8.0],
        "loss_low": [4.0, 1.0],
        "loss_high": [6.0, 3.0],
        "loss_range": [2.0, 2.0],
        "loss_low_steps": [4.0, 2.0],
        "loss_high_steps": [6.0, 3.0],
        "loss_range_steps": [2.0, 1.0],
        "gradient_distance_low": [0.25, 0.0],
        "gradient_distance_high": [0.5, inf],
        "effective_beta": [9.0, None],
    }
    assert found.summary(3)["effective_beta"].tolist() == [99.0, 99.0]
