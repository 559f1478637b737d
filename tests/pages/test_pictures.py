import base64
import gzip
import io
import json
import re
from urllib.parse import unquote

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from normlab.figures.absent import empty_figure, say_nothing_to_draw
from normlab.figures.style import page_figure
from normlab.pages import still
from normlab.pages.pictures import Picture, bullets, paragraphs, table


def drawing() -> Figure:
    figure = Figure(figsize=(2, 1))
    ax = figure.subplots()
    ax.plot([0, 1], [1, 0.5], gid="line-none")
    ax.set_title("the loss")
    return figure


def crowded(panels: int = 3) -> Figure:
    """Translucent curves on each other, as of many layers and seeds."""
    figure = Figure(figsize=(12, 4))
    rng = np.random.default_rng(0)
    for ax in figure.subplots(1, panels):
        for color in ("C0", "C1", "C2", "#882255"):
            for _ in range(5):
                ax.fill_between(
                    range(400), *(rng.random((2, 400)).cumsum(axis=1) * [[1], [1.1]]), color=color, alpha=0.15
                )
                ax.plot(rng.random(400).cumsum(), color=color, linewidth=0.8, alpha=0.7)
    return figure


def svg_of(markup: str) -> str:
    (data,) = re.findall(r'src="data:image/svg\+xml,([^"]+)"', markup)
    return unquote(data)


def test_a_picture_is_inside_the_page_with_its_caption_and_a_text_for_those_who_cannot_see_it() -> None:
    markup = Picture(drawing(), "Bands: least < greatest.", "Loss & more", [drawing, "normlab.nn:vgg"])._repr_html_()
    assert svg_of(markup).startswith("<svg")
    assert 'alt="Loss &amp; more. Panels: the loss."' in markup
    assert "<strong>Loss &amp; more.</strong> Bands: least &lt; greatest. <a" in markup
    assert '<a href="../../src/normlab/nn.py"><code>nn.vgg</code></a>.</small></figcaption>' in markup


@pytest.mark.parametrize(
    ("title", "anchor"),
    [
        ("Loss variation (Figure 4)", "figure-4-loss-variation"),
        ("Accuracy, with β (Figures 5a, 12a)", "figure-5-accuracy-with-a-12a"),
        ("Equal ‖Δw‖, and others", "figure-equal-w-and-others"),
    ],
)
def test_every_figure_has_an_anchor_that_starts_with_the_paper_s_number(title: str, anchor: str) -> None:
    picture = Picture(drawing(), "", title, [])
    assert picture.anchor == anchor
    assert f'<figure id="{anchor}">' in picture._repr_html_()
    assert f'href="#{anchor}"' in picture._repr_html_()


def test_the_same_figure_has_the_same_bytes_and_names_no_software_nor_day() -> None:
    first, second = (Picture(drawing(), "", "t", [])._repr_html_() for _ in range(2))
    assert first == second
    picture = Picture(drawing(), "", "t", [])
    assert picture._repr_html_() == picture._repr_html_()
    assert not re.search(r"matplotlib|20\d\d-", svg_of(first), flags=re.I)


def test_a_still_picture_follows_light_and_dark_colors() -> None:
    drawn = still.svg(drawing())
    style = drawn.partition("</style>")[0]
    assert "prefers-color-scheme:dark" in style
    written = drawn.partition("</style>")[2]
    for color in (*still.GRAYS, still.INK[0], still.PAPER[0]):
        assert color not in written
    assert "var(--ffffff)" in written
    assert "opacity: 0.18" in still.svg(_filled(0.18))  # coordinates are shortened, opacities are not


def _filled(alpha: float) -> Figure:
    figure = drawing()
    figure.axes[0].fill_between([0, 1], [0, 1], alpha=alpha)
    return figure


def test_a_picture_of_too_many_shapes_is_dots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(still, "LARGEST_SVG", 100)
    markup = still.image(drawing(), "alt")
    (data,) = re.findall(r'<img class="dots" alt="alt" src="data:image/webp;base64,([^"]+)">', markup)
    assert base64.b64decode(data)[8:12] == b"WEBP"
    assert markup == still.image(drawing(), "alt")


def test_a_crowded_picture_of_dots_takes_less_than_half_of_its_bytes_and_keeps_its_colors() -> None:
    """A page with a picture of every layer and five seeds was 1.7 MB, of it one picture 1.0 (limit of a page: 1.5)."""
    figure, plain = crowded(), io.BytesIO()
    figure.savefig(plain, format="png", dpi=still.RESOLUTION)
    drawn = still.dots(figure)
    assert len(drawn) < len(plain.getvalue()) / 2
    before, after = (np.asarray(Image.open(file).convert("RGB"), int) for file in (plain, io.BytesIO(drawn)))
    assert np.abs(before - after).mean() < 2  # of 255


