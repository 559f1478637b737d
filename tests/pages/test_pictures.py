import base64
import re

from matplotlib.figure import Figure

from normlab.pages.pictures import Picture, bullets, paragraphs, table


def drawing() -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1], [1, 0])
    return figure


def test_a_picture_is_inside_the_page_with_its_caption_and_a_text_for_those_who_cannot_see_it() -> None:
    markup = Picture(drawing(), "Bands: least < greatest.", "Loss & more", [drawing, "normlab.nn:vgg"])._repr_html_()
    data = re.search(r'src="data:image/png;base64,([^"]+)"', markup)
    assert data
    assert base64.b64decode(data.group(1)).startswith(b"\x89PNG")
    assert 'alt="Loss &amp; more"' in markup
    assert "<strong>Loss &amp; more.</strong> Bands: least &lt; greatest. <small" in markup
    assert '<a href="../../src/normlab/nn.py"><code>nn.vgg</code></a>.</small></figcaption>' in markup


def test_the_same_figure_has_the_same_bytes_and_names_no_software() -> None:
    first, second = (Picture(drawing(), "", "t", [])._repr_html_() for _ in range(2))
    assert first == second
    data = base64.b64decode(first.split("base64,")[1].split('"')[0])
    assert b"matplotlib" not in data.lower()


def test_text_is_escaped_and_empty_entries_are_left_out() -> None:
    assert paragraphs("a < b", "", "c")._repr_html_() == "<p>a &lt; b</p>\n<p>c</p>"
    assert bullets("", "x & y")._repr_html_() == "<ul>\n<li>x &amp; y</li>\n</ul>"
    markup = table(["", "<h>"], [["row", "1"]], "caption")._repr_html_()
    assert '<th scope="col">&lt;h&gt;</th>' in markup
    assert '<th scope="row">row</th><td>1</td>' in markup


def test_the_plain_form_has_no_address_of_an_object() -> None:
    for shown in (Picture(drawing(), "caption", "title", []), paragraphs("text"), table(["a"], [["b"]])):
        assert "0x" not in repr(shown)
