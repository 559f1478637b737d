"""The shell around every page: head with the one style sheet, navigation, footer. Pages load nothing from elsewhere."""

import html
import os
from importlib import resources
from pathlib import Path

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
}


def page(title: str, body: str, current: str) -> str:
    """A whole HTML page.

    Args:
        title: the title in the browser's tab.
        body: the HTML of the page's content.
        current: the page's own name in `PAGES`, or `index`.
    """
    css = resources.files("normlab.pages").joinpath("page.css").read_text(encoding="utf-8")
    links = [("index", "All claims"), *((name, short) for name, (short, _) in PAGES.items())]
    items = "".join(
        f'<li><a href="{name}.html"{" aria-current=page" if name == current else ""}>{html.escape(short)}</a></li>'
        for name, short in links
    )
    if 'class="code"' in body:
        items += '<li class="switch"><label><input type="checkbox" id="show-code"> show code</label></li>'
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)} · normlab</title>\n<style>\n{css}</style></head>\n<body>\n"
        f'<nav aria-label="pages"><ul>{items}</ul></nav>\n<main>\n{body}\n'
        "<footer>Paper: S. Santurkar, D. Tsipras, A. Ilyas, A. Madry, “How Does Batch Normalization Help "
        "Optimization?”, NeurIPS 2018, arXiv:1805.11604v3. Its curves are read from the published figures; "
        "each is one run. Every number on this page was computed from the outputs of the study.</footer>\n"
        "</main>\n</body></html>\n"
    )


def write_page(path: Path, text: str) -> None:
    """Write `text` to a temporary name beside `path`, then rename: a page is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
