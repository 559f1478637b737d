"""Along which axis a layer's units lie, which of them are looked at, and how their values are counted."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm
from torchvision.models.convnext import LayerNorm2d

from normlab.nn import normalizer
from normlab.probes import activation_moments
from normlab.probes.units import unit_axis

LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {  # with its output's shape, and the axis
    "convolution of sequences": (lambda: nn.Conv1d(2, 5, 1), (3, 5, 7), 1),
    "convolution of images": (lambda: nn.Conv2d(2, 5, 1), (3, 5, 7, 8), 1),
    "convolution of volumes": (lambda: nn.Conv3d(2, 5, 1), (3, 5, 7, 8, 9), 1),
    "convolution of one image": (lambda: nn.Conv2d(2, 5, 1), (5, 7, 8), 0),
    "transposed convolution": (lambda: nn.ConvTranspose1d(2, 5, 1), (3, 5, 7), 1),
    "batch norm": (lambda: nn.BatchNorm1d(5), (3, 5, 7), 1),
    "instance norm": (lambda: nn.InstanceNorm1d(5), (3, 5, 7), 1),
    "group norm": (lambda: nn.GroupNorm(1, 5), (3, 5, 7), 1),
    "normalizer of the project": (lambda: normalizer("l1", 5), (3, 5, 7), 1),
    "linear": (lambda: nn.Linear(2, 5), (3, 7, 8, 5), -1),
    "bilinear": (lambda: nn.Bilinear(2, 2, 5), (3, 5), -1),
    "layer norm": (lambda: nn.LayerNorm(5), (3, 7, 8, 5), -1),
    "root mean square": (lambda: nn.RMSNorm(5), (3, 7, 8, 5), -1),
    "embedding": (lambda: nn.Embedding(4, 5), (3, 7, 8, 5), -1),
    "recurrent": (lambda: nn.GRU(2, 5), (7, 3, 5), -1),
    "attention": (lambda: nn.MultiheadAttention(6, 2), (7, 3, 6), -1),
    "another of two axes": (nn.ReLU, (3, 5), 1),
    "another of three": (nn.ReLU, (3, 7, 5), -1),
    "another of four": (nn.ReLU, (3, 5, 7, 8), 1),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_axis_of_the_units_is_that_of_the_layer(name: str) -> None:
    make, shape, axis = LAYERS[name]
    found = unit_axis(make(), shape)
    assert found is not None
    assert range(len(shape))[found] == range(len(shape))[axis]


@pytest.mark.parametrize("dimensions", [0, 1, 5, 6])
def test_another_modules_axis_is_not_known_in_other_dimensions(dimensions: int) -> None:
    shape = (1,) * dimensions
    assert unit_axis(nn.ReLU(), shape) is None
    assert unit_axis(nn.Linear(1, 1), shape) == -1
    marked = nn.ReLU()
    marked.batch_coupled = 1  # only True says so
    assert unit_axis(marked, shape) is None
    marked.batch_coupled = True
    assert unit_axis(marked, shape) == 1


class FeaturesFirst(nn.LayerNorm):
    """Over axis 1, as torchvision's `LayerNorm2d`, in any number of dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class RootMeanSquareFirst(nn.RMSNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class PlanesFirst(nn.LayerNorm):
    """Over axes 1 and 2, its two together."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim((1, 2), (-2, -1))).movedim((-2, -1), (1, 2))


class StillLast(nn.LayerNorm):
    """A forward pass of its own that moves nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.contiguous())


class BatchNormLast(nn.BatchNorm1d):
    """Of sequences (N, L, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(-1, 1)).movedim(1, -1)


class GroupNormLast(nn.GroupNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(-1, 1)).movedim(1, -1)


class LinearFirst(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Gated(nn.Conv2d):
    """Puts out half of its channels."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.glu(super().forward(x), 1)


class OwnInstanceNorm(_InstanceNorm):
    """Derived from torch's base, which says nothing of one sample."""

    def forward(self, x: Tensor) -> Tensor:
        return self._apply_instance_norm(x)


