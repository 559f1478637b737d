"""What a notebook cell shows: a figure with its caption, a paragraph, a table. The bytes depend on the content only."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from normlab.pages.sources import Function, computed_by

RESOLUTION = 130  # dots per inch of figures 10 or 12 inches wide: sharp at page width on a dense screen, yet small


@dataclass(frozen=True, repr=False)
class Picture:
    """A figure with its caption, shown as an HTML `<figure>`.

    Attributes:
        figure: a matplotlib figure.
        caption: plain text: what is drawn, over how many runs, how bands and non-finite values are to be read.
        title: the caption's first words in bold, and the image's text for readers who cannot see it.
        functions: what draws it and what defines the plotted quantities; the caption ends with links to them.
    """

    figure: Figure
    caption: str
    title: str
    functions: Sequence[Function]

    def _repr_html_(self) -> str:
        buffer = io.BytesIO()
        # no software version in the file: the same figure has the same bytes
        self.figure.savefig(buffer, format="png", dpi=RESOLUTION, metadata={"Software": None})
        data = base64.b64encode(buffer.getvalue()).decode("ascii")
        title, caption = html.escape(self.title), html.escape(self.caption)
        return (
            f'<figure><img alt="{title}" src="data:image/png;base64,{data}">\n'
            f"<figcaption><strong>{title}.</strong> {caption} {computed_by(self.functions)}</figcaption></figure>"
        )

    def __repr__(self) -> str:
        return f"{self.title}. {self.caption}"


@dataclass(frozen=True, repr=False)
class Html:
    """A piece of HTML with a plain-text form."""

    markup: str
    plain: str = ""

    def _repr_html_(self) -> str:
        return self.markup

    def __repr__(self) -> str:
        return self.plain


def paragraphs(*sentences: str) -> Html:
    """Each argument is one paragraph of plain text; empty ones are left out."""
    kept = [sentence for sentence in sentences if sentence]
    return Html("\n".join(f"<p>{html.escape(text)}</p>" for text in kept), "\n\n".join(kept))


def bullets(*items: str) -> Html:
    """A list of plain-text items; empty ones are left out."""
    kept = [item for item in items if item]
    listed = "\n".join(f"<li>{html.escape(item)}</li>" for item in kept)
    return Html(f"<ul>\n{listed}\n</ul>", "\n".join(f"- {item}" for item in kept))


def table(header: list[str], rows: list[list[str]], caption: str = "") -> Html:
    """A plain-text table; the first column is the row's name."""
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
    body = "\n".join(
        "<tr>"
        + f'<th scope="row">{html.escape(row[0])}</th>'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    plain = "\n".join(" | ".join(row) for row in [header, *rows])
    markup = f'<div class="scroll"><table>{title}<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
    return Html(markup, plain)
