"""A network of one's own is tried before the data set is read, and again when it is."""

from pathlib import Path

import pytest
import torch
from tests import tiny

from normlab.runs.networks import check_network, resolve_device
from normlab.specs.strict import InputError
from normlab.specs.training import RunSpec, TrainSpec

IMAGES = torch.zeros(2, 3, 32, 32)
NET = "from torch import nn\ndef three():\n    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 3))\n"
NET += """
class Own(nn.Module):
    def __init__(self, norm_layer=None, **_):
        super().__init__()
    def forward(self, x):
        return self.helper(x)
    def helper(self, x):
        raise ArithmeticError('not today')
"""
NET += "def unused(norm_layer):\n    return three()\n"
NET += "def scalar():\n    return nn.Sequential(nn.Flatten(0), nn.Linear(6144, 1), nn.Flatten(0))\n"


NET += "class Two(Own):\n    def forward(self, x):\n        return x, x\n"
NET += "def one():\n    return nn.Sequential(nn.Flatten(), nn.Linear(3072, 3), nn.Unflatten(1, (3, 1)))\n"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "nets_for_classes.py").write_text(NET)
    monkeypatch.syspath_prepend(tmp_path)
    return "nets_for_classes"


def _run(network: str, norm_layer: str = "none") -> RunSpec:
    return RunSpec(network, norm_layer, 0.1, 0, TrainSpec(**vars(tiny.TRAIN)))


def test_the_number_of_scores_counts_once_it_is_known(module: str) -> None:
    run = _run(f"{module}:three")
    check_network(run, 3, IMAGES)
    check_network(run, None, IMAGES)  # its data set may have three classes
    with pytest.raises(InputError, match=r"expected scores of shape \(2, 10\) for images .*, got \(2, 3\)$"):
        check_network(run, 10, IMAGES)


def test_scores_of_another_shape_are_never_right(module: str) -> None:
    with pytest.raises(InputError, match=r"expected scores of shape \(2, classes\) for images .*, got \(1,\)$"):
        check_network(_run(f"{module}:scalar"), None, IMAGES)


def test_what_is_no_table_of_scores_is_named(module: str) -> None:
    for name, found in (("Two", "tuple"), ("one", r"\(2, 3, 1\)")):
        for classes, expected in ((3, "3"), (None, "classes")):
            with pytest.raises(InputError, match=rf"expected scores of shape \(2, {expected}\) for .*, got {found}$"):
                check_network(_run(f"{module}:{name}"), classes, IMAGES)


@pytest.mark.parametrize(
    ("name", "count", "found"),
    [
        ("auto", 0, "cpu"),
        ("auto", 2, "cuda"),
        ("cpu", 0, "cpu"),
        ("cuda", 0, None),
        ("cuda", 1, "cuda"),
        ("cuda:0", 1, "cuda:0"),
        ("cuda:1", 1, None),
        ("cuda:1", 2, "cuda:1"),
    ],
)
def test_a_device_is_one_of_those_that_there_are(
    name: str, count: int, found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    if found is not None:
        assert resolve_device(name) == torch.device(found)
        return
    with pytest.raises(InputError, match=f"^train.device: '{name}' is not available here; there are {count} CUDA dev"):
        resolve_device(name)


def test_what_a_network_raises_is_told_with_the_line_that_raised_it(module: str) -> None:
    line = NET.splitlines().index("        raise ArithmeticError('not today')") + 1
    with pytest.raises(InputError, match=rf"not today \(ArithmeticError, nets_for_classes\.py:{line}\)$"):
        check_network(_run(f"{module}:Own"), 3, IMAGES)


@pytest.mark.parametrize("norm_layer", ["batch", "noisy_batch", "torch.nn:BatchNorm2d"])
def test_a_network_that_leaves_its_normalizer_out_is_refused(module: str, norm_layer: str) -> None:
    check_network(_run(f"{module}:unused"), 3, IMAGES)
    with pytest.raises(InputError, match=f"{norm_layer}: no layer of it is normalized: it never uses its norm_layer$"):
        check_network(_run(f"{module}:unused", norm_layer), 3, IMAGES)
