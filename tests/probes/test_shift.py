"""Definition 2.1 against a slow twin, the optimizer's real step, and the order in which layers are used."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from normlab.probes import covariate_shift
from tests.reference import twins
from tests.reference.models import BY_NAME, HELD, Held, classification
from tests.reference.traces import no_trace

# float64 gradients in another order of summation
CLOSE = {"rel": 1e-8, "abs": 1e-11}


def before(held: Held, own: tuple[str, ...]) -> set[str]:
    """Parameters used before the layer, by the hand-written order of the table; the layer's own are not among them.

    A tied parameter of the layer has its place by an earlier use, so the layer begins at its first untied one.
    """
    first = min(held.order.index(name) for name in own if name in held.order and (held.name, name) != TIED)
    return set(held.order[:first]) - set(own)


TIED = ("tied", "decoder.weight")


@pytest.mark.parametrize("mode", ["sgd", "adam"])
@pytest.mark.parametrize("held", HELD, ids=str)
def test_agrees_with_the_twin_on_every_held_model(held: Held, mode: str) -> None:
    model, loss_fn, batch = held.make()
    weights = twins.weights_of(model)
    gradient = twins.evaluate(model, loss_fn, batch, weights)[1]
    if mode == "sgd":
        new = {name: w - 0.3 * gradient[name] for name, w in weights.items()}
        with no_trace(model, batch):
            found = covariate_shift(model, loss_fn, batch, learning_rate=0.3)
    else:
        optimizer = trained_adam(model, loss_fn, batch)
        weights = twins.weights_of(model)
        with no_trace(model, batch, optimizer):
            found = covariate_shift(model, loss_fn, batch, optimizer=optimizer)
        new = stepped(model, loss_fn, batch, optimizer)
    assert set(held.layers) <= set(found)
    for name, own in held.layers.items():
        expected = twins.shift(model, loss_fn, batch, own, before(held, own), new)
        probe = found[name]
        assert (probe.l2, probe.relative_l2, probe.cosine) == pytest.approx(expected, **CLOSE), name


def trained_adam(model: nn.Module, loss_fn: object, batch: object) -> torch.optim.Optimizer:
    """An optimizer with a state, two groups, weight decay, and one parameter that it does not know."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [{"params": parameters[:1], "lr": 0.02, "weight_decay": 0.1}, {"params": parameters[1:-1]}]
    optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=0.05, weight_decay=0.3)
    for _ in range(2):
        optimizer.zero_grad()
        loss_fn(model, batch).backward()
        optimizer.step()
    return optimizer


def stepped(model: nn.Module, loss_fn: object, batch: object, optimizer: torch.optim.Optimizer) -> dict:
    """The weights after the optimizer's real step, taken by copying both together."""
    with torch.random.fork_rng(devices=[]):
        twin, twin_optimizer = copy.deepcopy((model, optimizer))
        twin.train()
        twin_optimizer.zero_grad()
        loss_fn(twin, batch).backward()
        twin_optimizer.step()
    return twins.weights_of(twin)


def test_first_layer_is_exactly_zero_and_one_and_normalizers_are_left_out() -> None:
    for held in HELD:
        model, loss_fn, batch = held.make()
        found = covariate_shift(model, loss_fn, batch, learning_rate=0.5)
        first = next(iter(held.layers))
        if held.name != "tied":  # its first layer is a second name of a matrix, see below
            assert (found[first].l2, found[first].relative_l2, found[first].cosine) == (0.0, 0.0, 1.0)
        assert not any(name.endswith("norm1") for name in found)
    batch_mlp, loss_fn, batch = BY_NAME["batch_mlp"].make()
    assert list(covariate_shift(batch_mlp, loss_fn, batch, learning_rate=0.1)) == ["0", "3"]


def test_normalizers_may_be_named_and_get_the_layers_before() -> None:
    held = BY_NAME["batch_mlp"]
    model, loss_fn, batch = held.make()
    gradient = twins.evaluate(model, loss_fn, batch, twins.weights_of(model))[1]
    new = {name: w - 0.2 * gradient[name] for name, w in twins.weights_of(model).items()}
    found = covariate_shift(model, loss_fn, batch, layers=["1"], learning_rate=0.2)
    expected = twins.shift(model, loss_fn, batch, ("1.weight", "1.bias"), {"0.weight", "0.bias"}, new)
    assert list(found) == ["1"]
    assert found["1"].l2 == pytest.approx(expected[0], **CLOSE)


def test_a_tied_matrix_keeps_its_value_for_its_own_layers_and_moves_for_others() -> None:
    model, loss_fn, batch = BY_NAME["tied"].make()
    found = covariate_shift(model, loss_fn, batch, learning_rate=0.3)
    assert (found["encoder"].l2, found["encoder"].cosine) == (0.0, 1.0)  # used first, through the model itself
    assert found["middle"].l2 > 0
    assert found["decoder"].l2 > 0


