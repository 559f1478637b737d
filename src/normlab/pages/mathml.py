"""Formulas without a script: LaTeX to MathML, which every current browser draws by itself."""

from latex2mathml.converter import convert


def to_mathml(latex: str, *, block: bool) -> str:
    """The MathML element of a formula, as HTML holds it (no namespace attribute needed)."""
    markup = convert(latex.strip(), display="block" if block else "inline")
    return markup.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
