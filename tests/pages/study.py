"""The files behind the pages, small and invented: tables, verdicts, parameters and a manifest."""

import json
from pathlib import Path

import pandas as pd
from tests.figures import runs

from normlab.pages.shell import PAGES

PARAMS = f"""
analyze:
  studies: [training]
  network: vgg11
  learning_rate: 0.1
  dln_learning_rate: 1.0e-6
  window: 5
  confidence: 0.95
  resamples: 200
  seed: 0
probe: {{step_sizes: [0.5, 1.0, 2.0, 4.0]}}
dln: {{step_sizes: [0.01, 0.1, 1.0, 10.0, 31.6]}}
report: {{preset: tiny, notebooks: [{", ".join(PAGES)}]}}
"""
MANIFEST = {
    "title": "CIFAR-10 <from JPEG>",
    "source": "folder",
    "official": False,
    "counts": {"train": 1280, "test": 256},
    "digest": "sha256:0123456789abcdef0123456789abcdef",
}


def claim(number: int, page: str, verdict: str, **further: object) -> dict:
    """One entry of claims.json."""
    part = {"name": "ratio", "quantity": "ratio of steps", "role": "primary", "per_seed": {}}
    numbers = {"estimate": 1.52, "interval": [1.4, None], "n_seeds": 3, "note": "high end is infinite"}
    return {
        "id": f"C{number}",
        "group": "empirical",
        "statement": f"Statement {number}: a < b & c",
        "paper": {"where": "§3, Figure 1", "value": "1600 against 3300", "number": 2.06, "passes": True},
        "quantity": "steps of plain ÷ BatchNorm",
        **numbers,
        "direction": {"claimed": 2, "seeds": 3, "holds": False},
        "magnitude": {"ours_over_paper": 0.74, "within_2": True},
        "artefacts": {"own_rates": "fails"},
        "before": [
            {
                "until": "2026-11-26",
                "verdict": "refuted",
                "what": "one part decides",
                "reason": "four had to agree",
                "decided_on": "Figure 1",
            }
        ],
        "rule": {"min_seeds": 3},
        "verdict": verdict,
        "reason": "3 of 5 seeds",
        "page": f"{page}.html",
        "parts": [{**part, **numbers, "verdict": verdict, "reason": "3 of 5 seeds"}],
        **further,
    }


VERDICTS = ("reproduced", "not reproduced here", "undecided", "not run")
CLAIMS = [claim(i + 1, page, VERDICTS[i % 4]) for i, page in enumerate([*PAGES][:7])]


def write_results(root: Path) -> dict[str, str]:
    """Write everything under `root`; the paths by the names of the notebooks' parameters."""
    kinds = ("none", "batch", "noisy_batch", "l1")
    tables = root / "tables"
    tables.mkdir(parents=True)
    inserted = runs.measurements(kinds=("none", "batch"), rates=(0.1,), seeds=2)
    inserted = inserted[(inserted["study"] == "vgg") & ~inserted["probe"].isin(["history", "test"])]
    frames = [runs.measurements(kinds=kinds), inserted.assign(study="reparametrization")]
    pd.concat(frames).to_parquet(tables / "measurements.parquet", index=False)
    histograms = [runs.histograms(kinds=kinds), runs.histograms(kinds=("none", "batch"), study="dln")]
    pd.concat(histograms).to_parquet(tables / "histograms.parquet", index=False)
    (root / "claims.json").write_text(json.dumps(CLAIMS), encoding="utf-8")
    (root / "params.yaml").write_text(PARAMS, encoding="utf-8")
    (root / "manifest.json").write_text(json.dumps(MANIFEST), encoding="utf-8")
    paths = {"claims": "claims.json", "params": "params.yaml", "manifest": "manifest.json"}
    return {"tables": str(tables)} | {name: str(root / file) for name, file in paths.items()}
