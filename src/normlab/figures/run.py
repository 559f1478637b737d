"""One run on its own: the picture that goes with it to the tracker."""

import pandas as pd
from matplotlib.figure import Figure

from normlab.figures.landscape import plot_edges
from normlab.figures.style import page_figure
from normlab.figures.training import plot_training


def run_figure(frame: pd.DataFrame) -> Figure:
    """Train and test accuracy, loss variation and gradient predictiveness of one run.

    Args:
        frame: the run's rows of the measurements table.
    """
    figure, axes = page_figure(2, 2)
    for ax, quantity, probe in zip(axes[0], ("train_accuracy", "test_accuracy"), ("history", "test"), strict=True):
        plot_training(frame[frame["probe"] == probe], ax, quantity)
    for ax, quantity in zip(axes[1], ("loss", "gradient_distance"), strict=True):
        plot_edges(frame[frame["probe"] == "landscape"], ax, quantity)
    return figure
