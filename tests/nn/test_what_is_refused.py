"""Settings and inputs that normalizers refuse, and those at the edge that they take."""

import math
from typing import Any

import pytest
import torch

from normlab.nn import normalizer
from normlab.nn.initialization import scale_channels
from normlab.nn.inputs import check_input

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("channels", "options", "message"),
    [
        (0, {}, "channels: expected a whole number of at least 1, got 0"),
        (-3, {}, "channels: expected a whole number of at least 1, got -3"),
        (True, {}, "channels: expected a whole number of at least 1, got True"),
        (2.0, {}, "channels: expected a whole number of at least 1, got 2.0"),
        (4, {"dims": 1}, "dims: expected 2 for inputs (N, C, H, W) or 0 for (N, C), got 1"),
        (4, {"dims": 3}, "dims: expected 2 for inputs (N, C, H, W) or 0 for (N, C), got 3"),
        (4, {"dims": -1}, "dims: expected 2 for inputs (N, C, H, W) or 0 for (N, C), got -1"),
        (4, {"eps": -1e-12}, "eps: expected a finite number of at least 0, got -1e-12"),
        (4, {"eps": INF}, "eps: expected a finite number of at least 0, got inf"),
        (4, {"eps": NAN}, "eps: expected a finite number of at least 0, got nan"),
        (4, {"momentum": -0.1}, "momentum: expected a number from 0 to 1, or None, got -0.1"),
        (4, {"momentum": 1.1}, "momentum: expected a number from 0 to 1, or None, got 1.1"),
        (4, {"momentum": NAN}, "momentum: expected a number from 0 to 1, or None, got nan"),
    ],
)
def test_a_setting_out_of_range_is_refused_whether_or_not_it_has_an_effect(
    channels: Any, options: dict[str, Any], message: str
) -> None:
    for kind in ("none", "l1"):
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            normalizer(kind, channels, **options)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("channels", "options"),
    [(1, {}), (4, {"dims": 0}), (4, {"eps": 0.0}), (4, {"momentum": 0}), (4, {"momentum": 1}), (4, {"momentum": None})],
)
def test_settings_at_the_edge_are_taken(channels: int, options: dict[str, Any]) -> None:
    for kind in ("none", "batch", "l1"):
        assert normalizer(kind, channels, **options).from_norm_layer is True


@pytest.mark.parametrize(
    ("dims", "shape", "taken"),
    [
        (2, (2, 3, 4, 5), True),
        (2, (2, 3, 4), False),
        (2, (2, 3, 4, 5, 6), False),
        (2, (2, 4, 3, 3), False),
        (0, (2, 3), True),
        (0, (2, 4), False),
        (0, (3,), False),
        (0, (2, 3, 1, 1), False),
    ],
)
def test_an_input_has_as_many_axes_as_the_normalizer_was_made_for(
    dims: int, shape: tuple[int, ...], taken: bool
) -> None:
    if taken:
        check_input(torch.zeros(shape), 3, dims, "l1")
        return
    expected = "(N, 3, H, W)" if dims == 2 else "(N, 3)"
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        check_input(torch.zeros(shape), 3, dims, "l1")
    assert str(caught.value) == f"l1: expected an input of shape {expected}, got {shape}"


@pytest.mark.parametrize(
    ("channels", "width", "scaled"),
    [(64, 1.0, 64), (64, 0.25, 16), (3, 0.5, 2), (64, 1e-9, 1), (1, 0.4, 1), (6, 2.0, 12)],
)
def test_a_width_scales_channels_to_at_least_one(channels: int, width: float, scaled: int) -> None:
    assert scale_channels(channels, width) == scaled


@pytest.mark.parametrize("width", [0, -1.0, INF, NAN])
def test_a_width_that_is_no_positive_number_is_refused(width: float) -> None:
    with pytest.raises(ValueError, match=f"^width: expected a positive number, got {width!r}$"):
        scale_channels(64, width)


def test_an_unknown_option_is_told_those_that_there_are() -> None:
    def own(channels: int, alpha: float = 1.0, dims: int = 2, zeta: float = 2.0) -> torch.nn.Identity:
        return torch.nn.Identity()

    with pytest.raises(TypeError, match=r"own: unknown option 'beta'; accepted: affine, eps, momentum, alpha, zeta$"):
        normalizer(own, 4, beta=3.0)
    with pytest.raises(TypeError, match=r"^noise: unknown option 'groups'; accepted: affine, eps, momentum, mean_"):
        normalizer("noise", 4, groups=2)
