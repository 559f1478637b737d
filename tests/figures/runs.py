"""Tidy tables of invented runs: every value is a formula of its keys, so that a test knows what to see."""

import math

import numpy as np
import pandas as pd

KINDS = ("none", "batch", "noisy_batch", "noise", "l1", "l2", "linf")
DLN_KINDS = ("none", "batch", "l1", "l2", "linf")
STEPS = 60
PROBED = (0, 1, 10, 20, 30, 40, 50, 60)
MULTIPLES = (0.25, 0.5, 1.0, 2.0, 4.0)
COLUMNS = [
    "study",
    "network",
    "norm_layer",
    "learning_rate",
    "variant",
    "seed",
    "probe",
    "layer",
    "step_size",
    "step",
    "batch",
    "quantity",
    "value",
]


def _rows(
    keys: tuple, probe: str, step: int, values: dict, layer: str = "", step_size: float = math.nan
) -> list[tuple]:
    return [(*keys, probe, layer, step_size, step, 0, quantity, float(value)) for quantity, value in values.items()]


def accuracy(kind: str, rate: float, seed: int, step: int) -> float:
    """The invented train accuracy: rises with the step, faster with a later normalizer, lower for a greater seed."""
    return min(1.0, 0.1 + step * (0.008 + 0.002 * KINDS.index(kind)) * (1 if rate < 0.4 else 0.5) - 0.01 * seed)


def effective_beta(kind: str, rate: float, seed: int, step: int) -> float:
    """The invented effective β: 2/rate and a little more for the plain network early on."""
    return 2 / rate * (1 + (0.5 if kind == "none" else 0.1) / (1 + step) + 0.05 * seed)


def _landscape(keys: tuple, probe: str, step: int, rate: float, sizes: list[float]) -> list[tuple]:
    kind, seed = keys[2], keys[5]
    rough = (3.0 if kind == "none" else 1.0) * (1 + 0.1 * seed)
    loss = 2.0 * math.exp(-step / 40)
    beta = effective_beta(kind, rate, seed, step)
    summary = {
        "loss": loss,
        "grad_norm": 1.5,
        "loss_low": 0.8 * loss,
        "loss_high": loss + rough,
        "loss_range": rough + 0.2 * loss,
        "gradient_distance_low": 0.5 * rough,
        "gradient_distance_high": 4 * rough,
        "effective_beta": beta,
    }
    rows = _rows(keys, probe, step, summary)
    for place, size in enumerate(sizes):
        values = {"loss": loss + rough * place / 4, "gradient_distance": rough * (place + 1), "gradient_cosine": 0.5}
        rows += _rows(keys, probe, step, {**values, "beta": beta / (place + 1)}, step_size=size)
    return rows


def _moments(kind: str, step: int, number: int) -> dict:
    size = {"none": 1.0, "batch": 0.1, "noisy_batch": 5.0}.get(kind, 0.5) / number
    names = ("mean_abs_change", "variance_abs_change", "mean_abs_change_1", "variance_abs_change_1")
    names += ("mean_drift", "variance_drift", "relative_mean_change", "wasserstein")
    return {name: size * (1 + place) / (1 + step / 30) for place, name in enumerate(names)}


def _probed(keys: tuple, rate: float, layers: int, sizes: list[float]) -> list[tuple]:
    kind, rows = keys[2], []
    dln = keys[0] == "dln"
    weight, norm = ("layers.linear", "layers.norm") if dln else ("features.conv", "features.norm")
    for step in PROBED:
        for probe in ("landscape", "landscape_random"):
            rows += _landscape(keys, probe, step, rate, sizes)
        rows += _landscape(keys, "landscape_equal_distance", step, rate, [0.1, 0.3, 1.0])
        curvature = {"rayleigh": 1.5 / rate, "stretch": 1.8 / rate, "top_eigenvalue": 2 / rate}
        rows += _rows(keys, "curvature", step, curvature)
        for number in range(1, layers + 1):
            far = 0.0 if number == 1 else number * (0.5 if kind == "none" else 0.6)
            cosine = 1.0 if number == 1 else 0.9 if kind == "none" else 0.4
            shift = {"l2": far, "relative_l2": far / 10, "cosine": cosine}
            rows += _rows(keys, "shift", step, shift, layer=f"{weight}{number}")
            rows += _rows(keys, "gradients", step, {"layer_grad_norm": number}, layer=f"{weight}{number}")
            if not dln:
                rows += _rows(keys, "activations", step, _moments(kind, step, number), layer=f"{norm}{number}")
    return rows


def measurements(
    *, kinds: tuple[str, ...] = KINDS, rates: tuple[float, ...] = (0.1, 0.5), seeds: int = 3
) -> pd.DataFrame:
    """Two studies: `vgg` (vgg11) and `dln`, with every probe and quantity of the tidy schema."""
    rows: list[tuple] = []
    for kind in kinds:
        for rate in rates:
            for seed in range(seeds):
                keys = ("vgg", "vgg11", kind, rate, "", seed)
                for step in range(STEPS):
                    value = accuracy(kind, rate, seed, step)
                    history = {
                        "loss": 2.51 - 2.5 * value,
                        "penalized_loss": 3.0,
                        "train_accuracy": value,
                        "grad_norm": 1.0,
                    }
                    rows += _rows(keys, "history", step, history)
                for step in (0, 30, 60):
                    test = {"test_accuracy": 0.9 * accuracy(kind, rate, seed, step), "test_loss": 1.0}
                    rows += _rows(keys, "test", step, test)
                rows += _probed(keys, rate, 8, [m * rate for m in MULTIPLES])
    for kind in [kind for kind in kinds if kind in DLN_KINDS]:
        for rate in (1e-6, 1e-7):
            for seed in range(seeds):
                keys = ("dln", "dln", kind, rate, "", seed)
                for step in range(STEPS):
                    loss = 4e4 * math.exp(-step / (40 + 10 * DLN_KINDS.index(kind))) * (1 + 0.1 * seed)
                    rows += _rows(keys, "history", step, {"loss": loss, "grad_norm": 1e3})
                rows += _probed(keys, rate, 25, [rate * m for m in (0.01, 0.1, 1.0, 10.0, 31.6)])
    return pd.DataFrame(rows, columns=COLUMNS)


def histograms(*, kinds: tuple[str, ...] = KINDS, study: str = "vgg") -> pd.DataFrame:
    """One tracked unit a layer; a normal distribution that widens with the step and has the normalizer's own scale."""
    rows = []
    cells = {"vgg": ("vgg11", 0.1, 8, "features.norm"), "dln": ("dln", 1e-6, 25, "layers.linear")}
    network, rate, layers, prefix = cells[study]
    for kind in kinds:
        for seed in (0, 1):
            for number in range(1, layers + 1):
                for step in PROBED:
                    width = (1 + step / 60) * (0.5 if kind == "none" else 1.0)
                    edges = np.linspace(-4 * width, 4 * width, 21)
                    centers = (edges[1:] + edges[:-1]) / 2
                    counts = np.round(1000 * np.exp(-((centers / width) ** 2) / 2)).astype(int)
                    rows += [
                        (study, network, kind, rate, "", seed, f"{prefix}{number}", 3, step, left, right, count)
                        for left, right, count in zip(edges, edges[1:], counts, strict=False)
                    ]
    names = [*COLUMNS[:6], "layer", "unit", "step", "left", "right", "count"]
    return pd.DataFrame(rows, columns=names)
