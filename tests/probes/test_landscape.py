"""The walk against a slow twin, closed forms, and everything it must refuse or keep."""

import math

import pytest
import torch
from torch import nn

from normlab.probes import landscape
from tests.reference import twins
from tests.reference.models import BY_NAME, HELD, Held, classification
from tests.reference.traces import no_trace

STEPS = [0.4, 0.05, 0.0, -0.1]
# float64 forward and backward passes in another order of summation
CLOSE = {"rel": 1e-9, "abs": 1e-11}


def quadratic(eigenvalues: list[float], point: list[float]) -> tuple[nn.Module, object, torch.Tensor]:
    """L(w) = ½ Σ λ_i w_i² for a bare parameter."""
    model = nn.ParameterList([nn.Parameter(torch.tensor(point, dtype=torch.float64))])
    return model, lambda m, batch: 0.5 * (batch * m[0].square()).sum(), torch.tensor(eigenvalues, dtype=torch.float64)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("held", HELD, ids=str)
@pytest.mark.filterwarnings("ignore:mode='eval'")
def test_agrees_with_the_twin_on_every_held_model(held: Held, mode: str) -> None:
    model, loss_fn, batch = held.make()
    expected = twins.walk(model, loss_fn, batch, STEPS, None, mode)
    with no_trace(model, batch):
        found = landscape(model, loss_fn, batch, STEPS, mode=mode)
    assert found.mode == mode
    assert found.loss == pytest.approx(expected["loss"], **CLOSE)
    assert found.grad_norm == pytest.approx(expected["grad_norm"], **CLOSE)
    for name in ("losses", "gradient_distances", "gradient_cosines", "betas"):
        values = getattr(found, name)
        assert values.dtype == torch.float64
        assert values.tolist() == pytest.approx(expected[name], nan_ok=True, **CLOSE), name


@pytest.mark.parametrize("name", ["batch_mlp", "dropout", "unused_and_frozen"])
def test_given_direction_is_used_as_it_is(name: str) -> None:
    model, loss_fn, batch = BY_NAME[name].make()
    draws = torch.Generator().manual_seed(3)
    direction = [torch.randn(p.shape, generator=draws, dtype=p.dtype) for p in twins.trainable(model).values()]
    along = torch.cat([d.reshape(-1) for d in direction])
    expected = twins.walk(model, loss_fn, batch, STEPS, along, "train")
    found = landscape(model, loss_fn, batch, STEPS, direction=direction)
    assert found.direction == "given"
    assert found.losses.tolist() == pytest.approx(expected["losses"], **CLOSE)
    assert found.betas.tolist() == pytest.approx(expected["betas"], nan_ok=True, **CLOSE)


@pytest.mark.parametrize("step_size", [0.25, 1.0])
def test_random_direction_has_the_length_of_the_gradient_on_the_weights_themselves(step_size: float) -> None:
    # the weights are read where the model is evaluated, the gradient is autograd's: nothing of the probe's own numbers
    model, loss_fn, batch = BY_NAME["mlp"].make()
    weights = list(model.parameters())
    start = torch.cat([weight.detach().reshape(-1) for weight in weights])
    gradient = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss_fn(model, batch), weights)])
    moved: list[float] = []

    def watched(model, batch):
        now = torch.cat([weight.detach().reshape(-1) for weight in model.parameters()])
        moved.append(float(torch.linalg.vector_norm(now - start)))
        return loss_fn(model, batch)

    landscape(model, watched, batch, [step_size], direction="random", generator=torch.Generator().manual_seed(1))
    expected = step_size * float(torch.linalg.vector_norm(gradient))
    assert max(moved) == pytest.approx(expected, rel=1e-9)  # float64; the direction is normalized once
    assert {round(length, 9) for length in moved} == {0.0, round(expected, 9)}


def test_random_direction_comes_from_the_generator() -> None:
    model, loss_fn, batch = BY_NAME["mlp"].make()
    found = landscape(model, loss_fn, batch, [1.0], direction="random", generator=torch.Generator().manual_seed(1))
    again = landscape(model, loss_fn, batch, [1.0], direction="random", generator=torch.Generator().manual_seed(1))
    other = landscape(model, loss_fn, batch, [1.0], direction="random", generator=torch.Generator().manual_seed(2))
    assert torch.equal(found.losses, again.losses)
    assert not torch.equal(found.losses, other.losses)


