"""A probed training equals an unprobed one bit for bit."""

from functools import partial

import pytest
import torch
from torch import nn

from normlab.nn import normalizer
from normlab.probes import (
    Monitor,
    activation_moments,
    covariate_shift,
    directional_curvature,
    landscape,
    top_eigenvalues,
)
from tests.reference.models import classification

OPTIMIZERS = {
    "sgd": partial(torch.optim.SGD, lr=0.1),
    "momentum": partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "adam": partial(torch.optim.Adam, lr=0.01),
}
LAYERS = {
    "batch": lambda: normalizer("batch", 6, dims=0),
    "dropout": lambda: nn.Dropout(0.3),
    "noisy_batch": lambda: normalizer("noisy_batch", 6, dims=0),
}


def train(optimizer: str, layer: str, probed: bool) -> list[torch.Tensor]:
    """All weights, buffers, gradients and optimizer states after a few steps, and the random stream."""
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(4, 6), LAYERS[layer](), nn.ReLU(inplace=True), nn.Linear(6, 3))
    stepper = OPTIMIZERS[optimizer](model.parameters())
    probes = {
        "landscape": partial(landscape, step_sizes=[0.1, 1.0]),
        "random": partial(landscape, step_sizes=[0.1], direction="random", gradients=False),
        "shift": partial(covariate_shift, optimizer=stepper),
        "curvature": directional_curvature,
        "sharpness": partial(top_eigenvalues, max_products=3),
        "moments": lambda m, loss, b: activation_moments(m, b, ["1"], units=3),
    }
    monitor = Monitor(model, classification, every=2, probes=probes)
    for step in range(6):
        batch = (torch.randn(8, 4), torch.randint(0, 3, (8,)))
        stepper.zero_grad()
        loss = classification(model, batch)
        if probed:  # between forward and backward: the graph that the caller holds must stay valid too
            monitor(step, batch)
        loss.backward()
        stepper.step()
    state = [value for entry in stepper.state.values() for value in entry.values() if isinstance(value, torch.Tensor)]
    return [*model.state_dict().values(), *(p.grad for p in model.parameters()), *state, torch.get_rng_state()]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("layer", LAYERS)
def test_probed_training_is_unprobed_training_bit_for_bit(optimizer: str, layer: str) -> None:
    plain, probed = train(optimizer, layer, False), train(optimizer, layer, True)
    assert len(plain) == len(probed)
    assert all(torch.equal(a, b) for a, b in zip(plain, probed, strict=True))
