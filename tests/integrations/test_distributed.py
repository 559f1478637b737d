"""Two processes with gloo: a probe on rank 0, with its own batch's statistics or with those of the whole batch."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from tests.integrations import training
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from normlab.integrations.distributed import gathered
from normlab.probes import landscape, top_eigenvalues


def walk(model: nn.Module, batch: Any) -> list[float]:
    found = landscape(model, training.loss_fn, batch, step_sizes=[0.1, 0.5])
    return [found.loss, *found.losses.tolist(), *found.gradient_distances.tolist()]


def process(rank: int, file: str) -> None:
    """One of two processes: a training with DistributedDataParallel, probed on rank 0 before its second step."""
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    torch.manual_seed(11)
    plain = training.network()
    synchronized = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(plain))
    model = DistributedDataParallel(plain)
    optimizer = training.sgd(model)
    mine, others = training.batches()[:2]
    batch = (mine, others)[rank]
    for step in range(2):
        whole = gathered({"images": batch[0], "labels": batch[1]})
        assert (whole is None) is (rank == 1)
        if rank == 0 and step == 1:
            before = copy.deepcopy(model.state_dict())
            alone = copy.deepcopy(model.module)
            assert walk(model, batch) == walk(alone, batch)  # this replica, its own batch's statistics
            assert all(torch.equal(a, b) for a, b in zip(before.values(), model.state_dict().values(), strict=True))
            assert all(p.grad is not None for p in model.parameters())
            union = (torch.cat([mine[0], others[0]]), torch.cat([mine[1], others[1]]))
            assert torch.equal(whole["images"], union[0])
            synchronized.load_state_dict(alone.state_dict())
            global_walk = walk(synchronized, (whole["images"], whole["labels"]))
            assert global_walk == pytest.approx(walk(alone, union), rel=1e-6)
            assert global_walk != pytest.approx(walk(alone, batch), rel=1e-2)
            assert "forward" not in synchronized[1].__dict__
            top_eigenvalues(model, training.loss_fn, batch, max_products=3)
        optimizer.zero_grad()
        training.loss_fn(model, batch).backward()
        optimizer.step()
    weights = [torch.empty_like(p) for p in model.parameters()]
    for weight, p in zip(weights, model.parameters(), strict=True):
        weight.copy_(p.detach())
        dist.broadcast(weight, 0)
        assert torch.equal(weight, p)  # the replicas still agree
    print("agreed")
    dist.destroy_process_group()


def test_rank_0_is_probed_while_two_processes_train(tmp_path: Path) -> None:
    here = "import sys; from tests.integrations.test_distributed import process; process(int(sys.argv[1]), sys.argv[2])"
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    started = [
        subprocess.Popen([sys.executable, "-c", here, str(rank), str(tmp_path / "meet")], **pipes) for rank in range(2)
    ]
    try:
        outputs = [one.communicate(timeout=300)[0] for one in started]  # seconds, unless the machine is full
    finally:
        for one in started:  # one that failed leaves the other waiting
            one.kill()
    assert [one.returncode for one in started] == [0, 0], "\n".join(outputs)
    assert all("agreed" in output for output in outputs)


def test_without_processes_the_batch_is_the_whole_batch() -> None:
    batch = training.batches()[0]
    assert gathered(batch) is batch
