"""What functions and classes declare: what is frozen, what is given by name, and what a call without it means."""

import ast
import dataclasses
import importlib
import inspect
import math
import pkgutil
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import pytest
from tests.architecture.imports import modules

import normlab

ROOMS = ("nn", "probes", "theory", "runs", "studies", "analysis")
MUTABLE = {"normlab.studies.budget.Account"}  # grows while runs end
BY_NAME_ALONE = "normlab.theory"  # results of many numbers

# what a caller gets who does not say otherwise, as the documentation has it
DEFAULTS: dict[str, dict[str, object]] = {
    "normlab.nn.initialization.build_conv3x3": {"stride": 1},
    "normlab.nn.initialization.build_linear": {"bias": True},
    "normlab.nn.networks.deep_linear.deep_linear": {"depth": 25, "features": 10, "last_layer": False},
    "normlab.nn.networks.resnet.resnet": {"depth": 20, "num_classes": 10, "width": 1.0},
    "normlab.nn.networks.vgg.vgg": {"depth": 16, "width": 1.0, "num_classes": 10, "in_channels": 3},
    "normlab.nn.normalizers.batch_mean_only.MeanOnlyBatchNorm": {"dims": 2, "affine": True, "momentum": 0.1},
    "normlab.nn.normalizers.noise.Noise": {
        "dims": 2, "mean_range": 0.5, "scale_range": 1.25, "mean_jitter": 0.1, "scale_jitter": 0.1
    },
    "normlab.nn.normalizers.noisy_batch.NoisyBatchNorm1d": {"eps": 1e-5, "momentum": 0.1, "affine": True},
    "normlab.nn.normalizers.noisy_batch.NoisyBatchNorm2d": {"eps": 1e-5, "momentum": 0.1, "affine": True},
    "normlab.nn.power_mean.PowerMeanNorm": {"dims": 2, "eps": 1e-5, "momentum": 0.1, "affine": True},
    "normlab.nn.registry.normalizer": {"dims": 2},
    "normlab.probes.density.spectral_density": {"vectors": 4, "steps": 30, "points": 1001},
    "normlab.probes.eigenvalues.top_eigenvalues": {"k": 1, "tol": 1e-3, "max_products": 100},
    "normlab.probes.entry.objective_at": {"trainable": True},
    "normlab.probes.landscape.landscape": {"gradients": True},
    "normlab.probes.landscape.walk_from": {"gradients": True},
    "normlab.probes.moments.activation_moments": {"units": 64, "histograms": True},
    "normlab.probes.monitor.Monitor": {"every": 1, "updates": False},
    "normlab.probes.trace.trace": {"max_products": 99},
    "normlab.runs.evaluation.score": {"batch_size": 1000},
    "normlab.runs.training.Progress.read": {"at_least": 1},
    "normlab.studies.budget.spend": {"side_by_side": 1},
    "normlab.studies.checkpoints.walks.record_gradient_walk": {"number": 0},
    "normlab.studies.checkpoints.walks.record_walk": {"number": 0},
    "normlab.studies.checkpoints.walks.record_walks": {"controls": True},
    "normlab.studies.deep_linear.curvature.top_eigenvalue": {"tolerance": 1e-3},
    "normlab.studies.deep_linear.network.Network": {"affine": True, "eps": 1e-5, "last_layer": False},
    "normlab.studies.statements.table.Tally.share": {"given": True},
    "normlab.studies.statements.trained_units.evenly_spaced": {"count": 0},
    "normlab.analysis.catalog.Quantity": {"signed": False, "center": "median"},
    "normlab.analysis.estimates.PerSeed": {"limits": (-math.inf, math.inf), "lacks": "", "kind": "number"},
    "normlab.analysis.estimates.exact": {"limits": (-math.inf, math.inf)},
    "normlab.analysis.layers.layer_fold": {"later": False},
    "normlab.analysis.layers.typical_layer": {"later": False},
    "normlab.analysis.parts.PartResult": {"seeds": 0, "enough": False, "signed": 0},
    "normlab.analysis.projection.over_layers": {"relative": False},
    "normlab.analysis.rules.Part": {"check": False},
    "normlab.analysis.statistics.clustered_rank_correlation": {"confidence": 0.95, "resamples": 2000, "seed": 0},
    "normlab.analysis.statistics.median_interval": {"confidence": 0.95, "scale": "linear"},
    "normlab.analysis.statistics.order_statistics": {"confidence": 0.95},
    "normlab.analysis.statistics.share_interval": {"confidence": 0.95},
    "normlab.analysis.windows.in_window": {"worst": math.inf},
    "normlab.analysis.windows.median_in": {"worst": math.inf},
}  # fmt: skip

