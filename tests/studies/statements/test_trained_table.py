"""The table of statements at a checkpoint of a real run, number by number, from autograd and sums over samples."""

import copy
import json
import math
import statistics
from pathlib import Path

import pytest
import torch
from tests import tiny
from torch import Tensor, nn
from torch.nn import functional as F

from normlab.data.images import load_images
from normlab.runs.checkpoint import checkpoint_path, save_checkpoint
from normlab.runs.networks import build_network
from normlab.runs.training import fit
from normlab.seeding import generator
from normlab.specs.assumptions import AssumptionsSpec
from normlab.specs.training import RunSpec
from normlab.studies.statements.trained_cases import measure_trained_cases

STEP, UNITS = 2, 4
LAYERS = {"features.norm1": "features.conv1", "features.norm8": "features.conv8"}  # two of eight, evenly spaced


def of_unit(model: nn.Module, batch: tuple[Tensor, Tensor], norm: str, unit: int) -> dict[str, float | bool]:
    """What every statement says of one channel."""
    seen: dict[str, Tensor] = {}
    handles = [
        model.get_submodule(norm).register_forward_hook(lambda m, i, out: seen.update(y=i[0], z=out)),
        model.get_submodule(LAYERS[norm]).register_forward_hook(lambda m, i, out: seen.update(x=i[0])),
    ]
    loss = F.cross_entropy(model(batch[0]), batch[1])
    for handle in handles:
        handle.remove()
    (gradient,) = torch.autograd.grad(loss, seen["z"], create_graph=True)

    def image(side: Tensor) -> Tensor:
        inner = (gradient[:, unit].flatten() * side).sum()
        return torch.autograd.grad(inner, seen["z"], retain_graph=True)[0][:, unit].flatten()

    y, g = seen["y"][:, unit].detach().flatten(), gradient[:, unit].detach().flatten()
    gamma, m = model.get_parameter(f"{norm}.weight")[unit].item(), len(y)
    sigma = (y - y.mean()).square().mean().sqrt().item()
    hat = (y - y.mean()) / sigma
    overlap, gain = (g @ hat).item(), (gamma / sigma) ** 2
    v = gamma / sigma * (g - g.mean() - hat * overlap / m)  # Fact C.1
    vv, gg = (v @ v).item(), (g @ g).item()
    vhv, ghg = (v @ image(v)).item(), (g @ image(g)).item()
    hat_curvature = gain * vhv - gamma / (m * sigma**2) * overlap * vv  # Theorem 4.2(a)
    patches = F.unfold(seen["x"].detach(), 3, padding=1).transpose(1, 2).reshape(m, -1)
    with_bias = torch.cat([patches, torch.ones(m, 1, dtype=torch.float64)], 1)
    sides = [(inputs.T @ u).norm().item() for inputs in (patches, with_bias) for u in (v, g)]
    slope = abs(gamma) / sigma
    return {
        "holds_printed": vv <= gain * (gg - g.sum().item() ** 2 / m - overlap**2 / math.sqrt(m)),
        "holds_corrected": True,
        "gamma_at_most_sigma": abs(gamma) <= sigma,
        "v_at_most_g": vv <= gg,
        "gamma_over_sigma": slope,
        "kept_share": vv / (gain * gg),
        "overlap_positive": overlap > 0,
        "curvature_v_nonnegative": vhv >= 0,
        "curvature_g_nonnegative": ghg >= 0,
        "rayleigh_condition": vhv / vv <= ghg / gg,
        "part_b_assumptions": vhv / vv <= ghg / gg and vv <= gg and ghg >= 0,
        "part_b_holds": vhv <= ghg,
        "less_curved": hat_curvature / vv <= ghg / gg,
        "weight_gradient_bound": sides[0] <= slope * sides[1],
        "weight_gradient_bound_with_bias": sides[2] <= slope * sides[3],
        "weight_gradient_ratio": sides[0] / (slope * sides[1]),
        "usable": True,
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunSpec]:
    """A run of three updates; gamma of one unit in four is then made large, so that it is above sigma."""
    folder = tmp_path_factory.mktemp("run")
    batches, test = tiny.load(tiny.write_data(folder / "data"))
    run = tiny.run_spec("batch", seed=2, steps=3, checkpoint_every=1, checkpoint_at=())
    (folder / "checkpoints").mkdir()

    def keep(found) -> None:  # type: ignore[no-untyped-def]
        found = copy.deepcopy(found)
        for norm in LAYERS:
            found.model[f"{norm}.weight"][::4] = 40.0
            found.model[f"{norm}.weight"][1::4] *= -1
        save_checkpoint(checkpoint_path(folder, found.step), found)

    fit(run, batches, test, on_checkpoint=keep)
    summary = {"spec": run.as_dict(), "diverged_at": None, "checkpoints": [0, 1, 2, 3], "parameters": 1}
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder, run


def test_every_number_of_the_table(trained: tuple[Path, RunSpec]) -> None:
    folder, run = trained
    split = load_images(folder / "data", "train")
    spec = AssumptionsSpec(norm_layer=("batch",), steps=(STEP,), layers=2, units=UNITS)
    table = measure_trained_cases(spec, run, folder, split)
    model = build_network(run, 3).double().train()
    model.load_state_dict(torch.load(checkpoint_path(folder, STEP), weights_only=True)["model"])
    images, labels = tiny.load(folder / "data", seed=run.seed)[0].at(STEP)
    assert list(dict.fromkeys(table["layer"])) == list(LAYERS)
    both: set[float] = set()
    for norm in LAYERS:
        order = torch.randperm(
            len(model.get_parameter(f"{norm}.weight")), generator=generator(run.seed, "theory", norm)
        )
        units = sorted(order[:UNITS].tolist())
        numbers = [of_unit(copy.deepcopy(model), (images.double(), labels), norm, unit) for unit in units]
        rows = table[table["layer"] == norm]
        assert set(rows["quantity"]) == set(numbers[0])
        assert set(rows["samples"]) == {16 * 32 * 32 if norm == "features.norm1" else 16 * 2 * 2}
        for row in rows.itertuples():
            each = [one[row.quantity] for one in numbers]
            assert row.count == UNITS
            if isinstance(each[0], bool):
                assert row.fraction == sum(each) / UNITS, (norm, row.quantity)
                assert math.isnan(row.value)
                both.add(row.fraction)
            else:
                # a median of ratios of sums of up to 16,384 numbers, in another order
                assert row.value == pytest.approx(statistics.median(each), rel=1e-8), (norm, row.quantity)
                assert math.isnan(row.fraction)
    assert len(both) > 2  # neither all nor none
