"""Cost of the probes beside its floor, as ratios within one run: `make bench`, or `python benchmarks/probes.py`.

Measured on a VGG-11 with BatchNorm in train mode, on the CPU. Pieces that are compared alternate, and the medians of
their CPU times are set against each other, so that another program on the machine slows both alike; on one thread,
since a second one spins while it waits for a core that another program has. No test depends on any of these numbers.

    walk            K + 1 forward+backward passes (K step sizes and the step's own gradient) and the forward pass that
                    looks back at the base point are the floor, timed right before and right after the whole walk, which
                    saves and restores everything: the median of the ratios, turn by turn
    forward-only    the same with one forward+backward pass and K + 1 forward passes without a graph
    top eigenvalue  relative error after 20 Hessian-vector products against a long run of the same Lanczos, to a
                    relative residual of 1e-5 (so the reference is our own; its products are in the column "floor"), the
                    worst of the start vectors tried. "stops at" are the products after which tol=1e-3 is satisfied: it
                    bounds the residual, and the value, whose error is quadratic in it, is there earlier
    state keeping   remembering a model of 100 layers and putting it back, once a call each, and rewinding it before
                    each evaluation but the first, against the forward pass of it right before: medians of the ratios,
                    turn by turn. A call of one evaluation is the dearest for its passes; a walk of K = 4 has six. "All
                    of a call but its evaluations" is with the checks of its arguments. The limit is asked of "a model
                    of 100 layers" beside a walk on batches of 128: here the CIFAR ResNet of 110 layers (He et al. 2016)
                    on 128 images of 32 × 32, as the project trains on; chosen from that, and written down before it
                    was measured there. The other models are beyond that setting, held against the same limit: a
                    ResNet-101 and a DenseNet-121 on images of 224 × 224, in two batch sizes, and on small ones, where
                    it is the copies of 170 MB for a short pass (the first row; three quarters of them are the system's
                    time for new pages where the allocator has none left: 80 ms, beside 20 into memory that is there);
                    and 100 narrow convolutions on small images, with next to nothing to compute, where it is Python's
                    time a layer (of 7.7 ms, 2.3 are bytes, copied, put back, the batch's compared, and random streams,
                    3.3 the looks at 303 modules with 7,900 attributes, 1.7 those at 702 tensors, and the rest frees
                    what was made). Where few or small images pass through a large model, or small layers compute
                    little, a call of one evaluation is above the limit; a pass of a walk ("a call of six") is not
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
from torchvision.models import densenet121, resnet101

from normlab.nn import vgg
from normlab.nn.networks.resnet import ResidualBlock
from normlab.probes import covariate_shift, directional_curvature, landscape, top_eigenvalues
from normlab.probes.entry import objective_at
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


def measure_walk(width: float, batch_size: int, repeats: int, gradients: bool) -> Row:
    """A walk against its passes and the forward that looks back at the base point, in pairs."""
    model, batch = build(width, batch_size)
    parameters = list(model.parameters())
    count = len(STEP_SIZES)

    def forward() -> None:
        with torch.no_grad():
            loss_fn(model, batch)

    def passes() -> None:
        for _ in range(count + 1 if gradients else 1):
            torch.autograd.grad(loss_fn(model, batch), parameters)
        for _ in range(1 if gradients else count + 1):
            forward()

    walk = partial(landscape, model, loss_fn, batch, STEP_SIZES, gradients=gradients)
    seconds = cpu_seconds({"before": passes, "walk": walk, "after": passes}, repeats)
    turns = list(zip(seconds["before"], seconds["walk"], seconds["after"], strict=True))
    ratio = statistics.median(2 * walk / (before + after) for before, walk, after in turns)
    floor = statistics.median((before + after) / 2 for before, _, after in turns)
    what = f"{'walk' if gradients else 'forward-only walk'}, VGG-11 × {width:g}, batch {batch_size}, K = {count}"
    return (what, f"{floor:.3f} s", f"{statistics.median(seconds['walk']):.3f} s", f"{ratio:.3f}", "1.1")


def narrow() -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    """100 convolutions of 16 channels: many layers, little to compute, nearly nothing to copy."""
    torch.manual_seed(0)
    layers = [layer for _ in range(100) for layer in (nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * 256, 10))
    return model, (torch.randn(64, 16, 16, 16), torch.randint(0, 10, (64,)))


def on_images(build_model: Callable[..., nn.Module], count: int, size: int) -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    """A model of torchvision's, and a batch of so many square images of this size."""
    torch.manual_seed(0)
    return build_model(num_classes=10), (torch.randn(count, 3, size, size), torch.randint(0, 10, (count,)))