# numbers that results, their cost or their words depend on, and that tests elsewhere take from their modules
CONSTANTS: dict[str, dict[str, object]] = {
    "nn.networks.vgg": {
        "DEPTHS": {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)},
        "CHANNELS": (64, 128, 256, 512, 512),
    },
    "nn.networks.resnet": {"DEPTHS": (20, 32, 44, 56), "CHANNELS": (16, 32, 64)},
    "probes.walk": {"LIMIT": 100_000},
    "probes.moments": {"BINS": 64},
    "theory.normalization": {"TOLERANCE": 1e-9},
    "runs.cost": {"TIMED_STEPS": 2},
    "runs.evaluation": {"STATISTICS_BATCHES": 16},
    "runs.networks": {"LEAST_CLASSES": 2},
    "runs.progress": {"LIVE_AFTER_SECONDS": 60.0},
    "runs.resume": {"INTERVAL_SECONDS": 30.0},
    "runs.training": {"FLUSH_EVERY": 25},
    "studies.budget": {"SAID_EVERY": 20.0},
    "studies.checkpoints.walks": {"EIGENVALUE_PRODUCTS": 60},
    "studies.deep_linear.activations": {"HISTOGRAM_BINS": 50},
    "studies.deep_linear.lottery": {"CHUNK": 50, "LOSSES": 150, "LATE": 0.7},
    "studies.deep_linear.study": {"FIRST_STEPS": 100},
    "studies.limits": {"IMAGE_BYTES": 3072, "HISTORY_BYTES": 88},
    "studies.reparametrization": {"LARGEST_GAP": 1e-8},
    "analysis.catalog": {"ACCURACIES": (0.5, 0.6, 0.7, 0.8, 0.9, 0.99)},
    "analysis.estimates": {"SHARE": (0, 1), "COSINE": (-1, 1)},
    "analysis.lottery": {"RATE": 1e-6, "RANKS": range(1, 100)},
    "analysis.matching": {
        "EDGES": {
            "train_accuracy": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95),
            "loss": (*(1 / n for n in (4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2)), 1, 2, 4),
        }
    },
    "analysis.projection": {"ALIVE": 0.2},
    "analysis.statistics": {"MOST_FOR_T": 5, "LEAST_FOR_T": 3, "DECIDING_COVERAGE": 0.93},
    "analysis.verdicts": {"SAME_SIZE": 2.0},
    "analysis.windows": {"LEAST_COVERED": 0.8},
}  # fmt: skip


def of_the_science() -> Iterator[ModuleType]:
    for room in ROOMS:
        package = importlib.import_module(f"normlab.{room}")
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def declared() -> Iterator[tuple[str, Any]]:
    """Every function and class by its dotted name, with the functions of the classes."""
    for module in of_the_science():
        for name, value in vars(module).items():
            if getattr(value, "__module__", "") != module.__name__ or not isinstance(value, type | FunctionType):
                continue
            yield f"{module.__name__}.{name}", value
            if isinstance(value, type):
                for inner, function in vars(value).items():
                    function = getattr(function, "__func__", function)
                    if isinstance(function, FunctionType) and function.__module__ == module.__name__:
                        yield f"{module.__name__}.{name}.{inner}", function


def test_results_and_settings_cannot_be_changed() -> None:
    changeable = {
        name
        for name, value in declared()
        if isinstance(value, type) and dataclasses.is_dataclass(value) and not value.__dataclass_params__.frozen  # type: ignore[attr-defined]
    }
    assert changeable == MUTABLE
    assert normlab.theory.__name__ == BY_NAME_ALONE


def test_results_of_many_numbers_are_made_by_name_alone() -> None:
    results = [v for name, v in declared() if name.startswith(BY_NAME_ALONE) and dataclasses.is_dataclass(v)]
    assert len(results) >= 7
    for result in results:
        if hasattr(result, "holds_printed") or "lhs" in {field.name for field in dataclasses.fields(result)}:
            assert all(field.kw_only for field in dataclasses.fields(result)), result


def test_every_argument_can_be_given_by_its_name() -> None:
    for name, value in declared():
        if isinstance(value, FunctionType) and not value.__name__.startswith("<"):
            kinds = [each.kind for each in inspect.signature(value, follow_wrapped=False).parameters.values()]
            assert inspect.Parameter.POSITIONAL_ONLY not in kinds, name
            wrapped = [each.kind for each in inspect.signature(value).parameters.values()]
            assert inspect.Parameter.POSITIONAL_ONLY not in wrapped, name


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_call_that_does_not_say_otherwise(name: str) -> None:
    found = dict(declared())[name]
    signature = inspect.signature(found).parameters
    values = {key: signature[key].default for key in DEFAULTS[name]}
    assert values == DEFAULTS[name]
    assert [type(value) for value in values.values()] == [type(value) for value in DEFAULTS[name].values()]


@pytest.mark.parametrize("name", CONSTANTS)
def test_numbers_are_those_that_the_words_beside_them_say(name: str) -> None:
    module = importlib.import_module(f"normlab.{name}")
    assert {key: getattr(module, key) for key in CONSTANTS[name]} == CONSTANTS[name]


def test_no_zip_drops_an_end() -> None:
    """Rows beside rows of another number would be a mistake that nothing else shows."""
    for module in modules().values():
        if module.name.removeprefix("normlab.").partition(".")[0] in ROOMS:
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "zip":
                    strict = [key.value.value for key in node.keywords if key.arg == "strict"]  # type: ignore[attr-defined]
                    assert strict == [True], f"{module.path.name}:{node.lineno}"
