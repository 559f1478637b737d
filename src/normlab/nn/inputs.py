"""What normalizers refuse."""

from torch import Tensor


def check_input(x: Tensor, channels: int, dims: int, kind: str) -> None:
    """Raise `ValueError` unless x has shape (N, channels) for dims=0 or (N, channels, H, W) for dims=2."""
    if x.dim() != dims + 2 or x.shape[1] != channels:
        expected = f"(N, {channels}, H, W)" if dims == 2 else f"(N, {channels})"
        raise ValueError(f"{kind}: expected an input of shape {expected}, got {tuple(x.shape)}")
