"""Questions to git, which answers and changes nothing. What a work tree's own settings would have it run, isn't run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

_SECONDS = 60
_QUIET = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", "--no-optional-locks")


def asked(folder: str, *question: str, told: bytes = b"", accepted: Sequence[int] = (0,)) -> bytes | None:
    """What git answers in a folder; None where it doesn't, as outside a work tree, or in somebody else's.

    ``told``: its standard input; ``accepted``: the exit codes of an answer.
    """
    git = shutil.which("git")
    if git is None:
        return None
    try:
        run = subprocess.run(
            [git, *_QUIET, *question], cwd=folder, input=told, capture_output=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout if run.returncode in accepted else None
