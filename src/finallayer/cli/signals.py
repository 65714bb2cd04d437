"""Signals that end a command: Ctrl-C, and what a terminal or a supervisor sends, all as KeyboardInterrupt."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


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
