"""Every row of a lottery, how far it says it is, and betas of walks that overflow or have no gradient."""

import dataclasses
import math

import pytest
import torch
from tests.studies.deep_linear.conftest import build_instance
from tests.studies.deep_linear.test_study import RATE, SPEC
from tests.studies.deep_linear.twin import build_twin, descent, flat_gradient, ordered

from normlab.specs.dln import DlnCell, DlnSpec
from normlab.studies.deep_linear import lottery
from normlab.studies.deep_linear.lottery import Lottery, _beta, loss_steps
from normlab.studies.deep_linear.network import Network
from normlab.studies.deep_linear.problem import draw_data, draw_weights

SEEDS = (2, 9, 4)
SHORT = dataclasses.replace(SPEC, steps=6, extra_step_sizes=())
Row = tuple[int, str, int, str, float]  # seed, probe, step, quantity, value


def rows_of(spec: DlnSpec, cell: DlnCell) -> list[Row]:
    found = Lottery(spec, cell, SEEDS)
    found.run()
    frame = found.frame()
    assert set(frame["layer"]) == {""}
    assert frame["step_size"].isna().all()
    assert set(frame["norm_layer"]) == {cell.norm_layer}
    return list(frame[["seed", "probe", "step", "quantity", "value"]].itertuples(index=False, name=None))


def plain_betas(betas: dict[int, float]) -> list[tuple[str, float]]:
    """The summary of one seed by a loop over its probed steps."""
    peak, step_of_peak = -math.inf, 0
    for step, beta in betas.items():
        if beta > peak:
            peak, step_of_peak = beta, step
    late = sorted(beta for step, beta in betas.items() if step > 0.7 * SHORT.steps)
    return [
        ("start_beta", betas[0]),
        ("peak_beta", peak),
        ("peak_beta_step", step_of_peak),
        ("late_beta", late[(len(late) - 1) // 2]),
    ]


@pytest.mark.parametrize(("norm_layer", "variant"), [("none", ""), ("batch", "affine=false")])
def test_every_row_of_a_lottery(norm_layer: str, variant: str) -> None:
    found = rows_of(SHORT, DlnCell(norm_layer, RATE, variant))
    network = build_instance(norm_layer, affine=not variant, depth=3).network
    expected: list[Row] = []
    for seed in SEEDS:
        losses = descent(network, seed, 7, RATE)
        betas = {step: effective_beta(network, seed, step) for step in (0, 2, 4, 6)}
        x, teacher = draw_data((seed,), 3, 20)
        y = x[0] @ teacher[0].mT
        rest = 20 * y.mean(0).square().sum().item() if variant else 0.0
        squares = (torch.linalg.svdvals(y - y.mean(0) if variant else y) ** 2).tolist()
        floors = [0.5 * (math.fsum(squares[rank:]) + rest) for rank in range(4)]
        expected += [(seed, "history", step, "loss", loss) for step, loss in enumerate(losses)]
        expected += [(seed, "summary", 6, "steps", 6.0), (seed, "summary", 6, "diverged_at", math.nan)]
        expected += [(seed, "lottery", 6, name, value) for name, value in plain_betas(betas)]
        for rank in (1, 2):
            below = [step for step, loss in enumerate(losses) if loss < floors[rank]]
            expected.append((seed, "lottery", 6, f"escape_step_{rank}", below[0] if below else math.inf))
    assert [row[:-1] for row in found] == [row[:-1] for row in expected]
    for row, wanted in zip(found, expected, strict=True):
        # quotients of differences of gradients that agree to 1e-12, at steps of a tenth of the rate
        assert row[-1] == pytest.approx(wanted[-1], rel=1e-8, nan_ok=True), row


def effective_beta(network: Network, seed: int, step: int) -> float:
    """The largest quotient of the gradient's change and the way, at 0.1 and 1 of the rate, by autograd on samples."""
    x, teacher = draw_data((seed,), 3, 20)
    batch = x[0], x[0] @ teacher[0].mT
    model = build_twin(network, network.pack(draw_weights((seed,), 3, 3))[0])
    point = torch.cat([p.detach().flatten() for p in ordered(model)])
    for _ in range(step):
        point = point - RATE * flat_gradient(build_twin(network, point), batch)
    gradient = flat_gradient(build_twin(network, point), batch)
    found = []
    for size in (0.1, 1.0):
        way = -size * RATE * gradient
        change = flat_gradient(build_twin(network, point + way), batch) - gradient
        found.append((change.norm() / way.norm()).item())
    return max(found)


def test_steps_are_counted_over_all_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lottery, "CHUNK", 2)
    first = Lottery(SHORT, DlnCell("none", RATE), SEEDS)
    seen: list[int] = []
    first.run(seen.append)
    assert seen == [*range(7), *range(6, 13)]
    again = Lottery(SHORT, DlnCell("none", RATE), SEEDS)
    again.load_state_dict({**first.state_dict(), "finished": first.finished[:1]})
    seen.clear()
    again.run(seen.append)
    assert seen == list(range(6, 13))  # the second chunk alone
    assert again.frame().equals(first.frame())


def by_search(steps: int, most: int = 150) -> list[int]:
    """The finest even division of log(step) among 75 to 449 parts' ends that names at most `most` steps."""
    best = [0, steps]
    for count in range(75, 450):
        named = sorted({0, *(round(steps ** (place / (count - 1))) for place in range(count))})
        if len(named) > most:
            return best
        best = named
    return best


@pytest.mark.parametrize("steps", [1, 5, 75, 149, 150, 151, 400, 10_000])
def test_steps_are_the_finest_even_division_of_their_logarithm(steps: int) -> None:
    assert loss_steps(steps) == by_search(steps)


def test_a_walk_that_overflows_has_beta_infinity_and_no_gradient_none() -> None:
    instance = build_instance("none")
    loss, gradient = instance.gradient()
    for far in (1e-2, 1e200):
        sizes = torch.tensor([far, 1e-3], dtype=torch.float64)
        found, *undefined = (
            _beta(instance.network, instance.problem, instance.params, loss, slope, sizes)
            for slope in (gradient, 0 * gradient, gradient / 0)
        )
        assert found.shape == (3,)
        assert (found == math.inf).all() if far > 1 else found.isfinite().all()
        assert all(beta.isnan().all() for beta in undefined)


def test_a_gradient_below_one_has_a_beta() -> None:
    """The network without loss but for a little: all entries of its gradient are small."""
    instance = build_instance("none", depth=3)
    eye = torch.eye(3, dtype=torch.float64).expand(3, 3, 3)
    params = instance.network.pack(torch.stack([eye, instance.teacher, eye * (1 + 1e-9)], 1))
    loss, gradient = (part[:, 0] for part in instance.network.evaluate(instance.problem, params[:, None]))
    assert (gradient.norm(dim=1) < 1e-3).all()
    found = _beta(instance.network, instance.problem, params, loss, gradient, torch.tensor([1e-2]).double())
    assert found.isfinite().all()
    assert (found > 0).all()
