"""Where a number or a figure is computed: a function's name, and a link to its file.

A function is named `module:attribute`, such as `normlab.figures.landscape:figure_4`.
"""

import html
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import Any

REPOSITORY = ""
"""Address of the folder that holds `src/`, ending in a slash; empty as long as there is none: then links are relative,
and lead to the files of the reader's own clone."""

FROM_PAGE = "../../"  # from reports/html/ to the root

Function = str | Callable[..., Any]


def name_of(function: Function) -> str:
    """`module:attribute` of a function or class; a name is returned as it is."""
    return function if isinstance(function, str) else f"{function.__module__}:{function.__qualname__}"


def dotted(function: Function) -> str:
    """The name as prose shows it: `figures.landscape.figure_4`, without the package's own name."""
    return name_of(function).replace(":", ".").removeprefix("normlab.")


def path_of(function: Function) -> str:
    """The file in the repository: `src/normlab/figures/landscape.py`."""
    module = name_of(function).partition(":")[0]
    return str(PurePosixPath("src", *module.split(".")).with_suffix(".py"))


def address(function: Function, root: str) -> str:
    """The link's target; `root` leads from the linking file to the repository's root where there is no address."""
    return f"{REPOSITORY or root}{path_of(function)}"


def html_link(function: Function) -> str:
    """A link on a page."""
    target, name = html.escape(address(function, FROM_PAGE)), html.escape(dotted(function))
    return f'<a href="{target}"><code>{name}</code></a>'


def computed_by(functions: Iterable[Function]) -> str:
    """The line below a figure or verdict that names what computes it."""
    links = dict.fromkeys(html_link(function) for function in functions)
    return f'<small class="source">Computed by {", ".join(links)}.</small>'


def markdown_link(function: Function, root: str = "") -> str:
    """A link in a Markdown file; `root` leads from it to the repository's root."""
    return f"[`{dotted(function)}`]({address(function, root)})"
