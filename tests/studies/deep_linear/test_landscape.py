"""Batched walks against the library's probe on one module, and against closed forms."""

import dataclasses

import pytest
import torch
from tests.studies.deep_linear.conftest import Instance, build_instance
from tests.studies.deep_linear.twin import build_twin, half_squared_error, ordered, split

from normlab.probes import landscape
from normlab.studies.deep_linear.landscape import random_directions, relative_directions, walk

SIZES = (1e-4, 1e-3, 1e-2, 0.1)


def walk_gradient(instance: Instance, sizes: tuple[float, ...]):
    loss, gradient = instance.gradient()
    steps = torch.tensor(sizes, dtype=torch.float64).expand(3, -1)
    return walk(instance.network, instance.problem, instance.params, loss, gradient, gradient, steps)


def test_walk_is_the_librarys_probe(instance: Instance):
    found = walk_gradient(instance, SIZES)
    summary = found.summary(3)
    for seed in range(3):
        twin = build_twin(instance.network, instance.params[seed])
        expected = landscape(twin, half_squared_error, instance.batch(seed), SIZES)
        # differences of gradients that agree to 1e-13; the smallest step changes them by 1e-3 of their length
        close = {"rtol": 1e-8, "atol": 1e-8}
        torch.testing.assert_close(found.losses[seed], expected.losses, **close)
        torch.testing.assert_close(found.distances[seed], expected.gradient_distances, **close)
        torch.testing.assert_close(found.cosines[seed], expected.gradient_cosines, **close)
        torch.testing.assert_close(found.betas[seed], expected.betas, **close)
        first = landscape(twin, half_squared_error, instance.batch(seed), SIZES[:3])
        for quantity in summary:
            assert summary[quantity][seed].item() == pytest.approx(getattr(first, quantity), rel=1e-8, abs=1e-8)


def test_random_direction_has_the_gradients_length_and_one_stream_a_seed():
    instance = build_instance("batch")
    _, gradient = instance.gradient()
    directions = random_directions((3, 5, 8), 50, gradient)
    # one division and one multiplication of the length
    torch.testing.assert_close(directions.norm(dim=1), gradient.norm(dim=1), rtol=1e-14, atol=0)
    assert torch.equal(random_directions((5,), 50, gradient[1:2])[0], directions[1])
    assert not torch.equal(random_directions((3, 5, 8), 100, gradient), directions)


def test_walk_along_a_given_direction():
    instance = build_instance("l2")
    loss, gradient = instance.gradient()
    direction = random_directions((3, 5, 8), 0, gradient)
    steps = torch.tensor([[0.01], [0.02], [0.03]], dtype=torch.float64)
    found = walk(instance.network, instance.problem, instance.params, loss, gradient, direction, steps)
    for seed in range(3):
        twin = build_twin(instance.network, instance.params[seed])
        along = split(ordered(twin), direction[seed])
        order = [next(i for i, p in enumerate(ordered(twin)) if p is q) for q in twin.parameters()]
        expected = landscape(
            twin, half_squared_error, instance.batch(seed), [steps[seed].item()], direction=[along[i] for i in order]
        )
        # as above
        torch.testing.assert_close(found.losses[seed], expected.losses, rtol=1e-10, atol=0)
        torch.testing.assert_close(found.betas[seed], expected.betas, rtol=1e-8, atol=0)


def test_two_scalar_layers_by_hand():
    """L(a, b) = N/2 (c_2 (ab - A)^2 + ...) has gradient N s (ab - A) (b, a) with s = mean x^2."""
    instance = build_instance("none", depth=2, features=1, samples=9)
    found = walk_gradient(instance, (0.01,))
    for seed in range(3):
        x, y = instance.batch(seed)
        moment = float(x.square().sum())
        target = float(instance.teacher[seed])

        def slope(a: float, b: float, moment: float = moment, target: float = target) -> torch.Tensor:
            return moment * (a * b - target) * torch.tensor([b, a], dtype=torch.float64)

        a, b = instance.params[seed].tolist()
        g = slope(a, b)
        moved = torch.tensor([a, b], dtype=torch.float64) - 0.01 * g
        after = slope(*moved.tolist())
        assert float(y.numel()) == 9
        # a handful of products
        assert found.losses[seed, 0].item() == pytest.approx(
            0.5 * moment * (float(moved.prod()) - target) ** 2, rel=1e-11
        )
        assert found.distances[seed, 0].item() == pytest.approx(float((after - g).norm()), rel=1e-11)
        assert found.betas[seed, 0].item() == pytest.approx(float((after - g).norm() / (0.01 * g).norm()), rel=1e-11)


def test_step_zero_has_no_beta_and_an_overflow_shows():
    instance = build_instance("none")
    found = walk_gradient(instance, (0.0, 0.01, 1e200))
    assert found.betas[:, 0].isnan().all()
    assert found.summary(1)["effective_beta"].isnan().all()
    assert torch.equal(found.summary(2)["effective_beta"], found.betas[:, 1])
    summary = found.summary(3)
    assert not summary["loss_high"].isfinite().any()
    assert not summary["effective_beta"].isfinite().any()
    assert torch.equal(found.summary(2)["loss_high"], torch.maximum(found.loss, found.losses[:, :2].amax(1)))
    steps = found.losses[:, 1:2]
    alone = dataclasses.replace(found, losses=steps, distances=found.distances[:, 1:2], betas=found.betas[:, 1:2])
    band = dataclasses.replace(alone, moved=found.moved[:, 1:2]).summary(1)
    assert torch.equal(band["loss_low_steps"], steps[:, 0])
    assert torch.equal(band["loss_high_steps"], steps[:, 0])
    assert torch.equal(band["loss_range_steps"], torch.zeros(3, dtype=torch.float64))
    assert torch.equal(band["loss_range"], (found.loss - steps[:, 0]).abs())


def test_a_relative_step_moves_every_matrix_by_the_same_share_of_itself(instance: Instance):
    _, gradient = instance.gradient()
    direction = relative_directions(instance.network, instance.params, gradient)
    moved = instance.params - 0.05 * direction
    for seed in range(3):
        before, after = (build_twin(instance.network, params[seed]) for params in (instance.params, moved))
        for (name, old), new in zip(before.named_parameters(), after.parameters(), strict=True):
            change = (new - old).detach()
            if old.ndim == 1:
                assert torch.equal(new, old), name  # gamma and beta stay
                continue
            assert float(change.norm() / old.detach().norm()) == pytest.approx(0.05, rel=1e-10), name
            slope = dict(zip(map(id, ordered(before)), split(ordered(before), gradient[seed]), strict=True))[id(old)]
            # downhill, along the matrix's own gradient
            assert float((change * slope).sum() / change.norm() / slope.norm()) == pytest.approx(-1, rel=1e-10)


def test_a_matrix_without_gradient_stays():
    instance = build_instance("none")
    assert not relative_directions(instance.network, instance.params, torch.zeros_like(instance.params)).any()
