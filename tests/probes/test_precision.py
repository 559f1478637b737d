"""Types are what they say, and every switch is back where it was."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from normlab.probes.inventory import Inventory
from normlab.probes.precision import floating_dtype, full_precision, refuse_low_precision, twice_differentiable

NEWER = hasattr(torch.backends, "fp32_precision")  # torch 2.6 has the older switches alone
SWITCHES = [("cuda", "matmul"), ("cuda", "conv"), ("cuda", "rnn"), ("mkldnn", "matmul"), ("mkldnn", "conv")]


@pytest.fixture(autouse=True)
def _defaults() -> Iterator[None]:
    yield
    if NEWER:
        torch.backends.fp32_precision = "none"
        torch._C._set_fp32_precision_setter("mkldnn", "all", "none")
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True


def switches() -> list[str]:
    if NEWER:
        return [torch._C._get_fp32_precision_getter(*key) for key in SWITCHES]
    return [torch.get_float32_matmul_precision(), "tf32" if torch.backends.cudnn.allow_tf32 else "ieee"]


@pytest.mark.parametrize("setting", ["default", "medium", "legacy", "inherited", "inherited from oneDNN"])
def test_float32_is_float32_inside_and_switches_are_as_before_outside(setting: str) -> None:
    if setting == "medium":
        torch.set_float32_matmul_precision("medium")
    elif setting == "legacy":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = False
    elif not NEWER and setting != "default":
        pytest.skip("this torch has no switch that inherits")
    elif setting == "inherited":
        torch.backends.fp32_precision = "tf32"
    elif setting == "inherited from oneDNN":
        torch._C._set_fp32_precision_setter("mkldnn", "all", "tf32")
    before = switches()
    with full_precision():
        assert switches() == (["ieee"] * len(SWITCHES) if NEWER else ["highest", "ieee"])
        if not setting.startswith(
            "inherited"
        ):  # torch refuses to read the older switches while they contradict the newer
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.backends.cudnn.allow_tf32
    assert switches() == before
    if setting == "inherited":  # a switch that inherits must go on inheriting
        torch.backends.fp32_precision = "none"
        assert switches() != before
    if setting == "inherited from oneDNN":
        torch._C._set_fp32_precision_setter("mkldnn", "all", "none")
        assert switches() != before


def test_autocast_is_off_inside() -> None:
    layer, x = nn.Linear(4, 4), torch.ones(2, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
        with full_precision():
            assert layer(x).dtype == torch.float32
        assert layer(x).dtype == torch.bfloat16


def test_results_have_the_widest_trainable_type() -> None:
    assert floating_dtype(Inventory(nn.Linear(2, 2))) == torch.float32
    assert floating_dtype(Inventory(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()))) == torch.float64


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.half, torch.complex32])
def test_other_types_are_refused_and_told_to_cast(dtype: torch.dtype) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, dtype=dtype).requires_grad_(False))
    with pytest.raises(TypeError, match=r"'1.weight' is torch.* cast the model first"):
        floating_dtype(Inventory(model))


def test_half_precision_hidden_inside_a_loss_is_refused() -> None:
    w = torch.ones(3, requires_grad=True)
    with pytest.raises(TypeError, match=r"computed in torch.bfloat16"):
        refuse_low_precision((w.to(torch.bfloat16) * 2).float().sum())
    refuse_low_precision((w * 2).double().sum())


@pytest.mark.parametrize("dim", [0, 1, -1, None])
def test_weight_normalization_has_a_right_second_derivative(dim: int | None) -> None:
    torch.manual_seed(0)
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3, dtype=torch.float64), dim=dim)
    x = torch.randn(5, 4, dtype=torch.float64)
    v, g = layer.parametrizations.weight.original1, layer.parametrizations.weight.original0

    def of(g: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        names = {"parametrizations.weight.original0": g, "parametrizations.weight.original1": v}
        return torch.func.functional_call(layer, names, (x,)).square()

    plain = layer(x)
    with twice_differentiable(layer):
        assert torch.allclose(layer(x), plain, rtol=1e-14)  # the same function, summed in another order
        assert torch.autograd.gradgradcheck(of, (g, v))
