"""Griffe knows the section "Examples" only; the docstrings here have one example each, under "Example"."""

import re
from typing import Any

from griffe import Extension, Object


class ExamplesInPlural(Extension):
    """Renames the heading before the docstring is parsed."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Called for every module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
