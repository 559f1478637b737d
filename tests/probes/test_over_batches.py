"""`batches=` in every probe: the same measurement on each batch, its mean and its spread."""

import inspect
import itertools
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from normlab import probes
from normlab.probes import Monitor, OverBatches, activation_moments, covariate_shift, hessian_vector_product, landscape
from normlab.probes.batches import combine
from tests.reference.models import BY_NAME
from tests.reference.traces import no_trace


def three(batch: tuple[Tensor, Tensor]) -> list[tuple[Tensor, Tensor]]:
    return [(batch[0][i : i + 3], batch[1][i : i + 3]) for i in range(3)]


@pytest.mark.parametrize("name", ["batch_mlp", "dropout"])
def test_each_batch_is_probed_by_itself(name: str) -> None:
    model, loss, batch = BY_NAME[name].make()
    batches = three(batch)
    with no_trace(model, batch):
        found = landscape(model, loss, batches=iter(batches), step_sizes=[0.1, 0.2])
    single = [landscape(model, loss, one, [0.1, 0.2]) for one in batches]
    assert isinstance(found, OverBatches)
    for one, other in zip(found.per_batch, single, strict=True):
        assert torch.equal(one.losses, other.losses)
    ranges = torch.tensor([one.loss_range for one in single], dtype=torch.float64)
    assert found.mean["loss_range"] == pytest.approx(ranges.mean().item())
    assert found.spread["loss_range"] == pytest.approx(ranges.std().item())
    assert found.scalars()["loss_range/spread"] == found.spread["loss_range"]


def test_dicts_and_lists_of_results() -> None:
    model, loss, batch = BY_NAME["batch_mlp"].make()
    batches = three(batch)
    shifts = covariate_shift(model, loss, batches=batches, learning_rate=0.1)
    assert [len(over.per_batch) for over in shifts.values()] == [3, 3]
    assert shifts["0"].mean["cosine"] == 1
    moments = activation_moments(model, batches=batches, layers=["0"])["0"]
    truth = [activation_moments(model, one, ["0"])["0"].scalars()["mean"] for one in batches]
    assert moments.mean["mean"] == pytest.approx(sum(truth) / 3)
    v = [torch.ones_like(p) for p in model.parameters()]
    mean = hessian_vector_product(model, loss, batches=batches, vector=v)
    single = [hessian_vector_product(model, loss, one, v) for one in batches]
    for index, h in enumerate(mean):
        assert h.flatten().tolist() == pytest.approx((sum(one[index] for one in single) / 3).flatten().tolist())


def test_a_loader_shuffles_and_leaves_no_trace() -> None:
    model, loss, batch = BY_NAME["dropout"].make()
    loader = DataLoader(TensorDataset(*batch), batch_size=2, shuffle=True)
    with no_trace(model, batch):
        found = landscape(model, loss, batches=loader, step_sizes=[0.1])
    assert len(found.per_batch) == 3
    first = landscape(model, loss, next(iter(loader)), [0.1])
    assert all(math.isfinite(one.loss) for one in (first, *found.per_batch))


def test_notes_name_their_batches_and_a_monitor_flattens_the_result() -> None:
    model, loss, batch = BY_NAME["mlp"].make()
    diverging = (batch[0] * math.inf, batch[1])
    found = landscape(model, loss, batches=[batch, diverging], step_sizes=[0.1])
    assert any(note.startswith("batch 1: ") for note in found.notes)
    assert math.isnan(found.mean["loss"])
    probe = lambda m, f, b: landscape(m, f, batches=three(b), step_sizes=[0.1])  # noqa: E731
    assert "walk/loss/spread" in Monitor(model, loss, every=1, probes={"walk": probe})(0, batch)


