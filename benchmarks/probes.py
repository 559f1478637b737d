"""Cost of the probes beside its floor, as ratios within one run: `make bench`, or `python benchmarks/probes.py`.

Measured on a VGG-11 with BatchNorm in train mode, on the CPU. Pieces that are compared alternate, and the medians of
their CPU times are set against each other, so that another program on the machine slows both alike. No test depends on
any of these numbers.

    walk            K forward+backward passes are the floor of a walk of K step sizes beyond the step's own gradient;
                    the measured walk includes that gradient (K + 1 passes), saving and restoring everything
    forward-only    K forward passes without a graph are the floor; the measured walk's own gradient is taken off
    top eigenvalue  relative error after 20 Hessian-vector products against a long run of the same Lanczos, to a
                    relative residual of 1e-5 (so the reference is our own; its products are in the column "floor"), the
                    worst of the start vectors tried. "stops at" are the products after which tol=1e-3 is satisfied: it
                    bounds the residual, and the value, whose error is quadratic in it, is there earlier
    paired walk     the whole walk against K + 1 passes and one forward (which sees that the base point kept its loss),
                    timed right before and right after it: the median of the ratios, turn by turn
    state keeping   remembering a model of 100 layers, rewinding it before each evaluation and putting it back, against
                    a forward pass of it
    memory          growth of the resident set over 1,000 probes of a small network, after a warm-up
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from report import publish
from torch import Tensor, nn
from torch.nn import functional as F

from normlab.nn import vgg
from normlab.probes import covariate_shift, directional_curvature, landscape, top_eigenvalues
from normlab.probes.preservation import ModelState

STEP_SIZES = [0.05, 0.1, 0.2, 0.4]
Row = tuple[str, str, str, str, str]


def loss_fn(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean cross-entropy."""
    return F.cross_entropy(model(batch[0]), batch[1])


def build(width: float, batch_size: int, norm_layer: str = "batch") -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    """A VGG-11 and a random batch: costs do not depend on the values."""
    torch.manual_seed(0)
    model = vgg(11, width=width, norm_layer=norm_layer)
    return model, (torch.randn(batch_size, 3, 32, 32), torch.randint(0, 10, (batch_size,)))


