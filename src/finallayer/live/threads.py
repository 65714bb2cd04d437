"""The threads that a program starts while it is watched: what watches is a thread's own, and they have none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Thread


@contextmanager
def each(around: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """While each thread that is started runs within a context."""
    bootstrap = Thread._bootstrap_inner  # type: ignore[attr-defined]

    def begin(thread: Thread) -> None:
        run = thread.run

        def within() -> None:
            with around():
                run()

        thread.run = within  # type: ignore[method-assign]
        try:
            bootstrap(thread)
        finally:
            del thread.run

    Thread._bootstrap_inner = begin  # type: ignore[attr-defined]
    try:
        yield
    finally:
        Thread._bootstrap_inner = bootstrap  # type: ignore[attr-defined]