def test_bad_arguments_are_named() -> None:
    model, loss, batch = BY_NAME["mlp"].make()
    with pytest.raises(ValueError, match="batches is empty"):
        landscape(model, loss, batches=[], step_sizes=[0.1])
    both: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((), {"batch": batch, "step_sizes": [0.1]}),
        ((batch,), {"step_sizes": [0.1]}),
        ((batch, [0.1]), {}),
        (([0.1],), {}),  # meant as step_sizes
    ]
    for args, kwargs in both:
        with pytest.raises(ValueError, match=r"got both: with batches=, what comes after batch in landscape\(…\) is"):
            landscape(model, loss, *args, batches=[batch], **kwargs)
    with pytest.raises(ValueError, match="got both"):
        activation_moments(model, batch, batches=[batch])
    for wrong, kind in ((3, "int"), ("ab", "str"), ({"a": batch}, "dict")):
        with pytest.raises(TypeError, match=f"iterable of batches, got {kind}"):
            landscape(model, loss, batches=wrong, step_sizes=[0.1])
    with pytest.raises(ValueError, match="must be one batch, got a DataLoader; pass it as batches="):
        landscape(model, loss, DataLoader(TensorDataset(*batch)), [0.1])


def test_each_batch_is_probed_with_the_same_draws_of_a_given_generator() -> None:
    model, loss, batch = BY_NAME["batch_mlp"].make()
    for name, arguments in DRAWING.items():
        start = [model] if name == "activation_moments" else [model, loss]
        probe = getattr(probes, name)
        ours, theirs = (torch.Generator().manual_seed(5) for _ in range(2))
        found = probe(*start, batches=[batch, batch, batch], generator=ours, **arguments)
        alone = probe(*start, batch, generator=theirs, **arguments)
        pairs = [(found[key], alone[key]) for key in alone] if isinstance(alone, dict) else [(found, alone)]
        for over, one in pairs:
            assert over.mean == pytest.approx(one.scalars(), rel=1e-6), name  # a mean of three equal numbers rounds
            assert list(over.spread.values()) == pytest.approx([0.0] * len(over.spread), abs=1e-6), name
        assert torch.equal(ours.get_state(), theirs.get_state()), name


def test_a_batch_whose_gradient_is_not_finite_keeps_the_names_of_all() -> None:
    model, loss, (x, y) = BY_NAME["mlp"].make()
    broken = (x * math.nan, y)
    for batches in ([(x, y), broken], [broken, (x, y)]):
        found = landscape(model, loss, batches=batches, step_sizes=[0.1], gradients=False)
        assert math.isnan(found.mean["grad_norm"])
    given = [torch.ones_like(p) for p in model.parameters()]
    for kind in (given, "filter"):  # no gradient is taken
        walk = landscape(model, loss, (x, y), [0.1], gradients=False, direction=kind)
        assert "grad_norm" not in walk.scalars()


DRAWING: dict[str, dict[str, Any]] = {
    "activation_moments": {"layers": ["0"], "units": 2},
    "landscape": {"step_sizes": [0.1], "direction": "random"},
    "landscape_plane": {"xs": [0.0, 0.1], "ys": [0.0, 0.1]},
    "spectral_density": {},
    "top_eigenvalues": {},
    "trace": {},
}


def test_a_generator_that_is_none_is_refused_before_anything_is_evaluated() -> None:
    model, _, batch = BY_NAME["mlp"].make()

    def loss(*_: Any) -> Tensor:
        raise AssertionError("evaluated")

    drawing = [name for name in probes.__all__ if "generator" in str(inspect.signature(getattr(probes, name)))]
    assert set(DRAWING) == {name for name in drawing if name != "batch_sharpness"}
    for name, arguments in DRAWING.items():
        start = [model] if name == "activation_moments" else [model, loss]
        for wrong in (3, "cpu", torch.tensor(1)):
            with pytest.raises(TypeError, match=r"^generator must be a torch\.Generator or None, got .*(3|'cpu'|1)"):
                getattr(probes, name)(*start, batch, generator=wrong, **arguments)


def test_every_probe_of_one_batch_has_the_argument() -> None:
    names = [name for name in probes.__all__ if name.islower() and name != "batch_sharpness"]
    for name in names:
        signature = inspect.signature(getattr(probes, name))
        assert {"batch", "batches"} <= set(signature.parameters), name
    assert len(names) == 9


