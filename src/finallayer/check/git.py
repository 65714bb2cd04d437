"""Questions to git, which answers and changes nothing.

What is asked about may be anybody's, its settings included: nothing that they would have git run is run, no connection
is opened for what a clone has left out, and a folder that only looks like a repository isn't taken for one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

_SECONDS = 60
_SETTINGS = ("core.fsmonitor=false", f"core.hooksPath={os.devnull}", "safe.bareRepository=explicit")
_QUIET = (*(part for setting in _SETTINGS for part in ("-c", setting)), "--no-optional-locks")
_NO_CONNECTION = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}


def asked(folder: str, *question: str, told: bytes = b"", accepted: Sequence[int] = (0,)) -> bytes | None:
    """What git answers in a folder; None where it doesn't, as outside a work tree, or in somebody else's.

    ``told``: its standard input; ``accepted``: the exit codes of an answer.
    """
    git = shutil.which("git")
    if git is None or not os.path.isabs(git):  # noqa: PTH117 (a program of the working folder is not git)
        return None
    try:
        run = subprocess.run(
            [git, *_QUIET, *question],
            cwd=folder,
            env=os.environ | _NO_CONNECTION,
            input=told,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return run.stdout if run.returncode in accepted else None
