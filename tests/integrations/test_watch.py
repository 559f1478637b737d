"""What every callback shares, without a framework."""

import re
from typing import Any

import pytest
from tests.integrations import training
from torch import nn

from normlab.integrations.watch import Watch


def one(model: nn.Module, loss_fn: Any, batch: Any) -> float:
    return 1.0


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"loss_fn": None}, TypeError, "loss_fn must be callable as loss_fn(model, batch), got None"),
    ({"updates": 3}, TypeError, "updates must be True, False, a pattern of names or a list of them, got 3"),
    ({"updates": None}, TypeError, "updates must be True, False, a pattern of names or a list of them, got None"),
]


@pytest.mark.parametrize("probes", [{"n": one}, lambda model: {"n": one}])
@pytest.mark.parametrize(("given", "error", "message"), REFUSED)
def test_what_needs_no_model_is_refused_before_the_training_begins(
    given: dict[str, Any], error: type[Exception], message: str, probes: Any
) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        Watch(**{"loss_fn": training.loss_fn, "probes": probes, **given})


def test_what_needs_the_model_is_refused_when_it_begins() -> None:
    watch = Watch(training.loss_fn, {"n": one}, updates="features.*")
    with pytest.raises(ValueError, match="no trainable parameter matches"):
        watch.begin(training.network())
    with pytest.raises(TypeError, match=r"^model must be a torch\.nn\.Module, got function$"):
        watch.begin(training.loss_fn)  # type: ignore[arg-type]