CALLS: dict[str, dict[str, Any]] = {
    "activation_moments": {"layers": ["0"]},
    "covariate_shift": {"learning_rate": 0.1},
    "directional_curvature": {},
    "landscape": {"step_sizes": [0.1]},
    "landscape_plane": {"xs": [0.0, 0.1], "ys": [0.0, 0.1]},
    "spectral_density": {"vectors": 1, "steps": 3},
    "top_eigenvalues": {"max_products": 5},
    "trace": {"max_products": 6},
}


@pytest.mark.parametrize("name", CALLS)
def test_every_probe_takes_a_loader_and_gives_mean_spread_and_each_batch(name: str) -> None:
    model, loss, batch = BY_NAME["batch_mlp"].make()
    loader = DataLoader(TensorDataset(*batch), batch_size=3)
    three_and_three = list(loader)  # beforehand: a loader draws a seed each time, and random vectors come after it
    start = [model] if name == "activation_moments" else [model, loss]
    probe: Any = getattr(probes, name)
    found = probe(*start, batches=loader, **CALLS[name])
    single = [probe(*start, batch=one, **CALLS[name]) for one in three_and_three]
    key = "0" if isinstance(found, dict) else None
    over, alone = (found, single) if key is None else (found[key], [one[key] for one in single])
    assert isinstance(over, OverBatches)
    assert len(over.per_batch) == 2
    for quantity, mean in over.mean.items():
        values = torch.tensor([one.scalars()[quantity] for one in alone], dtype=torch.float64)
        assert mean == pytest.approx(values.mean().item(), nan_ok=True)
        assert over.spread[quantity] == pytest.approx(values.std().item(), nan_ok=True)


def test_spread_of_one_batch_is_undefined() -> None:
    model, loss, batch = BY_NAME["mlp"].make()
    call: Any = partial(landscape, model, loss, step_sizes=[0.1])
    assert math.isnan(call(batches=[batch]).spread["loss"])


@dataclass(frozen=True)
class Found:
    """Two numbers and remarks."""

    numbers: tuple[float, float]
    notes: tuple[str, ...] = ()

    def scalars(self) -> dict[str, float]:
        return {"a": self.numbers[0], "b": self.numbers[1]}


def test_results_are_combined_by_hand() -> None:
    results = [Found((1.0, 5.0), ("low", "odd")), Found((2.0, 5.0), ("odd",)), Found((6.0, 5.0), ("low",))]
    found = combine(results)
    assert found.per_batch == tuple(results)
    assert found.mean == {"a": 3.0, "b": 5.0}
    assert found.spread == pytest.approx({"a": math.sqrt((4 + 1 + 9) / 2), "b": 0.0}, rel=1e-12)
    assert found.notes == ("batch 0, 2: low", "batch 0, 1: odd")
    assert found.scalars() == {**found.mean, "a/spread": found.spread["a"], "b/spread": 0.0}
    two = combine([{"x": one, "y": other} for one, other in itertools.pairwise(results)])
    assert {key: over.mean["a"] for key, over in two.items()} == {"x": 1.5, "y": 4.0}
    assert two["x"].spread["a"] == pytest.approx(math.sqrt(0.5), rel=1e-12)


def test_numbers_that_are_not_finite_have_a_mean_and_no_spread() -> None:
    for value in (math.inf, -math.inf, math.nan):
        found = combine([Found((1.0, 2.0)), Found((value, 4.0))])
        assert found.mean["a"] == pytest.approx(value, nan_ok=True)
        assert math.isnan(found.spread["a"])
        assert found.spread["b"] == pytest.approx(math.sqrt(2.0), rel=1e-12)
    assert math.isnan(combine([Found((1.0, 2.0))]).spread["a"])


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_lists_of_tensors_have_their_means_and_keep_their_own_values(count: int) -> None:
    results = [[torch.tensor([float(i), 1.0]), torch.tensor(float(i * i))] for i in range(count)]
    kept = [[one.clone() for one in result] for result in results]
    first, second = combine(results)
    assert first.tolist() == pytest.approx([sum(range(count)) / count, 1.0], rel=1e-6)  # float32
    assert second.item() == pytest.approx(sum(i * i for i in range(count)) / count, rel=1e-6)
    for result, before in zip(results, kept, strict=True):
        assert all(torch.equal(one, other) for one, other in zip(result, before, strict=True))
