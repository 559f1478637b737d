"""Measurements of a model's loss landscape on one batch, at one point of training, that leave no trace.

All of them work on any `torch.nn.Module`, take `loss_fn(model, batch)`, run in the mode that the caller names (train by
default, with batch statistics), use the same random draws for all evaluations of one call, and put everything back bit
for bit. One batch is one batch: chunks are not accumulated, because batch statistics belong to the batch.
"""

from normlab.probes.batches import OverBatches
from normlab.probes.curvature import DirectionalCurvature, directional_curvature, hessian_vector_product
from normlab.probes.density import SpectralDensity, spectral_density
from normlab.probes.eigenvalues import Eigenvalues, top_eigenvalues
from normlab.probes.landscape import LandscapeProbe, landscape
from normlab.probes.moments import MomentsProbe, activation_moments
from normlab.probes.monitor import Monitor
from normlab.probes.plane import PlaneProbe, landscape_plane
from normlab.probes.sharpness import BatchSharpness, batch_sharpness
from normlab.probes.shift import ShiftProbe, covariate_shift
from normlab.probes.trace import Trace, trace

__all__ = [
    "BatchSharpness",
    "DirectionalCurvature",
    "Eigenvalues",
    "LandscapeProbe",
    "MomentsProbe",
    "Monitor",
    "OverBatches",
    "PlaneProbe",
    "ShiftProbe",
    "SpectralDensity",
    "Trace",
    "activation_moments",
    "batch_sharpness",
    "covariate_shift",
    "directional_curvature",
    "hessian_vector_product",
    "landscape",
    "landscape_plane",
    "spectral_density",
    "top_eigenvalues",
    "trace",
]
