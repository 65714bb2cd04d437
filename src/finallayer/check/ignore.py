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
        return Pattern(re.compile(body if anchored else rf"(?:.*/)?{body}", re.S), ignores, folders_only)
    except re.error:  # such as a range from z to a
        return None


def _translated(glob: str) -> str:
    out = ""
    if glob.startswith("**/"):
        out, glob = "(?:.*/)?", glob[3:]
    ending = ""
    if glob.endswith("/**"):
        ending, glob = "/.+", glob[:-3]
    return out + "/(?:.*/)?".join(_segment(part) for part in glob.split("/**/")) + ending


def _segment(glob: str) -> str:
    out = []
    for got in _GLOB.finditer(glob):
        negated, members, escaped, plain = got.groups()
        if members is not None:
            members = members.replace("[", r"\[")
            out.append(f"(?!/)[{'^' if negated else ''}{members}]")
        elif escaped or plain:
            out.append(re.escape(escaped or plain))
        else:
            out.append("[^/]" if got[0] == "?" else "[^/]*")
    return "".join(out)
