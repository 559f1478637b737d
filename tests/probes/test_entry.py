"""The way into the objective: what is refused in which words, what is warned of and noted, what is in force inside."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from normlab.nn import normalizer
from normlab.probes import walk
from normlab.probes.entry import objective_at
from tests.reference.traces import no_trace


def loss(model: nn.Module, batch: Tensor) -> Tensor:
    return model(batch).square().mean()  # type: ignore[no-any-return]


BATCH = torch.ones(3, 2)
ITERATOR = "batch must be one batch, got an iterator (list_iterator); pass next(iterator)"
HELD = "the batch holds an iterator (zip), which the first evaluation would use up; put what it yields into the batch, "
FROZEN = "the model has no trainable parameter: at least one must have requires_grad=True"
REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"mode": "test"}, ValueError, "mode must be 'train' or 'eval', got 'test'"),
    ({"mode": True}, ValueError, "mode must be 'train' or 'eval', got True"),
    ({"loss_fn": 1.5}, TypeError, "loss_fn must be callable as loss_fn(model, batch), got float"),
    ({"loss_fn": None}, TypeError, "loss_fn must be callable as loss_fn(model, batch), got NoneType"),
    ({"batch": iter([BATCH])}, ValueError, ITERATOR),
    ({"batch": [zip()]}, ValueError, f"{HELD}as a list"),
    ({"model": 1}, TypeError, "model must be a torch.nn.Module, got int"),
    ({"model": nn.ReLU()}, ValueError, FROZEN),
    ({"also": [1]}, TypeError, "also must be a list of torch.nn.Modules outside of the model, got [1]"),
]


@pytest.mark.parametrize(("given", "error", "message"), REFUSED)
def test_what_is_refused_in_which_words(given: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments: dict[str, Any] = {"model": nn.Linear(2, 1), "loss_fn": loss, "batch": BATCH, **given}
    with pytest.raises(error, match=f"^{re.escape(message)}$"), objective_at(**arguments):
        pass


def test_a_model_without_trainable_parameters_may_be_asked_for() -> None:
    model = nn.Linear(2, 1).requires_grad_(False)
    with objective_at(model, loss, BATCH, trainable=False) as objective:
        assert objective.parameters == []
        assert objective.run(lambda inner: inner(BATCH).shape) == (3, 1)


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([nn.ReLU(), nn.BatchNorm1d(2)], "1 batch-coupled normalizers ('1', …)"),
        ([normalizer("l2", 2, dims=0), nn.ReLU(), nn.BatchNorm1d(2)], "2 batch-coupled normalizers ('0', …)"),
        ([nn.ReLU(), nn.LayerNorm(2)], None),
    ],
)
def test_running_statistics_are_warned_of_in_eval_mode_alone(layers: list[nn.Module], said: str | None) -> None:
    model = nn.Sequential(*layers, nn.Linear(2, 1))
    rest = " are measured with their running statistics, not with the batch statistics that training uses"
    with objective_at(model, loss, BATCH):  # warnings are errors
        pass
    if said is None:
        with objective_at(model, loss, BATCH, mode="eval"):
            pass
    else:
        with (
            pytest.warns(UserWarning, match="running statistics") as caught,
            objective_at(model, loss, BATCH, mode="eval"),
        ):
            pass
        assert [str(one.message) for one in caught] == [f"mode='eval': {said}{rest}"]


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("own", [True, False])
def test_every_submodule_is_in_the_mode_and_modules_outside_keep_theirs(mode: str, own: bool) -> None:
    last = nn.Dropout()
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Linear(2, 1), last)).train(own)
    last.train(not own)
    outside = nn.Dropout().train(own)
    modes = [module.training for module in model.modules()]
    with no_trace(model, BATCH), objective_at(model, loss, BATCH, mode=mode, also=[outside]):
        assert {module.training for module in model.modules()} == {mode == "train"}
        assert outside.training is own
    assert [module.training for module in model.modules()] == modes


def test_train_mode_is_the_default() -> None:
    model = nn.Linear(2, 1).eval()
    with objective_at(model, loss, BATCH):
        assert model.training
    assert not model.training


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_gradients_are_recorded_inside_and_the_callers_mode_is_back_afterwards(around: Any) -> None:
    model = nn.Linear(2, 1)
    with around():
        before = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        with objective_at(model, loss, BATCH) as objective:
            assert torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()
            assert objective.loss_with_graph().requires_grad
        assert (torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == before


def test_too_many_objects_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Linear(2, 1)
    with objective_at(model, loss, BATCH) as objective:
        assert objective.notes == []
    monkeypatch.setattr(walk, "LIMIT", 5)
    with objective_at(model, loss, [[BATCH], [[1.0], [2.0]]]) as objective:
        expected = "model, batch and loss_fn reach too many objects: the farthest were not remembered"
        assert objective.notes == [expected]


def test_an_objective_has_the_models_type_and_parameters_and_what_is_inside_of_wrappers() -> None:
    for dtype in (torch.float32, torch.float64):
        first, second = nn.Linear(2, 1, dtype=dtype), nn.Linear(1, 1, dtype=dtype)
        inner = nn.Sequential(first, second)
        first.bias.requires_grad_(False)
        with objective_at(nn.DataParallel(inner), loss, BATCH.to(dtype)) as objective:
            assert objective.model is inner
            assert objective.dtype == dtype
            wanted = [first.weight, second.weight, second.bias]
            assert [id(one) for one in objective.parameters] == [id(one) for one in wanted]
            assert all(torch.equal(one, p) for one, p in zip(objective.weights, wanted, strict=True))
            assert objective.batches == 1
