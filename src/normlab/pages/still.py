"""A matplotlib figure as the still picture of a page: an SVG that follows the reader's light or dark colors.

An SVG inside `<img>` sees the page's color scheme. Its grays become variables, which a style of its own sets for both.
The same figure has the same bytes.
"""

import base64
import csv
import gzip
import io
import re
from urllib.parse import quote

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

LARGEST_SVG = 120_000  # bytes; a larger one (thousands of histogram bars) is smaller as dots
UNQUOTED = " !'()*+,/:;=?@-._~[]{}|^`"  # what an address inside an attribute may keep as it is
COLORS = 96  # of such a picture: translucent curves on each other make thousands, which nobody tells apart
RESOLUTION = 130  # dots per inch of figures 10 or 12 inches wide: sharp at page width on a dense screen, yet small
# as matplotlib writes them, with what they are in the dark; ink is its default, which it leaves out
GRAYS = {"#dddddd": "#3a414b", "#444444": "#b9c0ca", "#666666": "#a2abb8", "#333333": "#c9ced6", "#cccccc": "#4a515c"}
DARKER = {"#332288": "#8f83e0", "#882255": "#d873a6", "#6e6e6e": "#a8a8a8", "#7a7a1f": "#b9b94a", "#0072b2": "#3a9bdc"}
INK = ("#000000", "#e4e7eb")
PAPER = ("#ffffff", "#14171c")
SHORTER = [  # what a page does not need of matplotlib's SVG, a third of it
    (re.compile(pattern, re.S), better)
    for pattern, better in (
        (r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<!--.*?-->", ""),
        (r"(\.\d)\d{3,}", r"\1"),  # coordinates to a tenth of a point; opacities have two digits
        (r"font-family: [^;\"]*;?", ""),
        (r' id="(?![mp][0-9a-f]{10}")[^"]*"', ""),  # kept: what is pointed to
        (r" transform=\"rotate\(-0 [^\"]*\"", ""),
        (r"\s*\n\s*", " "),
        (r"> <", "><"),
        (r"<g>((?:<use [^>]*/>)*)</g>", r"\1"),
    )
]


def image(figure: Figure, alt: str) -> str:
    """The `<img>` element with the figure inside.

    Args:
        figure: what is drawn.
        alt: the text for readers who cannot see it, as HTML.
    """
    drawn = svg(figure)
    if len(drawn) <= LARGEST_SVG:
        return f'<img alt="{alt}" src="data:image/svg+xml,{quote(drawn, safe=UNQUOTED)}">'
    return (
        f'<img class="dots" alt="{alt}" src="data:image/webp;base64,{base64.b64encode(dots(figure)).decode("ascii")}">'
    )


def dots(figure: Figure) -> bytes:
    """The figure as lossless WebP of at most `COLORS` colors, without software and date."""
    buffer, smaller = io.BytesIO(), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=RESOLUTION)
    few = Image.open(buffer).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    few.convert("RGB").save(smaller, format="WEBP", lossless=True, quality=100)  # of effort, a fifth less than PNG
    return smaller.getvalue()


def svg(figure: Figure) -> str:
    """The figure as SVG, without date and software, grays as variables."""
    buffer = io.StringIO()
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # a second layout would move the panels by a hair
    with rc_context({"svg.hashsalt": "normlab", "svg.fonttype": "none", "path.simplify_threshold": 0.5}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    for pattern, better in SHORTER:
        text = pattern.sub(better, text)
    text = re.sub(r'(?<= d=")M [MLz\d. -]+(?=")', lambda found: _relative(found[0]), text)
    named = {**GRAYS, **DARKER, INK[0]: INK[1], PAPER[0]: PAPER[1]}
    text = re.sub(r"#[0-9a-f]{6}\b", lambda found: _variable(found[0]) if found[0] in named else found[0], text)
    light = "".join(f"--{color[1:]}:{color};" for color in named)
    dark = "".join(f"--{color[1:]}:{other};" for color, other in named.items())
    always = f"svg{{{light}fill:var(--000000);font-family:'DejaVu Sans',Verdana,sans-serif}}"
    style = f"<style>{always}@media (prefers-color-scheme:dark){{svg{{{dark}}}}}@media print{{svg{{{light}}}}}</style>"
    return re.sub(r"(<svg[^>]*>)", rf"\1{style}", text.strip(), count=1)


def _relative(path: str) -> str:
    """A path of straight lines in tenths of a point, each point from the one before: half of the bytes.

    Rounded is the place, not the way from the point before, so that nothing adds up. Points on each other are one.
    """
    found: list[str] = []
    start = at = (0, 0)
    for command, x, y in re.findall(r"([ML]) (\S+) (\S+)|z", path):
        if not command:
            found.append("z")
            at = start
            continue
        place = round(10 * float(x)), round(10 * float(y))
        if command == "M":
            found.append(f"M{_tenths(place[0])} {_tenths(place[1])}")
            start = place
        elif place != at:
            along, up = _tenths(place[0] - at[0]), _tenths(place[1] - at[1])
            found.append(f"h{along}" if up == "0" else f"v{up}" if along == "0" else f"l{along} {up}")
        at = place
    return "".join(found).replace(" -", "-")


def _tenths(value: int) -> str:
    """`12.3`, `12`, `-.5`."""
    whole, part = divmod(abs(value), 10)
    return f"{'-' if value < 0 else ''}{whole or ('' if part else 0)}{f'.{part}' if part else ''}"


def _variable(color: str) -> str:
    return f"var(--{color[1:]})"


def packed_csv(figure: Figure) -> str:
    """The lines of a figure as CSV (panel, line, x, y), compressed, as text; empty where there are none."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["panel", "line", "x", "y"])
    found = 0
    for place, ax in enumerate(figure.axes, start=1):
        panel = " ".join(ax.get_title().split()) or f"panel {place}"
        for line in ax.lines:
            name = line.get_gid() or line.get_label()
            points = np.asarray(line.get_xydata(), dtype=float)
            found += len(points)
            rows.writerows([panel, name, f"{x:.6g}", f"{y:.6g}"] for x, y in points)
    if not found:
        return ""
    return packed(text.getvalue())


def packed(text: str) -> str:
    """A text compressed and in letters of base64, for a script of a page to unpack; it can end no element."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode("ascii")


def panels(figure: Figure) -> list[str]:
    """The titles of the visible panels, each once."""
    shown = [ax for ax in figure.axes if ax.get_visible()]
    return list(dict.fromkeys(title for ax in shown if (title := " ".join(ax.get_title().split()))))
