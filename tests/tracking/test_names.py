"""Names of metrics, in the order that MLflow shows them in, and thinned series."""

import itertools

import pytest

from normlab.tracking.names import metric_name, thin


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("history", "loss"), "fit/train_loss"),
        (("history", "train_accuracy"), "fit/train_accuracy"),
        (("test", "test_accuracy"), "fit/test_accuracy"),
        (("held_out", "held_out_loss"), "fit/held_out_loss"),
        (("landscape", "effective_beta"), "landscape/effective_beta"),
        (("landscape_relative", "loss_low"), "landscape_relative/loss_low"),
        (("curvature", "stretch"), "landscape_curvature/stretch"),
        (("activations", "normalized_layers"), "layers/activations/normalized_layers"),
        (("shift", "cosine", "features.conv5"), "layers/shift/cosine/features.conv5"),
    ],
)
def test_metric_names(arguments: tuple[str, ...], name: str) -> None:
    assert metric_name(*arguments) == name


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1000, 1003, 15_000])
def test_thinning_keeps_ends_and_spacing(count: int) -> None:
    points = list(range(count))
    kept = thin(points, 500)
    assert len(kept) <= 501
    assert kept[:1] == points[:1]
    assert kept[-1:] == points[-1:]
    if count <= 500:
        assert kept == points
    else:
        assert len({b - a for a, b in itertools.pairwise(kept[:-1])}) == 1


def test_sections_open_on_accuracy_and_loss_then_the_landscape_then_layers() -> None:
    probes = ["weights", "test", "landscape", "history", "curvature", "landscape_random", "activations", "held_out"]
    sections = [metric_name(probe, "x").split("/")[0].partition("_")[0] for probe in probes]
    assert list(dict.fromkeys(sorted(sections))) == ["fit", "landscape", "layers"]
    first = sorted(metric_name("history", name) for name in ("loss", "train_accuracy", "grad_norm", "penalized_loss"))
    assert first[:3] == ["fit/train_accuracy", "fit/train_grad_norm", "fit/train_loss"]
