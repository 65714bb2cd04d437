"""Analyses many files: in this process, or over several where starting them costs less than it saves."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from finallayer.check.judge import Analysis, analyse

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

    from finallayer.fix.flow.context import Context
    from finallayer.source import Project

#: A process pays from this much source on (about a quarter of a second of analysis).
BYTES_WORTH_A_PROCESS = 400_000
#: Files analysed with one Project, which keeps every module that it parsed: neighbours share, memory stays bounded.
FILES_PER_PROJECT = 64


def processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def analyse_all(paths: Sequence[str], jobs: int | None = None, fixes: bool = False) -> Iterator[Analysis]:
    """The analysis of every file, in any order. ``jobs``: the most processes; by default one a processor.

    ``fixes``: whether findings are to come with their fixes.
    """
    chunks = [paths[i : i + FILES_PER_PROJECT] for i in range(0, len(paths), FILES_PER_PROJECT)]
    jobs = min(jobs or processors(), _worthwhile(paths), len(paths))
    if jobs <= 1:
        for chunk in chunks:
            yield from _analyse_chunk(chunk, fixes)
        return
    if len(chunks) < 4 * jobs:  # smaller ones, so that all processes end at about the same time
        size = max(1, -(-len(paths) // (4 * jobs)))
        chunks = [paths[i : i + size] for i in range(0, len(paths), size)]
    yield from _analyse_apart(chunks, jobs, fixes)


def _worthwhile(paths: Sequence[str]) -> int:
    if len(paths) < 2:
        return 1
    total = sum(os.stat(p).st_size for p in paths if os.path.exists(p))  # noqa: PTH110, PTH116
    return 1 + total // BYTES_WORTH_A_PROCESS


def _analyse_chunk(paths: Sequence[str], fixes: bool) -> list[Analysis]:
    from finallayer.source import Project

    project = Project()
    context = new_context(project) if fixes else None
    with _without_collection():
        return [analyse(path, project, fixes=context) for path in paths]


@contextmanager
def _without_collection() -> Iterator[None]:
    """Trees and values live until the chunk ends: looking for garbage among them on the way only costs time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def new_context(project: Project) -> Context:
    """What fixers share while files are analysed; fixes are imported only where they are asked for."""
    from finallayer.fix.flow.context import Context

    return Context(project)


def _analyse_apart(chunks: Sequence[Sequence[str]], jobs: int, fixes: bool) -> Iterator[Analysis]:
    """The chunks over several processes; what was lost with one that died is analysed again, a file a process."""
    from concurrent.futures.process import BrokenProcessPool

    lost: list[Sequence[str]] = []
    with _pool(jobs) as pool:
        waiting = [(chunk, pool.submit(_analyse_chunk, chunk, fixes)) for chunk in chunks]
        try:
            for chunk, result in waiting:
                try:
                    yield from result.result()
                except BrokenProcessPool:
                    lost.append(chunk)
        except BaseException:  # interrupted: what has not begun is not waited for
            pool.shutdown(cancel_futures=True)
            raise
    for path in (path for chunk in lost for path in chunk):
        with _pool(1) as pool:
            try:
                yield from pool.submit(_analyse_chunk, [path], fixes).result()
            except BrokenProcessPool:
                yield Analysis(path, notes=("could not be analysed (the process died); please report this",))


def _pool(jobs: int) -> ProcessPoolExecutor:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    # A forked process starts with everything imported; this process has no threads that a fork could lose.
    method = "fork" if sys.platform == "linux" else None
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context(method))
