"""Time of one full-batch gradient of the deep linear network beside its floor and beside the plain module.

    python benchmarks/deep_linear.py [--seeds 10] [--repeats 30]

One thread. `gradient` is `normlab.studies.deep_linear` for all seeds at once; `floor` is the arithmetic that cannot
be avoided (see `normlab.studies.deep_linear.network`) at the float64 rate of a large matrix product on this machine;
`operations` the number of torch calls times the measured cost of starting one, the other floor; `module` is
`normlab.nn.deep_linear` with automatic differentiation, one seed after the other.
"""

import argparse
import time
from collections.abc import Callable

import torch
from report import publish

from normlab.nn import deep_linear
from normlab.specs.parts import names
from normlab.studies.deep_linear.network import Network
from normlab.studies.deep_linear.problem import draw_data, draw_weights, reduce_data

DEPTH, FEATURES, SAMPLES = 25, 10, 1000
OPERATIONS = {"none": 2, "batch": 20, "l2": 19, "l1": 20, "linf": 24}  # torch calls a layer, forward and backward
SAMPLE_PRODUCTS = {"none": 0, "batch": 0, "l2": 0, "l1": 2, "linf": 1}  # of F x (F+1) x N a normalized layer


def fastest(call: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of `repeats` calls, after two to warm up."""
    times = []
    for _ in range(repeats + 2):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times[2:])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=30)
    args = parser.parse_args()
    torch.set_num_threads(1)
    large, small = torch.randn(1024, 1024, dtype=torch.float64), torch.randn(args.seeds, 10, 11, dtype=torch.float64)
    rate = 2 * 1024**3 / fastest(lambda: large @ large, args.repeats)
    call = fastest(lambda: [small * small for _ in range(100)], args.repeats) / 100
    seeds = tuple(range(args.seeds))
    x, teacher = draw_data(seeds, FEATURES, SAMPLES)
    problem = reduce_data(seeds, x, teacher)
    weights = draw_weights(seeds, DEPTH, FEATURES)
    rows = []
    for kind in names("scale"):
        network = Network(kind, DEPTH, FEATURES)  # type: ignore[arg-type]
        params = network.pack(weights)[:, None]
        with torch.no_grad():
            ours = fastest(lambda n=network, p=params: n.evaluate(problem, p), args.repeats)  # type: ignore[misc]
        model = deep_linear(DEPTH, FEATURES, kind).double()

        def module(model: torch.nn.Module = model) -> None:
            for data, target in zip(x, teacher, strict=True):
                loss = 0.5 * (model(data) - data @ target.mT).square().sum()
                torch.autograd.grad(loss, list(model.parameters()))

        plain = fastest(module, max(2, args.repeats // 10))
        small_flops = 3 * DEPTH * 2 * FEATURES * FEATURES * (FEATURES + 1)
        sample_flops = SAMPLE_PRODUCTS[kind] * (DEPTH - 1) * 2 * FEATURES * (FEATURES + 1) * SAMPLES
        floor = args.seeds * (small_flops + sample_flops) / rate
        calls = OPERATIONS[kind] * DEPTH * call
        rows.append([kind, ours * 1e3, floor * 1e3, calls * 1e3, plain * 1e3])
    note = f"float64 product {rate / 1e9:.0f} GFLOP/s, one call {call * 1e6:.1f} µs, {args.seeds} seeds."
    publish(["ms", "gradient", "floor", "operations", "module"], rows, note)


if __name__ == "__main__":
    main()
