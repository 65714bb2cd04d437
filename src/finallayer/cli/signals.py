"""Signals that end a command: Ctrl-C, and what a terminal or a supervisor sends, all as KeyboardInterrupt."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: The exit code of a command that was interrupted: 128 and the number of the signal, as shells have it.
INTERRUPTED = 130
_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
#: After so long, Python is out of where it can raise nothing.
_SOON_SECONDS = 0.01


class Interruptions:
    """What has come in the middle of a step that has to be finished first."""

    def __init__(self) -> None:
        self._holding = False
        self._came = False

    def arrive(self, _number: int, _frame: FrameType | None) -> None:
        if not self._holding:
            raise KeyboardInterrupt
        self._came = True

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Inside, nothing interrupts; what came meanwhile does so at the end."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        came, self._came = self._came, False
        if came:
            raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[Interruptions]:
    """Inside, each of the ending signals is a KeyboardInterrupt; one that is ignored (nohup) stays so."""
    came = Interruptions()
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {s: signal.getsignal(s) for s in _ENDING}
        before = {s: handler for s, handler in before.items() if handler is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, came.arrive)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def never_lost() -> Iterator[None]:
    """Inside, Ctrl-C that came where Python can't raise it (while a lock of its imports is let go) comes once more."""
    before = sys.unraisablehook

    def lost(found: sys.UnraisableHookArgs) -> None:
        if not isinstance(found.exc_value, KeyboardInterrupt):
            before(found)
            return
        again = threading.Timer(_SOON_SECONDS, os.kill, (os.getpid(), signal.SIGINT))
        again.daemon = True
        again.start()

    sys.unraisablehook = lost
    try:
        yield
    finally:
        sys.unraisablehook = before
