"""Layer by layer: the sizes that say how fast a layer moves."""

import math

import pytest
import torch
from torch import nn

from normlab.studies.checkpoints.layers import weight_sizes


def test_sizes_of_weights_by_hand() -> None:
    model = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1), nn.Linear(1, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[3.0, 4.0]]))
        model[0].bias.fill_(100.0)
        model[2].weight.zero_()
    sizes = weight_sizes(model, 0.5)
    assert sizes == {
        "0": {"weight_norm": 5.0, "effective_rate": pytest.approx(0.02)},
        "2": {"weight_norm": 0.0, "effective_rate": math.inf},
    }
