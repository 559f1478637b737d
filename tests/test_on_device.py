"""Training, probes and the program for a lent machine, on the CPU and on CUDA: only the device differs.

`pytest -m gpu` runs what needs a GPU, in less than 90 s, and needs neither DVC nor MLflow.
"""

import contextlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from normlab.probes import activation_moments, covariate_shift, directional_curvature, landscape, top_eigenvalues
from normlab.runs.arithmetic import forward_in, has_bf16
from normlab.runs.checkpoint import Checkpoint
from normlab.runs.networks import build_network, build_optimizer
from normlab.runs.prepared import prepare_run
from normlab.runs.training import FLUSH_EVERY, History, cross_entropy, fit, train_step
from normlab.seeding import seed_all, set_deterministic
from normlab.specs.training import RunSpec
from tests import tiny
from tests.reference.traces import no_trace

CUDA = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
        pytest.mark.filterwarnings("default"),  # of the driver and of torch's experimental switches
    ],
)


@pytest.fixture(params=["cpu", CUDA])
def device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """Where the test computes; settings that determinism needs on CUDA are put back."""
    found = torch.device(request.param)
    if found.type == "cpu":
        yield found
        return
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = torch.are_deterministic_algorithms_enabled(), cudnn.benchmark, matmul.allow_tf32, cudnn.allow_tf32
    set_deterministic(found)
    yield found
    torch.use_deterministic_algorithms(before[0])
    cudnn.benchmark, matmul.allow_tf32, cudnn.allow_tf32 = before[1:]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_data(tmp_path_factory.mktemp("data"))


def train(data: Path, run: RunSpec, device: torch.device) -> tuple[History, list[Checkpoint]]:
    batches, test = tiny.load(data, run.seed, device=device, augment=run.train.augment)
    kept: list[Checkpoint] = []
    return fit(run, batches, test, device=device, on_checkpoint=kept.append), kept


def test_batches_are_the_same_images(data: Path, device: torch.device) -> None:
    on_cpu, there = (tiny.load(data, 3, device=where, augment=True)[0] for where in (torch.device("cpu"), device))
    for step in (0, 9):  # of two epochs
        (images, labels), (moved, moved_labels) = on_cpu.at(step), there.at(step)
        assert moved.device.type == moved_labels.device.type == device.type
        assert torch.equal(labels, moved_labels.cpu())
        torch.testing.assert_close(images, moved.cpu(), rtol=0, atol=1e-6)  # the division may round differently
    assert on_cpu.per_epoch < 9


@pytest.mark.parametrize("norm_layer", ["none", "batch", "noisy_batch", "l1"])
def test_a_training_repeats_itself_and_starts_as_on_the_cpu(data: Path, device: torch.device, norm_layer: str) -> None:
    run = tiny.run_spec(norm_layer, momentum=0.9, augment=True)
    (first, kept), (again, kept_again) = (train(data, run, device) for _ in range(2))
    assert first.steps.equals(again.steps)
    assert first.test.equals(again.test)
    assert all(tiny.same_state(a.model, b.model) for a, b in zip(kept, kept_again, strict=True))
    assert [checkpoint.step for checkpoint in kept] == [0, 1, 2, 4, 6]
    on_cpu, _ = train(data, run, torch.device("cpu"))
    if norm_layer != "noisy_batch":  # whose noise comes from the device's own generator
        # the same weights and images; the sums of a step are taken in another order
        torch.testing.assert_close(first.steps.loss[0], on_cpu.steps.loss[0], rtol=1e-5, atol=0)
        torch.testing.assert_close(first.steps.grad_norm[0], on_cpu.steps.grad_norm[0], rtol=1e-4, atol=0)
    assert first.diverged_at is None


@pytest.mark.parametrize("augment", [False, True])
def test_no_update_waits_for_the_device(data: Path, device: torch.device, augment: bool) -> None:
    """CUDA runs behind; torch raises where a call would wait for it. `fit` reads values every `FLUSH_EVERY` steps."""
    assert FLUSH_EVERY >= 25
    run = tiny.run_spec("batch", momentum=0.9, augment=augment)
    batches, _ = tiny.load(data, device=device, augment=augment)
    model = build_network(run, 3, device).train()
    optimizer = build_optimizer(model, run)
    values = torch.zeros(10, 4, device=device)
    train_step(model, optimizer, run, batches.at(0), 0)  # the first step makes handles and buffers
    with no_waiting(device):
        for step in range(10):  # over the end of an epoch
            values[step] = train_step(model, optimizer, run, batches.at(step), step)
    assert torch.isfinite(values).all()
    assert batches.per_epoch < 10


@contextlib.contextmanager
def no_waiting(device: torch.device) -> Iterator[None]:
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")


