"""A small instance of the deep linear study."""

import dataclasses

import pytest
import torch
from tests.studies.deep_linear.twin import Batch
from torch import Tensor

from normlab.specs.parts import names
from normlab.studies.deep_linear.network import Network
from normlab.studies.deep_linear.problem import Problem, draw_data, draw_weights, reduce_data

SEEDS = (3, 5, 8)


@dataclasses.dataclass(frozen=True)
class Instance:
    """Three seeds with perturbed affine parameters, and the raw data they came from."""

    network: Network
    problem: Problem
    params: Tensor  # (S, P)
    x: Tensor  # (S, N, F)
    teacher: Tensor  # (S, F, F)

    def batch(self, seed: int) -> Batch:
        """The raw inputs and targets of the seed at position `seed`."""
        return self.x[seed], self.x[seed] @ self.teacher[seed].mT

    def gradient(self) -> tuple[Tensor, Tensor]:
        """Loss (S,) and gradient (S, P) at the parameters."""
        with torch.no_grad():
            loss, gradient = self.network.evaluate(self.problem, self.params[:, None])
        return loss[:, 0], gradient[:, 0]


def build_instance(
    norm_layer: str,
    affine: bool = True,
    depth: int = 4,
    features: int = 3,
    samples: int = 17,
    last_layer: bool = False,
) -> Instance:
    x, teacher = draw_data(SEEDS, features, samples)
    network = Network(norm_layer, depth, features, affine, last_layer=last_layer)
    params = network.pack(draw_weights(SEEDS, depth, features))
    noise = torch.randn(params.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return Instance(network, reduce_data(SEEDS, x, teacher), params + 0.1 * noise, x, teacher)


@pytest.fixture(params=names("scale"))
def instance(request: pytest.FixtureRequest) -> Instance:
    return build_instance(request.param)