def test_unused_layer_has_an_undefined_cosine_with_a_reason() -> None:
    model, loss_fn, batch = BY_NAME["unused_and_frozen"].make()
    found = covariate_shift(model, loss_fn, batch, learning_rate=0.3)
    assert list(found) == ["unused", "head"]  # the frozen layer has no gradient
    assert found["unused"].l2 == 0
    assert math.isnan(found["unused"].cosine)
    assert math.isnan(found["unused"].relative_l2)
    assert any("does not use" in note for note in found["unused"].notes)


def test_order_is_that_of_the_forward_pass_not_of_registration_and_a_penalty_is_no_use() -> None:
    class Reversed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.first = nn.Linear(5, 3), nn.Linear(4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(torch.tanh(self.first(x)))

    def penalized(m: nn.Module, b: tuple) -> torch.Tensor:
        penalty = sum(p.square().sum() for p in m.parameters())  # uses every parameter before the first layer does
        return F.cross_entropy(m(b[0]), b[1]) + 0.1 * penalty

    torch.manual_seed(0)
    model = Reversed().double()
    found = covariate_shift(model, penalized, BY_NAME["mlp"].make()[2], learning_rate=0.3)
    assert (found["first"].l2, found["first"].cosine) == (0.0, 1.0)
    assert found["last"].l2 > 0


def test_a_scheduler_wrapped_around_the_optimizer_is_not_stepped() -> None:
    model, loss_fn, batch = BY_NAME["mlp"].make()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    torch.optim.lr_scheduler.StepLR(optimizer, 1)
    calls: list[int] = []
    optimizer.register_step_pre_hook(lambda *_: calls.append(1))
    with no_trace(model, batch, optimizer):
        found = covariate_shift(model, loss_fn, batch, optimizer=optimizer)
    assert not calls
    # without a state, Nesterov's first step is the gradient times 1.9
    plain = covariate_shift(model, loss_fn, batch, learning_rate=0.19)
    assert found["2"].l2 == pytest.approx(plain["2"].l2)


def test_sparse_gradients_go_to_the_optimizer_as_they_are() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(5, 3, sparse=True), nn.Flatten(), nn.Linear(6, 3)).double()
    batch = (torch.randint(0, 5, (6, 2)), torch.arange(6) % 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    found = covariate_shift(model, classification, batch, optimizer=optimizer)
    assert found["2"].l2 == pytest.approx(covariate_shift(model, classification, batch, learning_rate=0.3)["2"].l2)


def test_a_diverging_step_is_kept() -> None:
    model, loss_fn, batch = BY_NAME["mlp"].make()
    with no_trace(model, batch):
        found = covariate_shift(model, loss_fn, batch, learning_rate=1e308)
    assert not math.isfinite(found["2"].l2) or found["2"].l2 > 0
    model[0].weight.data.fill_(math.nan)
    assert math.isnan(covariate_shift(model, loss_fn, batch, learning_rate=0.1)["2"].l2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, ValueError, "exactly one of learning_rate .* got neither"),
        ({"learning_rate": 0.1, "optimizer": "sgd"}, ValueError, "got both"),
        ({"optimizer": "sgd"}, TypeError, "torch.optim.Optimizer, got str"),
        ({"learning_rate": math.nan}, ValueError, "finite real number, got nan"),
        ({"learning_rate": 0.1, "layers": ["1"]}, ValueError, "unknown layer '1': .* are 0, 2"),
        ({"learning_rate": 0.1, "layers": "02"}, TypeError, "sequence of module names"),
        ({"learning_rate": 0.1, "layers": [0]}, TypeError, r"layers must be a sequence of module names, got \[0\]"),
        ({"learning_rate": 0.1, "layers": [None]}, TypeError, r"sequence of module names, got \[None\]"),
        ({"learning_rate": 0.1, "layers": [torch.nn.Sequential(torch.nn.ReLU())]}, TypeError, r"got \[Sequential\( \("),
    ],
)
def test_bad_arguments_are_named(arguments: dict, error: type[Exception], message: str) -> None:
    model, loss_fn, batch = BY_NAME["mlp"].make()
    with no_trace(model, batch), pytest.raises(error, match=message) as caught:
        covariate_shift(model, loss_fn, batch, **arguments)
    assert "\n" not in str(caught.value)


def test_an_optimizer_that_needs_a_closure_is_refused() -> None:
    model, loss_fn, batch = BY_NAME["mlp"].make()
    with pytest.raises(ValueError, match="LBFGS needs a closure"):
        covariate_shift(model, loss_fn, batch, optimizer=torch.optim.LBFGS(model.parameters()))
