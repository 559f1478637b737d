"""Which models, modules and names are accepted, and what the refusals of the others name."""

import warnings
from typing import Any

import pytest
import torch
from torch import nn

from normlab.probes.accepted import check_model, check_state, checked_modules, checked_names, matching, unwrapped
from normlab.probes.inventory import Inventory
from normlab.probes.preservation import ModelState

NAMES = ["", "features", "features.0", "features.1", "head", "head.*"]


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        ([], []),
        (["head"], ["head"]),
        (["head", "features"], ["head", "features"]),  # in the order of the patterns
        (["features.*"], ["features.0", "features.1"]),  # in the model's order
        (["*"], ["features", "features.0", "features.1", "head", "head.*"]),  # the model itself has no name
        ([""], [""]),  # but by its name
        (["head.*"], ["head.*"]),  # a name, whatever it looks like
        (["features.1", "features.?"], ["features.1", "features.0"]),  # each once
        (["head", "FEATURES"], None),
        (["tail", "head"], None),
    ],
)
def test_names_that_match(patterns: list[str], found: list[str] | None) -> None:
    assert matching(patterns, NAMES) == found


def test_modules_outside_of_the_model() -> None:
    one, two = nn.ReLU(), nn.Linear(1, 1)
    assert checked_modules(one) == [one]
    for several in ([one, two], (one, two)):
        assert checked_modules(several) == [one, two]
    held = nn.ModuleList([one, two])  # a module itself
    assert checked_modules(held) == [held]
    assert checked_modules(()) == []
    for wrong in (None, "relu", [one, "relu"], {"a": one}, 1, {one}):
        with pytest.raises(TypeError, match=r"also must be a list of torch\.nn\.Modules outside of the model, got"):
            checked_modules(wrong)
    with pytest.raises(TypeError) as caught:
        checked_modules("x" * 1000)
    assert str(caught.value).endswith("got '" + 79 * "x")  # not all of a long one
    with pytest.raises(TypeError, match=r"got \[Sequential\( \(0\): ReLU\(\) \), 1\]$"):  # in one line
        checked_modules([nn.Sequential(nn.ReLU()), 1])


def test_names_of_layers() -> None:
    for names in ([], ["a", "b.*"], ("a",)):
        assert checked_names(names) is names
    for wrong in ("a", [0], ["a", None], [nn.ReLU()], {"a"}, {"a": 1}, iter(["a"]), None, 3):
        with pytest.raises(TypeError, match=r"^layers must be a sequence of module names, got .*$"):
            checked_names(wrong)


class FullyShardedDataParallel(nn.Module):
    """Goes by the name of torch's."""


class OptimizedModule(nn.Module):
    """Goes by the name of torch's."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self._orig_mod = inner


class Derived(OptimizedModule):
    """Somebody's own, derived from torch's."""


def test_wrappers_are_opened_however_deep() -> None:
    inner = nn.Linear(1, 1)
    assert unwrapped(inner) is inner
    assert unwrapped(Derived(nn.DataParallel(OptimizedModule(inner)))) is inner
    outer = nn.Sequential(OptimizedModule(inner))
    assert unwrapped(outer) is outer
    alone = nn.DataParallel(inner)
    alone.device_ids = [0]
    assert unwrapped(alone) is inner


@pytest.mark.parametrize(("place", "named"), [(0, "at 'the top'"), (1, "at '0'"), (2, "at '0.0'")])
def test_what_is_spread_over_devices_is_named(place: int, named: str) -> None:
    several = nn.DataParallel(nn.Linear(1, 1))
    several.device_ids = [0, 1]
    for model in (several, FullyShardedDataParallel()):
        kind, wrapped = type(model).__name__, model
        for _ in range(place):
            wrapped = nn.Sequential(wrapped)
        with pytest.raises(TypeError, match=f"^{kind} {named}: "):
            unwrapped(wrapped)


def _scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls it deprecated
        return torch.jit.trace(nn.ReLU(), torch.ones(1))


def _buffered(buffer: torch.Tensor) -> nn.Module:
    model = nn.Linear(1, 1)
    model.register_buffer("table", buffer)
    return model


def test_parameters_made_under_inference_mode_are_refused_where_a_gradient_is_asked_for() -> None:
    with torch.inference_mode():
        model = nn.Sequential(nn.Linear(1, 1))
    with pytest.raises(ValueError, match=r"parameter '0\.weight' was made under torch\.inference_mode\(\)"):
        check_model(Inventory(model), True)
    assert check_model(Inventory(model), False) == torch.float32
    part = nn.Sequential(nn.Linear(1, 1), model.requires_grad_(False))  # a frozen part is asked for none
    assert check_model(Inventory(part), True) == torch.float32


def test_models_without_values_or_out_of_python_are_refused_by_name() -> None:
    with torch.device("meta"):
        empty = nn.Linear(1, 1)
    refused: list[tuple[nn.Module, type[Exception], str]] = [
        (nn.Sequential(nn.ReLU(), empty), ValueError, "'1.weight' is on the meta device"),
        (_buffered(torch.ones(1, device="meta")), ValueError, "'table' is on the meta device"),
        (nn.Sequential(nn.LazyLinear(2)), ValueError, "parameter '0.weight' is not initialized yet"),
        (_scripted(), TypeError, "^'the model' is a ScriptModule"),
        (nn.Sequential(nn.ReLU(), _scripted()), TypeError, "^'1' is a ScriptModule"),
    ]
    for model, error, message in refused:
        for trainable in (True, False):
            with pytest.raises(error, match=message):
                check_model(Inventory(model), trainable)


def test_a_model_without_trainable_parameters_is_refused_where_it_needs_them() -> None:
    for dtype in (torch.float32, torch.float64):
        model = nn.Linear(1, 1, dtype=dtype)
        assert check_model(Inventory(model), True) == dtype
        model.requires_grad_(False)
        assert check_model(Inventory(model), False) == torch.float32  # nothing trainable is of another type
        with pytest.raises(ValueError, match="no trainable parameter"):
            check_model(Inventory(model), True)


def _state(first: torch.Tensor, second: torch.Tensor, batch: Any = None) -> ModelState:
    model = nn.ParameterDict({"first": nn.Parameter(first), "second": nn.Parameter(second)})
    state = ModelState(model, batch)
    state.remember()
    return state


def test_weights_over_one_memory_and_iterators_in_the_batch_are_refused_by_name() -> None:
    base = torch.arange(6.0)
    check_state(_state(base[:3], base[3:]))
    check_state(_state(base[::2], base[1::2], [base]))
    with pytest.raises(ValueError, match="parameters 'first' and 'second' lie in the same memory"):
        check_state(_state(base[:4], base[3:]))
    with pytest.raises(ValueError, match="elements of parameter 'second' share memory"):
        check_state(_state(base[:3], base[3:4].expand(3)))
    with pytest.raises(ValueError, match=r"the batch holds an iterator \(list_iterator\)"):
        check_state(_state(base[:3], base[3:], {"x": [1, iter([1])]}))
