"""At which step sizes along the gradient the network with BatchNorm is the smoother one."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from normlab.pages.claims_table import anchor
from normlab.pages.markdown import markdown_table
from normlab.pages.verdicts import end, measured

AT = re.compile(r"at_([\d.]+)$")  # a part of a claim at one step size, in learning rates
SMOOTHER = {"C10": ("gradient change, none/batch", True), "C11": ("effective β, batch/none", False)}
"""Of these claims: what their parts are, and whether BatchNorm is the smoother one where that is above 1."""
FAR = {"∞": math.inf, "−∞": -math.inf, "–": None}
NOTE = (
    "Medians over seeds [interval], over steps {:,} to {:,} of training, which itself takes steps of 1 × the learning "
    "rate; the paper's Figure 4 is drawn over 0.5 to 4 ×."
)
TITLE = "**At which step sizes along the gradient is BatchNorm the smoother one?**"


def step_sizes(entries: Sequence[Mapping[str, Any]], page: str) -> list[str]:
    """Lines of Markdown: a table with a row a quantity, a column a step size; "open" where the interval has 1 in it.

    Args:
        entries: of claims.json. One that was scored under the first rules, or that has fewer seeds than its rule asks
            for, has no row.
        page: what leads to the record's page, empty on that page itself.
    """
    of = {entry["id"]: entry for entry in entries if "group" in entry}
    rows = {
        f"{what} ([{name}]({page}#{anchor(name)}))": _cells(of[name], above)
        for name, (what, above) in SMOOTHER.items()
        if name in of
    }
    sizes = sorted({size for cells in rows.values() for size in cells}, key=float)
    if not sizes:
        return []
    note = NOTE.format(*next(of[name]["rule"]["settings"]["steps"] for name in SMOOTHER if name in of))
    table = [[what, *(cells.get(size, "–") for size in sizes)] for what, cells in rows.items() if cells]
    return [TITLE, "", markdown_table(["", *(f"{size} × the learning rate" for size in sizes)], table), "", note, ""]


def _cells(entry: Mapping[str, Any], above: bool) -> dict[str, str]:
    found = {}
    for part in entry["parts"]:
        size, ends = AT.match(part["name"]), _ends(part)
        if size and ends and part["n_seeds"] >= entry["rule"]["min_seeds"]:
            low, high = ends
            side = "open" if low <= 1 <= high else "smoother" if (low > 1) == above else "rougher"
            found[size[1]] = f"{measured(part)}: **{side}**"
    return found


def _ends(part: Mapping[str, Any]) -> tuple[float, float] | None:
    """The ends of its interval; None where one is not known."""
    values = zip(part["interval"], ("low end", "high end"), strict=True)
    low, high = (FAR[end(value, name, part["note"])] if value is None else value for value, name in values)
    return None if low is None or high is None else (low, high)
