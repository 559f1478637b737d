"""Other people's models beside float64 deep copies of them, one for every point of a walk."""

import copy
import random
from typing import Any

import numpy as np
import pytest
import torch
from tests.others.models import MODELS, Loss, Other
from tests.reference import twins
from tests.reference.traces import no_trace
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from normlab.probes import covariate_shift, hessian_vector_product, landscape


def made(name: str) -> tuple[Other, nn.Module, Any]:
    torch.manual_seed(1)
    other = MODELS[name]
    model, batch = other.build().double(), other.batch()
    return other, model, batch


def seeded(loss_fn: Loss) -> Loss:
    """The loss with numpy's and Python's draws as they come now, every time, undone; the twins see to torch's."""
    numpy_state, python_state = np.random.get_state(), random.getstate()

    def loss(model: nn.Module, batch: Any) -> Tensor:
        value = loss_fn(model, batch)
        np.random.set_state(numpy_state)
        random.setstate(python_state)
        return value

    return loss


@pytest.mark.parametrize("name", MODELS)
def test_a_walk_is_that_of_deep_copies_and_leaves_no_trace(name: str) -> None:
    other, model, batch = made(name)
    steps = [0.05, 0.4]
    with no_trace(model, batch):
        found = landscape(model, other.loss_fn, batch, steps)
    truth = twins.walk(model, seeded(other.loss_fn), batch, steps, None, "train")
    # the same operations, summed in another order where memory is laid out otherwise; single: in float32 in places
    tolerance = 1e-4 if other.single else 1e-8
    assert found.loss == pytest.approx(truth["loss"], rel=tolerance)
    assert found.losses.tolist() == pytest.approx(truth["losses"], rel=tolerance)
    assert found.grad_norm == pytest.approx(truth["grad_norm"], rel=tolerance)
    assert found.gradient_distances.tolist() == pytest.approx(truth["gradient_distances"], rel=100 * tolerance)
    assert found.notes == ()


@pytest.mark.parametrize("name", [name for name, other in MODELS.items() if other.twice])
def test_a_hessian_vector_product_is_that_of_deep_copies(name: str) -> None:
    other, model, batch = made(name)
    start = twins.weights_of(model)
    loss_fn = seeded(other.loss_fn)
    _, gradient = twins.evaluate(model, loss_fn, batch, start)
    g = twins.flat(gradient)
    vector = twins.unflat(g / g.norm(), start)
    with no_trace(model, batch):
        product = hessian_vector_product(model, other.loss_fn, batch, list(vector.values()))
    by_graph = other.kinks or other.single
    truth = _by_graph(model, loss_fn, batch, vector) if by_graph else _by_difference(model, loss_fn, batch, vector)
    error = (torch.cat([h.flatten() for h in product]) - truth).norm() / truth.norm()
    # a difference crosses a kink here and there; parts in float32 leave 1e-6
    assert error < (1e-4 if other.single else 1e-7 if by_graph else 1e-3)


def _by_difference(model: nn.Module, loss_fn: Loss, batch: Any, vector: dict[str, Tensor]) -> Tensor:
    start, width, ends = twins.weights_of(model), 1e-5, []
    for sign in (1, -1):
        there = {key: value + sign * width * vector[key] for key, value in start.items()}
        ends.append(twins.flat(twins.evaluate(model, loss_fn, batch, there)[1]))
    return (ends[0] - ends[1]) / (2 * width)


def _by_graph(model: nn.Module, loss_fn: Loss, batch: Any, vector: dict[str, Tensor]) -> Tensor:
    state = torch.get_rng_state()
    twin = copy.deepcopy(model).train()
    parameters = twins.trainable(twin)
    with sdpa_kernel(SDPBackend.MATH):  # the only attention with a second derivative
        loss = loss_fn(twin, copy.deepcopy(batch))
    found = torch.autograd.grad(loss, list(parameters.values()), create_graph=True, allow_unused=True)
    along = sum((g * v).sum() for g, v in zip(found, vector.values(), strict=True) if g is not None)
    second = torch.autograd.grad(along, list(parameters.values()), allow_unused=True)
    torch.set_rng_state(state)
    pairs = zip(second, parameters.values(), strict=True)
    return torch.cat([torch.zeros_like(p).flatten() if h is None else h.flatten() for h, p in pairs])


@pytest.mark.parametrize("name", ["resnet18", "swin", "gpt2", "lora", "lstm"])
def test_the_shift_of_the_first_layer_is_zero_and_of_the_last_is_not(name: str) -> None:
    other, model, batch = made(name)
    with no_trace(model, batch):
        found = list(covariate_shift(model, other.loss_fn, batch, learning_rate=0.1).values())
    assert found[0].l2 == 0 or name in ("gpt2", "lora")  # a tied or frozen matrix comes first
    assert found[-1].l2 > 0


@pytest.mark.parametrize("name", ["densenet", "swin", "convnext"])
def test_single_precision_is_close_to_the_double_copy(name: str) -> None:
    other, model, batch = made(name)
    single = copy.deepcopy(model).float()
    found = landscape(single, other.loss_fn, (batch[0].float(), batch[1]), [0.05])
    exact = landscape(model, other.loss_fn, batch, [0.05])
    assert found.losses.tolist() == pytest.approx(exact.losses.tolist(), rel=1e-4)  # some thousand roundings of 6e-8
