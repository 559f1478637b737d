"""The cases that a probe must get right, by their numbers.

The others are in `test_cases_of_models.py` and `test_cases_of_the_project.py`.
"""

import math
from functools import partial

import pytest
import torch
from torch import nn

from normlab.probes import (
    activation_moments,
    covariate_shift,
    directional_curvature,
    hessian_vector_product,
    landscape,
    top_eigenvalues,
)
from tests.reference import twins
from tests.reference.models import BY_NAME, classification
from tests.reference.traces import no_trace

PROBES = {
    "landscape": partial(landscape, step_sizes=[0.3, -0.1]),
    "forward": partial(landscape, step_sizes=[0.3], gradients=False, direction="random"),
    "shift": partial(covariate_shift, learning_rate=0.3),
    "product": lambda m, f, b: hessian_vector_product(m, f, b, [torch.ones_like(p) for p in m.parameters()]),
    "eigenvalues": partial(top_eigenvalues, max_products=4),
    "curvature": directional_curvature,
    "moments": lambda m, f, b: activation_moments(m, b, ["0"]),
}
EACH_PROBE = pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)


def bn_net(**options: object) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, **options), nn.ReLU(True), nn.Flatten(), nn.Linear(16, 3)
    )


@EACH_PROBE
@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_case_01_weights_are_bit_identical_after_any_probe(probe: object, error: type[BaseException] | None) -> None:
    model, loss_fn, batch = BY_NAME["batch_cnn"].make()
    model[1].register_forward_hook(lambda *_: raise_if(error))
    weights = {name: p.detach().clone() for name, p in model.named_parameters()}
    with no_trace(model, batch):
        if error is None:
            probe(model, loss_fn, batch)
        else:
            with pytest.raises(error):
                probe(model, loss_fn, batch)
    assert all(torch.equal(p, weights[name]) for name, p in model.named_parameters())


def raise_if(error: type[BaseException] | None) -> None:
    if error:
        raise error


@EACH_PROBE
@pytest.mark.parametrize("options", [{}, {"momentum": None}, {"track_running_stats": False}], ids=str)
def test_case_02_running_statistics_and_their_counter_are_untouched(probe: object, options: dict) -> None:
    model, _, batch = bn_net(**options).double(), None, BY_NAME["batch_cnn"].make()[2]
    model(batch[0])
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    probe(model, classification, batch)
    assert all(torch.equal(b, buffers[name]) for name, b in model.named_buffers())
    assert len(buffers) == (0 if options.get("track_running_stats") is False else 3)


@EACH_PROBE
def test_case_03_modes_flags_gradients_and_optimizer_state_are_restored(probe: object) -> None:
    model, loss_fn, batch = BY_NAME["batch_cnn"].make()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loss_fn(model, batch).backward()
    optimizer.step()
    model[1].eval()
    model[4].bias.grad = None
    gradients = [(p.grad, None if p.grad is None else p.grad.clone()) for p in model.parameters()]
    with no_trace(model, batch, optimizer):
        probe(model, loss_fn, batch)
    assert [m.training for m in model] == [True, False, True, True, True]
    for p, (grad, value) in zip(model.parameters(), gradients, strict=True):
        assert p.grad is grad
        assert grad is None or torch.equal(grad, value)


@pytest.mark.parametrize("name", ["dropout", "noisy_batch_mlp", "noisy_batch_cnn"])
def test_case_04_all_points_of_a_walk_see_the_same_random_draws(name: str) -> None:
    model, loss_fn, batch = BY_NAME[name].make()
    state = torch.get_rng_state()
    found = landscape(model, loss_fn, batch, [1e-9, 0.0])
    assert torch.equal(state, torch.get_rng_state())
    # other draws would change the loss by tenths; 1e-9 steps change it by the gradient squared times 1e-9
    assert found.losses[0].item() == pytest.approx(found.loss, abs=1e-6)
    assert (found.losses[1], found.gradient_distances[1]) == (found.loss, 0.0)
    torch.rand(1)
    assert landscape(model, loss_fn, batch, [0.0]).loss != found.loss  # the draws are the caller's next ones


