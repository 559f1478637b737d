"""The probes beside PyHessian and curvlinops, in one run: `make bench-peers`, some minutes.

Part 1: a small convolutional network without batch statistics, float64, so that all three measure the same function and
its whole Hessian can be computed. Trace, density and largest eigenvalue of each, their errors and CPU seconds. The
expectation: the eigenvalue within the tolerance asked for, the traces within their statistical error, mean and upper
end of the density within theirs.

Part 2: the largest eigenvalue of a VGG-11 × 0.25 with BatchNorm, batch 128, after some steps of training, with batch
statistics (the function that is trained; PyHessian measures eval mode only and is held in train mode here) and with
running statistics. Errors are against a long run of our own on the same function. The expectation: on either no dearer
than PyHessian at its error. The floor of any method is one product, about two passes forward and backward. Tolerances
differ in kind: ours bounds the residual (the value's error is quadratic in it), PyHessian's a change of the value.

PyHessian's density calls `torch.eig`, which torch has removed; it is given its successor here.
"""

import argparse
import copy
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import curvlinops
import torch
from report import publish
from scipy.sparse.linalg import eigsh
from torch import Tensor, nn
from torch.nn import functional as F

from normlab.nn import vgg
from normlab.probes import hessian_vector_product, spectral_density, top_eigenvalues, trace

warnings.simplefilter("ignore")
import pyhessian  # noqa: E402 (it warns when it is imported)

PRODUCTS = 99
Batch = tuple[Tensor, Tensor]


def loss_fn(model: nn.Module, batch: Batch) -> Tensor:
    """Mean cross-entropy."""
    return F.cross_entropy(model(batch[0]), batch[1])


def small() -> tuple[nn.Module, Batch]:
    """A smooth convolutional network with about a thousand parameters, after some steps of training."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3, stride=2), nn.Tanh(), nn.Conv2d(8, 8, 3, stride=2), nn.Tanh(), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(32, 5)).double()
    batch = (torch.randn(64, 3, 12, 12, dtype=torch.float64), torch.randint(0, 5, (64,)))
    return trained(model, batch, 40, 0.3), batch


def trained(model: nn.Module, batch: Batch, steps: int, rate: float) -> nn.Module:
    """The model after that many steps of gradient descent."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_fn(model, batch).backward()
        optimizer.step()
    model.zero_grad(set_to_none=True)
    return model


def dense(model: nn.Module, batch: Batch) -> Tensor:
    """The whole Hessian, a column a product."""
    parameters = list(model.parameters())
    sizes = [p.numel() for p in parameters]
    columns = []
    for unit in torch.eye(sum(sizes), dtype=parameters[0].dtype):
        parts = [part.view_as(p) for part, p in zip(unit.split(sizes), parameters, strict=True)]
        columns.append(torch.cat([h.flatten() for h in hessian_vector_product(model, loss_fn, batch, parts)]))
    return torch.stack(columns)


def timed(call: Callable[[], Any], repeats: int) -> tuple[Any, float]:
    """The last result and the median of the CPU seconds."""
    seconds = []
    for _ in range(repeats):
        torch.manual_seed(1)
        start = time.process_time()
        result = call()
        seconds.append(time.process_time() - start)
    return result, statistics.median(seconds)


def _eig(matrix: Tensor, eigenvectors: bool) -> tuple[Tensor, Tensor]:
    values, vectors = torch.linalg.eigh(matrix)
    return torch.stack([values, torch.zeros_like(values)], dim=1), vectors


def _moments(grid: Tensor, density: Tensor) -> tuple[float, float]:
    """Mean eigenvalue of a density, and the eigenvalue below which all but half a share of 1/1000 lies."""
    weights = density / density.sum()
    upper = grid[int((weights.cumsum(0) < 1 - 5e-4).sum())]
    return (weights * grid).sum().item(), upper.item()


