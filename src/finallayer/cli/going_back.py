"""How to go back: said where fixes are mixed with changes that nobody has committed yet."""

from __future__ import annotations

import os
from collections.abc import Sequence

from finallayer.check.git import asked


def hint(paths: Sequence[str]) -> str:
    """One line on how to undo edits of these files, where git has changes of them that aren't committed; else empty.

    Asking for the status may run the programs that a work tree sets as filters; where it has any, git isn't asked.
    """
    if len(paths) < 2:
        return ""
    folder = os.path.dirname(paths[0])  # noqa: PTH120
    filters = asked(folder, "config", "--get-regexp", r"^filter\..*\.(clean|process)$", accepted=(0, 1))
    if filters is None or filters:
        return ""
    status = asked(folder, "status", "--porcelain", "-z", "--untracked-files=no", "--ignore-submodules=all")
    if not status:
        return ""
    return (
        "the work tree had uncommitted changes: `git diff` shows them and the fixes, `git checkout -p` takes back some"
    )
