"""What training frameworks hang on a model is taken off for the time of a probe, and put back."""

import copy

import torch
from torch import nn

from normlab.probes import landscape
from normlab.probes.bare import bare
from tests.reference.functions import D, loss_fn, vectors


class Marked(nn.SyncBatchNorm):
    """With a forward pass of its own, which is part of the model."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(input)


def test_synchronized_batch_norm_takes_the_statistics_of_its_own_batch() -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(4, 3, **D), nn.BatchNorm1d(3, **D))
    synchronized = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(plain))
    expected, found = (landscape(model, loss_fn, vectors(), [0.3]) for model in (plain, synchronized))
    assert (found.loss, found.losses.tolist()) == (expected.loss, expected.losses.tolist())


def test_a_forward_pass_of_its_own_stays() -> None:
    taken, marked = nn.SyncBatchNorm(3, **D), Marked(3, **D)
    with bare([taken, marked]):
        assert taken.forward.__func__ is nn.BatchNorm1d.forward
        assert marked.forward.__func__ is Marked.forward
    assert "forward" not in taken.__dict__


def test_what_accelerate_wrapped_is_the_forward_pass_meanwhile_and_wrapped_again_afterwards() -> None:
    layer = nn.Linear(2, 2)
    original, layer.forward = layer.forward, lambda x: x
    layer._original_forward = original
    wrapped = layer.forward
    with bare([layer]):
        assert layer.forward is original
    assert layer.forward is wrapped