def test_a_generator_advances_and_the_global_stream_does_not() -> None:
    model, loss_fn, batch = BY_NAME["mlp"].make()
    generator = torch.Generator().manual_seed(1)
    before = generator.get_state()
    with no_trace(model, batch):
        landscape(model, loss_fn, batch, [1.0], direction="random", generator=generator)
        first = landscape(model, loss_fn, batch, [1.0], direction="random")
        assert torch.equal(first.losses, landscape(model, loss_fn, batch, [1.0], direction="random").losses)
    assert not torch.equal(before, generator.get_state())


def test_the_beta_along_an_eigenvector_is_its_eigenvalue() -> None:
    model, loss_fn, batch = quadratic([5.0, 2.0, 0.5], [0.0, 3.0, 0.0])
    found = landscape(model, loss_fn, batch, [0.01, 0.3, -2.0, 40.0])
    assert found.betas.tolist() == pytest.approx([2.0] * 4)
    assert found.effective_beta == pytest.approx(2.0)
    assert found.loss_low == pytest.approx(min(9.0 * (1 - 2 * s) ** 2 for s in [0, 0.01, 0.3, -2.0, 40.0]))


def test_summaries_include_the_base_point_and_leave_undefined_betas_out() -> None:
    model, loss_fn, batch = quadratic([1.0], [1.0])
    found = landscape(model, loss_fn, batch, [2.5, 0.0, 3.0])
    assert found.loss_low == pytest.approx(0.5)  # the base point is the lowest of all
    assert found.loss_high == pytest.approx(0.5 * 4)
    assert found.loss_range == pytest.approx(1.5)
    given = [0.5 * (1 - s) ** 2 for s in (2.5, 3.0)]
    alone = landscape(model, loss_fn, batch, [2.5, 3.0])  # the paper's wording: over the steps alone
    assert (alone.loss_low_steps, alone.loss_high_steps) == pytest.approx((min(given), max(given)))
    assert alone.loss_range_steps == pytest.approx(max(given) - min(given))
    assert (found.loss_low_steps, found.loss_high_steps) == (found.loss_low, found.loss_high)  # step size 0 is a step
    assert math.isnan(found.betas[1])
    assert found.effective_beta == pytest.approx(1.0)
    assert found.gradient_distance_low == 0.0
    assert found.gradient_distance_high == pytest.approx(3.0)
    assert any("step size 0" in note for note in found.notes)
    assert math.isnan(landscape(model, loss_fn, batch, [0]).effective_beta)


def test_zero_gradient_is_undefined_with_a_reason() -> None:
    model, loss_fn, batch = quadratic([1.0, 2.0], [0.0, 0.0])
    found = landscape(model, loss_fn, batch, [0.1, 1.0])
    assert found.grad_norm == 0
    assert torch.isnan(found.betas).all()
    assert torch.isnan(found.gradient_cosines).all()
    assert math.isnan(found.effective_beta)
    assert any("zero gradient" in note for note in found.notes)
    # along a given direction the walk does move, and beta is defined
    given = landscape(model, loss_fn, batch, [0.1], direction=[torch.tensor([0.0, 1.0], dtype=torch.float64)])
    assert given.effective_beta == pytest.approx(2.0)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_non_finite_steps_are_kept_and_shown(bad: float) -> None:
    model, _, batch = quadratic([1.0], [1.0])

    def loss_fn(m: nn.Module, lam: torch.Tensor) -> torch.Tensor:
        return -bad * m[0].sum() if m[0].item() < -2 else m[0].square().sum()

    found = landscape(model, loss_fn, batch, [0.25, 3.0])
    assert found.loss == 1.0
    assert math.isfinite(found.losses[0])
    assert not math.isfinite(found.losses[1])
    bands = (found.loss_high, found.loss_range, found.loss_high_steps, found.loss_range_steps)
    for value in (*bands, found.effective_beta, found.gradient_distance_high):
        assert not math.isfinite(value)
    assert str(found.loss_high) == str(bad)
    assert any("not finite at step sizes [3.0]" in note for note in found.notes)


def test_non_finite_base_gradient_is_a_result() -> None:
    model, loss_fn, batch = quadratic([math.nan], [1.0])
    with no_trace(model):
        found = landscape(model, loss_fn, batch, [0.0, 0.1])
    assert math.isnan(found.grad_norm)
    assert math.isnan(found.loss_range)
    assert math.isnan(found.effective_beta)


