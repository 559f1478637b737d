"""Program `worker`: one stage in the clone of a Dask worker, which starts it. Not a DVC stage."""

import argparse
import dataclasses
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from normlab.scheduling.dvc_repo import Pipeline, open_pipeline
from normlab.scheduling.jobs import Ended
from normlab.scheduling.local_jobs import LocalJobs
from normlab.scheduling.reproduction import job_of
from normlab.stages import command

LOG_BYTES = 100_000  # of the end of what the stage said


def run_one(pipeline: Pipeline, name: str, upstream: dict[str, Any]) -> Ended:
    """Fetch what the stage needs, run it unless the cache has its outputs, and share these."""
    for stage, entry in upstream.items():
        pipeline.fetch(stage, entry)
    ended = Ended(name, 0, 0.0)
    if not pipeline.restore(name):
        jobs = LocalJobs(1)
        try:
            jobs.start(job_of(pipeline, name))
            while jobs.running():
                for ended in jobs.wait(60.0):
                    if not ended.status:
                        pipeline.record(name)
        finally:
            jobs.stop()
    if not ended.status:
        pipeline.share(name, runs=True)
    return ended


def main(argv: list[str] | None = None) -> None:
    """Read a task as one line of JSON, run its stage, and write the answer as JSON; ends when its input is closed."""
    argparse.ArgumentParser(description=main.__doc__).parse_args(argv)
    task = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_the_input, daemon=True).start()
    name = task["stage"]
    with open_pipeline(Path(), entering=False) as pipeline:
        ended = run_one(pipeline, name, task["upstream"])
        entry = pipeline.entry(name) if not ended.status else None
        log = job_of(pipeline, name).log
    said = log.read_bytes()[-LOG_BYTES:].decode(errors="replace") if log.exists() else ""
    print(json.dumps({**dataclasses.asdict(ended), "entry": entry, "log": said}))


def _end_with_the_input() -> None:
    sys.stdin.read()
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    command.run(main)
