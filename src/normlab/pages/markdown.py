"""Tables in Markdown, as GitHub renders them."""

from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A heading, the line below it, and one line a row; a bar or a line break of a cell's own does not end the cell.

    Args:
        header: one text a column.
        rows: Markdown, one text a column.
    """
    return "\n".join([_line(header), "|---" * len(header) + "|", *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