@pytest.mark.parametrize("direction", ["gradient", "random"])
def test_forward_only_walk_finds_the_same_losses(direction: str) -> None:
    model, loss_fn, batch = BY_NAME["noisy_batch_cnn"].make()
    full = landscape(model, loss_fn, batch, STEPS, direction=direction)
    with no_trace(model, batch):
        forward = landscape(model, loss_fn, batch, STEPS, direction=direction, gradients=False)
    assert torch.equal(forward.losses, full.losses)
    assert forward.grad_norm == full.grad_norm
    assert (forward.gradient_distances, forward.gradient_cosines, forward.betas) == (None, None, None)
    assert math.isnan(forward.effective_beta)


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("given", [True, False])
def test_one_loss_evaluation_a_step_and_two_more_of_the_base_point(gradients: bool, given: bool) -> None:
    model, loss_fn, batch = BY_NAME["mlp"].make()
    graphs = []

    def counted(m: nn.Module, b: object) -> torch.Tensor:
        graphs.append(torch.is_grad_enabled())
        return loss_fn(m, b)

    direction = [torch.ones_like(p) for p in model.parameters()] if given else "gradient"
    steps = [step for step in STEPS if step]
    landscape(model, counted, batch, steps, direction=direction, gradients=gradients)
    assert graphs == [True, *[gradients] * len(steps), True]  # the last: the base point must have kept its loss
    graphs.clear()
    landscape(model, counted, batch, [0.1, 0.0])
    assert len(graphs) == 3  # step size 0 is the base point


def test_a_float32_model_gives_float32_results() -> None:
    model, loss_fn, batch = BY_NAME["batch_mlp"].make()
    found = landscape(model.float(), loss_fn, (batch[0].float(), batch[1]), [0.1, 0.2])
    assert found.losses.dtype == found.betas.dtype == torch.float32
    assert found.step_sizes.tolist() == [0.1, 0.2]  # coordinates are kept exactly


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"step_sizes": []}, ValueError, "empty"),
        ({"step_sizes": [0.1, math.nan]}, ValueError, "nan"),
        ({"step_sizes": [math.inf]}, ValueError, "inf"),
        ({"step_sizes": ["a"]}, ValueError, "'a'"),
        ({"step_sizes": 0.1}, TypeError, "sequence"),
        ({"step_sizes": [0.1], "direction": "sideways"}, ValueError, "sideways"),
        ({"step_sizes": [0.1], "direction": [torch.zeros(1)]}, ValueError, "1 tensors, expected 4"),
        ({"step_sizes": [0.1], "direction": [torch.zeros(2)] * 4}, ValueError, r"direction\[0\] has shape \(2,\)"),
        ({"step_sizes": [0.1], "direction": [1.0]}, TypeError, "list of tensors"),
        ({"step_sizes": [0.1, 10**400]}, ValueError, r"step_sizes must be finite real numbers, got 10{79}$"),
        ({"step_sizes": [-(10**5000)]}, ValueError, "step_sizes must be finite real numbers, got <int>$"),
        ({"step_sizes": [torch.eye(2)]}, ValueError, r"numbers, got tensor\(\[\[1., 0.\], \[0., 1.\]\]\)$"),
        ({"step_sizes": {0.1: torch.eye(2)}}, TypeError, r"numbers, got \{0.1: tensor\(.*\)\}$"),
        ({"step_sizes": [0.1], "direction": torch.eye(2)}, TypeError, r"list of tensors .*, got tensor\(.*\)$"),
        ({"step_sizes": [0.1], "mode": "test"}, ValueError, "'train' or 'eval', got 'test'"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, error: type[Exception], message: str) -> None:
    model, _, batch = BY_NAME["mlp"].make()
    with no_trace(model, batch), pytest.raises(error, match=message) as caught:
        landscape(model, classification, batch, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("kind", ["meta", "sparse", "complex"])
def test_a_direction_of_another_kind_is_refused_before_anything_is_evaluated(kind: str, gradients: bool) -> None:
    model, _, batch = BY_NAME["mlp"].make()
    calls: list[None] = []
    make = {"meta": lambda p: p.to("meta"), "sparse": torch.Tensor.to_sparse, "complex": lambda p: 1j * p}[kind]
    direction = [make(p.detach()) for p in model.parameters()]
    with no_trace(model, batch), pytest.raises(ValueError, match=rf"^direction\[0\] must .* got .*{kind}"):
        landscape(model, lambda m, b: calls.append(None), batch, [0.1], direction=direction, gradients=gradients)
    assert not calls


def test_the_advice_on_an_optimizer_without_a_step_names_an_argument_that_a_walk_has() -> None:
    model, loss_fn, batch = BY_NAME["mlp"].make()
    with pytest.raises(
        ValueError, match=r"^LBFGS needs a closure .* use learning_rate= .* or direction= \(landscape\)"
    ):
        landscape(model, loss_fn, batch, [1.0], optimizer=torch.optim.LBFGS(model.parameters()))
