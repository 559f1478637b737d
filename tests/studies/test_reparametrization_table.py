"""Every number of the study on a checkpoint of a plain network, against copies of the network and autograd."""

import copy
import json
import math
from pathlib import Path

import pandas as pd
import pytest
import torch
from tests import tiny
from tests.reference import twins
from torch import Tensor, nn
from torch.nn import functional as F

from normlab.data.images import load_images
from normlab.runs.checkpoint import checkpoint_path, save_checkpoint
from normlab.runs.networks import build_network
from normlab.runs.training import fit
from normlab.specs.reparametrization import ReparametrizationSpec
from normlab.specs.training import RunSpec
from normlab.studies.reparametrization import measure_reparametrization

STEP, RATE = 2, 0.1


def loss_fn(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1])


def trained(folder: Path, diverged_at: int | None = None) -> RunSpec:
    batches, test = tiny.load(tiny.write_data(folder / "data"))
    run = tiny.run_spec("none", steps=3, checkpoint_every=1, checkpoint_at=(), weight_decay=0.1)
    (folder / "checkpoints").mkdir()
    fit(run, batches, test, on_checkpoint=lambda found: save_checkpoint(checkpoint_path(folder, found.step), found))
    steps = [step for step in range(4) if diverged_at is None or step <= diverged_at]
    summary = {"spec": run.as_dict(), "diverged_at": diverged_at, "checkpoints": steps, "parameters": 1}
    (folder / "summary.json").write_text(json.dumps(summary))
    return run


def with_batch_norm(plain: nn.Module, run: RunSpec, inputs: Tensor, affine: bool) -> nn.Module:
    """gamma and beta such that every normalizer puts out what it is given; they move with `affine` alone."""
    model = build_network(tiny.run_spec("batch"), 3).double().train()
    model.load_state_dict({**model.state_dict(), **plain.state_dict()})
    values = inputs
    for name, module in plain.features.named_children():
        values = module(values)
        if name.startswith("conv"):
            norm = model.features.get_submodule(name.replace("conv", "norm"))
            mean = values.mean((0, 2, 3))
            with torch.no_grad():
                norm.bias.copy_(mean)
                norm.weight.copy_(((values - mean[:, None, None]).square().mean((0, 2, 3)) + norm.eps).sqrt())
            norm.requires_grad_(affine)
    return model


def curvature(model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[float, float]:
    parameters = [p for p in model.parameters() if p.requires_grad]
    gradient = torch.autograd.grad(loss_fn(model, batch), parameters, create_graph=True)
    fixed = [g.detach() for g in gradient]
    image = torch.autograd.grad(sum((a * b).sum() for a, b in zip(gradient, fixed, strict=True)), parameters)
    g, h = (torch.cat([part.reshape(-1) for part in parts]) for parts in (fixed, image))
    return (g @ h / (g @ g)).item(), (h.norm() / g.norm()).item()


def expected(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[tuple[str, str, float | None], float]:
    found: dict[tuple[str, str, float | None], float] = {}
    length = twins.flat(twins.evaluate(model, loss_fn, batch, twins.weights_of(model))[1]).norm().item()
    for probe, sizes, labels in (
        ("landscape", [0.05, 0.1], [0.05, 0.1]),
        ("landscape_equal_distance", [0.02 / length], [0.02]),
    ):
        walk = twins.walk(model, loss_fn, batch, sizes, None, "train")
        for (quantity, label), value in twins.walk_rows(walk, labels, len(labels)).items():
            found[probe, quantity, label] = value
    found["curvature", "rayleigh", None], found["curvature", "stretch", None] = curvature(copy.deepcopy(model), batch)
    return found


def recorded(table: pd.DataFrame, kind: str) -> dict[tuple[str, str, float | None], float]:
    rows = table[table["norm_layer"] == kind]
    return {
        (row.probe, row.quantity, None if math.isnan(row.step_size) else float(f"{row.step_size:.9g}")): row.value
        for row in rows.itertuples()
    }


def test_every_number_before_and_after(tmp_path: Path) -> None:
    run = trained(tmp_path)
    split = load_images(tmp_path / "data", "train")
    spec = ReparametrizationSpec(
        norm_layer=("none",), steps=(STEP,), step_sizes=(0.5, 1.0), distances=(0.02,), learned_affine=True
    )
    seen: list[int] = []
    table = measure_reparametrization(spec, run, tmp_path, split, on_step=lambda: seen.append(1))
    assert (len(seen), set(table["step"]), set(table["study"])) == (1, {STEP}, {"reparametrization"})
    images, labels = tiny.load(tmp_path / "data")[0].at(STEP)
    batch = images.double(), labels
    plain = build_network(run, 3).double().train()
    plain.load_state_dict(torch.load(checkpoint_path(tmp_path, STEP), weights_only=True)["model"])
    for kind in ("none", "batch", "batch_affine"):
        model = plain if kind == "none" else with_batch_norm(plain, run, batch[0], kind == "batch_affine")
        found = recorded(table, kind)
        gap = found.pop(("reparametrization", "function_gap", None), None)
        assert gap is None if kind == "none" else 0 <= gap < 1e-10
        wanted = expected(model, batch)
        assert set(found) == set(wanted)
        for key, value in wanted.items():
            # float64; statistics over the few pixels of the last layers amplify rounding
            assert found[key] == pytest.approx(value, rel=1e-6, abs=1e-9), (kind, key)


def test_what_diverged_before_a_step_says_so(tmp_path: Path) -> None:
    run = trained(tmp_path, diverged_at=1)
    spec = ReparametrizationSpec(norm_layer=("none",), steps=(STEP,), step_sizes=(1.0,))
    table = measure_reparametrization(spec, run, tmp_path, load_images(tmp_path / "data", "train"))
    rows = table[["norm_layer", "probe", "quantity", "step", "value"]].to_numpy().tolist()
    assert rows == [["none", "reparametrization", "diverged", STEP, 1.0]]
