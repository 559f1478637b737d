"""Program `ui`: the MLflow store in a browser, on this machine only. Not a DVC stage."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from normlab.specs.strict import InputError
from normlab.stages import command
from normlab.tracking import local
from normlab.tracking.store import artifact_folder, store_uri
from normlab.tracking.tracked import STUDIES

LAST = tuple(f"normlab-{study}" for study in STUDIES)  # trainings come first
CURRENT_RUNS = "tags.current = 'true'"
LOOPBACK = "127.0.0.1"  # nothing that normlab starts can be reached from another machine


def main(argv: list[str] | None = None) -> None:
    """Serve the local store until Ctrl-C, or say where the server is that `MLFLOW_TRACKING_URI` names."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--root", type=Path, default=Path(), help="the repository")
    parser.add_argument("--port", default=os.environ.get("PORT") or "5000")
    args = parser.parse_args(argv)
    if not (args.port.isascii() and args.port.isdigit() and 1024 <= int(args.port) <= 65535):
        raise InputError(f"PORT: expected a number in 1024 … 65535, got {args.port!r}")
    uri = store_uri(args.root)
    if uri.startswith(("http://", "https://")):
        print(f"the runs are on the server that MLFLOW_TRACKING_URI names: {uri}")
        return
    path = local.path_of(uri)
    if path is not None and path.exists():
        local.move_artifacts(path, artifact_folder(args.root))
    for line in links(f"http://{LOOPBACK}:{args.port}", local.experiments(path) if path else {}):
        print(line, flush=True)
    os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")  # eight processes for chat programs
    # one worker, which has threads: each loads MLflow before anybody is answered, and here is one person
    server = ["-m", "mlflow", "ui", "--host", LOOPBACK, "--port", args.port, "--workers", "1"]
    os.execv(sys.executable, [sys.executable, *server, "--backend-store-uri", uri])


def links(server: str, experiments: Mapping[str, int]) -> list[str]:
    """A line for the table of runs of each study: by itself MLflow opens on a page for chat programs."""
    ours = {name: number for name, number in experiments.items() if name.startswith("normlab-")}
    lines = [
        f"{name.removeprefix('normlab-'):<8} {server}/#/experiments/{number}/runs?workflowType=machine_learning"
        for name, number in sorted(ours.items(), key=lambda item: (item[0] in LAST, item[0]))
    ]
    if not lines:
        return [f"no runs yet: make repro, or make publish ({server}/)"]
    notes = [
        "MLflow opens a chat panel on the right, which needs a service that is not set up here: close it with its ×",
        f"what belongs to params.yaml: {CURRENT_RUNS} in the search field (stop with Ctrl-C)",
    ]
    return [*lines, *notes]


if __name__ == "__main__":
    command.run(main)
