"""The deep linear network: a product of matrices, normalized in between."""

import pytest
import torch

from normlab.nn import deep_linear, normalizer


def test_defaults_are_the_papers():
    network = deep_linear()
    shapes = [tuple(p.shape) for p in network.parameters()]
    assert shapes == [(10, 10)] * 25


def test_without_normalizers_it_is_the_product():
    network = deep_linear(4, 3).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    expected = x
    for weight in network.parameters():
        expected = torch.stack([weight @ row for row in expected])
    # four products of 3x3 matrices in another order
    torch.testing.assert_close(network(x), expected, rtol=1e-13, atol=1e-14)


def test_names_and_a_normalizer_after_each_but_the_last():
    names = [name for name, _ in deep_linear(3, 4, "batch").layers.named_children()]
    assert names == ["linear1", "norm1", "linear2", "norm2", "linear3"]
    assert [name for name, _ in deep_linear(3, 4).layers.named_children()] == names
    last = [name for name, _ in deep_linear(3, 4, "batch", last_layer=True).layers.named_children()]
    assert last == [*names, "norm3"]


@pytest.mark.parametrize("kind", ["batch", "noisy_batch", "noise", "l1", "l2", "linf", "layer"])
def test_normalized_forward_and_pairing(kind):
    torch.manual_seed(1)
    plain = dict(deep_linear(3, 4).named_parameters())
    torch.manual_seed(1)
    network = deep_linear(3, 4, kind)
    assert all(torch.equal(plain[name], dict(network.named_parameters())[name]) for name in plain)
    x = torch.randn(6, 4)
    torch.manual_seed(2)
    z = network(x)
    torch.manual_seed(2)
    first, second = (normalizer(kind, 4, dims=0) for _ in range(2))
    expected = second(first(x @ plain["layers.linear1.weight"].T) @ plain["layers.linear2.weight"].T)
    # float32 products of the same matrices
    torch.testing.assert_close(z, expected @ plain["layers.linear3.weight"].T, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 0}, "depth: .* at least 1, got 0"),
        ({"features": 2.5}, "features: .* got 2.5"),
        ({"norm_layer": "bn"}, "normalizer: accepted: batch"),
        ({"norm_layer": "instance"}, "needs pixels"),
        ({"norm_layer": "group"}, "its own group"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        deep_linear(**options)
