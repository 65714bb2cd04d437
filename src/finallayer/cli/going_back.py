"""How to go back: said where fixes are mixed with changes that nobody has committed yet."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

_SECONDS = 10


def hint(paths: Sequence[str]) -> str:
    """One line on how to undo edits of these files, where git has changes of them that aren't committed; else empty.

    Git is asked, and changes nothing. What a work tree's own settings would have it run, it doesn't run.
    """
    git = shutil.which("git")
    if git is None or len(paths) < 2:
        return ""
    folder = os.path.dirname(paths[0])  # noqa: PTH120
    filters = _asked(git, folder, "config", "--get-regexp", r"^filter\..*\.(clean|process)$")
    if filters is None or filters:  # programs, which asking for the status may run
        return ""
    status = _asked(git, folder, "status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=all")
    if not status:
        return ""
    return (
        "the work tree had uncommitted changes: `git diff` shows them and the fixes, `git checkout -p` takes back some"
    )


def _asked(git: str, folder: str, *question: str) -> bytes | None:
    """What git answers; None where it doesn't, as outside a work tree, or in somebody else's."""
    quiet = ["-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", "--no-optional-locks"]
    try:
        run = subprocess.run(
            [git, *quiet, *question],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    none_set = question[0] == "config" and run.returncode == 1
    return run.stdout if run.returncode == 0 or none_set else None
