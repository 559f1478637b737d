"""The loss at the base point, seen once more: what counts as the same, and which evaluations have a graph."""

import itertools
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from normlab.probes.entry import objective_at
from normlab.probes.objective import Objective


def _given(values: Iterator[float], dtype: torch.dtype) -> tuple[nn.Module, Any, None]:
    """A model and a loss that is the next of these numbers at each evaluation."""
    model = nn.ParameterList([nn.Parameter(torch.ones((), dtype=dtype))])
    return model, lambda m, batch: 0 * m[0] + next(values), None


SAME = [(1.0, 1.0), (0.0, -0.0), (math.inf, math.inf), (-math.inf, -math.inf), (math.nan, math.nan)]
OTHER = [(1.0, 1 + 2.0**-20), (1.0, 1 - 2.0**-20), (1.0, -1.0), (0.0, 1e-30), (math.nan, 1.0), (1.0, math.nan),
         (math.inf, -math.inf), (1.0, math.inf), (math.inf, 1.0)]  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("pair", [*SAME, *OTHER])
def test_a_loss_that_differs_at_all_is_noted_once(pair: tuple[float, float], dtype: torch.dtype) -> None:
    with objective_at(*_given(itertools.chain(pair, itertools.repeat(7.0)), dtype)) as objective:
        objective.gradient()
        assert objective.notes == []
        objective.recheck()
        assert len(objective.notes) == (pair in OTHER)
        objective.recheck()
        objective.gradient()
        assert len(objective.notes) == (pair in OTHER)


def test_the_note_names_both_losses_and_what_to_do() -> None:
    with objective_at(*_given(iter((0.5, 2.0)), torch.float64)) as objective:
        objective.gradient()
        objective.recheck()
    assert objective.notes == [
        "the base point evaluated once more gives another loss (2.0 for 0.5): loss_fn or the model changes a state "
        "that the probe does not see, or is not deterministic, so losses differ not by the weights alone; name modules "
        "outside of the model with also=[…]"
    ]


def test_losses_elsewhere_are_not_compared() -> None:
    with objective_at(*_given(itertools.count(1.0), torch.float64)) as objective:
        objective.gradient()
        objective.walk(objective.weights, 0.5)
        objective.gradient()
        objective.loss()
        assert objective.notes == []
        objective.walk(objective.weights, 0.0)  # no step is no step
        objective.gradient()
        assert len(objective.notes) == 1


def _graphs(objective: Objective, seen: list[bool]) -> list[list[bool]]:
    """Of four evaluations, for each of its forward passes whether it had a graph."""
    found = []
    for _ in range(4):
        seen.clear()
        objective.loss()
        found.append(list(seen))
    return found


def test_only_the_first_loss_has_a_graph() -> None:
    seen: list[bool] = []

    def loss(model: nn.Module, x: Tensor) -> Tensor:
        seen.append(torch.is_grad_enabled())
        return model(x).sum()  # type: ignore[no-any-return]

    with objective_at(nn.Linear(2, 1), loss, torch.ones(1, 2)) as objective:
        assert _graphs(objective, seen) == [[True], [False], [False], [False]]


def test_where_the_loss_differentiates_itself_one_evaluation_without_a_graph_is_tried() -> None:
    seen: list[bool] = []

    def loss(model: nn.Module, x: Tensor) -> Tensor:
        seen.append(torch.is_grad_enabled())
        place = x.clone().requires_grad_()
        [slope] = torch.autograd.grad(model(place).sum(), place, create_graph=True)
        return slope.square().sum()

    with objective_at(nn.Linear(2, 1), loss, torch.ones(1, 2)) as objective:
        assert _graphs(objective, seen) == [[True], [False, True], [True], [True]]


def test_another_error_of_the_loss_is_not_tried_again() -> None:
    seen: list[bool] = []

    def loss(model: nn.Module, x: Tensor) -> Tensor:
        seen.append(torch.is_grad_enabled())
        if len(seen) > 1:
            raise RuntimeError("broken")
        return model(x).sum()  # type: ignore[no-any-return]

    with objective_at(nn.Linear(2, 1), loss, torch.ones(1, 2)) as objective:
        objective.loss()
        with pytest.raises(RuntimeError, match="broken"):
            objective.loss()
    assert seen == [True, False]


@pytest.mark.parametrize("said", ["more than 1 value per channel", "more than 1 spatial element"])
def test_a_batch_that_is_too_small_keeps_the_words_of_torch(said: str) -> None:
    def loss(model: nn.Module, x: Tensor) -> Tensor:
        raise ValueError(f"Expected {said} when training")

    advice = ": a batch statistic needs at least two values per channel; probe a larger batch, or use mode='eval'"
    expected = f"Expected {said} when training{advice}"
    with (
        pytest.raises(ValueError, match=f"^{re.escape(expected)}$"),
        objective_at(nn.Linear(2, 1), loss, torch.ones(1, 2)) as objective,
    ):
        objective.loss()


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 2.0**-23 * 1e3), (torch.float64, 2.0**-52 * 1e3)])
def test_a_distance_is_taken_on_trust_above_a_thousand_roundings_of_the_weights(
    dtype: torch.dtype, limit: float
) -> None:
    model = nn.ParameterList([nn.Parameter(torch.tensor([3.0, 4.0], dtype=dtype))])
    loss: Any = lambda m, batch: m[0].sum()  # noqa: E731
    with objective_at(model, loss, None) as objective:
        objective.walk([torch.tensor([1.0, 0.0], dtype=dtype)], 0.25)
        assert objective.distance(5 * limit * 1.01) == 5 * limit * 1.01
        assert objective.distance(5 * limit * 0.99) == 0.25
        assert objective.loss() == 6.75  # what was measured is where the next evaluation is
