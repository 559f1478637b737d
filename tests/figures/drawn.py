"""What a figure holds, found by the names (gid) that the drawing functions give."""

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def named(ax: Axes, gid: str) -> Artist:
    """The one artist of this name."""
    found = [artist for artist in ax.get_children() if artist.get_gid() == gid]
    assert len(found) == 1, f"{gid}: {len(found)} artists; there are {sorted(names(ax))}"
    return found[0]


def names(ax: Axes) -> set[str]:
    """All names in a panel."""
    return {str(artist.get_gid()) for artist in ax.get_children() if artist.get_gid()}


def everything(figure: Figure) -> set[str]:
    """All names in a figure."""
    return set().union(*(names(ax) for ax in figure.axes))


def legend_texts(figure: Figure) -> list[str]:
    """The entries of the figure's legends."""
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def has_words(figure: Figure) -> bool:
    """Whether every panel with data names both axes."""
    panels = [ax for ax in figure.axes if ax.lines or ax.collections]
    return all(ax.get_xlabel() or figure.get_supxlabel() for ax in panels)