def cpu_seconds(pieces: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """CPU seconds of each piece, `repeats` times in turn after one round of warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in pieces}
    for turn in range(repeats + 1):
        for name, piece in pieces.items():
            start = time.process_time()
            piece()
            if turn:
                seconds[name].append(time.process_time() - start)
    return seconds


def measure_walks(width: float, batch_size: int, repeats: int) -> list[Row]:
    """A walk and a forward-only walk against their floors."""
    model, batch = build(width, batch_size)
    parameters = list(model.parameters())
    count = len(STEP_SIZES)

    def pass_both() -> None:
        torch.autograd.grad(loss_fn(model, batch), parameters)

    def pass_forward() -> None:
        with torch.no_grad():
            loss_fn(model, batch)

    pieces = {
        "both": lambda: [pass_both() for _ in range(count)],
        "forward": lambda: [pass_forward() for _ in range(count)],
        "walk": lambda: landscape(model, loss_fn, batch, STEP_SIZES),
        "forward walk": lambda: landscape(model, loss_fn, batch, STEP_SIZES, gradients=False),
    }
    seconds = cpu_seconds(pieces, repeats)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    one = median["both"] / count
    what = f"VGG-11 × {width:g}, batch {batch_size}, K = {count}"
    walk, forward = median["walk"], median["forward walk"] - one
    beyond = walk - one
    return [
        (f"walk, {what}", f"{median['both']:.3f} s", f"{beyond:.3f} s", f"{beyond / median['both']:.3f}", "1.15"),
        ("  the same with its own gradient", f"{one * (count + 1):.3f} s", f"{walk:.3f} s",
         f"{walk / one / (count + 1):.3f}", "1.15"),
        (f"forward-only, {what}", f"{median['forward']:.3f} s", f"{forward:.3f} s",
         f"{forward / median['forward']:.3f}", "1.15"),
    ]  # fmt: skip


def measure_paired_walk(width: float, batch_size: int, repeats: int) -> Row:
    """A walk against its passes and one forward, in pairs."""
    model, batch = build(width, batch_size)
    parameters = list(model.parameters())

    def passes() -> None:
        for _ in range(len(STEP_SIZES) + 1):
            torch.autograd.grad(loss_fn(model, batch), parameters)
        loss_fn(model, batch)

    pieces = {"before": passes, "walk": lambda: landscape(model, loss_fn, batch, STEP_SIZES), "after": passes}
    seconds = cpu_seconds(pieces, repeats)
    turns = list(zip(seconds["before"], seconds["walk"], seconds["after"], strict=True))
    ratio = statistics.median(2 * walk / (before + after) for before, walk, after in turns)
    floor = statistics.median((before + after) / 2 for before, _, after in turns)
    what = f"paired walk, VGG-11 × {width:g}, batch {batch_size}, K = {len(STEP_SIZES)}"
    return (what, f"{floor:.3f} s", f"{statistics.median(seconds['walk']):.3f} s", f"{ratio:.3f}", "1.1")


def measure_state_keeping(repeats: int) -> list[Row]:
    """Remembering, rewinding and putting back a model of 100 convolutions, against its forward pass."""
    torch.manual_seed(0)
    layers = [layer for _ in range(100) for layer in (nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * 256, 10))
    batch = (torch.randn(64, 16, 16, 16), torch.randint(0, 10, (64,)))
    state = ModelState(model, batch, [loss_fn])
    state.remember("train")

    def forward() -> None:
        with torch.no_grad():
            loss_fn(model, batch)

    pieces = {
        "forward": forward,
        "remember": lambda: ModelState(model, batch, [loss_fn]).remember("train"),
        "rewind": state.rewind,
        "put back": state.restore,
    }
    seconds = {name: statistics.median(values) for name, values in cpu_seconds(pieces, repeats).items()}
    floor = seconds.pop("forward")
    return [
        (f"state keeping, 100 layers: {name}", f"{floor:.4f} s", f"{time:.4f} s", f"{time / floor:.3f}", "0.05")
        for name, time in seconds.items()
    ]


def measure_eigenvalue(width: float, batch_size: int, seeds: int, steps: int) -> list[Row]:
    """Error of the top eigenvalue after 20 products, after `steps` steps of training, in train mode."""
    rows = []
    for norm_layer in ("batch", "none"):
        model, batch = build(width, batch_size, norm_layer)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        for _ in range(steps):
            optimizer.zero_grad()
            loss_fn(model, batch).backward()
            optimizer.step()
        long = top_eigenvalues(model, loss_fn, batch, tol=1e-5, max_products=80)
        draws = [torch.Generator().manual_seed(seed) for seed in range(seeds)]
        stopped = [top_eigenvalues(model, loss_fn, batch, generator=g).products for g in draws]
        draws = [torch.Generator().manual_seed(seed) for seed in range(seeds)]
        at_20 = [top_eigenvalues(model, loss_fn, batch, generator=g, tol=0.0, max_products=20) for g in draws]
        error = max(abs(found.values[0] / long.values[0] - 1).item() for found in at_20)
        what = f"top eigenvalue after 20 products, {norm_layer}, step {steps} (λ = {long.values[0].item():.4g})"
        rows.append((what, f"{long.products} products", f"error {error:.0e}", f"stops at {max(stopped)}", "1e-3"))
    return rows


def measure_memory(probes: int) -> Row:
    """Growth of the resident set over many probes."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 64), nn.BatchNorm1d(64), nn.ReLU(True), nn.Linear(64, 10))
    batch = (torch.randn(32, 32), torch.randint(0, 10, (32,)))
    mixed = [
        partial(landscape, step_sizes=STEP_SIZES),
        partial(covariate_shift, learning_rate=0.1),
        directional_curvature,
        partial(top_eigenvalues, max_products=5),
    ]

    def resident() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    for index in range(100):
        mixed[index % 4](model, loss_fn, batch)
    before = resident()
    for index in range(probes):
        mixed[index % 4](model, loss_fn, batch)
    return (f"memory over {probes} probes", "0 MB", f"{(resident() - before) / 1e6:+.2f} MB", "-", "flat")


def main() -> None:
    """Measure and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--width", type=float, default=0.5, help="width of the VGG-11 (default 0.5)")
    arguments.add_argument("--batch-size", type=int, default=64, help="samples a batch (default 64)")
    arguments.add_argument("--repeats", type=int, default=5, help="repeats of the timed pieces (default 5)")
    given = arguments.parse_args()
    rows: list[Row] = [("", "floor", "measured", "ratio", "limit")]
    rows += measure_walks(given.width, given.batch_size, given.repeats)
    rows.append(measure_paired_walk(0.25, 128, 2 * given.repeats + 1))
    rows += measure_state_keeping(given.repeats)
    for steps in (0, 20):
        rows += measure_eigenvalue(given.width / 2, given.batch_size // 2, 2, steps)
    rows.append(measure_memory(1000))
    publish(rows[0], rows[1:], f"{torch.get_num_threads()} threads; CPU seconds, medians of {given.repeats}.")


if __name__ == "__main__":
    main()
