"""Files that are analysed together, in one process and one project."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from finallayer.check.judge import Analysis, analyse

if TYPE_CHECKING:
    from finallayer.fix.flow.context import Context
    from finallayer.source import Project


def analyse_chunk(paths: Sequence[str], fixes: bool) -> list[Analysis]:
    """The analysis of each file, in one project."""
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
