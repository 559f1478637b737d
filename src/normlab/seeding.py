"""Named random streams from one seed, so that no two uses of randomness ever share or disturb a stream."""

import hashlib
import os

import torch

CPU = torch.device("cpu")


def derive(seed: int, *names: str | int) -> int:
    """The seed of the stream `names` of `seed`: the first 63 bits of SHA-256 over the names.

    Streams in use: "init" (weights), ("batches", epoch), ("augment", step), ("noise", step) for Dropout and noisy
    BatchNorm in training, ("probe", step) for random directions and unit choices.
    """
    digest = hashlib.sha256("/".join(map(str, (seed, *names))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *names: str | int, device: str | torch.device = "cpu") -> torch.Generator:
    """A fresh torch generator at the start of the stream `names` of `seed`."""
    return torch.Generator(device=device).manual_seed(derive(seed, *names))


def seed_all(seed: int, *names: str | int) -> None:
    """Put torch's global generators (CPU and every CUDA device) at the start of the stream `names` of `seed`."""
    torch.manual_seed(derive(seed, *names))


def set_deterministic(device: torch.device = CPU) -> None:
    """Make torch compute on one thread, with deterministic algorithms and full float32 products for work on `device`.

    On the CPU the operations used here are deterministic as they are for a given number of threads, and sums come out
    with other bits for another number: so it is one. Two stages side by side use two cores better than one on both.
    """
    torch.set_num_threads(1)
    if device.type != "cuda":
        return  # the switch imports torch's compiler: seconds of every process, for nothing
    # cuBLAS reads this once, when its first handle is made; without it deterministic mode refuses matrix products
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
