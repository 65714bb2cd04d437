"""Analyses many files: in this process, or over several where starting them costs less than it saves."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from finallayer.check.chunk import analyse_chunk
from finallayer.check.judge import Analysis, unread
from finallayer.processes import processors
from finallayer.source.reading import MOST_BYTES_OF_SOURCE

#: A process pays from this much source on: about a quarter of a second of analysis, where a start takes a tenth.
BYTES_WORTH_A_PROCESS = 400_000
#: Files analysed with one Project, which keeps every module that it parsed: neighbours share, memory stays bounded.
FILES_PER_PROJECT = 64


def analyse_all(paths: Sequence[str], jobs: int | None = None, fixes: bool = False) -> Iterator[Analysis]:
    """The analysis of every file, in any order. ``jobs``: the most processes; by default one a processor.

    ``fixes``: whether findings are to come with their fixes.
    """
    chunks = [paths[i : i + FILES_PER_PROJECT] for i in range(0, len(paths), FILES_PER_PROJECT)]
    jobs = min(jobs or processors(), _worthwhile(paths), len(paths))
    if jobs <= 1:
        for chunk in chunks:
            yield from analyse_chunk(chunk, fixes)
        return
    if len(chunks) < 4 * jobs:  # smaller ones, so that all processes end at about the same time
        size = max(1, -(-len(paths) // (4 * jobs)))
        chunks = [paths[i : i + size] for i in range(0, len(paths), size)]
    yield from _analyse_apart(chunks, jobs, fixes)


def _worthwhile(paths: Sequence[str]) -> int:
    if len(paths) < 2:
        return 1
    total = sum(map(_size, paths))
    return 1 + total // BYTES_WORTH_A_PROCESS


def _size(path: str) -> int:
    """What of a file may be read."""
    try:
        return min(os.stat(path).st_size, MOST_BYTES_OF_SOURCE)  # noqa: PTH116
    except OSError:  # it went away meanwhile
        return 0


def _analyse_apart(chunks: Sequence[Sequence[str]], jobs: int, fixes: bool) -> Iterator[Analysis]:
    """The chunks over several processes; what was lost with one that died is analysed again, a file a chunk."""
    from finallayer.check.pool import analyse_apart

    lost: list[str] = []
    for chunk, analyses in analyse_apart(chunks, jobs, fixes):
        if analyses is None:
            lost += chunk
        else:
            yield from analyses
    for (path,), analyses in analyse_apart([[path] for path in lost], 1, fixes):
        yield from analyses or [unread(path, "could not be analysed (the process died); please report this")]
