"""Patterns in the manner of .gitignore (https://git-scm.com/docs/gitignore), each judged on a path by itself.

pathspec matches whole paths, so a folder's pattern speaks for all below it, and a list such as ``* !*/ !*.py`` ignores
everything. Who walks a tree asks of one entry at a time, as git does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

# Spaces at the end don't count, unless escaped.
_TRAILING = re.compile(r"(?<!\\)((?:\\\\)*) +$")
_GLOB = re.compile(r"\*+|\?|\[(!|\^)?((?:\]|\\.)?(?:\\.|[^\]\\])*)\]|\\(.)|(.)", re.S)


class Pattern(NamedTuple):
    """One line: what it matches, whether it ignores or re-includes, and whether it means folders only."""

    regex: re.Pattern[str]
    ignores: bool
    folders_only: bool


class Patterns:
    """The patterns of one file or setting, relative to a folder; the last that matches decides."""

    def __init__(self, root: str, lines: Sequence[str]) -> None:
        self._within = os.path.join(root, "")  # noqa: PTH118
        self._patterns = [p for p in map(parse, reversed(lines)) if p is not None]

    def verdict(self, path: str, is_folder: bool = False) -> bool | None:
        """Whether an absolute path is ignored (True) or re-included (False); None where no pattern speaks of it."""
        if not self._patterns or not path.startswith(self._within):
            return None
        relative = path[len(self._within) :].replace(os.sep, "/")
        for regex, ignores, folders_only in self._patterns:
            if (is_folder or not folders_only) and regex.fullmatch(relative):
                return ignores
        return None

    def covers(self, path: str) -> bool:
        """Whether a file is ignored, by itself or with a folder above it."""
        if not path.startswith(self._within):
            return False
        ends = (i for i, c in enumerate(path) if c == os.sep and i >= len(self._within))
        return any(self.verdict(path[:end], is_folder=True) for end in ends) or self.verdict(path) is True


@cache
def parse(line: str) -> Pattern | None:
    """One line of a .gitignore; None for a comment, an empty line and what can match nothing."""
    text = _TRAILING.sub(r"\1", line.rstrip("\r\n"))
    if not text or text.startswith("#"):
        return None
    ignores = not text.startswith("!")
    text = text if ignores else text[1:]
    folders_only = text.endswith("/")
    text = text.removesuffix("/")
    anchored = "/" in text
    if not text:
        return None
    try:
        body = _translated(text.removeprefix("/"))
        return Pattern(re.compile(body if anchored else rf"(?:[^/]*+/)*+{body}", re.S), ignores, folders_only)
    except re.error:  # such as a range from z to a
        return None


def _translated(glob: str) -> str:
    """The pattern as a regular expression that never goes back on what a star has taken.

    Between two stars the leftmost match is as good as any, and so it is for runs of folders between ``**``: each is
    taken in an atomic group. What backtracks in a pattern of many stars takes time without an end.
    """
    parts = glob.split("/")
    if parts == ["**"]:
        return _segment("*")
    below = parts[-1] == "**"  # all that lies below
    runs: list[str] = [""]
    for part in parts[:-1] if below else parts:
        if part == "**":
            runs.append("")
        else:
            runs[-1] += f"{_segment(part)}/"
    last = "" if below else runs.pop().removesuffix("/")
    start = runs[0] if runs else ""
    between = "".join(f"(?>(?:[^/]+/)*?{run})" for run in runs[1:] if run)
    return start + between + (".+" if below else f"(?:[^/]+/)*{last}" if runs else last)


def _segment(glob: str) -> str:
    pieces = [""]
    for got in _GLOB.finditer(glob):
        negated, members, escaped, plain = got.groups()
        if members is not None:
            members = members.replace("[", r"\[")
            pieces[-1] += f"(?!/)[{'^' if negated else ''}{members}]"
        elif escaped or plain:
            pieces[-1] += re.escape(escaped or plain)
        elif got[0] == "?":
            pieces[-1] += "[^/]"
        else:
            pieces.append("")
    first, *rest = pieces
    if not rest:
        return first
    return first + "".join(f"(?>[^/]*?{piece})" for piece in rest[:-1] if piece) + f"[^/]*{rest[-1]}"
