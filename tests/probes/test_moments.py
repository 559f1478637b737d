"""Moments and histograms of single units against numpy."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from normlab.probes import activation_moments
from tests.reference.models import BY_NAME, HELD
from tests.reference.traces import no_trace


class Shapes(nn.Module):
    """Puts out its input, whatever the shape; `inner` is the tap."""

    def __init__(self, inner: nn.Module | None = None) -> None:
        super().__init__()
        self.inner = inner or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


@pytest.mark.parametrize(("shape", "axes"), [((7, 5), (0,)), ((3, 4, 5), (0, 1)), ((3, 5, 2, 4), (0, 2, 3))])
def test_moments_are_those_of_numpy_over_batch_and_pixels(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = activation_moments(Shapes(), x, ["inner"])["inner"]
    assert found.units.tolist() == list(range(5))
    np.testing.assert_allclose(found.mean, x.numpy().mean(axes), rtol=1e-12)
    np.testing.assert_allclose(found.variance, x.numpy().var(axes), rtol=1e-12)
    channels = np.moveaxis(x.numpy(), 2 if len(shape) == 3 else 1, 0).reshape(5, -1)
    for unit, counts in zip(channels, found.histogram, strict=True):
        expected, _ = np.histogram(unit, bins=found.edges.numpy())
        assert counts.tolist() == expected.tolist()
    assert (found.edges[0], found.edges[-1]) == (x.min(), x.max())
    alone = activation_moments(Shapes(), x, ["inner"], histograms=False)["inner"]
    assert torch.equal(alone.mean, found.mean)
    assert torch.equal(alone.variance, found.variance)
    assert (tuple(alone.edges.shape), tuple(alone.histogram.shape)) == ((1,), (5, 0))


def test_units_are_drawn_by_the_generator_and_leave_no_trace() -> None:
    x = torch.arange(40.0).expand(3, 40)
    model = Shapes()
    with no_trace(model, (x,)):
        found = activation_moments(model, (x,), ["inner"], units=6, generator=torch.Generator().manual_seed(1))
        other = activation_moments(model, (x,), ["inner"], units=6, generator=torch.Generator().manual_seed(2))
        first = activation_moments(model, (x,), ["inner"], units=6)
        assert torch.equal(first["inner"].units, activation_moments(model, (x,), ["inner"], units=6)["inner"].units)
    units = found["inner"].units
    assert len(units.unique()) == 6
    assert torch.equal(found["inner"].mean, units.float())  # the channels chosen are the channels measured
    assert not torch.equal(units, other["inner"].units)


def test_an_in_place_relu_afterwards_does_not_reach_the_measured_output() -> None:
    model, _, batch = BY_NAME["batch_cnn"].make()
    with no_trace(model, batch):
        found = activation_moments(model, batch, ["1", "2"])
    assert found["1"].mean.abs().max() < 1e-12  # batch statistics: the mean over the batch is 0 up to rounding
    assert found["2"].mean.min() > 0.1


@pytest.mark.parametrize("held", HELD, ids=str)
def test_every_held_model_can_be_tapped(held: object) -> None:
    model, _, batch = held.make()
    layer = next(name for name in held.layers if name and name not in ("decoder", "encoder.self_attn.out_proj"))
    with no_trace(model, batch):
        found = activation_moments(model, batch, [layer])[layer]
    assert found.mode == "train"
    assert found.mean.dtype == torch.float64
    assert int(found.histogram.sum()) == found.histogram.shape[0] * (int(found.histogram[0].sum()))


def test_dict_batches_tuples_and_own_forward() -> None:
    x = torch.ones(2, 3)
    assert activation_moments(Shapes(), x, ["inner"])["inner"].mean.tolist() == [1.0] * 3
    assert activation_moments(Shapes(), (x, None), ["inner"])["inner"].mean.tolist() == [1.0] * 3
    found = activation_moments(Shapes(), {"x": x}, ["inner"], forward=lambda m, b: m(2 * b["x"]))
    assert found["inner"].mean.tolist() == [2.0] * 3


def test_tuple_outputs_and_repeated_calls_are_pooled() -> None:
    torch.manual_seed(0)
    lstm = nn.LSTM(3, 4, batch_first=True)
    assert activation_moments(Shapes(lstm), torch.randn(2, 5, 3), ["inner"])["inner"].mean.shape == (4,)
    relu = nn.ReLU()
    model = nn.Sequential(relu, nn.Linear(3, 3), relu)
    found = activation_moments(model, torch.randn(4, 3), ["0"])["0"]
    assert int(found.histogram[0].sum()) == 8


def test_constant_and_non_finite_outputs() -> None:
    constant = activation_moments(Shapes(), torch.full((4, 2), 3.0), ["inner"])["inner"]
    assert constant.variance.tolist() == [0.0, 0.0]
    assert constant.histogram.sum(1).tolist() == [4, 4]
    found = activation_moments(Shapes(), torch.tensor([[1.0, math.inf], [2.0, 5.0]]), ["inner"])["inner"]
    assert found.mean.tolist() == [1.5, math.inf]
    assert found.histogram.sum(1).tolist() == [2, 1]
    assert any("1 of 4 values" in note for note in found.notes)
    lost = activation_moments(Shapes(), torch.full((4, 2), math.nan), ["inner"])["inner"]
    assert torch.isnan(lost.mean).all()
    assert int(lost.histogram.sum()) == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"layers": ["outer"]}, ValueError, "unknown layer 'outer': modules are inner"),
        ({"layers": "inner"}, TypeError, "sequence of module names"),
        ({"layers": [0]}, TypeError, r"layers must be a sequence of module names, got \[0\]"),
        ({"layers": [nn.Sequential(nn.ReLU())]}, TypeError, "layers must be a sequence of module names, got"),
        ({"layers": ["inner", None]}, TypeError, "layers must be a sequence of module names, got"),
        ({"layers": ["inner"], "units": 0}, ValueError, "positive integer, got 0"),
        ({"layers": ["inner"], "units": torch.ones(2, 2)}, ValueError, "units must be a positive integer, got tensor"),
        ({"layers": ["inner"], "axis": "x"}, TypeError, "axis must be an integer, or None .*, got 'x'"),
        ({"layers": ["inner"], "axis": 1.0}, TypeError, r"axis must be an integer, or None .*, got 1\.0"),
        ({"layers": ["inner"], "axis": True}, TypeError, "axis must be an integer, or None .*, got True"),
        ({"layers": ["inner"], "axis": (0, 1)}, TypeError, r"axis must be an integer, or None .*, got \(0, 1\)"),
        (
            {"layers": ["inner"], "forward": 3},
            TypeError,
            r"forward must be callable as forward\(model, batch\).* got 3",
        ),
        ({"layers": ["inner"], "forward": 0}, TypeError, "forward must be callable"),
        ({"layers": ["inner"], "forward": lambda m, b: None}, ValueError, "not called"),
        ({"layers": ["inner"], "forward": lambda m, b: m(b[0])}, ValueError, r"shape \(3,\)"),
        ({"layers": ["inner"], "forward": lambda m, b: m(b > 0)}, TypeError, "torch.bool"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, error: type[Exception], message: str) -> None:
    model, x = Shapes(), torch.ones(2, 3)
    with no_trace(model, (x,)), pytest.raises(error, match=message) as caught:
        activation_moments(model, x, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", [{"layers": [0]}, {"layers": ["inner"], "axis": 1.5}])
def test_what_is_no_name_and_no_axis_is_refused_before_the_model_runs(wrong: dict) -> None:
    calls: list[None] = []
    with pytest.raises(TypeError):
        activation_moments(Shapes(), torch.ones(2, 3), forward=lambda m, b: calls.append(None), **wrong)
    assert not calls


class CalledTwice(nn.Module):
    """One ReLU behind two layers of given widths."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, first), nn.Linear(4, second)])
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.relu(layer(x)) for layer in self.layers], 1)


def test_a_layer_that_is_called_twice_has_the_moments_of_both_outputs() -> None:
    torch.manual_seed(0)
    model, x = CalledTwice(5, 5), torch.randn(2, 4)  # fewer samples than units
    found = activation_moments(model, x, ["relu"])["relu"]
    outputs = model(x).detach().double()
    for unit in range(5):
        values = [outputs[sample, column].item() for column in (unit, unit + 5) for sample in range(2)]
        assert found.mean[unit].item() == pytest.approx(sum(values) / 4, rel=1e-6)  # put out in float32


def test_a_layer_that_is_called_with_fewer_units_the_second_time_is_refused() -> None:
    with pytest.raises(ValueError, match="called several times, with different numbers of channels"):
        activation_moments(CalledTwice(5, 3), torch.randn(8, 4), ["relu"])
