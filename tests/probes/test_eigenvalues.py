"""Eigenvalues against dense finite-difference Hessians, closed forms, and a tool from elsewhere."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from normlab.probes import top_eigenvalues, trace
from tests.reference import twins
from tests.reference.models import BY_NAME
from tests.reference.traces import no_trace


def test_linear_regression_has_every_eigenvalue_once_an_output() -> None:
    torch.manual_seed(0)
    model = nn.Linear(6, 4, bias=False).double()
    x = torch.randn(20, 6, dtype=torch.float64)
    batch = (x, torch.randn(20, 4, dtype=torch.float64))
    found = top_eigenvalues(model, lambda m, b: F.mse_loss(m(b[0]), b[1], reduction="sum"), batch, 5, tol=1e-8)
    top = torch.linalg.eigvalsh(2 * x.T @ x).flip(0)
    assert found.values.tolist() == pytest.approx([top[0].item()] * 4 + [top[1].item()], rel=1e-9)
    whole = top_eigenvalues(model, lambda m, b: F.mse_loss(m(b[0]), b[1], reduction="sum"), batch, 24)
    assert whole.values.tolist() == pytest.approx(top.repeat_interleave(4).tolist(), rel=1e-9)
    assert whole.products == 24


def test_smallest_and_block_eigenvalues_and_the_gradients_share() -> None:
    model, loss, batch = BY_NAME["batch_mlp"].make()
    dense = twins.hessian(model, loss, batch)
    values, axes = torch.linalg.eigh(dense)
    smallest = top_eigenvalues(model, loss, batch, 2, which="smallest", tol=1e-8)
    assert smallest.values.tolist() == pytest.approx(values[:2].tolist(), rel=1e-6)
    largest = top_eigenvalues(model, loss, batch, 2, tol=1e-8)
    g = twins.flat(twins.evaluate(model, loss, batch, twins.weights_of(model))[1])
    share = (axes[:, -2:].T @ g).square().sum() / g.square().sum()
    assert largest.gradient_share == pytest.approx(share.item(), rel=1e-6)
    sizes = [p.numel() for p in model.parameters()]
    first, last = sum(sizes[:2]), sum(sizes[-2:])
    block = top_eigenvalues(model, loss, batch, parameters="0.*", tol=1e-8)
    assert block.values.item() == pytest.approx(torch.linalg.eigvalsh(dense[:first, :first])[-1].item(), rel=1e-6)
    ends = torch.cat([torch.arange(first), torch.arange(len(dense) - last, len(dense))])
    both = trace(model, loss, batch, parameters=["0.*", "3.*"])
    assert both.value == pytest.approx(dense[ends][:, ends].trace().item(), rel=1e-6)
    with pytest.raises(ValueError, match=r"no trainable parameter matches 'features\.\*': names are 0.weight"):
        top_eigenvalues(model, loss, batch, parameters="features.*")
    with pytest.raises(ValueError, match="'largest' or 'smallest'"):
        top_eigenvalues(model, loss, batch, which="both")


@pytest.mark.parametrize("kind", ["lstm", "attention"])
def test_layers_whose_fast_kernels_have_no_second_derivative(kind: str) -> None:
    torch.manual_seed(0)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.LSTM(4, 4, batch_first=True) if kind == "lstm" else nn.MultiheadAttention(4, 2, dropout=0.1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (self.body(x) if kind == "lstm" else self.body(x, x, x, need_weights=False))[0]

    for dtype, close in (
        (torch.float64, 1e-6),
        (torch.float32, 1e-2),
    ):  # of a float64 model: differences; of a cast one
        model, x = Net().to(dtype), torch.randn(3, 5, 4).to(dtype)
        with no_trace(model, (x,)):
            found = top_eigenvalues(model, lambda m, b: m(b).square().mean(), x, tol=1e-5, max_products=300)
        dense = twins.hessian(model.double(), lambda m, b: m(b).square().mean(), x.double())
        if kind == "lstm" or dtype == torch.float64:  # Dropout draws differ between types
            assert found.values[0].item() == pytest.approx(torch.linalg.eigvalsh(dense)[-1].item(), rel=close)


def test_agrees_with_pyhessian_in_eval_mode() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pyhessian = pytest.importorskip("pyhessian")
        model, loss_fn, batch = BY_NAME["batch_mlp"].make()
        model(batch[0])
        found = top_eigenvalues(model, loss_fn, batch, mode="eval", tol=1e-6)
        theirs = pyhessian.hessian(model, nn.CrossEntropyLoss(), data=batch, cuda=False)
        values, _ = theirs.eigenvalues(maxIter=2000, tol=1e-10, top_n=1)
    # a power iteration stops by the change between two of its steps, and leaves a larger error than that
    assert found.values[0].item() == pytest.approx(values[0], rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"k": 0}, ValueError, "between 1 and 43, .* got 0"),
        ({"k": 44}, ValueError, "between 1 and 43"),
        ({"k": 1.0}, TypeError, "k must be an integer"),
        ({"tol": -1.0}, ValueError, "tol"),
        ({"tol": "x"}, ValueError, "tol must be a finite number of at least 0, got 'x'"),
        ({"tol": True}, ValueError, "tol must be a finite number of at least 0, got True"),
        ({"tol": float("inf")}, ValueError, "tol must be a finite number of at least 0, got inf"),
        ({"tol": float("nan")}, ValueError, "tol must be a finite number of at least 0, got nan"),
        ({"k": 5, "max_products": 4}, ValueError, "max_products must be at least k = 5, got 4"),
        ({"mode": "both"}, ValueError, "mode"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, error: type[Exception], message: str) -> None:
    model, loss_fn, batch = BY_NAME["mlp"].make()
    with no_trace(model, batch), pytest.raises(error, match=message):
        top_eigenvalues(model, loss_fn, batch, **arguments)
