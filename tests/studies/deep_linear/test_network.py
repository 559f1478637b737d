"""The reduced network against `normlab.nn.deep_linear` on the samples themselves."""

import dataclasses

import pytest
import torch
from tests.studies.deep_linear.conftest import Instance, build_instance
from tests.studies.deep_linear.test_study import SPEC
from tests.studies.deep_linear.twin import build_twin, flat_gradient, half_squared_error

from normlab.nn import deep_linear
from normlab.specs.parts import names
from normlab.studies.deep_linear.network import Network, build_network


@pytest.mark.parametrize("last_layer", [False, True])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("norm_layer", names("scale"))
@pytest.mark.parametrize(("depth", "features", "samples"), [(4, 3, 17), (25, 10, 200)])
def test_loss_and_gradient_are_those_of_the_module(norm_layer, affine, last_layer, depth, features, samples):
    instance = build_instance(norm_layer, affine, depth, features, samples, last_layer)
    loss, gradient = instance.gradient()
    for seed in range(len(loss)):
        twin = build_twin(instance.network, instance.params[seed])
        batch = instance.batch(seed)
        # 25 products in another order: about 1e-14 relative to the length of the vector, seen up to 2e-14
        expected = flat_gradient(twin, batch)
        assert abs(loss[seed] / half_squared_error(twin, batch).item() - 1) < 1e-12
        assert torch.linalg.vector_norm(gradient[seed] - expected) < 1e-11 * torch.linalg.vector_norm(expected)


def test_defaults_are_those_of_deep_linear():
    """The twin above passes affine and eps on; here the library's own defaults."""
    instance = build_instance("l1")
    model = deep_linear(4, 3, "l1").double()
    fresh = instance.network.pack(torch.stack([p.detach() for p in model.parameters() if p.ndim == 2])[None])
    loss, _ = instance.network.evaluate(instance.problem, fresh.expand(3, -1)[:, None])
    # as above
    assert abs(loss[0].item() / half_squared_error(model, instance.batch(0)).item() - 1) < 1e-12
    assert Network("l1", 4, 3).n_params == sum(p.numel() for p in model.parameters())


def test_a_normalized_last_layer_has_outputs_of_mean_zero_and_variance_one_without_affine_parameters():
    instance = build_instance("batch", affine=False, last_layer=True)
    maps = instance.network.layer_maps(instance.problem, instance.params).norm
    assert maps.shape == (3, 4, 3, 4)  # one more than without
    assert torch.equal(maps[..., -1], torch.zeros(3, 4, 3, dtype=torch.float64))
    variance = maps[..., :-1].square().sum(-1)
    # but for eps = 1e-5 beside variances of order one
    torch.testing.assert_close(variance, torch.ones(3, 4, 3, dtype=torch.float64), rtol=1e-3, atol=0)


def test_variants_do_not_see_each_other(instance: Instance):
    others = instance.params * 1.3
    both = torch.stack([instance.params, others], 1)
    losses, gradients = instance.network.evaluate(instance.problem, both)
    for variant, params in enumerate((instance.params, others)):
        loss, gradient = instance.network.evaluate(instance.problem, params[:, None])
        # the products are batched differently, so equal up to roundoff only
        torch.testing.assert_close(losses[:, variant], loss[:, 0], rtol=1e-12, atol=0)
        torch.testing.assert_close(gradients[:, variant], gradient[:, 0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), 1e200])
def test_a_seed_that_diverged_leaves_the_others_bit_identical(instance: Instance, broken):
    loss, gradient = instance.gradient()
    poisoned = instance.params.clone()
    poisoned[1] = broken
    after = dataclasses.replace(instance, params=poisoned)
    loss_after, gradient_after = after.gradient()
    for seed in (0, 2):
        assert torch.equal(loss[seed], loss_after[seed])
        assert torch.equal(gradient[seed], gradient_after[seed])


def test_a_plain_network_that_is_the_teacher_has_no_loss():
    instance = build_instance("none", depth=3)
    eye = torch.eye(3, dtype=torch.float64).expand(3, 3, 3)
    weights = torch.stack([eye, instance.teacher, eye], 1)
    loss, gradient = instance.network.evaluate(instance.problem, instance.network.pack(weights)[:, None])
    # exact but for the roundoff of A B, whose entries are of order one
    assert loss.max() < 1e-25
    assert gradient.abs().max() < 1e-11


@pytest.mark.parametrize("norm_layer", ["batch", "l1", "l2", "linf"])
def test_units_that_are_zero_everywhere_give_finite_gradients(norm_layer):
    instance = build_instance(norm_layer)
    weights = instance.network.unpack(instance.params)[0].clone()
    weights[:, 1, 0] = 0  # the first unit of the second layer
    loss, gradient = instance.network.evaluate(instance.problem, instance.network.pack(weights)[:, None])
    assert loss.isfinite().all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("norm_layer", "affine", "last_layer", "normalized", "learned"),
    [
        ("none", True, False, 3, 0),
        ("none", True, True, 3, 0),  # a place before the last layer, and nothing there
        ("batch", True, False, 3, 2 * 3 * 5),
        ("batch", True, True, 4, 2 * 4 * 5),
        ("l1", False, False, 3, 0),
        ("l1", False, True, 4, 0),
    ],
)
def test_how_many_numbers_a_network_has(norm_layer, affine, last_layer, normalized, learned):
    network = Network(norm_layer, 4, 5, affine, last_layer=last_layer)
    assert (network.n_normalized, network.n_weights, network.n_params) == (normalized, 100, 100 + learned)
    matrices = torch.arange(200.0, dtype=torch.float64).view(2, 4, 5, 5)
    flat = network.pack(matrices)
    assert flat.tolist() == [
        [*one, *[1.0] * (learned // 2), *[0.0] * (learned // 2)] for one in matrices.flatten(1).tolist()
    ]
    weights, gamma, beta = network.unpack(flat)
    assert torch.equal(weights, matrices)
    assert torch.equal(gamma, torch.ones(2, normalized, 5, 1, dtype=torch.float64))
    assert torch.equal(beta, torch.zeros(2, normalized, 5, dtype=torch.float64))


def test_the_network_of_a_section_has_every_setting_of_it():
    spec = dataclasses.replace(SPEC, depth=4, features=2, affine=False, eps=0.5, last_layer=True)
    expected = Network(norm_layer="linf", depth=4, features=2, affine=False, eps=0.5, last_layer=True)
    assert build_network(spec, "linf") == expected


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="expected one of batch, l1, l2, linf, none, got 'layer'"):
        Network("layer", 4, 3)
    with pytest.raises(ValueError, match="depth: expected at least 2, got 1"):
        Network("none", 1, 3)
    assert Network("none", 2, 3).n_normalized == 1
