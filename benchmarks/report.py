"""What the benchmarks found, as JSON (`results/NAME.json`, one a benchmark) and as the tables of `README.md`.

    python benchmarks/report.py

writes README.md anew from the JSON files. A benchmark ends with `publish`.
"""

import datetime
import json
import os
import platform
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
HEAD = """# Benchmarks

`make bench` runs all but `peers` (`make bench-peers`, in an environment of its own), `python benchmarks/NAME.py` one;
each writes `results/NAME.json`, and this page is generated from these files (`python benchmarks/report.py`). Times are
of the machine that is named; what counts is what stands beside them.
"""


def publish(columns: Sequence[str], rows: Sequence[Sequence[Any]], note: str = "") -> None:
    """Print the table of the benchmark that is running, and keep it.

    Args:
        columns: their headings; the first one names what was measured.
        rows: text or numbers, which are shown with three digits.
        note: one sentence that the table needs.
    """
    script = Path(sys.argv[0])
    found = {
        "command": shlex.join(["python", f"benchmarks/{script.name}", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "note": note,
        "columns": list(columns),
        "rows": [list(row) for row in rows],
    }
    path = FOLDER / "results" / f"{script.stem}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    lines = [list(columns), *([shown(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(columns))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if note:
        print(note)


def machine() -> dict[str, str]:
    """The class of machine, without its name."""
    import torch

    try:
        models = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        models = []
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return {
        "processor": f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores{gpu}",
        "system": f"{platform.system()}, Python {platform.python_version()}, torch {torch.__version__}",
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def shown(cell: Any) -> str:
    """A number with three digits, text as it is."""
    if isinstance(cell, bool | str):
        return str(cell)
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:,.0f}" if abs(cell) >= 1000 else f"{cell:.3g}"


def render() -> str:
    """The page, from the JSON files."""
    parts = [HEAD]
    for path in sorted((FOLDER / "results").glob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        about = found["machine"]
        parts.append(f"## {path.stem}\n")
        where = f"{about['processor']}; {about['system']}; load at the start {about['load']}"
        parts.append(f"`{found['command']}`, {found['date']}; {where}. {found['note']}".rstrip() + "\n")
        lines = [
            found["columns"],
            ["---"] * len(found["columns"]),
            *([shown(cell) for cell in row] for row in found["rows"]),
        ]
        parts.append("\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    (FOLDER / "README.md").write_text(render(), encoding="utf-8")
