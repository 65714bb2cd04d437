"""Analysis in processes of their own, one Python each: both ends of the pipe between us and them."""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from finallayer.check.chunk import analyse_chunk
from finallayer.check.judge import Analysis
from finallayer.processes import command

Chunk = Sequence[str]

WORKER = "finallayer.check.pool"


def analyse_apart(chunks: Sequence[Chunk], jobs: int, fixes: bool) -> Generator[tuple[Chunk, list[Analysis] | None]]:
    """Each chunk of paths with its analyses; None where the process died that had it (the next chunk gets a new one).

    Whatever ends the iteration (an error, Ctrl-C) ends the processes.
    """
    workers = [Worker(fixes) for _ in range(jobs)]
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def ask(chunk: Chunk) -> list[Analysis] | None:
        worker = idle.get()
        try:
            return worker.ask(chunk)
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(jobs)
    try:
        yield from zip(chunks, pool.map(ask, chunks), strict=True)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.end()


class Worker:
    """Our end: a process that is started when it is first asked, and anew where it died."""

    def __init__(self, fixes: bool) -> None:
        self._fixes = fixes
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, chunk: Chunk) -> list[Analysis] | None:
        """The chunk's analyses, or None where the process died of it."""
        if self._process is None:
            self._process = subprocess.Popen(
                command(WORKER),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is ours to handle
            )
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            pickle.dump((chunk, self._fixes), stdin)
            stdin.flush()
            analyses: list[Analysis] = pickle.load(stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            self.end()
            return None
        return analyses

    def end(self) -> None:
        """End the process, whatever it is at."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(OSError):
                process.communicate()  # closes the pipes and waits


def main() -> None:
    """Their end: chunks come in on stdin, their analyses go out on what was stdout, until there are no more."""
    # It ends when there is nothing more to do, or nobody who waits for it.
    with suppress(EOFError, BrokenPipeError), os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what anything prints stays out of the answers
        while True:
            chunk, fixes = pickle.load(sys.stdin.buffer)
            pickle.dump(analyse_chunk(chunk, fixes), answers)
            answers.flush()
