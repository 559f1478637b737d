"""Arithmetic that is what it says: float32 computed as float32, float64 as float64, on CPU and CUDA.

A probe subtracts nearly equal losses and gradients, so the ten mantissa bits of TF32, the seven of bfloat16 or an
autocast region that the caller happens to be in would be read as roughness of the landscape.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from normlab.probes.interrupts import closed_undisturbed
from normlab.probes.inventory import Inventory

ACCEPTED_DTYPES = (torch.float32, torch.float64)
_DOUBLE = (torch.float64, torch.complex128)
_MEASURED = (*ACCEPTED_DTYPES, torch.complex64, torch.complex128)
_LOW_PRECISION = tuple(
    dtype
    for name in (
        "float16",
        "bfloat16",
        "complex32",
        "float8_e4m3fn",
        "float8_e5m2",
        "float8_e4m3fnuz",
        "float8_e5m2fnuz",
    )
    if (dtype := getattr(torch, name, None)) is not None
)
# older torch (2.6 is supported) has the older switches alone, and they mean the same there
_HAS_NEWER_SWITCHES = hasattr(torch.backends, "fp32_precision")


def floating_dtype(inventory: Inventory) -> torch.dtype:
    """The real type that results of this model have: float32, or float64 as soon as one trainable parameter has it.

    Raises:
        TypeError: a floating parameter or buffer is of lower precision (bfloat16, half, complex half).
    """
    dtype = torch.float32
    for kind, named in (("parameter", inventory.parameters), ("buffer", inventory.buffers)):
        for name, tensor in named:
            if tensor.dtype not in _MEASURED and (tensor.is_floating_point() or tensor.is_complex()):
                wanted = "model.to(torch.complex64)" if tensor.is_complex() else "model.float()"
                raise TypeError(
                    f"{kind} {name!r} is {tensor.dtype}: probes measure float32 and float64 models only (complex64 and "
                    f"complex128 alike); cast the model first ({wanted}), batch included"
                )
            if tensor.dtype in _DOUBLE and kind == "parameter" and tensor.requires_grad:
                dtype = torch.float64
    return dtype


def refuse_low_precision(loss: Tensor) -> None:
    """Walk the graph of a loss once and refuse half precision inside it (an autocast region within the loss function).

    Raises:
        TypeError: a step of the graph computed in bfloat16 or half.
    """
    seen: set[torch.autograd.graph.Node] = set()
    pending = [loss.grad_fn]
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        for meta in getattr(node, "_input_metadata", ()):
            if meta.dtype in _LOW_PRECISION:
                raise TypeError(
                    f"the loss is computed in {meta.dtype} ({node.name()}): an autocast region or a cast inside the "
                    "model or loss_fn; probes measure float32 and float64 only, so leave it out for the probe"
                )
        pending.extend(parent for parent, _ in node.next_functions)


@contextmanager
def full_precision() -> Iterator[None]:
    """TF32, reduced-precision CPU kernels, autocast and the inference-only attention path off; compiled code eager;
    no anomaly detection, which makes an error of a gradient that is not finite (a result, here).

    Everything is put back as it was, a switch that inherits its value included.
    """
    with closed_undisturbed() as stack:
        stack.enter_context(_float32_is_float32())
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.is_anomaly_enabled():
            stack.enter_context(torch.autograd.set_detect_anomaly(False))
        if "torch._dynamo" in sys.modules:  # else nothing can be compiled, neither model nor loss function
            # compiled graphs have no second derivative and may fuse (round) differently from call to call
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        fastpath = torch.backends.mha.get_fastpath_enabled()
        if fastpath:
            # without a graph, TransformerEncoderLayer takes another path than with one, with other padding rules
            stack.callback(torch.backends.mha.set_fastpath_enabled, True)
            torch.backends.mha.set_fastpath_enabled(False)
        yield


@contextmanager
def twice_differentiable(model: nn.Module) -> Iterator[None]:
    """Kernels whose second derivative exists and is right: attention and weight normalization by their formulas,
    recurrent layers without cuDNN and oneDNN."""
    with closed_undisturbed() as stack:
        stack.enter_context(_ByFormula())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if any(isinstance(module, nn.RNNBase) for module in model.modules()):
            stack.callback(setattr, torch.backends.cudnn, "enabled", torch.backends.cudnn.enabled)
            torch.backends.cudnn.enabled = False
            stack.callback(setattr, torch.backends.mkldnn, "enabled", torch.backends.mkldnn.enabled)
            setattr(torch.backends.mkldnn, "enabled", False)  # noqa: B010 (its annotation is a descriptor)
        yield


class _ByFormula(TorchFunctionMode):
    """Functions from differentiable steps where torch's own kernel has no second derivative, or a wrong one.

    Missing: hardsigmoid (every MobileNetV3). Wrong: the fused weight normalization (torch 2.15, CPU: `gradgradcheck`
    fails, and the Hessian comes out asymmetric).
    """

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return _FORMULAS.get(function, function)(*args, **(kwargs or {}))


def _hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    value = nn.functional.relu6(input + 3) / 6
    return input.copy_(value) if inplace else value


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    axes = [axis for axis in range(v.ndim) if dim == -1 or axis != dim % v.ndim]  # -1 is one norm for all of v
    return v * (g / torch.linalg.vector_norm(v, dim=axes, keepdim=dim != -1))


# private names, because a mode is given what runs: the C functions that the public ones end in
_FORMULAS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch._weight_norm: _weight_norm,
    nn.functional.hardsigmoid: _hardsigmoid,
    torch._C._nn.hardsigmoid: _hardsigmoid,
}


@contextmanager
def _float32_is_float32() -> Iterator[None]:
    with closed_undisturbed() as stack:
        parents, leaves = _newer_switches() if _HAS_NEWER_SWITCHES else ([], [])
        for switch in parents:
            # a parent is cleared as soon as it is read, so that the next ones read as themselves
            stack.callback(setattr, switch, "fp32_precision", switch.fp32_precision)
            switch.fp32_precision = "none"
        for switch in leaves:
            stack.callback(setattr, switch, "fp32_precision", switch.fp32_precision)
        legacy = _legacy_switches()
        if legacy is not None:
            # torch refuses to read the older switches while they contradict the newer: move both together
            matmul, cudnn = legacy
            stack.callback(setattr, torch.backends.cudnn, "allow_tf32", cudnn)
            stack.callback(torch.set_float32_matmul_precision, matmul)
            torch.set_float32_matmul_precision("highest")
            setattr(torch.backends.cudnn, "allow_tf32", False)  # noqa: B010 (its annotation is a descriptor)
        for switch in leaves:
            switch.fp32_precision = "ieee"
        yield


def _newer_switches() -> tuple[list[Any], list[Any]]:
    """What has an attribute `fp32_precision`: parents before their children, which read as the parent if never set."""
    backends: Any = torch.backends
    parents = [backends, backends.cudnn, _OneDnn()]
    return parents, [
        backends.cuda.matmul,
        backends.cudnn.conv,
        backends.cudnn.rnn,
        backends.mkldnn.matmul,
        backends.mkldnn.conv,
        backends.mkldnn.rnn,
    ]


class _OneDnn:
    """oneDNN's switch, by torch's private functions: the public attribute of torch.backends.mkldnn (2.15) reads it, but
    writes the one of torch.backends."""

    @property
    def fp32_precision(self) -> str:
        return torch._C._get_fp32_precision_getter("mkldnn", "all")

    @fp32_precision.setter
    def fp32_precision(self, value: str) -> None:
        torch._C._set_fp32_precision_setter("mkldnn", "all", value)


def _legacy_switches() -> tuple[str, bool] | None:
    """torch's older switches, or None where the caller has set the newer ones and torch refuses to read these."""
    try:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    except RuntimeError:
        return None
