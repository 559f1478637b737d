"""State of every kind, in every place: each evaluation starts from the same one, and nothing of it is changed after."""

import collections
import copy
import dataclasses
import random
import types
from array import array
from collections import OrderedDict, UserDict, deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from normlab.probes import covariate_shift, landscape
from tests.reference.functions import D, assert_function_of_the_weights, loss_fn, vectors


class Stateful(nn.Module):
    """Applies `change` to itself before every forward pass, and scales its output by `scale()`."""

    def __init__(
        self, change: Callable[["Stateful"], object], scale: Callable[["Stateful"], Any], **state: Any
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(4, 3, **D)
        self.change, self.scale = change, scale
        for name, value in state.items():
            setattr(self, name, value)

    def forward(self, x: Tensor) -> Tensor:
        self.change(self)
        return self.linear(x) * self.scale(self)


@dataclasses.dataclass
class Tracker:
    count: int = 0
    inner: dict[str, list[int]] = dataclasses.field(default_factory=lambda: {"a": [1]})


class Slotted:
    __slots__ = ("__secret", "value")

    def __init__(self) -> None:
        self.value = 1.0
        self.__secret = [1]

    def advance(self) -> float:
        self.value += 1
        self.__secret.append(1)
        return self.value + len(self.__secret)


class Cache(OrderedDict):
    pass


def ones(*shape: int) -> Tensor:
    return torch.ones(shape, **D)


STATES: dict[str, Callable[[], Stateful]] = {
    "number": lambda: Stateful(lambda m: setattr(m, "n", m.n + 1), lambda m: m.n, n=1),
    "deque": lambda: Stateful(lambda m: m.q.append(len(m.q)), lambda m: len(m.q), q=deque([1], maxlen=9)),
    "deque of tensors": lambda: Stateful(lambda m: m.q.append(m.q[-1] * 2), lambda m: m.q[-1], q=deque([ones()])),
    "nested": lambda: Stateful(lambda m: m.d["a"][0].append(1), lambda m: len(m.d["a"][0]), d={"a": ([1],)}),
    "nested tensor": lambda: Stateful(
        lambda m: m.d["a"][0]["b"].mul_(2), lambda m: m.d["a"][0]["b"], d={"a": ({"b": ones()},)}
    ),
    "set": lambda: Stateful(lambda m: m.s.add(len(m.s)), lambda m: len(m.s), s={0}),
    "frozenset of lists in a tuple": lambda: Stateful(lambda m: m.t[0].append(0), lambda m: len(m.t[0]), t=([0],)),
    "array": lambda: Stateful(lambda m: m.a.__iadd__(1), lambda m: float(m.a[0]), a=np.ones(2)),
    "array of objects": lambda: Stateful(
        lambda m: m.a[0].append(1), lambda m: len(m.a[0]), a=np.array([[1], None], dtype=object)
    ),
    "bytearray": lambda: Stateful(lambda m: m.b.append(1), lambda m: len(m.b), b=bytearray(b"a")),
    "array of Python": lambda: Stateful(lambda m: m.b.append(1.0), lambda m: len(m.b), b=array("d", [1.0])),
    "plain object": lambda: Stateful(
        lambda m: setattr(m.o, "count", m.o.count + 1), lambda m: 1 + m.o.count, o=Tracker()
    ),
    "inside a plain object": lambda: Stateful(
        lambda m: m.o.inner["a"].append(1), lambda m: len(m.o.inner["a"]), o=Tracker()
    ),
    "objects in a list": lambda: Stateful(
        lambda m: setattr(m.o[0], "count", m.o[0].count + 1), lambda m: 1 + m.o[0].count, o=[Tracker()]
    ),
    "slots": lambda: Stateful(lambda m: None, lambda m: m.o.advance(), o=Slotted()),
    "namespace": lambda: Stateful(
        lambda m: setattr(m.o, "n", m.o.n + 1), lambda m: m.o.n, o=types.SimpleNamespace(n=1)
    ),
    "order of a dict": lambda: Stateful(
        lambda m: m.d.move_to_end(next(iter(m.d))), lambda m: next(iter(m.d)), d=OrderedDict({1: 0, 2: 0, 3: 0})
    ),
    "subclass of a dict": lambda: Stateful(lambda m: m.d.update(x=m.d["x"] + 1), lambda m: m.d["x"], d=Cache(x=1)),
    "counter": lambda: Stateful(lambda m: m.c.update("a"), lambda m: m.c["a"], c=collections.Counter("a")),
    "user dict": lambda: Stateful(lambda m: m.d.update(x=m.d["x"] + 1), lambda m: m.d["x"], d=UserDict(x=1)),
    "module in a list": lambda: Stateful(
        lambda m: [b.running_mean.add_(1) for b in m.blocks],
        lambda m: 1 + m.blocks[0].running_mean[0],
        blocks=[nn.BatchNorm1d(2).double()],
    ),
    "module in an object": lambda: Stateful(
        lambda m: m.o.teacher.weight.data.mul_(1.1),
        lambda m: m.o.teacher.weight.sum(),
        o=types.SimpleNamespace(teacher=nn.Linear(2, 2, **D)),
    ),
    "distribution": lambda: Stateful(
        lambda m: m.prior.loc.add_(1), lambda m: m.prior.mean, prior=torch.distributions.Normal(ones(), ones())
    ),
    "python stream": lambda: Stateful(lambda m: None, lambda m: m.r.random(), r=random.Random(1)),
    "numpy stream": lambda: Stateful(lambda m: None, lambda m: m.r[0].random(), r=[np.random.default_rng(1)]),
    "torch stream": lambda: Stateful(
        lambda m: None,
        lambda m: torch.rand((), generator=m.o.g),
        o=types.SimpleNamespace(g=torch.Generator().manual_seed(1)),
    ),
    "attribute of a parameter": lambda: Stateful(
        lambda m: setattr(m.linear.weight, "seen", getattr(m.linear.weight, "seen", 1) + 1),
        lambda m: m.linear.weight.seen,
    ),
    "new attribute": lambda: Stateful(lambda m: setattr(m, "late", getattr(m, "late", 1) + 1), lambda m: m.late),
    "deleted attribute": lambda: Stateful(
        lambda m: m.__dict__.pop("once", None), lambda m: 2.0 if hasattr(m, "once") else 1.0, once=1
    ),
    "requires_grad": lambda: Stateful(
        lambda m: (setattr(m, "was", m.linear.bias.requires_grad), m.linear.bias.requires_grad_(False)),
        lambda m: 1.0 + m.was,
        was=0,
    ),
    "mode": lambda: Stateful(
        lambda m: None, lambda m: (2.0 if m.sub.training else 1.0, m.sub.eval())[0], sub=nn.Dropout()
    ),
    "shape": lambda: Stateful(lambda m: m.t.unsqueeze_(0), lambda m: m.t.ndim, t=ones()),
    "sparse": lambda: Stateful(lambda m: m.t.mul_(2), lambda m: m.t.to_dense().sum(), t=torch.eye(2, **D).to_sparse()),
    "expanded": lambda: Stateful(
        lambda m: m.t.storage().__setitem__(0, m.t[0].item() + 1), lambda m: m.t.sum(), t=ones(1).expand(3)
    ),
    "complex": lambda: Stateful(
        lambda m: m.t.mul_(2), lambda m: m.t.real.sum(), t=torch.ones(2, dtype=torch.complex128)
    ),
}


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
@pytest.mark.parametrize("name", STATES)
def test_python_state_of_modules(name: str) -> None:
    model = STATES[name]()
    assert_function_of_the_weights(model, twin=name not in ("torch stream", "attribute of a parameter"))
    if name == "mode":
        assert model.sub.training


@pytest.mark.filterwarnings("ignore:.*quantized tensor creation functions")
def test_quantized_buffers() -> None:
    def change(m: Stateful) -> None:
        m.t.copy_(torch.quantize_per_tensor(m.t.dequantize() + 1, 0.1, 0, torch.quint8))

    table = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8)
    assert_function_of_the_weights(Stateful(change, lambda m: m.t.dequantize().sum().double(), t=table), twin=False)
    assert table.dequantize().tolist() == pytest.approx([1.0, 1.0])