PLACES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {  # with the input's shape, and the axis
    "torchvision's on images": (lambda: LayerNorm2d(5), (3, 5, 7, 8), 1),
    "features first, in sequences": (lambda: FeaturesFirst(5), (3, 5, 7), 1),
    "features first, in volumes": (lambda: FeaturesFirst(5), (3, 5, 2, 2, 3), 1),
    "features first, as vectors": (lambda: FeaturesFirst(5), (3, 5), 1),
    "root mean square first": (lambda: RootMeanSquareFirst(5), (3, 5, 7, 8), 1),
    "two axes first": (lambda: PlanesFirst((4, 5)), (3, 4, 5, 7), 2),
    "two axes last": (lambda: nn.LayerNorm((4, 5)), (3, 7, 4, 5), 3),
    "features last, of its own forward": (lambda: StillLast(5), (3, 7, 8, 5), 3),
    "features last, as long as axis 1": (lambda: nn.LayerNorm(5), (3, 5, 7, 5), 3),
    "batch norm of channels last": (lambda: BatchNormLast(5), (3, 7, 5), 2),
    "group norm of channels last": (lambda: GroupNormLast(1, 5), (3, 7, 8, 5), 3),
    "linear of channels first": (lambda: LinearFirst(2, 5), (3, 2, 7, 8), 1),
    "batch norm in doubt": (lambda: BatchNormLast(5), (3, 5, 5), 1),  # the axis of the type
    "half of a convolution": (lambda: Gated(2, 6, 1), (3, 2, 7, 8), 1),
    "one sequence, instance norm": (lambda: nn.InstanceNorm1d(5), (5, 7), 0),
    "one image, instance norm": (lambda: nn.InstanceNorm2d(5, affine=True), (5, 7, 8), 0),
    "one volume, instance norm": (lambda: nn.InstanceNorm3d(5), (5, 2, 3, 4), 0),
    "instance norm of other sizes than it was made for": (lambda: nn.InstanceNorm2d(8), (3, 5, 7, 8), 1),
    "instance norm of a class of its own": (lambda: OwnInstanceNorm(5), (3, 5, 7), 1),
    "one sequence, convolution": (lambda: nn.Conv1d(2, 5, 3), (2, 7), 0),
    "one image, convolution": (lambda: nn.ConvTranspose2d(2, 5, 3), (2, 7, 8), 0),
    "one volume, convolution": (lambda: nn.Conv3d(2, 5, 2), (2, 3, 4, 5), 0),
}


