"""Every result draws itself, on the axes that it is given; nothing imports matplotlib before."""

import math
import subprocess
import sys

import matplotlib as mpl
import pytest

mpl.use("Agg")
from matplotlib import pyplot as plt

from normlab import probes
from tests.reference.models import BY_NAME


def results() -> dict[str, object]:
    model, loss, batch = BY_NAME["batch_mlp"].make()
    points = [[p.detach() + 0.1 * i for p in model.parameters()] for i in range(3)]
    return {
        "walk": probes.landscape(model, lambda m, b: loss(m, b).exp().exp(), batch, [0.4, 0.1, -0.2, 1e3]),
        "plane": probes.landscape_plane(model, loss, batch, [-1.0, 0.0, 1.0], [0.0, 1.0], trajectory=points),
        "shift": probes.covariate_shift(model, loss, batch, learning_rate=0.1)["3"],
        "moments": probes.activation_moments(model, batch, ["0"])["0"],
        "moments alone": probes.activation_moments(model, batch, ["0"], histograms=False)["0"],
        "eigenvalues": probes.top_eigenvalues(model, loss, batch, 2),
        "curvature": probes.directional_curvature(model, loss, batch),
        "trace": probes.trace(model, loss, batch, max_products=12),
        "density": probes.spectral_density(model, loss, batch, vectors=1, steps=5),
        "sharpness": probes.batch_sharpness(model, loss, [batch, batch]),
        "batches": probes.landscape(model, loss, batches=[batch, batch], step_sizes=[0.1]),
    }


def test_every_result_draws_itself() -> None:
    found = results()
    drawn = {type(result).__name__ for result in found.values()}
    assert drawn == {name for name in probes.__all__ if not name.islower()} - {"Monitor"}
    for name, result in found.items():
        figure, ax = plt.subplots()
        assert result.plot(ax) is ax
        assert ax.has_data(), name
        assert ax.get_ylabel(), name
        figure.canvas.draw()
        plt.close(figure)
    assert not math.isfinite(found["walk"].loss_high)
    ax = found["walk"].plot()
    assert ax.figure.number in plt.get_fignums()
    plt.close(ax.figure)
    curve = found["walk"].plot(plt.subplots()[1]).lines[0].get_xydata().tolist()
    plt.close("all")
    assert [x for x, _ in curve] == sorted(x for x, _ in curve)
    assert [0.0, found["walk"].loss] in curve


def test_single_batches_are_drawn_where_there_are_any() -> None:
    found = results()
    try:
        marked = found["sharpness"].plot(plt.subplots()[1])
        assert [text.get_text() for text in marked.get_legend().get_texts()] == [
            "each batch",
            "mean and standard error",
        ]
        single = [line for line in marked.lines if line.get_label() == "each batch"]
        assert [line.get_ydata().tolist() for line in single] == [found["sharpness"].per_batch.tolist()]
        assert [line.get_xdata().tolist() for line in single] == [[1, 2]]
        alone = found["trace"].plot(plt.subplots()[1])
        assert alone.get_legend() is None
        assert alone.lines[0].get_ydata().tolist() == [found["trace"].value]  # the others are the caps of its error
    finally:
        plt.close("all")


@pytest.mark.parametrize("draws", [False, True])
def test_matplotlib_is_imported_only_to_draw(draws: bool) -> None:
    program = (
        "import sys, torch; sys.modules['matplotlib'] = None\n"
        "from normlab.probes import directional_curvature\n"
        "found = directional_curvature(torch.nn.Linear(2, 1), lambda m, x: m(x).square().sum(), torch.eye(2))\n"
        + ("found.plot()" if draws else "")
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ("plots need matplotlib: pip install matplotlib" in done.stderr) == draws, done.stderr
