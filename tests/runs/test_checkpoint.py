"""Checkpoints: what went in comes out, in the same bytes, and nothing else can be loaded."""

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from normlab.runs.checkpoint import Checkpoint, checkpoint_path, load_checkpoint, portable, save_checkpoint


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


WHOLE = {"step": 3, "spec": {}, "model": {"w": torch.ones(2)}, "optimizer": {}}


@pytest.mark.parametrize(
    "change",
    [{"step": 3.0}, {"spec": []}, {"model": [1]}, {"optimizer": None}, {"model": {"w": 1.0}}, {"more": 1}, None],
)
def test_a_file_of_other_contents_is_no_checkpoint(tmp_path: Path, change: dict[str, object] | None) -> None:
    path = tmp_path / "some.pt"
    torch.save(WHOLE, path)
    assert load_checkpoint(path).step == 3
    torch.save([1, 2] if change is None else {**WHOLE, **change}, path)
    with pytest.raises(ValueError, match=r"some\.pt: not a readable checkpoint \(\w+\)$"):
        load_checkpoint(path)
    torch.save({"step": 3, "spec": {}, "model": {}}, path)
    with pytest.raises(ValueError, match="not a readable checkpoint"):
        load_checkpoint(path)


def test_what_is_taken_along_is_apart_from_the_training() -> None:
    weight = torch.arange(6.0).view(2, 3).T.requires_grad_()
    buffer = torch.ones(2)  # where training goes on in place
    model = {"w": weight, "b": buffer}
    state = Checkpoint(1, {"rates": (0.1, [0.2])}, model, {"state": {0: {"buffers": [weight, None, 3]}}})
    taken = portable(state)
    with torch.no_grad():
        weight.zero_()
        buffer.zero_()
    assert taken.model["b"].tolist() == [1.0, 1.0]
    for found in (taken.model["w"], taken.optimizer["state"][0]["buffers"][0]):
        assert found.tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
        assert found.is_contiguous()
        assert not found.requires_grad
    assert (taken.step, taken.spec, taken.optimizer["state"][0]["buffers"][1:]) == (1, state.spec, [None, 3])