def agreement(repeats: int) -> list[list[str]]:
    """Rows of part 1: quantity, tool, value, its error against the whole Hessian, CPU seconds."""
    model, batch = small()
    exact = torch.linalg.eigvalsh(dense(model, batch))
    n, parameters = len(exact), list(model.parameters())
    rows = [["quantity", "tool", "value", "error", "CPU s"]]

    def add(quantity: str, tool: str, call: Callable[[], float], truth: float) -> None:
        value, seconds = timed(call, repeats)
        rows.append([quantity, tool, f"{value:.5g}", f"{abs(value - truth) / abs(truth):.1e}", f"{seconds:.2f}"])

    def linear() -> Any:
        return curvlinops.HessianLinearOperator(
            model, nn.CrossEntropyLoss(), parameters, [batch], check_deterministic=False
        )

    def theirs() -> Any:
        return pyhessian.hessian(model, nn.CrossEntropyLoss(), data=batch, cuda=False)

    top = exact[-1].item()
    rows.append(["largest eigenvalue, tol 1e-4", "whole Hessian", f"{top:.5g}", "", ""])
    add("", "normlab", lambda: top_eigenvalues(model, loss_fn, batch, tol=1e-4).values.item(), top)
    add("", "PyHessian", lambda: theirs().eigenvalues(maxIter=1000, tol=1e-4)[0][0], top)
    add("", "curvlinops", lambda: eigsh(linear().to_scipy(), k=1, which="LA", tol=1e-4)[0][0], top)
    total = exact.sum().item()
    rows.append([f"trace, {PRODUCTS} products", "whole Hessian", f"{total:.5g}", "", ""])
    add("", "normlab", lambda: trace(model, loss_fn, batch, max_products=PRODUCTS).value, total)
    add("", "PyHessian", lambda: statistics.mean(theirs().trace(maxIter=PRODUCTS, tol=0.0)), total)
    add("", "curvlinops", lambda: curvlinops.hutchpp_trace(linear(), PRODUCTS).item(), total)

    found = spectral_density(model, loss_fn, batch, vectors=4, steps=25)
    bumps = torch.exp(-0.5 * ((found.grid[:, None] - exact) / found.width).square()).sum(1)
    truths = _moments(found.grid, bumps)
    densities = {
        "normlab": lambda: (found.grid, spectral_density(model, loss_fn, batch, vectors=4, steps=25).at(found.grid)),
        "PyHessian": lambda: _smooth(theirs().density(iter=25, n_v=4), found.grid, found.width),
        "curvlinops": lambda: curvlinops.lanczos_approximate_spectrum(linear(), 25, num_repeats=4),
    }
    rows.append(["density: mean; upper end", "whole Hessian", f"{truths[0]:.3g}; {truths[1]:.3g}", "", ""])
    for tool, call in densities.items():
        (grid, density), seconds = timed(call, repeats)
        mean, upper = _moments(grid, density)
        errors = f"{abs(mean / truths[0] - 1):.1e}; {abs(upper / truths[1] - 1):.1e}"
        rows.append(["", tool, f"{mean:.3g}; {upper:.3g}", errors, f"{seconds:.2f}"])
    rows.append([f"n = {n} parameters", "", "", "", ""])
    return rows


def _smooth(found: tuple[list[list[float]], list[list[float]]], grid: Tensor, width: float) -> tuple[Tensor, Tensor]:
    """PyHessian's nodes and weights as a density."""
    density = torch.zeros_like(grid)
    for nodes, weights in zip(*found, strict=True):
        pair = torch.tensor([nodes, weights], dtype=grid.dtype)
        density += torch.exp(-0.5 * ((grid[:, None] - pair[0]) / width).square()) @ pair[1]
    return grid, density


class Held(nn.Module):
    """A model that PyHessian cannot put into eval mode."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model.train()

    def forward(self, x: Tensor) -> Tensor:
        """The model's output."""
        return self.model(x)

    def eval(self) -> "Held":
        """Nothing."""
        return self


def largest(repeats: int) -> list[list[str]]:
    """Rows of part 2."""
    torch.manual_seed(0)
    model = vgg(11, width=0.25, norm_layer="batch")
    batch = (torch.randn(128, 3, 32, 32), torch.randint(0, 10, (128,)))
    trained(model, batch, 20, 0.05)

    def ours(mode: str, tol: float) -> float:
        return top_eigenvalues(model, loss_fn, batch, tol=tol, mode=mode, max_products=80).values.item()

    def theirs(probed: nn.Module) -> float:
        found = pyhessian.hessian(probed, nn.CrossEntropyLoss(), data=batch, cuda=False)
        return found.eigenvalues(tol=1e-3)[0][0]

    truth = {mode: ours(mode, 1e-5) for mode in ("train", "eval")}
    calls: list[tuple[str, str, Callable[[], float]]] = [
        ("train", "normlab, tol 1e-3", lambda: ours("train", 1e-3)),
        ("", "normlab, tol 3e-2", lambda: ours("train", 3e-2)),
        ("", "PyHessian, tol 1e-3", lambda: theirs(Held(copy.deepcopy(model)))),  # it moves running statistics
        ("eval", "normlab, tol 1e-3", lambda: ours("eval", 1e-3)),
        ("", "PyHessian, tol 1e-3", lambda: theirs(model)),
    ]
    rows = [["largest eigenvalue, VGG-11 × 0.25", "", "value", "error", "CPU s"]]
    mode = ""
    for title, tool, call in calls:
        mode = title or mode
        value, seconds = timed(call, repeats)
        model.zero_grad(set_to_none=True)
        name = f"  {title} mode" if title else ""
        rows.append([name, tool, f"{value:.5g}", f"{abs(value / truth[mode] - 1):.1e}", f"{seconds:.2f}"])
    model.train()
    _, seconds = timed(lambda: torch.autograd.grad(loss_fn(model, batch), list(model.parameters())), repeats)
    rows.append(["  one forward and backward pass", "", "", "", f"{seconds:.2f}"])
    return rows


def main() -> None:
    """Measure and print both tables."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--repeats", type=int, default=3, help="repeats of the timed calls (default 3)")
    given = arguments.parse_args()
    torch.set_num_threads(1)  # a second one spins while another program has its core, and its CPU time says nothing
    torch.eig = _eig  # type: ignore[attr-defined]
    torch.set_default_dtype(torch.float64)
    rows = agreement(given.repeats)
    torch.set_default_dtype(torch.float32)
    rows += [[""] * 5, *largest(given.repeats)]
    publish(rows[0], rows[1:], f"{torch.get_num_threads()} threads; medians of {given.repeats}.")


if __name__ == "__main__":
    main()