def test_case_05_probed_training_is_unprobed_training() -> None:
    def train(probed: bool) -> list[torch.Tensor]:
        model, loss_fn, batch = BY_NAME["noisy_batch_cnn"].make()
        torch.manual_seed(1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(4):
            if probed:
                for probe in PROBES.values():
                    probe(model, loss_fn, batch)
            optimizer.zero_grad()
            loss_fn(model, batch).backward()
            optimizer.step()
        return list(model.state_dict().values())

    # with every optimizer and kind of layer in test_training.py
    assert all(torch.equal(a, b) for a, b in zip(train(False), train(True), strict=True))


def test_case_06_train_mode_is_the_default_recorded_and_eval_warns() -> None:
    model, loss_fn, batch = BY_NAME["batch_cnn"].make()
    model.eval()
    seen: list[bool] = []
    model[1].register_forward_pre_hook(lambda module, args: seen.append(module.training))
    assert landscape(model, loss_fn, batch, [0.1]).mode == "train"
    assert seen == [True, True, True]
    assert not model.training
    for probe in (
        lambda: landscape(model, loss_fn, batch, [0.1], mode="eval"),
        lambda: directional_curvature(model, loss_fn, batch, mode="eval"),
        lambda: top_eigenvalues(model, loss_fn, batch, mode="eval", max_products=1),
        lambda: covariate_shift(model, loss_fn, batch, mode="eval", learning_rate=0.1)["0"],
        lambda: activation_moments(model, batch, ["0"], mode="eval")["0"],
    ):
        with pytest.warns(UserWarning, match="running statistics"):
            assert probe().mode == "eval"


def test_case_07_base_and_walk_see_the_same_batch() -> None:
    model, loss_fn, batch = BY_NAME["mlp"].make()
    seen = []

    def watched(m: nn.Module, b: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        seen.append((id(b[0]), b[0].clone()))
        b[0].sub_(b[0].mean(0)).mul_(2.0)  # a loss function that prepares its input in place
        return loss_fn(m, b)

    landscape(model, watched, batch, [0.1, 0.2])
    covariate_shift(model, watched, batch, learning_rate=0.1)
    assert len({identity for identity, _ in seen}) == 1
    assert all(torch.equal(value, batch[0]) for _, value in seen)


def test_case_09_step_sizes_are_absolute_recorded_and_the_base_point_counts() -> None:
    model, loss_fn, batch = BY_NAME["mlp"].make()
    given = [0.4, 0.05, -0.1]
    found = landscape(model, loss_fn, batch, given)
    assert found.step_sizes.tolist() == given
    assert found.loss_low <= found.loss <= found.loss_high
    assert "absolute" in landscape.__doc__
    assert landscape(model, loss_fn, batch, [-0.1]).loss_low == found.loss  # uphill only: the base point is lowest


def test_case_10_effective_beta_is_the_largest_quotient_and_undefined_at_a_zero_gradient() -> None:
    model, loss_fn, batch = BY_NAME["batch_mlp"].make()
    found = landscape(model, loss_fn, batch, [0.05, 0.4])
    quotients = found.gradient_distances / (found.step_sizes * found.grad_norm)
    assert found.betas.tolist() == pytest.approx(quotients.tolist(), rel=1e-9)  # rounding of the moved weights
    assert found.effective_beta == found.betas.max()
    zero = landscape(model, lambda m, b: 0 * loss_fn(m, b), batch, [0.05, 0.4])
    assert math.isnan(zero.effective_beta)
    assert any("zero gradient" in note for note in zero.notes)
    tiny = landscape(model, lambda m, b: 1e-30 * loss_fn(m, b), batch, [0.05e30])
    assert tiny.effective_beta == pytest.approx(1e-30 * found.betas[0].item(), rel=1e-6)  # nothing added to a quotient


@pytest.mark.parametrize("name", ["batch_mlp", "transformer"])
def test_case_12_exactly_the_layers_before_take_the_real_step(name: str) -> None:
    held = BY_NAME[name]
    model, loss_fn, batch = held.make()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, weight_decay=0.1)
    moved: dict[str, set[str]] = {}
    start = twins.weights_of(model)

    def watched(m: nn.Module, b: object) -> torch.Tensor:
        now = twins.weights_of(m)
        moved[str(len(moved))] = {key for key, value in now.items() if not torch.equal(value, start[key])}
        return loss_fn(m, b)

    found = covariate_shift(model, watched, batch, optimizer=optimizer)
    changed = sorted(list(moved.values())[:-1], key=len)  # the last evaluation sees that the base point kept its loss
    expected = sorted((set(held.order[: held.order.index(own[0])]) for own in held.layers.values()), key=len)
    assert changed == expected  # for the first layer nothing moves: that evaluation is the base point's
    assert all(probe.l2 >= 0 and -1 <= probe.cosine <= 1 for probe in found.values())
