"""What a notebook cell shows: a figure with its caption, a paragraph, a table. The bytes depend on the content only."""

import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure

from normlab.figures.absent import hide_empty_panels, nothing_drawn
from normlab.pages import still
from normlab.pages.markdown import markdown_table
from normlab.pages.sources import Function, computed_by

FIGURE_NUMBER = re.compile(r"\(Figures? (\d+)")  # in a title: that of the paper

# a narrow table may break the name of a quantity, `landscape/loss_range`, between its words
NAME_BREAKS, NAME_BREAK = re.compile(r"(?<=\w)[/_](?=\w)"), r"\g<0><wbr>"


@dataclass(frozen=True, repr=False)
class Picture:
    """A figure with its caption, shown as an HTML `<figure>`; where nothing is drawn, as a line that says why.

    Attributes:
        figure: a matplotlib figure: for print, and for readers without scripts.
        caption: plain text: what is drawn, over how many runs, how bands and non-finite values are to be read.
        title: the caption's first words in bold.
        functions: what draws it and what defines the plotted quantities; the caption ends with links to them.
        live: the content of the interactive figure above it (`normlab.figures.live`); empty for none.
    """

    figure: Figure
    caption: str
    title: str
    functions: Sequence[Function]
    live: Mapping[str, Any] = field(default_factory=dict)

    @property
    def anchor(self) -> str:
        """The name that links lead to: `figure-4-loss-variation-…`, from the title."""
        words = re.sub(r"[^a-z0-9]+", "-", FIGURE_NUMBER.sub("", self.title).lower()).strip("-")
        number = FIGURE_NUMBER.search(self.title)
        return "-".join(["figure", *([number[1]] if number else []), *words.split("-")[:6]])

    @property
    def drawn(self) -> bool:
        """Whether there is anything to see."""
        return not nothing_drawn(self.figure)

    def _repr_html_(self) -> str:
        title = html.escape(self.title)
        if not self.drawn:
            reason = nothing_drawn(self.figure)
            said = html.escape(f"{reason[:1].upper()}{reason[1:]}.")
            return f'<p class="absent" id="{self.anchor}"><strong>{title}.</strong> {said}</p>'
        caption = html.escape(" ".join(filter(None, (self.caption, hide_empty_panels(self.figure)))))
        drawn = "; ".join(still.panels(self.figure))
        alt = html.escape(f"{self.title}. Panels: {drawn}." if drawn else self.title)
        shown = still.image(self.figure, alt)
        if self.live:
            data = still.packed(json.dumps(self.live, ensure_ascii=False, separators=(",", ":")))
            shown = (
                f'<div class="panels" hidden></div>\n<script type="application/json+gzip">{data}</script>\n'
                f'<details class="still" open><summary>as a still picture</summary>{shown}</details>'
            )
        elif packed := still.packed_csv(self.figure):
            shown += f'\n<script type="text/csv+gzip">{packed}</script>'
        return (
            f'<figure id="{self.anchor}">{shown}\n'
            f'<figcaption><strong>{title}.</strong> {caption} <a class="anchor" href="#{self.anchor}" '
            f'aria-label="link to this figure">#</a> {computed_by(self.functions)}</figcaption></figure>'
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
    """A table of plain texts, its plain form in Markdown; the first column is the row's name."""
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
    body = "\n".join(
        "<tr>"
        + f'<th scope="row">{NAME_BREAKS.sub(NAME_BREAK, html.escape(row[0]))}</th>'
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    plain = "\n\n".join(filter(None, [markdown_table(header, rows), caption]))
    markup = f'<div class="scroll"><table>{title}<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
    return Html(markup, plain)
