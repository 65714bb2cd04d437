"""Where cells run: on this machine, on a Dask cluster, or on Slurm, each behind ``concurrent.futures.Executor``."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from finallayer.compare.compare_error import BadInputError
from finallayer.compare.own.cell import begin_cells, stop_cells

LOCAL, DASK, SLURM = "local", "dask", "slurm"
#: How long a scheduler may take to answer, and how often Slurm is asked, in seconds.
ANSWERS, ASKS = 10, 1.0
#: The longest that a cell may take on Slurm, in minutes.
MINUTES = 24 * 60


def parse_engine(text: str) -> tuple[str, str]:
    """An engine's name, and what it is told: Dask's address, Slurm's partition. Raises ``BadInputError``."""
    name, _, told = text.partition(":")
    known = (name == LOCAL and not told) or (name == DASK and told) or name == SLURM
    if not known:
        raise BadInputError(f"--engine: {text!r} is none; expected local, dask:ADDRESS, slurm or slurm:PARTITION")
    return name, told


@contextmanager
def executor(engine: str, jobs: int, folder: Path) -> Iterator[Executor]:
    """An executor of this engine; what still runs when it is left is ended. ``folder``: for what Slurm writes.

    Raises ``BadInputError`` where the engine isn't installed, or doesn't answer.
    """
    name, told = parse_engine(engine)
    with _ENGINES[name](told, jobs, folder) as running:
        yield running


@contextmanager
def _local(_told: str, jobs: int, _folder: Path) -> Iterator[Executor]:
    begin_cells()
    pool = ThreadPoolExecutor(jobs)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        stop_cells()
        pool.shutdown(wait=True)


@contextmanager
def _dask(address: str, _jobs: int, _folder: Path) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError:
        raise BadInputError(
            "--engine dask needs distributed; install it with: pip install 'finallayer[dask]'"
        ) from None
    try:
        client = Client(address, timeout=ANSWERS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise BadInputError(f"--engine: no Dask scheduler answers at {address} ({_line(error)})") from None
    with client:
        pool = client.get_executor(pure=False)
        try:
            yield pool
        finally:
            pool.shutdown(wait=False)


@contextmanager
def _slurm(partition: str, _jobs: int, folder: Path) -> Iterator[Executor]:
    with submitted(folder, SLURM, partition) as pool:
        yield pool


@contextmanager
def submitted(folder: Path, cluster: str, partition: str = "") -> Iterator[Executor]:
    """An executor of submitit's for one kind of cluster; its jobs are cancelled when it is left."""
    try:
        import submitit
    except ImportError:
        raise BadInputError("--engine slurm needs submitit; install it with: pip install 'finallayer[slurm]'") from None
    try:
        made = submitit.AutoExecutor(folder=str(folder), cluster=cluster)
        options = {"slurm_partition": partition} if partition else {}
        made.update_parameters(name="finallayer", timeout_min=MINUTES, cpus_per_task=os.cpu_count() or 1, **options)
    except (RuntimeError, OSError, ValueError) as error:
        raise BadInputError(f"--engine: no Slurm here ({_line(error)})") from None
    pool = _Submitted(made)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _Submitted(Executor):
    """submitit's jobs as futures: a thread asks for them until they are done."""

    def __init__(self, executor: Any) -> None:
        self._executor = executor
        self._jobs: dict[Future[Any], Any] = {}
        self._ended = threading.Event()
        self._asking: threading.Thread | None = None

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit one job."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        self._jobs[future] = self._executor.submit(fn, *args, **kwargs)
        if self._asking is None:
            self._asking = threading.Thread(target=self._ask, daemon=True)
            self._asking.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Cancel what hasn't ended, if so asked, and look at jobs no longer."""
        while wait and any(not future.done() for future in self._jobs):
            time.sleep(ASKS)
        self._ended.set()
        for future, job in self._jobs.items():
            if cancel_futures and not future.done():
                with suppress(Exception):  # it has ended meanwhile, or nobody can be reached any more
                    job.cancel(check=False)

    def _ask(self) -> None:
        while not self._ended.wait(ASKS):
            for future, job in list(self._jobs.items()):
                if not future.done() and job.done():
                    _settle(future, job)


def _settle(future: Future[Any], job: Any) -> None:
    try:
        result = job.result()
    except Exception as error:
        future.set_exception(RuntimeError(_line(error)))
    else:
        future.set_result(result)


def _line(error: BaseException) -> str:
    """The last line of an error that tells what happened: of one elsewhere, that of its trace."""
    story = str(error).partition(_LOGS)[0]
    lines = [line.strip() for line in story.splitlines() if line.strip(" -")]
    return lines[-1] if lines else type(error).__name__


#: What submitit ends a job's error with.
_LOGS = "You can check full logs"
_ENGINES: dict[str, Callable[[str, int, Path], Any]] = {LOCAL: _local, DASK: _dask, SLURM: _slurm}
