"""Checkpoints: what went in comes out, in the same bytes, and nothing else can be loaded."""

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from normlab.runs.checkpoint import Checkpoint, checkpoint_path, load_checkpoint, save_checkpoint


def _state() -> Checkpoint:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.randn(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    return Checkpoint(3, {"seed": 0, "rate": 0.1}, model.state_dict(), optimizer.state_dict())


def test_everything_comes_back(tmp_path: Path) -> None:
    state = _state()
    save_checkpoint(checkpoint_path(tmp_path, 3), state)
    loaded = load_checkpoint(tmp_path / "checkpoints" / "step-000003.pt")
    assert (loaded.step, loaded.spec) == (3, {"seed": 0, "rate": 0.1})
    assert list(loaded.model) == list(state.model)
    assert all(torch.equal(loaded.model[name], state.model[name]) for name in state.model)
    buffers = [entry["momentum_buffer"] for entry in state.optimizer["state"].values()]
    again = [entry["momentum_buffer"] for entry in loaded.optimizer["state"].values()]
    assert all(torch.equal(a, b) for a, b in zip(buffers, again, strict=True))


def test_bytes_depend_on_the_state_alone(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", _state())
    save_checkpoint(tmp_path / "other" / "b.pt", _state())
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "other" / "b.pt").read_bytes()
    assert sorted(path.name for path in tmp_path.rglob("*.p*")) == ["a.pt", "b.pt"]


def test_a_file_that_is_no_checkpoint_is_refused_without_running_it(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (Path(tmp_path / "ran"),)  # type: ignore[return-value]

    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Payload()))
    (tmp_path / "cut.pt").write_bytes(b"PK\x03\x04 not much")
    for name in ("evil.pt", "cut.pt"):
        with pytest.raises(ValueError, match="not a readable checkpoint"):
            load_checkpoint(tmp_path / name)
    assert not (tmp_path / "ran").exists()
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "none.pt")