def resnet110() -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    """The CIFAR ResNet of 110 layers (He et al. 2016) with BatchNorm, and a batch as the project trains on."""
    torch.manual_seed(0)
    widths = [(16, 16, 1)] * 18 + [(16, 32, 2)] + [(32, 32, 1)] * 17 + [(32, 64, 2)] + [(64, 64, 1)] * 17
    blocks = [ResidualBlock(before, after, stride, "batch") for before, after, stride in widths]
    stem = (nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
    model = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    return model, (torch.randn(128, 3, 32, 32), torch.randint(0, 10, (128,)))


def measure_state_keeping(what: str, made: tuple[nn.Module, tuple[Tensor, Tensor]], repeats: int) -> list[Row]:
    """Remembering, rewinding and putting back a model of about 100 layers, against its forward pass."""
    model, batch = made
    state = ModelState(model, batch, [loss_fn])
    state.remember("train")
    state.rewind()  # the first one finds everything as it was remembered

    def forward() -> None:
        with torch.no_grad():
            loss_fn(model, batch)

    def nothing() -> None:
        with objective_at(model, loss_fn, batch):
            pass

    tensors = [*model.parameters(), *model.buffers()]

    def copies() -> None:
        with torch.no_grad():
            for tensor, copy in [(tensor, tensor.clone()) for tensor in tensors]:
                tensor.copy_(copy)

    keeping: dict[str, Callable[[], object]] = {
        "a copy of every tensor, there and back, and nothing else": copies,
        "remember": lambda: ModelState(model, batch, [loss_fn]).remember("train"),
        "rewind": state.rewind,
        "put back": state.restore,
        "all of a call but its evaluations": nothing,
    }
    pieces = {}
    for name, piece in keeping.items():
        pieces |= {f"forward, {name}": forward, name: piece}
    seconds = cpu_seconds(pieces, repeats)
    shares, times, floors = {}, {}, {}
    for name in keeping:
        pairs = zip(seconds[name], seconds[f"forward, {name}"], strict=True)
        shares[name] = statistics.median(time / floor for time, floor in pairs)
        times[name], floors[name] = (statistics.median(seconds[key]) for key in (name, f"forward, {name}"))
    for name, rewinds in (("a call of one evaluation", 0), ("a call of six, a pass", 5)):
        for table in (shares, times):
            once = table["remember"] + table["put back"]
            table[name] = (once + rewinds * table["rewind"]) / (rewinds + 1)
        floors[name] = statistics.median(floors[key] for key in keeping)
    return [
        (
            f"state keeping, {what}: {name}",
            f"{floors[name]:.4f} s",
            f"{times[name]:.4f} s",
            f"{shares[name]:.3f}",
            "0.05",
        )
        for name in shares
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
    torch.set_num_threads(1)
    rows: list[Row] = [("", "floor", "measured", "ratio", "limit")]
    for gradients in (True, False):
        rows.append(measure_walk(0.25, 128, 2 * given.repeats + 1, gradients))
    rows += measure_state_keeping("resnet110, batch 128 of 32 × 32", resnet110(), given.repeats)
    for model in (resnet101, densenet121):
        for count, size in ((8, 224), (16, 224), (32, 64)):
            what = f"{model.__name__}, batch {count} of {size} × {size}"
            rows += measure_state_keeping(what, on_images(model, count, size), given.repeats)
    rows += measure_state_keeping("100 narrow layers", narrow(), 4 * given.repeats + 1)
    for steps in (0, 20):
        rows += measure_eigenvalue(given.width / 2, given.batch_size // 2, 2, steps)
    rows.append(measure_memory(1000))
    publish(rows[0], rows[1:], f"{torch.get_num_threads()} threads; CPU seconds, medians of {given.repeats}.")


if __name__ == "__main__":
    main()
