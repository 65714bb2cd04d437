"""Other processes: how many this machine carries, and how a new Python is started that imports what this one does."""

from __future__ import annotations

import os
import sys

START = "import sys; sys.path[:] = sys.argv[1:]; from {module} import main; main()"


def processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def command(module: str) -> list[str]:
    """The command line of a new Python that runs ``module.main()`` and finds modules where this process does.

    ``-P`` keeps the current folder out: it is the user's, or anybody's whose code is checked, and a ``struct.py`` in it
    would run in place of Python's. (``multiprocessing``'s spawn and forkserver do look there first. A fork would not;
    but a fork of a process with threads can end in a deadlock, and Python warns of it from 3.12 on.)
    """
    return [sys.executable, "-P", "-c", START.format(module=module), *sys.path]
