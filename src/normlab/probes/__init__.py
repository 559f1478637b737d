"""Measurements of a model's loss landscape on one batch, at one point of training, that leave no trace.

All of them work on any `torch.nn.Module`, take `loss_fn(model, batch)`, run in the mode that the caller names (train by
default, with batch statistics), use the same random draws for all evaluations of one call, and put everything back bit
for bit. One batch is one batch: chunks are not accumulated, because batch statistics belong to the batch.
"""

from normlab.probes.curvature import (
    DirectionalCurvature,
    Eigenvalues,
    directional_curvature,
    hessian_vector_product,
    top_eigenvalues,
)
from normlab.probes.landscape import LandscapeProbe, landscape
from normlab.probes.moments import MomentsProbe, activation_moments
from normlab.probes.monitor import Monitor
from normlab.probes.shift import ShiftProbe, covariate_shift

__all__ = [
    "DirectionalCurvature",
    "Eigenvalues",
    "LandscapeProbe",
    "MomentsProbe",
    "Monitor",
    "ShiftProbe",
    "activation_moments",
    "covariate_shift",
    "directional_curvature",
    "hessian_vector_product",
    "landscape",
    "top_eigenvalues",
]