def test_reduced_precision_is_for_training_alone(data: Path, device: torch.device) -> None:
    batches, _ = tiny.load(data, device=device)
    batch = batches.at(0)
    losses = {}
    for precision in ("float32", "bf16", "tf32"):
        run = tiny.run_spec("batch")
        model = build_network(run, 3, device).train()
        assert losses.setdefault("probe", measure(model, batch)) == measure(model, batch)
        losses[precision] = train_step(model, build_optimizer(model, run), run, batch, 0, precision)[0].item()
        assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
        with forward_in(precision, device):
            logits = model(batch[0])
        assert logits.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
    # 8 bits of mantissa through nine layers; tf32 has 11, and is float32 itself on the CPU
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=0.05)
    assert losses["bf16"] != losses["float32"]
    assert losses["tf32"] == pytest.approx(losses["float32"], rel=0.01)
    if device.type == "cpu":
        assert losses["tf32"] == losses["float32"]
    else:
        assert has_bf16(device) == torch.cuda.is_bf16_supported(including_emulation=False)


def measure(model: torch.nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> float:
    return float(landscape(model, cross_entropy, batch, [0.1]).losses[0])


def test_a_run_asked_for_in_reduced_precision_is_trained_or_refused(data: Path, device: torch.device) -> None:
    run = tiny.run_spec("batch", precision="bf16", precision_forced=True, device=str(device))
    prepared = prepare_run(run, data)
    assert prepared.device.type == device.type
    history = fit(run, prepared.batches, prepared.test, device=prepared.device)
    assert history.diverged_at is None
    assert math.isfinite(history.steps.loss.iloc[-1])


def test_probes_agree_with_the_cpu_in_float64(data: Path, device: torch.device) -> None:
    run = tiny.run_spec("batch")
    found = []
    # the same images bit for bit: their normalization in float32 may round differently on two devices
    inputs, targets = tiny.load(data)[0].at(0)
    for where in (torch.device("cpu"), device):
        batch = (inputs.double().to(where), targets.to(where))
        model = build_network(run, 3, where).double().train()
        walk = landscape(model, cross_entropy, batch, [0.05, 0.1])
        curvature = directional_curvature(model, cross_entropy, batch)
        shift = covariate_shift(model, cross_entropy, batch, learning_rate=0.1)
        moments = activation_moments(
            model, batch, ["features.norm1"], units=2, generator=torch.Generator().manual_seed(0)
        )
        top = top_eigenvalues(model, cross_entropy, batch, generator=torch.Generator().manual_seed(0), tol=1e-6)
        found.append(
            [*walk.losses, *walk.gradient_distances, curvature.rayleigh, curvature.stretch, top.values[0]]
            + [value for probe in shift.values() for value in (probe.l2, probe.cosine)]
            + [*moments["features.norm1"].mean, *moments["features.norm1"].variance]
        )
    cpu, there = (torch.tensor([float(value) for value in values], dtype=torch.float64) for values in found)
    # float64 sums in another order; the shift's cosine and the eigenvalue amplify that
    torch.testing.assert_close(there, cpu, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("norm_layer", ["batch", "noisy_batch"])
def test_probes_leave_no_trace(data: Path, device: torch.device, norm_layer: str) -> None:
    run = tiny.run_spec(norm_layer, momentum=0.9)
    batches, _ = tiny.load(data, device=device)
    model = build_network(run, 3, device).train()
    optimizer = build_optimizer(model, run)
    train_step(model, optimizer, run, batches.at(0), 0)
    seed_all(0, "noise", 1)
    batch = batches.at(1)
    with no_trace(model, batch, optimizer):
        landscape(model, cross_entropy, batch, [0.1, 0.2], direction="random")
        covariate_shift(model, cross_entropy, batch, optimizer=optimizer)
        directional_curvature(model, cross_entropy, batch)
        top_eigenvalues(model, cross_entropy, batch, max_products=5)
        activation_moments(model, batch, ["features.norm1"], units=2)


PARAMS = """
data: {source: textures, seed: 3, train_per_class: 4, test_per_class: 2}
grid: [{network: [vgg11], norm_layer: [none, batch], learning_rate: [1.0e-1], seed: [0]}]
train: {width: 0.0625, batch_size: 16, steps: 30, test_every: 15, checkpoint_every: 15, device: DEVICE}
probe: {step_sizes: [0.5, 1.0], units: 4}
"""


def test_the_program_for_a_lent_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: torch.device) -> None:
    pytest.importorskip("pyarrow", reason="tables are written as parquet")
    from normlab.stages import budget

    monkeypatch.chdir(tmp_path)
    Path("lent.yaml").write_text(PARAMS.replace("DEVICE", str(device)))
    budget.main(["--preset", "lent.yaml", "--minutes", "5", "--side-by-side", "2", "--out", "back"])
    back = {path.name: path.stat().st_size for path in Path("back").iterdir()}
    assert len(back) <= 8
    assert max(back.values()) <= 16 * 2**20
    ended = json.loads(Path("back/runs.json").read_text())
    assert {entry["run"] for entry in ended if entry["seconds"]} == {"vgg11-none-0.1-0", "vgg11-batch-0.1-0"}


def test_what_needs_a_gpu_is_collected_without_what_a_lent_machine_lacks() -> None:
    lacking = ["dvc", "mlflow", "hypothesis", "papermill", "playwright", "dask"]
    program = f"import sys; sys.modules.update(dict.fromkeys({lacking})); import pytest; sys.exit(pytest.main())"
    asked = "-m gpu --collect-only -q"
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": asked}
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "test_a_training_repeats_itself" in found.stdout
