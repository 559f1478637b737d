r"""Loss and gradient of the deep linear network, for many seeds and many weights at once.

    y_1 = W_1 x,   a_l = gamma_l (y_l - mean(y_l)) / s(y_l) + beta_l,   y_{l+1} = W_{l+1} a_l,   f(x) = y_k or a_k

with s(y) per unit over the samples, as in `normlab.nn` (population statistics):

    batch  sqrt(var(y) + eps)    l2  sqrt(mean y^2 + eps)    l1  mean|y| + eps    linf  max|y| + eps    none  a_l = y_l

Every y_l is an affine map of the whitened samples, y_l = M_l zt with M_l of F x (F+1) (see
`normlab.studies.deep_linear.problem`), so forward and backward are products of 10x10 and 10x11 matrices; the mean is
the last column, the variance the squared row length of the rest. l1 and linf alone need the samples, and only for s
and its derivative D = ds/dM:

    l1    s = mean_n |M zt_n|,  D = mean_n sign(M zt_n) zt_n^T  and s = <D, M>, because s is homogeneous in M
    linf  s = |M zt_*|,         D = sign(M zt_*) zt_*^T  with zt_* the sample of the largest |M zt_n|

**Floor of one gradient**, 10 seeds, 25 layers, F = 10, N = 1000, one core of about 45 GFLOP/s in float64:

| | sample by sample | here |
|---|---|---|
| none, batch, l2 | 3 products of 10x10x1000 a layer: 150 MFLOP, 3.3 ms | 3 products of 10x10x11: 1.7 MFLOP, 0.04 ms |
| l1 | the same and 3 passes over 0.8 MB | 2 products of 10x11x1000: 106 MFLOP, 2.3 ms, one pass |
| linf | the same | 1 product: 53 MFLOP, 1.2 ms, two passes |

The small products are bound by the cost of starting an operation (about 1.5 us each, 20 a layer: 0.7 ms a gradient);
`benchmarks/deep_linear.py` prints the measured times beside these.

At kinks of |.| and max the derivative is the one of sign(0) = 0 and of the first largest sample; second derivatives are
those almost everywhere (D constant), exactly as automatic differentiation takes them.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from normlab.specs.dln import DlnSpec
from normlab.specs.parts import names, resolve
from normlab.studies.deep_linear.problem import Problem

Scale = Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor]]


class LayerMaps(NamedTuple):
    """Outputs as maps of the whitened samples, each (S, K, F, F+1).

    Unit i has mean `[..., i, F]` over the samples and variance `(row i of [..., :F])^2`.
    """

    linear: Tensor  # M_l, what goes into the normalizer
    norm: Tensor  # a_l, what comes out of it; the same without normalizer


@dataclass(frozen=True)
class _Trace:
    """What the backward pass needs of each layer; B = seeds x variants, lists over layers."""

    inputs: list[Tensor]  # a_{l-1} as a map, (B, F, F+1), and with `last_layer` a_k
    outputs: list[Tensor]  # M_l, (B, F, F+1)
    shrink: list[Tensor]  # 1/s_l, zero in the column of the mean, (B, F, F+1)
    slopes: list[Tensor]  # D_l / s_l, (B, F, F+1)

    @property
    def result(self) -> Tensor:
        """The network's output: a_k where the last layer is normalized, else M_k."""
        return self.inputs[-1] if len(self.inputs) > len(self.outputs) else self.outputs[-1]


