"""What a resume point is good for: the same settings, data, sources, versions and machine, each by hand."""

import hashlib

import numpy as np
import torch

from normlab.runs.resume import circumstances


def _digest(*texts: str) -> str:
    return hashlib.sha256("".join(f"{len(text)}\n{text}" for text in texts).encode()).hexdigest()[:12]


def test_circumstances_by_hand_and_whatever_the_order_of_settings() -> None:
    found = circumstances("normlab.seeding", {"b": 1, "a": [2]}, {"d": 0, "c": "x"}, torch.device("cpu"))
    source = found.pop("source")
    assert len(source) == 12
    assert found == {
        "settings": _digest('{"a": [2], "b": 1}'),
        "data": _digest('{"c": "x", "d": 0}'),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "threads": str(torch.get_num_threads()),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "device": "cpu",
    }