class Momentum(nn.Module):
    """A frozen copy that follows the trained encoder at every forward pass."""

    def __init__(self, update: Callable[[nn.Parameter, nn.Parameter], object]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.query = nn.Linear(4, 3, **D)
        self.key = nn.Linear(4, 3, **D).requires_grad_(False)
        self.update = update

    def forward(self, x: Tensor) -> Tensor:
        for key, query in zip(self.key.parameters(), self.query.parameters(), strict=True):
            self.update(key, query)
        return self.query(x) + self.key(x)


def bind(k: nn.Parameter, q: nn.Parameter) -> None:
    k.data = 0.9 * k.data + 0.1 * q.data


def in_place(k: nn.Parameter, q: nn.Parameter) -> None:
    k.data.mul_(0.9).add_(q.data, alpha=0.1)


def under_no_grad(k: nn.Parameter, q: nn.Parameter) -> None:
    with torch.no_grad():
        k.lerp_(q, 0.1)


@pytest.mark.parametrize("update", [bind, in_place, under_no_grad])
def test_parameters_that_the_forward_pass_changes_while_frozen(update: Any) -> None:
    assert_function_of_the_weights(Momentum(update))


def test_trainable_parameters_that_the_forward_pass_clamps() -> None:
    class Clamped(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            self.weight.data.clamp_(-0.3, 0.3)
            return super().forward(x)

    torch.manual_seed(0)
    assert_function_of_the_weights(Clamped(4, 3, **D))


class Codebook(nn.Module):
    """Registers its parameter anew at every forward pass, as vector quantizers with moving averages do."""

    def __init__(self, trainable: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(4, 4, **D)
        self.book = nn.Parameter(torch.randn(4, 3, **D), requires_grad=trainable)

    def forward(self, x: Tensor) -> Tensor:
        self.book = nn.Parameter(0.9 * self.book.detach(), requires_grad=self.book.requires_grad)
        return self.linear(x) @ self.book


@pytest.mark.parametrize("trainable", [False, True])
def test_parameters_that_the_forward_pass_registers_anew(trainable: bool) -> None:
    model = Codebook(trainable)
    book = model.book
    found = assert_function_of_the_weights(model)
    assert model.book is book
    twin, batch = copy.deepcopy(model), vectors()
    loss_fn(twin, batch).backward()  # the gradient is that of the name
    grads = torch.cat([p.grad.reshape(-1) for p in twin.parameters() if p.requires_grad])
    assert found.grad_norm == pytest.approx(grads.norm().item(), rel=1e-12)
    shifts = covariate_shift(model, loss_fn, batch, learning_rate=0.1)
    assert list(shifts) == (["", "linear"] if trainable else ["linear"])
    assert all(np.isfinite(shift.l2) for shift in shifts.values())


class Classwide(nn.Linear):
    """Counts on its class, and keeps a table there."""

    calls = 0
    table = torch.ones(1, **D)
    known: dict[nn.Module, list[int]] = {}  # noqa: RUF012 (shared on purpose)

    def forward(self, x: Tensor) -> Tensor:
        Classwide.calls += 1
        self.table.add_(1)
        self.known.setdefault(self, [0])[0] += 1
        return super().forward(x) * self.calls + self.table.sum() + self.known[self][0]


def test_state_of_the_class() -> None:
    torch.manual_seed(0)
    model = Classwide(4, 3, **D)
    assert_function_of_the_weights(model, twin=False)
    assert (Classwide.calls, Classwide.table.item(), Classwide.known) == (0, 1.0, {})


class Counted(nn.Module):
    """Numbers in an `array.array` inside a tuple, which each forward pass changes."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.counts = ("gain", array("d", [1.0, -0.0]))

    def forward(self, x: Tensor) -> Tensor:
        gain = self.counts[1]
        gain[0] += 1.0
        gain[1] = 0.0  # equal to -0.0, and other bits
        gain.append(gain[0])
        return self.linear(x) * gain[0]


def test_arrays_of_python_are_state_too() -> None:
    model, x = Counted(), torch.randn(4, 3)
    found = landscape(model, lambda m, b: m(b).square().mean(), x, [0.1, 0.1])
    assert found.losses[0] == found.losses[1]
    assert found.loss == pytest.approx((2 * model.linear(x)).square().mean().item(), rel=1e-6)
    assert not found.notes
    assert bytes(model.counts[1]) == bytes(array("d", [1.0, -0.0]))
