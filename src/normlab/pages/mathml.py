"""Formulas without a script: LaTeX to MathML, which every current browser draws by itself."""

import re

from latex2mathml.converter import convert

PRIMED = re.compile(r"<msup>(<mi>[^<]*</mi>)<mi>&#x02032;</mi></msup>")


def to_mathml(latex: str, *, block: bool) -> str:
    """The MathML element of a formula, as HTML holds it (no namespace attribute needed).

    One on lines of its own is in an element of class `formula`, which can scroll: a MathML element itself cannot.
    """
    markup = convert(latex.strip(), display="block" if block else "inline")
    # the sign is raised by itself: as a superscript it floats above the line
    markup = PRIMED.sub(r'<mrow>\1<mo lspace="0" rspace="0">&#x02032;</mo></mrow>', markup)
    markup = markup.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
    return f'<span class="formula">{markup}</span>' if block else markup
