"""Named random streams from one seed, so that no two uses of randomness ever share or disturb a stream."""

import hashlib
import os

import torch

CPU = torch.device("cpu")

STREAMS = {
    "init": "initial weights, of a network of images or of the deep linear network",
    "batches": "(epoch) order of the training images",
    "augment": "(step) crops and mirrors of a training batch",
    "other_batches": "(step, number) further training images that a probed step is measured on",
    "other_augment": "(step, number) their crops and mirrors",
    "fixed_batch": "training images that activations are followed on",
    "noise": "(step) Dropout and noisy BatchNorm in training update `step`, and in probes that repeat it",
    "test_noise": "(step) noisy BatchNorm where it is tested with its noise",
    "probe": "(step) random directions of the landscape walks",
    "relative_probe": "(step) random directions of the walks with one ‖Δw‖/‖w‖ for all layers",
    "eigenvalue": "(step), deep linear: () start vectors of the Lanczos iteration",
    "units": "(), deep linear: (layer) units whose activations are followed",
    "dln-inputs": "inputs of the deep linear problem",
    "dln-teacher": "teacher of the deep linear problem",
    "theory": "(samples) random cases of the statements; (layer) units of trained networks at which they are checked",
}
"""Every stream in use: its first name, and in parentheses what its further names are.

The deep linear study and the training study share four names: no run belongs to both. Two generators are numpy's and
need no torch: of the generated images (`normlab.data.textures`) and of the bootstrap (`normlab.analysis.statistics`).
"""


def derive(seed: int, *names: str | int) -> int:
    """The seed of the stream `names` of `seed`: the first 63 bits of SHA-256 over the names.

    A name belongs to one use (`STREAMS`): two uses of one stream would be correlated, whatever they are for.
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
