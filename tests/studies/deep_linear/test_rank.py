"""The plateaus of low rank."""

import itertools
import math

import pytest
import torch
from tests.studies.deep_linear.conftest import build_instance

from normlab.studies.deep_linear.rank import rank_floors

EVERY_SHAPE = list(itertools.product(["none", "batch", "linf"], [False, True], [False, True]))


def test_a_plain_network_of_rank_r_can_reach_its_floor_and_not_go_below():
    instance = build_instance("none", depth=3)
    floors = rank_floors(instance.network, instance.problem)
    eye = torch.eye(3, dtype=torch.float64).expand(3, 3, 3)
    left, _, _ = torch.linalg.svd(instance.problem.targets, full_matrices=False)
    for rank in range(4):
        # the best map of rank r projects the teacher's outputs on their r leading directions
        projection = left[..., :rank] @ left[..., :rank].mT
        weights = torch.stack([instance.teacher, projection, projection], 1)
        params = instance.network.pack(weights)[:, None]
        loss, gradient = instance.network.evaluate(instance.problem, params)
        # roundoff of the loss's terms, which are below 1e3
        torch.testing.assert_close(loss[:, 0], floors[:, rank], rtol=1e-11, atol=1e-10)
        # with two layers of that rank a critical point: every gradient vanishes, up to roundoff
        assert gradient.abs().max() < 1e-10 * floors.max()
    generator = torch.Generator().manual_seed(4)
    for _ in range(20):
        thin = torch.randn(3, 3, 1, generator=generator, dtype=torch.float64)
        weights = torch.stack([eye, thin @ thin.mT, eye], 1)
        loss, _ = instance.network.evaluate(instance.problem, instance.network.pack(weights)[:, None])
        assert (loss[:, 0] >= floors[:, 1]).all()


def test_without_affine_parameters_the_mean_stays_in_the_loss():
    fitted, stuck = (build_instance("batch", affine, depth=3) for affine in (True, False))
    floors, higher = (rank_floors(i.network, i.problem) for i in (fitted, stuck))
    mean = torch.stack([fitted.batch(seed)[1].mean(0) for seed in range(3)])
    # the mean output, once a sample: 17/2 ||mean||^2
    torch.testing.assert_close(higher - floors, (17 / 2 * mean.square().sum(1, keepdim=True)).expand(3, 4))
    assert (floors[:, -1] == 0).all()
    losses, _ = stuck.gradient()
    assert (losses >= higher[:, -1]).all()


def test_a_normalized_last_layer_has_the_floors_of_the_others_where_gamma_sets_its_scale():
    plain, last, fixed = (
        build_instance("batch", affine, depth=3, last_layer=last_layer)
        for affine, last_layer in ((True, False), (True, True), (False, True))
    )
    floors = rank_floors(last.network, last.problem)
    assert torch.equal(floors, rank_floors(plain.network, plain.problem))
    losses, _ = last.gradient()
    assert (losses >= floors[:, -1]).all()
    assert rank_floors(fixed.network, fixed.problem).isnan().all()
    assert rank_floors(fixed.network, fixed.problem).shape == floors.shape


@pytest.mark.parametrize(("norm_layer", "affine", "last_layer"), EVERY_SHAPE)
def test_floors_are_what_the_best_fit_of_every_rank_leaves_of_the_outputs(norm_layer, affine, last_layer):
    """By singular values of the teacher's outputs on the samples themselves, seed by seed."""
    instance = build_instance(norm_layer, affine, depth=3, last_layer=last_layer)
    floors = rank_floors(instance.network, instance.problem)
    assert floors.shape == (3, 4)
    if norm_layer != "none" and last_layer and not affine:
        assert floors.isnan().all()  # every unit's length is fixed
        return
    for seed in range(3):
        outputs = instance.batch(seed)[1]
        mean = outputs.mean(0)
        # the mean of the outputs is one more thing to learn, is learned by beta, or stays
        fitted = outputs if norm_layer == "none" else outputs - mean
        rest = 0.0 if norm_layer == "none" or affine else 17 * mean.square().sum().item()
        squares = sorted((torch.linalg.svdvals(fitted) ** 2).tolist(), reverse=True)
        expected = [0.5 * (math.fsum(squares[rank:]) + rest) for rank in range(4)]
        # sums over 17 samples against whitened ones
        assert floors[seed].tolist() == pytest.approx(expected, rel=1e-10, abs=1e-12)
