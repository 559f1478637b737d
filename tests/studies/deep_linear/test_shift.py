"""Definition 2.1 written out layer by layer."""

import math

import pytest
import torch
from tests.studies.deep_linear.conftest import Instance, build_instance
from tests.studies.deep_linear.twin import build_twin, flat_gradient, half_squared_error

from normlab.specs.parts import names
from normlab.studies.deep_linear.shift import covariate_shift, layer_norms, preceding

RATE = 3e-3


def written_out(instance: Instance, seed: int, layer: int) -> tuple[float, float, float]:
    """Replace everything before `layer` by its updated value, one module after the other."""
    batch = instance.batch(seed)
    before = build_twin(instance.network, instance.params[seed])
    names = dict(before.named_parameters())
    gradients = dict(zip(names, torch.autograd.grad(half_squared_error(before, batch), names.values()), strict=True))
    mixed = build_twin(instance.network, instance.params[seed])
    with torch.no_grad():
        for number in range(1, layer):
            for name, parameter in mixed.named_parameters():
                if name.split(".")[1] in (f"linear{number}", f"norm{number}"):
                    parameter -= RATE * gradients[name]
    weight = dict(mixed.named_parameters())[f"layers.linear{layer}.weight"]
    g = gradients[f"layers.linear{layer}.weight"]
    (g2,) = torch.autograd.grad(half_squared_error(mixed, batch), weight)
    l2 = math.sqrt(float((g - g2).square().sum()))
    cosine = float((g * g2).sum()) / math.sqrt(float((g * g).sum() * (g2 * g2).sum()))
    return l2, l2 / float(g.norm()), cosine


@pytest.mark.parametrize("last_layer", [False, True])
@pytest.mark.parametrize("norm_layer", names("scale"))
def test_shift_is_the_definition_written_out(norm_layer: str, last_layer: bool):
    instance = build_instance(norm_layer, last_layer=last_layer)
    _, gradient = instance.gradient()
    layers = (4, 2, 3)
    found = covariate_shift(instance.network, instance.problem, instance.params, gradient, RATE, layers)
    for seed in range(3):
        for column, layer in enumerate(layers):
            l2, relative, cosine = written_out(instance, seed, layer)
            # differences of gradients that agree to 1e-13 of their length; here they are at least 1e-3 of it
            assert found["l2"][seed, column] == pytest.approx(l2, rel=1e-9)
            assert found["relative_l2"][seed, column] == pytest.approx(relative, rel=1e-9)
            assert found["cosine"][seed, column] == pytest.approx(cosine, abs=1e-12)


def test_the_first_layer_does_not_shift(instance: Instance):
    _, gradient = instance.gradient()
    found = covariate_shift(instance.network, instance.problem, instance.params, gradient, RATE, (1, 2))
    assert (found["l2"][:, 0] == 0).all()
    assert (found["relative_l2"][:, 0] == 0).all()
    assert (found["cosine"][:, 0] == 1).all()
    assert (found["l2"][:, 1] > 0).all()


def test_no_gradient_makes_the_shift_undefined():
    instance = build_instance("none", depth=3)
    zero = torch.zeros_like(instance.params)
    found = covariate_shift(instance.network, instance.problem, zero, zero, RATE, (1, 3))
    assert (found["l2"] == 0).all()
    assert found["relative_l2"].isnan().all()
    assert found["cosine"].isnan().all()


@pytest.mark.parametrize("norm_layer", names("scale"))
def test_preceding_counts_matrices_and_affine_parameters(norm_layer):
    network = build_instance(norm_layer).network
    counts = preceding(network, (1, 2, 4)).sum(1).tolist()
    per_norm = 0 if norm_layer == "none" else 6
    assert counts == [0, 9 + per_norm, 3 * (9 + per_norm)]


def test_norms_by_layer(instance: Instance):
    _, gradient = instance.gradient()
    twin = build_twin(instance.network, instance.params[1])
    blocks = flat_gradient(twin, instance.batch(1))[:36].view(4, 9)
    # roundoff of the gradients, as in test_network
    torch.testing.assert_close(layer_norms(instance.network, gradient)[1], blocks.norm(dim=1), rtol=1e-10, atol=1e-10)
    matrices = torch.stack([p.norm() for p in twin.parameters() if p.ndim == 2])
    torch.testing.assert_close(layer_norms(instance.network, instance.params)[1], matrices.detach(), rtol=1e-14, atol=0)