@pytest.mark.parametrize(
    ("path", "shorter"),
    [
        ("M 40.1 189.8 L 716.9 189.8 L 716.9 41.6 z ", "M40.1 189.8h676.8v-148.2z"),
        ("M 1 2 L 1.04 2.04 L 1.1 2 M 0.5 0 L 0 0.5 ", "M1 2h.1M.5 0l-.5 .5"),
        ("M 0 0 L 1 0 z L 2 0 ", "M0 0h1zh2"),  # z goes back to where the path began
    ],
)
def test_a_path_says_how_far_each_point_is_from_the_one_before(path: str, shorter: str) -> None:
    assert still._relative(path) == shorter


def test_rounding_does_not_add_up_along_a_path() -> None:
    places = np.random.default_rng(0).random((5000, 2)).cumsum(axis=0)
    drawn = still._relative("M " + " L ".join(f"{x:.6f} {y:.6f}" for x, y in places))
    steps = np.zeros(2)
    for command, numbers in re.findall(r"([Mlhv])([^Mlhv]*)", drawn):
        way = list(map(float, numbers.replace("-", " -").split()))
        steps += {"h": [way[0], 0.0], "v": [0.0, way[0]]}.get(command, way)
    assert np.abs(steps - places[-1]).max() < 0.051  # half of a tenth, and float64


def test_panels_with_nothing_drawn_leave_their_width_to_the_others() -> None:
    """Page 07 of a record without trained networks' statements was half empty."""
    figure, axes = page_figure(1, 2)
    axes[0, 0].plot([0, 1])
    axes[0, 1].set_title("assumptions")
    say_nothing_to_draw(axes[0, 1], "not run")
    assert "Not drawn: assumptions (not run)." in Picture(figure, "", "t", [])._repr_html_()
    figure.draw_without_rendering()
    assert axes[0, 0].get_position().width > 0.8


def test_the_drawn_lines_are_in_the_page_as_data() -> None:
    markup = Picture(drawing(), "", "t", [])._repr_html_()
    (packed,) = re.findall(r'<script type="text/csv\+gzip">([^<]+)</script>', markup)
    assert gzip.decompress(base64.b64decode(packed)).decode().splitlines() == [
        "panel,line,x,y",
        "the loss,line-none,0,1",
        "the loss,line-none,1,0.5",
    ]
    assert "text/csv" not in Picture(Figure(), "", "t", [])._repr_html_()


def test_an_interactive_figure_keeps_its_still_picture_and_ends_no_script() -> None:
    markup = Picture(drawing(), "", "t", [], {"panels": [{"title": "</script><b>"}]})._repr_html_()
    (data,) = re.findall(r'<script type="application/json\+gzip">(.*?)</script>', markup)
    assert json.loads(gzip.decompress(base64.b64decode(data))) == {"panels": [{"title": "</script><b>"}]}
    assert '<details class="still" open>' in markup
    assert svg_of(markup)


def test_a_figure_with_nothing_to_draw_is_a_line_of_words() -> None:
    figure, axes = page_figure(1, 2)
    for ax in axes.flat:
        say_nothing_to_draw(ax, "no < walk")
    for empty, reason in ((empty_figure("not run"), "Not run."), (figure, "No &lt; walk.")):
        markup = Picture(empty, "Bands.", "Loss (Figure 4)", [drawing])._repr_html_()
        assert markup == f'<p class="absent" id="figure-4-loss"><strong>Loss (Figure 4).</strong> {reason}</p>'
    axes[0, 0].clear()
    axes[0, 0].plot([0, 1], [1, 0])  # one panel of two has something
    assert Picture(figure, "", "t", [])._repr_html_().startswith("<figure")


def test_text_is_escaped_and_empty_entries_are_left_out() -> None:
    assert paragraphs("a < b", "", "c")._repr_html_() == "<p>a &lt; b</p>\n<p>c</p>"
    assert bullets("", "x & y")._repr_html_() == "<ul>\n<li>x &amp; y</li>\n</ul>"
    markup = table(["", "<h>"], [["row", "1"]], "caption")._repr_html_()
    assert '<th scope="col">&lt;h&gt;</th>' in markup
    assert '<th scope="row">row</th><td>1</td>' in markup


def test_the_plain_form_has_no_address_of_an_object() -> None:
    for shown in (Picture(drawing(), "caption", "title", []), paragraphs("text"), table(["a"], [["b"]])):
        assert "0x" not in repr(shown)


def test_a_panel_with_a_title_and_nothing_drawn_is_named_in_words_and_one_without_keeps_its_own() -> None:
    figure, axes = page_figure(1, 3)
    axes[0, 0].plot([0, 1], [1, 0])
    axes[0, 0].set_title("the loss")
    say_nothing_to_draw(axes[0, 1], "no < walk").set_title("the\nsharpness")
    say_nothing_to_draw(axes[0, 2], "not in the paper")
    picture = Picture(figure, "Bands.", "t", [drawing])
    for _ in range(2):  # a second look is the same
        markup = picture._repr_html_()
        assert "Bands. Not drawn: the sharpness (no &lt; walk). <a" in markup
        assert "Panels: the loss." in markup
        words = [ax.get_visible() for ax in axes.flat]
        assert words == [True, False, True]