@dataclass(frozen=True)
class Network:
    """The network's shape. Parameters are flat vectors: W_1..W_k row by row, then all gamma, then all beta.

    Args:
        norm_layer: one of `normlab.specs.parts.names("scale")`, after every layer but the last, or after all.
        depth: k, number of matrices, at least 2.
        features: F.
        affine: learn gamma (from 1) and beta (from 0).
        eps: see the module's equations.
        last_layer: normalize the last layer as well, f(x) = a_k; no effect with "none".
    """

    norm_layer: str
    depth: int
    features: int
    affine: bool = True
    eps: float = 1e-5
    last_layer: bool = False

    def __post_init__(self) -> None:
        if self.norm_layer not in names("scale"):
            raise ValueError(f"norm_layer: expected one of {', '.join(names('scale'))}, got {self.norm_layer!r}")
        if self.depth < 2:
            raise ValueError(f"depth: expected at least 2, got {self.depth}")

    @cached_property
    def scale(self) -> Scale | None:
        """The normalizer's function, from its file in `normlab.studies.scales`; None for no normalizer."""
        part = resolve(self.norm_layer, "scale")
        return getattr(importlib.import_module(part.module), part.attribute)

    @property
    def n_normalized(self) -> int:
        """How many of the layers have a normalizer, or with "none" a place for one: k - 1 or k."""
        return self.depth if self.last_layer and self.scale is not None else self.depth - 1

    @property
    def n_weights(self) -> int:
        """Number of matrix entries, k F^2."""
        return self.depth * self.features**2

    @property
    def n_params(self) -> int:
        """Number of parameters P of one network."""
        learned = self.affine and self.scale is not None
        return self.n_weights + 2 * learned * self.n_normalized * self.features

    def pack(self, weights: Tensor) -> Tensor:
        """Flat parameters (S, P) from the matrices (S, k, F, F), with gamma = 1 and beta = 0."""
        extra = (self.n_params - self.n_weights) // 2
        ones = weights.new_ones(len(weights), extra)
        return torch.cat([weights.flatten(1), ones, torch.zeros_like(ones)], 1)

    def unpack(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Views (B, k, F, F), (B, K, F, 1) and (B, K, F) of the flat parameters (B, P), with K = `n_normalized`."""
        shape = (len(params), self.n_normalized, self.features)
        weights = params[:, : self.n_weights].view(-1, self.depth, self.features, self.features)
        if self.n_params == self.n_weights:
            return weights, params.new_ones(1, 1, 1, 1).expand(*shape, 1), params.new_zeros(1, 1, 1).expand(shape)
        gamma, beta = params[:, self.n_weights :].view(-1, 2, *shape[1:]).unbind(1)
        return weights, gamma[..., None], beta

    def evaluate(self, problem: Problem, params: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and gradient at each of V weight vectors of each of S seeds, differentiable in `params`.

        Args:
            problem: the problems of the S seeds.
            params: (S, V, P).

        Returns:
            Loss (S, V) and gradient (S, V, P). Values that overflow are inf or NaN and leave the others untouched.
        """
        flat = params.reshape(-1, self.n_params)
        weights, gamma, beta = self.unpack(flat)
        trace = self._forward(problem, weights, gamma, beta)
        error = trace.result - _repeat(problem.targets, params.shape[1])
        loss = 0.5 * problem.n_samples * error.square().sum((-2, -1))
        gradient = self._backward(problem.n_samples * error, trace, weights, gamma)
        return loss.view(params.shape[:2]), gradient.view(params.shape)

    def layer_maps(self, problem: Problem, params: Tensor) -> LayerMaps:
        """The outputs of the layers that have a normalizer, l = 1..K, before it and after it, for (S, P)."""
        trace = self._forward(problem, *self.unpack(params))
        return LayerMaps(torch.stack(trace.outputs[: self.n_normalized], 1), torch.stack(trace.inputs[1:], 1))

    def _forward(self, problem: Problem, weights: Tensor, gamma: Tensor, beta: Tensor) -> _Trace:
        trace = _Trace([_repeat(problem.inputs, len(weights) // len(problem.inputs))], [], [], [])
        # columns of the samples' coordinates, which are normalized, and of the mean, which is replaced by beta
        spread = torch.ones(self.features + 1, dtype=weights.dtype, device=weights.device)
        spread[-1] = 0
        shift = beta[..., None] * (1 - spread)
        for layer in range(self.depth):
            output = torch.bmm(weights[:, layer], trace.inputs[-1])
            trace.outputs.append(output)
            if layer == self.n_normalized:
                break
            if self.scale is None:
                trace.inputs.append(output)
                continue
            inverse, slope = self.scale(problem.samples, output, spread, self.eps)
            shrink = inverse * spread
            trace.shrink.append(shrink)
            trace.slopes.append(slope * inverse)
            trace.inputs.append(torch.addcmul(shift[:, layer], output, shrink * gamma[:, layer]))
        return trace

    def _backward(self, delta: Tensor, trace: _Trace, weights: Tensor, gamma: Tensor) -> Tensor:
        """The gradient (B, P) from dL/dy_k = `delta`; a = gamma M/s + beta gives dM = gamma (da/s - <da, M/s> D/s)."""
        deltas: list[Tensor] = []
        d_gamma, d_beta = [], []
        for layer in range(self.depth, 0, -1):
            d_input = torch.bmm(weights[:, layer].mT, deltas[-1]) if deltas else delta
            if self.scale is None or layer > self.n_normalized:
                deltas.append(d_input)
                continue
            shrunk = d_input * trace.shrink[layer - 1]
            overlap = (shrunk * trace.outputs[layer - 1]).sum(-1, keepdim=True)
            d_gamma.append(overlap)
            d_beta.append(d_input[..., -1])
            deltas.append(gamma[:, layer - 1] * torch.addcmul(shrunk, overlap, trace.slopes[layer - 1], value=-1))
        d_weights = torch.stack(deltas[::-1], 1) @ torch.stack(trace.inputs[: self.depth], 1).mT
        if self.n_params == self.n_weights:
            return d_weights.flatten(1)
        return torch.cat(
            [part.flatten(1) for part in (d_weights, *(torch.stack(d[::-1], 1) for d in (d_gamma, d_beta)))], 1
        )


def build_network(spec: DlnSpec, norm_layer: str) -> Network:
    """The network of a cell: the shape of section `dln` with a normalizer."""
    shape = (spec.depth, spec.features, spec.affine, spec.eps, spec.last_layer)
    return Network(norm_layer, *shape)


def _repeat(per_seed: Tensor, variants: int) -> Tensor:
    return per_seed if variants == 1 else per_seed.repeat_interleave(variants, 0)
