"""Patterns in the manner of .gitignore (https://git-scm.com/docs/gitignore), each judged on a path by itself.

pathspec matches whole paths, so a folder's pattern speaks for all below it, and a list such as ``* !*/ !*.py`` ignores
everything. Who walks a tree asks of one entry at a time, as git does.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

_GLOB = re.compile(r"\*+|\?|\[(!|\^)?((?:\]|\\.)?(?:\\.|[^\]\\])*)\]|\\(.)|(.)", re.S)
#: The same where no bracket is closed any more: each would be looked for to the end.
_GLOB_WITHOUT_CLASSES = re.compile(r"\*+|\?|(?!)()()|\\(.)|(.)", re.S)
#: What isn't taken letter by letter, and what of it hides which letters are.
_MAGIC, _OBSCURE = re.compile(r"[*?]+"), re.compile(r"[\[\\]")


class Pattern(NamedTuple):
    """One line: what it matches, whether it ignores or re-includes, and whether it means folders only."""

    glob: str
    ignores: bool
    folders_only: bool
    needed: str  # a part of every path that it matches: most patterns are never made a regular expression

    def matches(self, relative: str) -> bool:
        """Whether it means this very path."""
        if self.needed not in relative:
            return False
        regex = _compiled(self.glob)
        return regex is not None and regex.fullmatch(relative) is not None


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
        for pattern in self._patterns:
            if (is_folder or not pattern.folders_only) and pattern.matches(relative):
                return pattern.ignores
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
    text = _without_spaces(line.rstrip("\r\n"))
    if not text or text.startswith("#"):
        return None
    ignores = not text.startswith("!")
    text = text if ignores else text[1:]
    folders_only = text.endswith("/")
    text = text.removesuffix("/")
    return Pattern(text, ignores, folders_only, _needed(text)) if text else None


def _without_spaces(text: str) -> str:
    """Spaces at the end don't count, unless escaped."""
    bare = text.rstrip(" ")
    escaped = (len(bare) - len(bare.rstrip("\\"))) % 2 == 1
    return f"{bare} " if escaped and bare != text else bare


def _needed(glob: str) -> str:
    """The longest text that is a part of every path that a pattern matches."""
    plain = glob[: obscure.start()] if (obscure := _OBSCURE.search(glob)) else glob
    return max((part.strip("/") for part in _MAGIC.split(plain)), key=len)


@cache
def _compiled(glob: str) -> re.Pattern[str] | None:
    """A pattern as a regular expression; None where it can match nothing, such as a range from z to a."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what may mean something else some day, in brackets
            body = _translated(glob.removeprefix("/"))
            return re.compile(body if "/" in glob else rf"(?:[^/]*+/)*+{body}", re.S)
    except (re.error, OverflowError, RecursionError):
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
    at, glob_regex = 0, _GLOB
    while (got := glob_regex.match(glob, at)) is not None:
        at = got.end()
        if got[0] == "[" and got[4]:
            glob_regex = _GLOB_WITHOUT_CLASSES
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
