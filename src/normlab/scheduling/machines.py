"""Jobs on many machines: stages go to the workers of a Dask scheduler, results come back through DVC's remote."""

import ipaddress
import re
import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from normlab.scheduling import on_worker
from normlab.scheduling.dvc_repo import Pipeline
from normlab.scheduling.jobs import Ended, Job
from normlab.scheduling.local_jobs import LocalJobs
from normlab.scheduling.order import kind
from normlab.specs.strict import InputError

HERE = ("check", "data", "analyze", "report", "index")  # need all results, or what lies on this machine
WITH_GPU = ("train", "probe", "measure", "assumptions", "reparametrization")  # go by `train.device`
ANSWERS_WITHIN = 20.0  # seconds
CHANGED_BY_A_RUN = (":(exclude)dvc.lock", ":(exclude)reports")


def checked_address(text: str) -> str:
    """An address such as tls://login1:8786; beyond this machine it has to be encrypted.

    A Dask scheduler runs whatever a client sends it, so only who holds the certificates may connect.

    Raises:
        InputError: it is no address, or a plain one of another machine.
    """
    found = re.fullmatch(r"(tcp|tls)://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})", text)
    if not found or not 0 < int(found[3]) < 65536:
        raise InputError(f"SCHEDULER: expected tls://HOST:PORT, or tcp://127.0.0.1:PORT on this machine, got {text!r}")
    if found[1] == "tcp" and not _is_loopback(found[2].strip("[]")):
        raise InputError(
            f"SCHEDULER: {text} is not encrypted, and Dask runs whatever connects to it: "
            "beyond this machine it has to be tls://, see docs/machines.md"
        )
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def committed(root: Path) -> str:
    """The commit that workers are to clone.

    Raises:
        InputError: something else than the results is changed since, or there is no commit.
    """
    head = _git(root, "rev-parse", "HEAD")
    changed = _git(root, "status", "--porcelain", "--", ".", *CHANGED_BY_A_RUN).splitlines()
    if changed:
        names = ", ".join(line[3:] for line in changed[:5]) + (", …" if len(changed) > 5 else "")
        raise InputError(f"SCHEDULER: workers clone the last commit, and these are not in it: {names}; commit them")
    return head.strip()


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"SCHEDULER: git {arguments[0]}: {' '.join(done.stderr.split())}")
    return done.stdout


class RemoteJobs:
    """Jobs on the workers of a Dask scheduler, one for each of their threads; some run here.

    Args:
        client: of Dask.
        pipeline: the stages, with a remote that workers share.
        here: for the stages that need all results.
        commit: what workers clone.
        device: `train.device`; where it is a GPU, or `auto` and some worker offers one (`--resources GPU=1`), stages
            that use it go to such workers.
    """

    def __init__(self, client: Any, pipeline: Pipeline, here: LocalJobs, commit: str, device: str = "auto") -> None:
        self._client, self._pipeline, self._here = client, pipeline, here
        self._device = device
        sources = [str(Path.cwd())]
        origin = subprocess.run(["git", "remote", "get-url", "origin"], capture_output=True, text=True, check=False)
        sources += [origin.stdout.strip()] if not origin.returncode else []
        versions = on_worker.versions()
        self._task = {"commit": commit, "sources": sources, "remote": pipeline.remote(), "versions": versions}
        self._away: dict[str, tuple[Job, Any, dict[str, Any]]] = {}
        self._shared: set[str] = set()
        self._threads, self._counted = 1, 0.0
        self._resources: dict[str, float] = {}

    def free(self, name: str) -> bool:
        """Whether one more job can be started now, here or on a worker."""
        if kind(name) in HERE:
            return self._here.free(name)
        self._count()
        return len(self._away) < self._threads

    def start(self, job: Job) -> None:
        """Begin a job; what it needs goes to the remote first, unless it came from there."""
        if kind(job.name) in HERE:
            self._here.start(job)
            return
        upstream = sorted(self._pipeline.needs[job.name])
        for name in upstream:
            if name not in self._shared:
                self._pipeline.share(name)
                self._shared.add(name)
        wanted = {name: self._pipeline.entry(name) for name in upstream}
        task = {**self._task, "stage": job.name, "upstream": wanted}
        inputs = _inputs(self._pipeline.entry(job.name))
        future = self._client.submit(
            on_worker.run_stage, task, key=f"{job.name}-{time.time_ns()}", pure=False, resources=self._needs(job.name)
        )
        self._away[job.name] = (job, future, inputs)

    def running(self) -> Collection[Job]:
        """The jobs that were started and have not ended."""
        return [*self._here.running(), *(job for job, _, _ in self._away.values())]

    def wait(self, seconds: float) -> list[Ended]:
        """The jobs that ended; if none did, wait so long for one, or until `wake`."""
        done = [name for name, (_, future, _) in self._away.items() if future.done()]
        ended = self._here.wait(0.0 if done else min(seconds, 0.5))
        return [*ended, *map(self._take, done)]

    def wake(self) -> None:
        """Let `wait` return."""
        self._here.wake()

    def stop(self) -> None:
        """End all jobs; workers end theirs when they see that nobody waits for them."""
        self._here.stop()
        self._client.cancel([future for _, future, _ in self._away.values()], force=True)
        self._away.clear()

    def _take(self, name: str) -> Ended:
        job, future, inputs = self._away.pop(name)
        try:
            answer = future.result()
        except Exception as error:  # whatever was raised there, or of Dask itself, such as a worker lost too often
            return Ended(name, 1, 0.0, f"on a worker: {' '.join(str(error).split())}")
        job.log.parent.mkdir(parents=True, exist_ok=True)
        job.log.write_text(answer["log"])
        status, seconds = answer["status"], answer["seconds"]
        if status:
            return Ended(name, status, seconds, answer.get("reason") or f"exit status {status} of the worker's program")
        if _inputs(answer["entry"]) != inputs:
            return Ended(name, 1, seconds, "the worker's commit has other dependencies or settings than this folder")
        try:
            self._pipeline.fetch(name, answer["entry"])
        except InputError as error:
            return Ended(name, 1, seconds, str(error))
        self._shared.add(name)
        return Ended(name, 0, seconds)

    def _count(self) -> None:
        if time.monotonic() - self._counted > 1.0:
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
            self._threads = max(1, sum(worker["nthreads"] for worker in workers))
            self._resources = {key: value for worker in workers for key, value in worker["resources"].items()}
            self._counted = time.monotonic()

    def _needs(self, name: str) -> dict[str, float]:
        gpu = self._device.startswith("cuda") or (self._device == "auto" and "GPU" in self._resources)
        return {"GPU": 1.0} if gpu and kind(name) in WITH_GPU else {}


def _inputs(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: entry.get(key) for key in ("cmd", "deps", "params")}


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """A client of the scheduler at that address; certificates come from Dask's own settings.

    Raises:
        InputError: nobody answers there, or certificates are missing.
    """
    import cloudpickle
    from distributed import Client
    from distributed.security import Security

    cloudpickle.register_pickle_by_value(on_worker)
    try:
        security = Security(require_encryption=True) if address.startswith("tls:") else Security()
        client = Client(address, security=security, timeout=ANSWERS_WITHIN, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"SCHEDULER: no connection to {address}: {reason or type(error).__name__}") from None
    try:
        yield client
    finally:
        client.close()
