"""Generated modules that share memory, hold nested state and change it in their forward pass: a walk over any of them
is a function of the weights, and no probe leaves a trace."""

import copy
import random
from collections import OrderedDict, deque
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from normlab.probes import covariate_shift, directional_curvature, landscape
from tests.reference.functions import D, assert_function_of_the_weights, loss_fn, vectors
from tests.reference.traces import no_trace

QUICK = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
WIDTH = 4
# memory of the layer's weight, seen through something else
ALIASES = {
    "none": lambda w: None,
    "attribute": lambda w: w.data,
    "buffer": lambda w: ("buffer", w.data),
    "row": lambda w: [w.data[1]],
    "transposed": lambda w: {"t": w.data.T},
    "flat": lambda w: (w.data.view(-1)[3:],),
    "numpy": lambda w: w.detach().numpy(),
    "frozen": lambda w: nn.Parameter(w.data, requires_grad=False),
    "expanded": lambda w: w.data[:1, :1].expand(3, 3),
}
LEAVES = st.sampled_from(["int", "float", "tensor", "array", "stream", "bytes"])
WRAPPERS = st.sampled_from(["list", "tuple", "dict", "ordered", "deque", "object", "module", "set of one"])


def leaf(kind: str) -> Any:
    return {
        "int": lambda: [1],
        "float": lambda: {"x": 1.0},
        "tensor": lambda: torch.ones(2, **D),
        "array": lambda: np.ones(2),
        "stream": lambda: random.Random(3),
        "bytes": lambda: bytearray(b"\x01"),
    }[kind]()


def wrapped(value: Any, kind: str) -> Any:
    if kind == "module":
        module = nn.Module()
        module.inner = value
        return module
    return {
        "list": lambda: [0, value],
        "tuple": lambda: (value, "x"),
        "dict": lambda: {"a": value, 1: None},
        "ordered": lambda: OrderedDict(z=value, a=value),
        "deque": lambda: deque([value], maxlen=3),
        "object": lambda: SimpleNamespace(inner=value, name="n"),
        "set of one": lambda: [{1, 2}, value],
    }[kind]()


def advance(leaf: Any) -> float:
    """Change a leaf in place, and a number that depends on all changes so far."""
    if isinstance(leaf, list):
        leaf[0] += 1
        leaf.append(0)
        return float(leaf[0])
    if isinstance(leaf, dict):
        leaf["x"] *= 1.5
        leaf[len(leaf)] = None
        return leaf["x"]
    if isinstance(leaf, Tensor):
        return leaf.data.add_(0.5).sum().item()
    if isinstance(leaf, np.ndarray):
        leaf *= 1.5
        return float(leaf[0])
    if isinstance(leaf, random.Random):
        return leaf.random()
    leaf.append(1)
    return float(len(leaf))


