"""Mathematics on pages: an extension of Python-Markdown.

Equations become MathML, which browsers draw without a script; `<g, y>` in a docstring is an inner product and no tag.
"""

import html
import re

from latex2mathml.converter import convert
from markdown import Markdown
from markdown.extensions import Extension
from markdown.postprocessors import Postprocessor

# what pymdownx.arithmatex, which finds the equations, leaves of them
INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
DISPLAY = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)


class ToMathML(Postprocessor):
    """Runs on the page's HTML."""

    def run(self, text: str) -> str:
        """The HTML with LaTeX replaced."""
        text = INLINE.sub(lambda found: convert(html.unescape(found[1])), text)
        return DISPLAY.sub(lambda found: convert(html.unescape(found[1]), display="block"), text)


class Mathematics(Extension):
    """Registers `ToMathML` as the last step, and takes HTML for text."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Called by Python-Markdown."""
        md.postprocessors.register(ToMathML(md), "mathml", 0)
        md.preprocessors.deregister("html_block", strict=False)
        md.inlinePatterns.deregister("html", strict=False)


def makeExtension(**settings: object) -> Mathematics:
    """Called by Python-Markdown for the name of this module."""
    return Mathematics(**settings)
