"""Equations as MathML, which browsers draw without any script: an extension of Python-Markdown."""

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


class MathML(Extension):
    """Registers `ToMathML` as the last step."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Called by Python-Markdown."""
        md.postprocessors.register(ToMathML(md), "mathml", 0)


def makeExtension(**settings: object) -> MathML:
    """Called by Python-Markdown for the name of this module."""
    return MathML(**settings)