@pytest.mark.filterwarnings("ignore:input's size at dim=1 does not match num_features")
@pytest.mark.parametrize("name", PLACES)
def test_units_are_found_where_a_layer_puts_them(name: str) -> None:
    make, shape, axis = PLACES[name]
    torch.manual_seed(0)
    layer, x = make().double(), torch.randn(shape, dtype=torch.float64)
    for p in layer.parameters():
        p.data = torch.randn_like(p)  # so that no two units have the same moments
    found = activation_moments(nn.Sequential(layer), x, ["0"])["0"]
    out = layer(x).detach()
    assert found.units.tolist() == list(range(out.shape[axis]))
    for unit in range(out.shape[axis]):
        values = out.select(axis, unit).flatten().tolist()
        mean = sum(values) / len(values)
        assert found.mean[unit].item() == pytest.approx(mean, abs=1e-12)
        variance = sum((value - mean) ** 2 for value in values) / len(values)
        assert found.variance[unit].item() == pytest.approx(variance, rel=1e-10)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: LayerNorm2d(5), (3, 5, 7, 5)),  # features as long as a row
        (lambda: FeaturesFirst(5), (3, 5, 5)),
        (lambda: StillLast(5), (3, 5, 5)),  # they are last here, which its type does not say
    ],
)
def test_a_layer_norm_that_may_have_moved_its_features_to_either_of_two_axes_is_refused(
    make: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    model, x = nn.Sequential(make()), torch.randn(shape)
    reason = (
        r"axis of the units is not known; \w+ has a forward of its own and may have moved them: say where with axis=$"
    )
    with pytest.raises(ValueError, match=rf"^layer '0' puts out shape .*{reason}"):
        activation_moments(model, x, ["0"])
    found = activation_moments(model, x, ["0"], axis=1)["0"]
    assert found.mean.tolist() == pytest.approx(model(x).movedim(1, 0).flatten(1).mean(1).tolist(), abs=1e-6)


class Dropped(nn.LayerNorm):
    """Puts out fewer features than it normalizes."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., 1:]


def test_a_layer_norm_whose_features_are_on_neither_axis_is_refused_unless_there_is_one_alone() -> None:
    with pytest.raises(ValueError, match="axis of the units is not known"):
        activation_moments(nn.Sequential(Dropped(5)), torch.randn(3, 7, 5), ["0"])
    assert len(activation_moments(nn.Sequential(Dropped(5)), torch.randn(3, 5), ["0"])["0"].units) == 4
    with pytest.raises(ValueError, match=r"shape \(4,\)"):
        activation_moments(nn.Sequential(Dropped(5)), torch.randn(5), ["0"])


class Through(nn.Module):
    """Puts its input out through `inner`."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Identity()

    def forward(self, x: Any) -> Any:
        return self.inner(x)


def moments(x: Any, **options: Any) -> Any:
    return activation_moments(Through(), x, ["inner"], forward=lambda m, b: m(b), **options)["inner"]


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3, np.int64(1)])
def test_an_axis_that_was_asked_for_counts(axis: int) -> None:
    x = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found, values = moments(x, axis=axis), np.moveaxis(x.numpy(), axis, 0).reshape(x.shape[axis], -1)
    np.testing.assert_allclose(found.mean, values.mean(1), rtol=1e-12)  # another order of summation
    np.testing.assert_allclose(found.variance, values.var(1), rtol=1e-12)
    assert found.histogram.sum(1).tolist() == [24 // x.shape[axis]] * x.shape[axis]


@pytest.mark.parametrize(
    ("shape", "axis", "reason"),
    [
        ((4,), None, "the axis of the units is not known"),
        ((4,), 0, "there is no axis 0"),
        ((2, 2, 2, 2, 2), None, "the axis of the units is not known"),
        ((2, 3), 2, "there is no axis 2"),
        ((2, 3), -3, "there is no axis -3"),
    ],
)
def test_an_axis_that_is_not_there_is_named(shape: tuple[int, ...], axis: int | None, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        moments(torch.ones(shape), axis=axis)
    assert str(caught.value).startswith(f"layer 'inner' puts out shape {shape}, in which {reason}; accepted are ")


@pytest.mark.parametrize("wanted", [1, 4, 5, 6])
def test_as_many_units_as_were_asked_for_in_ascending_order(wanted: int) -> None:
    x = torch.arange(5.0).expand(3, 5)
    seen = set()
    for seed in range(30):
        units = moments(x, units=wanted, generator=torch.Generator().manual_seed(seed)).units.tolist()
        assert units == sorted(set(units))
        assert len(units) == min(wanted, 5)
        seen.update(units)
    assert seen == set(range(5))  # each with a chance: of thirty draws of one of five, 0.1 % leave a given one out


@pytest.mark.parametrize("units", [True, 0, -1, 1.0, "2", None])
def test_a_number_of_units_that_is_none_is_refused(units: Any) -> None:
    with pytest.raises(ValueError, match="units must be a positive integer, got"):
        moments(torch.ones(2, 2), units=units)


def test_an_output_without_a_tensor_is_named() -> None:
    with pytest.raises(ValueError, match="layer 'inner' does not put out a tensor, got dict"):
        moments({"x": 1})
    assert moments({"x": 1, "y": [torch.ones(2, 3), torch.zeros(2, 3)]}).mean.tolist() == [1.0] * 3


BINS = 64


@pytest.mark.parametrize("value", [0.0, 3.0, -1e300, 1e-300, 2.0**60])
def test_equal_values_lie_in_the_middle_of_edges_that_increase(value: float) -> None:
    found = moments(torch.full((4, 2), value, dtype=torch.float64))
    edges = found.edges.tolist()
    assert len(edges) == BINS + 1
    assert all(low < high for low, high in itertools.pairwise(edges))
    assert edges[0] < value < edges[-1]
    assert [row.nonzero().flatten().tolist() for row in found.histogram] == [[BINS // 2]] * 2
    assert found.histogram.sum(1).tolist() == [4, 4]
    if abs(value) < 1e9:
        assert (edges[0], edges[-1]) == (value - 0.5, value + 0.5)


def test_a_bin_holds_its_left_edge_and_the_last_one_its_right_edge_too() -> None:
    x = torch.tensor([[0.0], [1.0], [1.5], [63.0], [63.5], [64.0]], dtype=torch.float64)
    found = moments(x)
    assert found.edges.tolist() == [float(edge) for edge in range(BINS + 1)]
    counts: Tensor = found.histogram[0]
    assert {place: int(counts[place]) for place in counts.nonzero().flatten().tolist()} == {0: 1, 1: 2, 63: 3}


def test_what_is_not_finite_is_counted_in_the_remark_alone() -> None:
    found = moments(torch.tensor([[math.nan, 1.0], [math.inf, 2.0], [4.0, -math.inf]], dtype=torch.float64))
    assert found.notes == ("3 of 6 values are not finite: not in the histogram",)
    assert (found.edges[0].item(), found.edges[-1].item()) == (1.0, 4.0)
    assert found.histogram.sum(1).tolist() == [1, 2]
    lost = moments(torch.full((2, 2), math.nan, dtype=torch.float64))
    assert (lost.edges[0].item(), lost.edges[-1].item()) == (0.0, 1.0)
    assert lost.notes == ("4 of 4 values are not finite: not in the histogram",)
