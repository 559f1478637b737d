"""Program `ui`: the MLflow store in a browser, on this machine only. Not a DVC stage."""

import argparse
import os
import sys
from pathlib import Path

from normlab.specs.strict import InputError
from normlab.stages import command
from normlab.tracking.store import store_uri

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
    page = f"http://{LOOPBACK}:{args.port}/#/experiments?workflowType=machine_learning"
    print(f"the runs: {page} (stop with Ctrl-C)", flush=True)
    server = ["-m", "mlflow", "ui", "--host", LOOPBACK, "--port", args.port, "--backend-store-uri", uri]
    os.execv(sys.executable, [sys.executable, *server])


if __name__ == "__main__":
    command.run(main)
