"""Every number that a cell records of walks, curvature, shift and layers, against one module on raw samples."""

import math

import pandas as pd
import pytest
import torch
from tests.reference import twins
from tests.studies.deep_linear.conftest import build_instance
from tests.studies.deep_linear.test_study import RATE, SPEC
from tests.studies.deep_linear.twin import Batch, build_twin, half_squared_error, ordered, split
from torch import nn

from normlab.seeding import generator
from normlab.specs.dln import DlnCell
from normlab.studies.deep_linear.problem import draw_data, draw_weights
from normlab.studies.deep_linear.study import run_cell

SEED, COMPARED = 7, (0, 4, 6)  # at the last one no control is due
Key = tuple[str, str, str, float | None]  # probe, quantity, layer, step size


def module_at(norm_layer: str, step: int) -> tuple[nn.Module, Batch]:
    """The module after so many updates of plain gradient descent."""
    network = build_instance(norm_layer, depth=3).network
    model = build_twin(network, network.pack(draw_weights((SEED,), 3, 3))[0])
    x, teacher = draw_data((SEED,), 3, 20)
    batch = x[0], x[0] @ teacher[0].mT
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    for _ in range(step):
        optimizer.zero_grad()
        half_squared_error(model, batch).backward()
        optimizer.step()
    return model, batch


def every_walk(model: nn.Module, batch: Batch, step: int) -> dict[Key, float]:
    weights = twins.weights_of(model)
    gradient = twins.evaluate(model, half_squared_error, batch, weights)[1]
    g = twins.flat(gradient)
    sizes = [RATE * size for size in (0.1, 1.0, 0.05)]  # the last one takes no part in the summary
    walks: dict[str, tuple[list[float], torch.Tensor | None, int, list[float]]] = {"landscape": (sizes, None, 2, sizes)}
    if step % 4 == 0:
        flat = torch.randn(len(g), dtype=torch.float64, generator=generator(SEED, "probe", step))
        drawn = dict(zip(map(id, ordered(model)), split(ordered(model), flat), strict=True))
        random = torch.cat([drawn[id(p)].reshape(-1) for p in model.parameters()])
        pairs = zip(weights.values(), gradient.values(), strict=True)
        scaled = torch.cat([(v * w.norm() / v.norm() if w.ndim > 1 else 0 * v).reshape(-1) for w, v in pairs])
        walks["landscape_random"] = (sizes, random * g.norm() / random.norm(), 2, sizes)
        walks["landscape_equal_distance"] = ([0.01 / g.norm().item()], None, 1, [0.01])
        walks["landscape_relative"] = ([0.02], scaled, 1, [0.02])
    found: dict[Key, float] = {}
    for probe, (at, along, first, labels) in walks.items():
        walk = twins.walk(model, half_squared_error, batch, at, along, "train")
        for (quantity, label), value in twins.walk_rows(walk, labels, first).items():
            found[probe, quantity, "", label] = value
    return found


def every_layer(model: nn.Module, batch: Batch, step: int) -> dict[Key, float]:
    weights = twins.weights_of(model)
    gradient = twins.evaluate(model, half_squared_error, batch, weights)[1]
    new = {name: w - RATE * gradient[name] for name, w in weights.items()}
    matrices = [name for name, w in weights.items() if w.ndim == 2]
    first, _, last = (name.removesuffix(".weight") for name in matrices)
    before = set(weights) - {matrices[2]}
    found: dict[Key, float] = {("shift", "l2", first, None): 0.0, ("shift", "relative_l2", first, None): 0.0}
    found["shift", "cosine", first, None] = 1.0
    moved = twins.shift(model, half_squared_error, batch, (matrices[2],), before, new)
    found |= {("shift", name, last, None): v for name, v in zip(("l2", "relative_l2", "cosine"), moved, strict=True)}
    for name in matrices if step % 4 == 0 else []:
        layer, square = name.removesuffix(".weight"), weights[name].square().sum().item()
        found["gradients", "layer_grad_norm", layer, None] = gradient[name].norm().item()
        found["weights", "weight_norm", layer, None] = math.sqrt(square)
        found["weights", "effective_rate", layer, None] = RATE / square
    return found


def recorded(frame: pd.DataFrame, step: int, probes: set[str]) -> dict[Key, float]:
    rows = frame[(frame["seed"] == SEED) & (frame["step"] == step) & frame["probe"].isin(probes)]
    return {
        (row.probe, row.quantity, row.layer, None if math.isnan(row.step_size) else row.step_size): row.value
        for row in rows.itertuples()
    }


def assert_same(found: dict[Key, float], wanted: dict[Key, float]) -> None:
    def rounded(numbers: dict[Key, float]) -> dict[tuple, float]:
        return {(*key[:3], key[3] and float(f"{key[3]:.9g}")): value for key, value in numbers.items()}

    found, wanted = rounded(found), rounded(wanted)
    assert set(found) == set(wanted)
    for key, value in wanted.items():
        # a difference of gradients is 1e-4 of them at the smallest step, and they agree to 1e-12
        assert found[key] == pytest.approx(value, rel=1e-7, abs=1e-10), key


@pytest.mark.parametrize("norm_layer", ["none", "batch", "l2"])
def test_every_number_of_a_cell_is_that_of_the_module(norm_layer: str) -> None:
    frame, _ = run_cell(SPEC, DlnCell(norm_layer, RATE))
    for step in COMPARED:
        model, batch = module_at(norm_layer, step)
        wanted = every_walk(model, batch, step) | every_layer(model, batch, step)
        assert_same(recorded(frame, step, {key[0] for key in wanted} | {"landscape_random", "weights"}), wanted)
        h = twins.hessian(model, half_squared_error, batch)
        g = twins.flat(twins.evaluate(model, half_squared_error, batch, twins.weights_of(model))[1])
        curvature = {key[1]: value for key, value in recorded(frame, step, {"curvature"}).items()}
        # central differences: 1e-9 of the gradient over the width
        assert curvature.pop("rayleigh") == pytest.approx((g @ h @ g / (g @ g)).item(), rel=1e-6)
        assert curvature.pop("stretch") == pytest.approx(((h @ g).norm() / g.norm()).item(), rel=1e-6)
        if step % 4 == 0:
            top = torch.linalg.eigvalsh(h)[-1].item()
            assert curvature.pop("top_eigenvalue") == pytest.approx(top, rel=1e-4)  # Lanczos stops at 1e-3
            assert 0 <= curvature.pop("top_eigenvalue_residual") <= 1e-3 * top
        assert not curvature
        history = recorded(frame, step, {"history"})
        assert history["history", "grad_norm", "", None] == pytest.approx(g.norm().item(), rel=1e-9)
    summary = recorded(frame, SPEC.steps, {"summary"})
    assert summary["summary", "steps", "", None] == 8
    assert summary["summary", "parameters", "", None] == sum(p.numel() for p in model.parameters())
    assert math.isnan(summary["summary", "diverged_at", "", None])
