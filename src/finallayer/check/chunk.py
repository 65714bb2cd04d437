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
    from finallayer.source import Project


def analyse_chunk(paths: Sequence[str], fixes: bool) -> list[Analysis]:
    """The analysis of each file, in one project."""
    from finallayer.source import Project

    project = Project()
    files = Files(project, closely=True)
    context = contexts(project) if fixes else None
    with _without_collection():
        return [_analysis(path, files, project, context) for path in paths]


def _analysis(path: str, files: Files, project: Project, fixes: Callable[[], Context] | None) -> Analysis:
    """The analysis of a file: of one whose code shows that nothing can be found in it, whether it can be read."""
    shown_by = files.ruled_out(path)
    if shown_by is None:
        return analyse(path, project, fixes=fixes)
    found = what_is_wrong(path) or Analysis(path)
    return found._replace(dependencies=tuple(sorted(shown_by - {path})))


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


def contexts(project: Project) -> Callable[[], Context]:
    """Gives what fixers share while files are analysed; fixes are imported only where something is found."""

    @cache
    def context() -> Context:
        from finallayer.fix.flow.context import Context

        return Context(project)

    return context
