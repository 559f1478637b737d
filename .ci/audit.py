"""`make audit`: known vulnerabilities of the locked packages, where their data can be reached, and all licences.

Exit status: 0 nothing known, or no data reachable (said on stderr); 1 a vulnerability is known.
"""

import collections
import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"
COPYLEFT = ("GPL", "General Public License")
AUDITOR = [
    "-m",
    "uv",
    "tool",
    "run",
    "--quiet",
    "pip-audit==2.9.0",
    "--format",
    "json",
    "--disable-pip",
    "--require-hashes",
]


def licence_of(package: metadata.Distribution) -> str:
    """The licence that a package states: its expression, else its classifiers, else its free text."""
    fields = package.metadata
    if expression := fields.get("License-Expression"):
        return str(expression)
    own = [text.rpartition(" :: ")[2] for text in fields.get_all("Classifier") or [] if text.startswith("License ::")]
    named = [text for text in own if text != "OSI Approved"]
    return " / ".join(named) or (fields.get("License") or "not stated").strip().partition("\n")[0][:60]


def licences() -> list[str]:
    """A line a licence, the number of its packages and their names; those with copyleft terms first."""
    found: dict[str, list[str]] = collections.defaultdict(list)
    for package in metadata.distributions():
        found[licence_of(package)].append(str(package.metadata["Name"]))
    order = sorted(found, key=lambda name: (not any(word in name for word in COPYLEFT), name))
    return [f"{name}: {len(found[name])} ({', '.join(sorted(found[name], key=str.lower))})" for name in order]


def vulnerabilities() -> tuple[list[str], int] | None:
    """What is known of the locked versions and how many were looked up, None where nothing could be asked."""
    command = [sys.executable, *AUDITOR, "--requirement", str(LOCK)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        packages = [package for package in json.loads(done.stdout)["dependencies"] if "vulns" in package]
    except (ValueError, KeyError, TypeError):
        return None
    lines = [
        f"{package['name']} {package['version']}: {issue['id']}, mended in {', '.join(issue['fix_versions']) or '–'}"
        for package in packages
        for issue in package["vulns"]
    ]
    return (lines, len(packages)) if packages else None


def main() -> int:
    """Print both; the exit status is that of the module's docstring."""
    print("Licences of what is installed:", *licences(), sep="\n  ")
    found = vulnerabilities()
    if found is None:
        print("audit: no data on vulnerabilities could be reached from here; nothing was checked", file=sys.stderr)
        return 0
    known, asked = found
    print(f"Known vulnerabilities of {asked} locked packages: {len(known) or 'none'}", *known, sep="\n  ")
    return bool(known)


if __name__ == "__main__":
    raise SystemExit(main())
