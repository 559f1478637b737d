"""The monitor in a loop with Accelerate, in float32 and in mixed precision."""

from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from tests.integrations import training

from normlab.integrations.accelerate import AcceleratedMonitor
from normlab.probes import Monitor, landscape


@pytest.fixture(autouse=True)
def _fresh() -> Any:
    yield
    AcceleratorState._reset_state(reset_partial_state=True)  # one a process, whatever accelerators are made


def loop(accelerator: Accelerator, monitored: bool) -> tuple[Any, Any]:
    torch.manual_seed(11)
    model = training.network()
    model, optimizer = accelerator.prepare(model, training.sgd(model))
    monitor = AcceleratedMonitor(accelerator, model, training.loss_fn, training.probes(optimizer), every=training.EVERY)
    for step, batch in enumerate(training.batches()):
        if monitored:
            monitor(step, batch)
        optimizer.zero_grad()
        accelerator.backward(training.loss_fn(model, batch))
        optimizer.step()
    return monitor.rows, model


def test_it_finds_what_a_plain_loop_finds() -> None:
    rows, trained = training.plain()
    found, model = loop(Accelerator(cpu=True), monitored=True)
    assert found == rows
    assert training.same_weights(model, trained)


def test_mixed_precision_is_off_in_a_probe_and_as_before_after_it() -> None:
    accelerator = Accelerator(cpu=True, mixed_precision="bf16")
    found, probed = loop(accelerator, monitored=True)
    _, bare = loop(accelerator, monitored=False)
    assert training.same_weights(probed, bare)
    rows, _ = training.plain()
    assert found[0]["walk/loss"] == rows[0]["walk/loss"]  # before any update in bfloat16
    assert probed(training.batches()[0][0]).dtype == torch.float32
    assert "forward" in probed.__dict__  # still Accelerate's
    plain = training.network()
    plain.load_state_dict(probed.state_dict())
    batch = training.batches()[0]
    assert landscape(probed, training.loss_fn, batch, [0.1]).losses.tolist() == pytest.approx(
        landscape(plain, training.loss_fn, batch, [0.1]).losses.tolist(), rel=1e-6
    )


def test_a_monitor_of_ones_own_takes_prepared_parts_too() -> None:
    accelerator = Accelerator(cpu=True)
    model = training.network()
    model, optimizer = accelerator.prepare(model, training.sgd(model))
    monitor = Monitor(model, training.loss_fn, every=1, probes=training.probes(optimizer))
    assert monitor(0, training.batches()[0])["shift/4/l2"] > 0
