"""The threads that a program starts while it is watched: what watches is a thread's own, and they have none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Thread

from finallayer.live.replacing import replaced


@contextmanager
def each(around: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """While each thread that is started runs within a context."""

    def beginning(bootstrap: Callable[[Thread], None]) -> Callable[[Thread], None]:
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

        return begin

    with replaced(Thread, "_bootstrap_inner", beginning):
        yield
