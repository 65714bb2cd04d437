"""Files that are analysed together, in one process and one project."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from finallayer.check.glance import Files
from finallayer.check.judge import Analysis, analyse, what_is_wrong

if TYPE_CHECKING:
    from finallayer.fix.flow.context import Context
    from finallayer.fix.flow.foreseen import Foreseen
    from finallayer.source import Project


def analyse_chunk(paths: Sequence[str], fixes: bool) -> list[Analysis]:
    """The analysis of each file, in one project."""
    from finallayer.source import Project

    project = Project()
    looked = Project()
    files = Files(looked, closely=True)
    context = contexts(project) if fixes else None
    with _without_collection():
        return [_ruled_out(path, files, looked) or analyse(path, project, fixes=context) for path in paths]


def _ruled_out(path: str, files: Files, project: Project) -> Analysis | None:
    """What there is of a file whose code shows that nothing can be found in it: whether it can be read."""
    shown_by = files.ruled_out(path)
    if shown_by is None:
        return None
    read = (path, *sorted(shown_by - {path}))
    states = tuple(project.state(file, files.content(file)) for file in read)
    return (what_is_wrong(path) or Analysis(path))._replace(states=states)


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


def contexts(project: Project, foreseen: Foreseen | None = None) -> Callable[[], Context]:
    """Gives what fixers share while files are analysed; fixes are imported only where something is found.

    ``foreseen``: that of whoever makes the fixes.
    """

    @cache
    def context() -> Context:
        from finallayer.fix.flow.context import Context

        return Context(project) if foreseen is None else Context(project, foreseen)

    return context
