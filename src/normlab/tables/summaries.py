"""`summary.json` of a training's output folder: what was trained, how it ended, and which checkpoints there are."""

import json
from pathlib import Path
from typing import Any

from normlab.specs.strict import InputError

POINT = {"network": str, "norm_layer": str, "learning_rate": float, "seed": int}


def read_summary(path: Path) -> dict[str, Any]:
    """The content of a `summary.json`; `spec`, `diverged_at`, `checkpoints` and `parameters` are there and sound.

    Raises:
        InputError: the file is missing, no JSON, or not the summary of a training run.
    """
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected the output folder of a training run") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    if not _is_summary(summary):
        raise InputError(f"{path}: not the summary of a training run; run the train stage again")
    return summary


def _is_summary(summary: Any) -> bool:
    if not isinstance(summary, dict) or not isinstance(summary.get("spec"), dict):
        return False
    spec, diverged_at = summary["spec"], summary.get("diverged_at", "missing")
    return (
        all(type(spec.get(key)) is kind for key, kind in POINT.items())
        and isinstance(spec.get("variant", ""), str)
        and isinstance(spec.get("train"), dict)
        and (diverged_at is None or (type(diverged_at) is int and diverged_at >= 0))
        and isinstance(summary.get("checkpoints"), list)
        and all(type(step) is int for step in summary["checkpoints"])
        and type(summary.get("parameters")) is int
    )
