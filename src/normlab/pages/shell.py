"""The shell around every page: head with the one style sheet, navigation, footer.

Pages load the script that lies beside them and nothing else; without it they show their still pictures.
"""

import html
import os
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from normlab.pages.script import NAME

# Every page, in reading order: file name without suffix, name in the navigation, what it is about.
PAGES = {
    "01-training": ("Training", "Does BatchNorm train faster and test better? Figures 1, 2."),
    "02-landscape": ("Landscape", "Loss, gradient and β along the gradient, and five artefact checks. Figures 4, 11."),
    "03-covariate-shift": ("Covariate shift", "Does BatchNorm reduce the shift of Definition 2.1? Figure 3."),
    "04-activations": ("Activations", "How far distributions move during training. Figures 1(c), 2, 8."),
    "05-normalizers": ("Normalizers", "ℓp normalization and beyond; smoothness against speed. Figures 5(a), 6, 12."),
    "06-deep-linear": ("Deep linear", "25 linear layers by gradient descent. Figures 3(b), 5(b), 9, 10, 11(b), 13."),
    "07-theory": ("Theory", "Theorems 4.1, 4.2, 4.4, C.1 and Lemma 4.5 as printed and as corrected."),
    "08-probe-your-own-model": ("Your own model", "The probes on a torchvision ResNet and a small Transformer."),
    "09-projection": ("Projection", "Which part of BatchNorm's backward pass does training need? Beyond the paper."),
}


def named(page: str) -> tuple[str, str]:
    """The name of a page in the navigation, and what it is about; of one's own notebook the file's name alone."""
    return PAGES.get(page, (page, ""))


@dataclass(frozen=True)
class Shows:
    """What a page shows the results of, as its head says.

    Attributes:
        name: of the record or preset.
        kind: `Record` or `Preset`.
        others: name and address of the other records; empty for pages of one's own run.
        one_page: whether the record has one page alone.
        script: address of the script that all pages share.
        pages: names of the pages that there are beside the index.
    """

    name: str
    kind: str
    others: tuple[tuple[str, str], ...] = ()
    one_page: bool = False
    script: str = NAME
    pages: tuple[str, ...] = tuple(PAGES)


def page(title: str, body: str, current: str, shows: Shows) -> str:
    """A whole HTML page.

    Args:
        title: the title in the browser's tab.
        body: the HTML of the page's content.
        current: the page's own name in `PAGES`, or `index`.
        shows: what its results are of.
    """
    css = resources.files("normlab.pages").joinpath("page.css").read_text(encoding="utf-8")
    body, contents = with_contents(body)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)} · normlab, {html.escape(shows.name)}</title>\n"
        f'<style>\n{css}</style>\n<script defer src="{shows.script}"></script></head>\n<body>\n'
        f'<a class="skip" href="#content">to the content</a>\n{_head(shows)}\n{_navigation(body, current, shows)}\n'
        f'<main id="content">\n{contents}{body}\n'
        "<footer>Paper: S. Santurkar, D. Tsipras, A. Ilyas, A. Madry, “How Does Batch Normalization Help "
        "Optimization?”, NeurIPS 2018, arXiv:1805.11604v3. Its curves are read from the published figures; "
        "each is one run. Every number on this page was computed from the outputs of the study.</footer>\n"
        "</main>\n</body></html>\n"
    )


def _head(shows: Shows) -> str:
    """Which record the page shows, and the switch to the others."""
    others = ", ".join(f'<a href="{html.escape(link)}">{html.escape(name)}</a>' for name, link in shows.others)
    return (
        f'<div class="shows"><p>{html.escape(shows.kind)} <strong>{html.escape(shows.name)}</strong>'
        f"{f' <span class=switch>Other records: {others}</span>' if others else ''}</p></div>"
    )


def _navigation(body: str, current: str, shows: Shows) -> str:
    if shows.one_page:
        return ""
    links = [("index", "All claims"), *((name, named(name)[0]) for name in shows.pages)]
    items = "".join(
        f'<li><a href="{name}.html"{" aria-current=page" if name == current else ""}>{html.escape(short)}</a></li>'
        for name, short in links
    )
    if 'class="code"' in body:
        items += '<li class="code-switch"><label><input type="checkbox" id="show-code"> show code</label></li>'
    return f'<nav aria-label="pages"><ul>{items}</ul></nav>'


def with_contents(body: str) -> tuple[str, str]:
    """The body with an anchor on every heading of the second level, and the contents; none for fewer than three.

    The contents have the headings and, below each, the figures that follow it.
    """
    entries: list[str] = []

    def entry(name: str, text: str, kind: str) -> None:
        entries.append(f'<li class="{kind}"><a href="#{name}">{text}</a></li>')

    def anchored(found: re.Match[str]) -> str:
        attributes, text, figure, title = found.groups()
        if figure:
            entry(figure, title, "picture")
            return found[0]
        plain = re.sub(r"<[^>]+>", "", text)
        own = re.search(r"""\bid=["']([^"']+)["']""", attributes)
        name = own.group(1) if own else re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
        entry(name, plain, "section")
        return f'<h2 id="{name}">{text}</h2>'

    sections = r"<h2([^>]*)>(.*?)</h2>"
    pictures = r'<figure id="([^"]+)">.*?<figcaption><strong>(.*?)\.</strong>'
    body = re.sub(f"{sections}|{pictures}", anchored, body, flags=re.S)
    if len(entries) < 3:
        return body, ""
    items = "".join(entries)
    return body, f'<details class="contents"><summary>On this page</summary><ul>{items}</ul></details>\n'


def write_page(path: Path, text: str) -> None:
    """Write `text` to a temporary name beside `path`, then rename: a page is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
