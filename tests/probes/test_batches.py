"""The caller's batch is as it was after a probe, and every evaluation within one sees it so."""

import dataclasses
import types
from collections import UserDict
from collections.abc import Callable
from typing import Any, NamedTuple

import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from normlab.probes import landscape
from tests.reference.functions import D, assert_function_of_the_weights, loss_fn, mapped, vectors


class Labelled(NamedTuple):
    x: Tensor
    y: Tensor


@dataclasses.dataclass
class Sample:
    x: Any
    y: Any


class Encoding(UserDict):
    """The shape of a tokenizer's BatchEncoding."""

    def __getattr__(self, name: str) -> Any:
        if name == "data" or name not in self.data:
            raise AttributeError(name)
        return self.data[name]


def doubled(get: Callable[[Any], Any], put: Callable[[Any, Any], Any]) -> Callable[[nn.Module, Any], Tensor]:
    """A loss that doubles the batch's x before it uses it."""

    def loss(model: nn.Module, batch: Any) -> Tensor:
        put(batch, get(batch))
        return F.cross_entropy(model(torch.as_tensor(get(batch))), vectors()[1])

    return loss


X, Y = vectors()
BATCHES = {
    "list": ([X.clone(), Y], lambda b: b[0], lambda b, x: b.__setitem__(0, 2 * x)),
    "in place": ((X.clone(), Y), lambda b: b[0], lambda b, x: x.mul_(2)),
    "through .data": ((X.clone(), Y), lambda b: b[0], lambda b, x: x.data.mul_(2)),
    "a view": ((torch.stack([X, X])[:, :, :][0], Y), lambda b: b[0], lambda b, x: x.mul_(2)),
    "columns": (list(X.clone().unbind(1)), lambda b: torch.stack(b, 1), lambda b, x: [c.mul_(2) for c in b]),
    "dict": ({"x": X.clone()}, lambda b: b["x"], lambda b, x: b.update(x=2 * x)),
    "new key": ({"x": X.clone()}, lambda b: b["x"] * (1 + len(b)), lambda b, x: b.update({len(b): 1})),
    "deep": ({"a": [{"b": (X.clone(),)}]}, lambda b: b["a"][0]["b"][0], lambda b, x: b["a"][0].update(b=(2 * x,))),
    "dataclass": (Sample(X.clone(), Y), lambda b: b.x, lambda b, x: setattr(b, "x", 2 * x)),
    "named tuple": (Labelled(X.clone(), Y), lambda b: b.x, lambda b, x: b.x.mul_(2)),
    "user dict": (Encoding(x=X.clone()), lambda b: b.x, lambda b, x: b.update(x=2 * x)),
    "popped user dict": (Encoding(x=X.clone()), lambda b: b.data.get("x", X + 1), lambda b, x: b.pop("x")),
    "namespace": (types.SimpleNamespace(x=X.clone()), lambda b: b.x, lambda b, x: setattr(b, "x", 2 * x)),
    "numpy": ({"x": X.clone().numpy()}, lambda b: b["x"], lambda b, x: x.__imul__(2)),
    "tensor": (X.clone(), lambda b: b, lambda b, x: b.mul_(2)),
    "transposed in place": (X.clone(), lambda b: b if b.shape == (6, 4) else b.T, lambda b, x: b.t_()),
}


@pytest.mark.parametrize("name", BATCHES)
def test_batches_are_as_they_were_and_every_evaluation_sees_them_so(name: str) -> None:
    batch, get, put = BATCHES[name]
    torch.manual_seed(0)
    before = torch.as_tensor(get(batch)).clone()
    assert_function_of_the_weights(nn.Linear(4, 3, **D), doubled(get, put), batch, twin=name != "namespace")
    assert torch.equal(torch.as_tensor(get(batch)), before)


def test_an_iterator_in_the_batch_is_refused() -> None:
    model = nn.Linear(4, 3, **D)
    with pytest.raises(ValueError, match="holds an iterator"):
        landscape(model, lambda m, b: loss_fn(m, (next(b["x"]), b["y"])), {"x": iter([X, X]), "y": Y}, [0.1])


def test_a_read_only_batch_is_not_written_to(tmp_path: Any) -> None:
    assert_function_of_the_weights(nn.Linear(4, 3, **D), loss_fn, (mapped(X, tmp_path), Y), twin=False)


def test_a_data_frame() -> None:
    frame = pd.DataFrame({name: X[:, index].numpy() for index, name in enumerate("abcd")})
    before = frame.copy()

    def loss(model: nn.Module, b: pd.DataFrame) -> Tensor:
        b.loc[:, "a"] *= 2
        b["e"] = b.pop("d")
        return F.cross_entropy(model(torch.tensor(b[list("abce")].to_numpy())), Y)

    torch.manual_seed(0)
    assert_function_of_the_weights(nn.Linear(4, 3, **D), loss, frame)
    pd.testing.assert_frame_equal(frame, before)


ODD: dict[str, Callable[[], tuple[Any, Callable[[Any], Tensor]]]] = {
    "nested": lambda: (torch.nested.nested_tensor([X[:2], X[2:]]), lambda b: torch.cat(b.unbind())),
    "jagged": lambda: (torch.nested.nested_tensor([X[:2], X[2:]], layout=torch.jagged), lambda b: b.values()),
    "compressed rows": lambda: (X.to_sparse_csr(), lambda b: b.to_dense()),
    "coordinates": lambda: (X.to_sparse(), lambda b: b.mul_(2).to_dense()),
    "packed": lambda: (nn.utils.rnn.pack_sequence([X[:3], X[3:]]), lambda b: b.data),
    "conjugate": lambda: (torch.view_as_complex(X.view(-1, 2)).conj(), lambda b: b.real.repeat(1, 4).view(-1, 4)[:6]),
    "masked": lambda: (torch.masked.masked_tensor(X, X > 0), lambda b: b.get_data()),
    "overlapping": lambda: (torch.arange(9.0, **D).unfold(0, 4, 1), lambda b: b),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:The PyTorch API of", "ignore:Sparse CSR tensor support")
@pytest.mark.parametrize("name", ODD)
def test_batches_that_are_no_plain_tensors(name: str) -> None:
    batch, dense = ODD[name]()
    before = dense(batch).clone() if name != "coordinates" else X
    torch.manual_seed(0)
    model = nn.Linear(4, 3, **D)
    assert_function_of_the_weights(model, lambda m, b: F.cross_entropy(m(dense(b)), Y), batch, twin=False)
    assert torch.equal(dense(batch) if name != "coordinates" else batch.to_dense(), before)
