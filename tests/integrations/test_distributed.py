"""Two processes with gloo: a probe on rank 0, with its own batch's statistics or with those of the whole batch."""

import copy
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
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


SAME: dict[str, Any] = {
    "array": np.arange(3),
    "floats": np.array([1.0, math.nan]),
    "table": np.array([["a", "b"]]),
    "objects": np.array([None, "a"], dtype=object),
    "nan": math.nan,
    "word": "same",
    "none": None,
    "many": {1, 2},
}
X = torch.zeros(2, 3)
DIFFERENT: list[tuple[Any, Any, str]] = [  # the batches of ranks 0 and 1, and what is said of them
    ({"n": np.arange(3)}, {"n": np.arange(3) + 1}, "batch['n'] is array([0, 1, 2]) on rank 0 and array([1, 2, 3]) on"),
    ({"n": np.arange(1)}, {"n": np.zeros(3)}, "batch['n'] is array([0]) on rank 0 and array([0., 0., 0.]) on rank 1"),
    ({"n": np.zeros((2, 2))}, {"n": None}, "batch['n'] is array([[0., 0.], [0., 0.]]) on rank 0 and None on rank 1"),
    ({"x": X, "b": X}, {"x": X, "c": X}, "batch is a dict of 'b', 'x' on rank 0 and a dict of 'c', 'x' on rank 1"),
    ({"x": X}, {"x": X, 3: X}, "batch is a dict of 'x' on rank 0 and a dict of 'x', 3 on rank 1"),
    ([X, {"a": (X, X)}], [X, {"a": (X, X[:, :2])}], "batch[1]['a'][1] is a tensor of shape (…, 3) on rank 0 and a te"),
    (X, X[0], "batch is a tensor of shape (…, 3) on rank 0 and a tensor of shape (…) on rank 1"),
    ((X, torch.tensor(1.0)), (X, torch.tensor(1.0)), "batch[1] is a tensor without dimensions"),
    (X, torch.tensor(1.0), "batch is a tensor of shape (…, 3) on rank 0 and a tensor without dimensions on rank 1"),
    ([X], [X, X], "batch is a list of 1 on rank 0 and a list of 2 on rank 1"),
    ([X], {"x": X}, "batch is a list of 1 on rank 0 and a dict of 'x' on rank 1"),
    (None, X, "batch is None on rank 0 and a tensor of shape (…, 3) on rank 1"),
    (X, "x", "batch is a tensor of shape (…, 3) on rank 0 and 'x' on rank 1"),
    ({"s": "a"}, {"s": "b"}, "batch['s'] is 'a' on rank 0 and 'b' on rank 1"),
]


def process_with_entries(rank: int, file: str) -> None:
    """One of two processes: batches whose entries are the same, and batches that cannot be joined."""
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    whole = gathered({"x": X + rank, **SAME})
    if rank == 0:
        assert whole["x"].tolist() == [[0.0] * 3] * 2 + [[1.0] * 3] * 2
        assert all(whole[name] is value for name, value in SAME.items())
    for mine, other, message in DIFFERENT:
        if rank == 1:
            assert gathered(other) is None
            continue
        with pytest.raises(ValueError, match=f"^{re.escape(message)}[^\n]* cannot be joined[^\n]*$"):
            gathered(mine)
    print("agreed")
    dist.destroy_process_group()


def run_both(work: str, tmp_path: Path) -> None:
    """Ranks 0 and 1 of a function of this module, each in a process of its own."""
    here = f"import sys; from tests.integrations.test_distributed import {work}; {work}(int(sys.argv[1]), sys.argv[2])"
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


def test_rank_0_is_probed_while_two_processes_train(tmp_path: Path) -> None:
    run_both("process", tmp_path)


def test_entries_that_are_the_same_are_kept_and_what_cannot_be_joined_is_named(tmp_path: Path) -> None:
    run_both("process_with_entries", tmp_path)


def test_without_processes_the_batch_is_the_whole_batch() -> None:
    batch = training.batches()[0]
    assert gathered(batch) is batch