class Generated(nn.Module):
    """A linear layer whose output is scaled by its state; the state changes at every call."""

    def __init__(self, alias: str, leaves: list[str], wrappers: list[str], mutation: str) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, WIDTH, **D)
        self.mutation, self.scale = mutation, 1.0
        self.made_of = (alias, *leaves, *wrappers, mutation)
        seen = ALIASES[alias](self.linear.weight)
        if isinstance(seen, tuple) and seen[0] == "buffer":
            self.register_buffer("seen", seen[1])
        else:
            self.seen = seen
        # the leaves are reached through their wrappers only: the forward pass has them from a closure
        values = [leaf(kind) for kind in leaves]
        state: Any = values
        for kind in wrappers:
            state = wrapped(state, kind)
        self.state = state
        self.advance = lambda: 1.0 + sum(0.1 * np.tanh(advance(value)) for value in values)
        self.teacher = copy.deepcopy(self.linear).requires_grad_(False)
        self.register_buffer("table", torch.ones(3, **D))

    def extra_repr(self) -> str:
        return ", ".join(self.made_of)

    def forward(self, x: Tensor) -> Tensor:
        self._mutate()
        return torch.tanh(self.linear(x) * self.advance() * self.scale + self.teacher(x) + self.table.sum() / 10)

    def _mutate(self) -> None:
        weight = self.linear.weight
        if self.mutation == "attribute":
            self.scale *= 1.1
        elif self.mutation == "new attribute":
            self.late = getattr(self, "late", 0) + 1
            self.scale = float(self.late)
        elif self.mutation == "teacher":
            self.teacher.weight.data.lerp_(weight.data, 0.5)
        elif self.mutation == "teacher bound":
            self.teacher.weight.data = 0.5 * self.teacher.weight.data + 0.5 * weight.data
        elif self.mutation == "teacher anew":
            self.teacher.weight = nn.Parameter(0.9 * self.teacher.weight.data, requires_grad=False)
        elif self.mutation == "buffer anew":
            self.table = self.table * 1.5
        elif self.mutation == "buffer resized":
            self.table.resize_(self.table.numel() + 1).fill_(1.0)
        elif self.mutation == "clamp":
            weight.data.clamp_(-0.2, 0.2)
        elif self.mutation == "bound":
            weight.data = weight.data * 0.9
        elif self.mutation == "child":
            self.add_module(f"child{len(self._modules)}", nn.Identity())
            self.scale = float(len(self._modules))


NAMES = "none,attribute,new attribute,teacher,teacher bound,teacher anew,buffer anew,buffer resized,clamp,bound,child"
MUTATIONS = st.sampled_from(NAMES.split(","))


@st.composite
def models(draw: st.DrawFn) -> nn.Module:
    torch.manual_seed(draw(st.integers(0, 99)))
    layers = [
        Generated(
            draw(st.sampled_from(sorted(ALIASES))),
            draw(st.lists(LEAVES, max_size=3)),
            draw(st.lists(WRAPPERS, max_size=3)),
            draw(MUTATIONS),
        )
        for _ in range(draw(st.integers(1, 2)))
    ]
    between = [nn.BatchNorm1d(WIDTH, **D)] if draw(st.booleans()) else [nn.Dropout(0.3)]
    model = nn.Sequential(*layers, *between, nn.Linear(WIDTH, 3, **D))
    if draw(st.booleans()):
        model.insert(0, layers[-1])  # one module at two places
    return model


@QUICK
@given(model=models())
def test_same_step_size_same_loss_and_no_trace(model: nn.Module) -> None:
    # a deep copy does not share memory where the model does, so the truth is the call of the model itself, undone
    assert_function_of_the_weights(model, twin=False)


@QUICK
@given(model=models(), fail=st.integers(1, 4))
def test_no_trace_of_any_probe_also_when_it_fails(model: nn.Module, fail: int) -> None:
    calls: list[int] = []

    def failing(m: nn.Module, b: Any) -> Tensor:
        calls.append(1)
        value = loss_fn(m, b)
        if len(calls) == fail:
            raise KeyboardInterrupt
        return value

    batch = vectors()
    for probe in (
        lambda: covariate_shift(model, failing, batch, learning_rate=0.1),
        lambda: directional_curvature(model, failing, batch),
        lambda: landscape(model, failing, batch, [0.1, -0.2], direction="random", gradients=False),
    ):
        calls.clear()
        with no_trace(model, batch):
            try:
                probe()
            except KeyboardInterrupt:
                assert len(calls) == fail


@QUICK
@given(model=models(), step=st.floats(-1, 1))
def test_the_base_point_is_what_a_training_step_would_see(model: nn.Module, step: float) -> None:
    state = torch.get_rng_state()
    found = landscape(model, loss_fn, vectors(), [step, step])
    assert torch.equal(state, torch.get_rng_state())
    assert found.loss == pytest.approx(loss_fn(model, vectors()).item(), rel=1e-12)  # the model is as it was: use it up
