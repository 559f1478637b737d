"""Training steps a second beside what the machine can do: `python benchmarks/training.py`, about a minute.

One thread. `product` is the arithmetic of a step (multiplications, additions of its matrix products and convolutions,
forward and backward, counted by torch) at the measured rate of a large matrix product of the same type: no bound, since
convolutions are another library's, which may be faster. `plain` is a bare loop, forward, backward and update; `ours`
the updates that `fit` makes, with the norm of the gradient, the accuracy and the batches from the data set. Seconds of
the processor, the fastest of pieces that alternate.
"""

import argparse
import time
from collections.abc import Callable

import torch
from report import publish
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from normlab.data.images import Batches, ImageSplit
from normlab.runs.arithmetic import forward_in, has_bf16
from normlab.runs.networks import build_network, build_optimizer
from normlab.runs.training import train_step
from normlab.specs.training import RunSpec, TrainSpec

CPU = torch.device("cpu")
TYPES = {"float32": torch.float32, "bf16": torch.bfloat16}


def seconds(pieces: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Fastest CPU seconds of each piece, in turn, after one round to warm up."""
    found: dict[str, list[float]] = {name: [] for name in pieces}
    for turn in range(repeats + 1):
        for name, piece in pieces.items():
            start = time.process_time()
            piece()
            if turn:
                found[name].append(time.process_time() - start)
    return {name: min(values) for name, values in found.items()}


def product_rate(precision: str, repeats: int) -> float:
    """Operations a second of a 1024 x 1024 matrix product."""
    matrix = torch.randn(1024, 1024).to(TYPES[precision])
    return 2 * 1024**3 / seconds({"product": lambda: matrix @ matrix}, repeats)["product"]


def measure(network: str, norm_layer: str, width: float, precision: str, rate: float, repeats: int) -> list[object]:
    """A row of the table."""
    train = TrainSpec(width, 128, 100, 100, 100, precision=precision, precision_forced=True)  # type: ignore[arg-type]
    run = RunSpec(network, norm_layer, 1e-3, 0, train)
    images = torch.randint(0, 256, (1280, 3, 32, 32), dtype=torch.uint8)
    split = ImageSplit(images, torch.arange(1280) % 10, (0.5,) * 3, (0.25,) * 3, tuple("0123456789"))
    batches, batch = Batches(split, 128, 0), (torch.randn(128, 3, 32, 32), torch.arange(128) % 10)
    models = [build_network(run, 10).train() for _ in range(2)]
    optimizers = [build_optimizer(model, run) for model in models]

    def plain() -> None:
        optimizers[0].zero_grad(set_to_none=True)
        with forward_in(precision, CPU):
            logits = models[0](batch[0])
        F.cross_entropy(logits.float(), batch[1]).backward()
        optimizers[0].step()

    step = iter(range(10**6))

    def ours() -> None:
        number = next(step)
        train_step(models[1], optimizers[1], run, batches.at(number), number, precision)

    with FlopCounterMode(display=False) as counter:
        plain()
    found = seconds({"plain": plain, "ours": ours}, repeats)
    floor = counter.get_total_flops() / rate
    name = f"{network} × {width:g}, {norm_layer}, {precision}"
    share = f"{100 * floor / found['ours']:.0f} %"
    return [name, 1 / floor, 1 / found["plain"], 1 / found["ours"], share, found["ours"] / found["plain"]]


def main() -> None:
    """Measure and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    precisions = ["float32", "bf16"] if has_bf16(CPU) else ["float32"]
    rates = {precision: product_rate(precision, args.repeats) for precision in precisions}
    rows = [
        measure("vgg11", norm_layer, width, precision, rates[precision], args.repeats)
        for width in (0.125, 0.25, 0.5)
        for norm_layer in ("none", "batch")
        for precision in precisions
    ]
    measured = ", ".join(f"{rate / 1e9:.0f} GFLOP/s in {precision}" for precision, rate in rates.items())
    columns = ["batch of 128, steps/s", "product", "plain loop", "ours", "ours ÷ product", "ours ÷ plain, time"]
    publish(columns, rows, f"One core: matrix product {measured}.")


if __name__ == "__main__":
    main()
