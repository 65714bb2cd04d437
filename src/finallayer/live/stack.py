"""Where in the user's program an operation was called: the Python stack as places of source."""

from __future__ import annotations

import linecache
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType

from finallayer.expr import Origin

#: Frames of ours, and of what only hands calls on.
_OURS = str(Path(__file__).parents[1])
_BUILTIN = ("<frozen ", "<string>", "<eval_with_key>")


class Stack:
    """The user's part of the Python stack: without the frames of ``packages`` (folders), Python's own and ours."""

    def __init__(self, packages: Iterable[str]) -> None:
        paths = sysconfig.get_paths()
        self._libraries = tuple({_folder(paths[name]) for name in ("purelib", "platlib")})
        self._standard = tuple({_folder(paths[name]) for name in ("stdlib", "platstdlib")})
        self._hidden = (_folder(_OURS), *(_folder(p) for p in packages))
        self._users: dict[CodeType, bool] = {}
        self._origins: dict[tuple[CodeType, int], Origin] = {}

    def place(self) -> Origin | None:
        """The innermost place of the user's, or of a library that isn't hidden; None where there is none."""
        frame = self._first(sys._getframe(1))
        return None if frame is None else self._origin(frame)

    def caller(self) -> Origin | None:
        """The innermost place of the user's own that called the library in which this place stands, if it does."""
        frame = self._first(sys._getframe(1))
        if frame is None or not self.is_library(frame.f_code.co_filename):
            return None
        while frame is not None and self.is_library(frame.f_code.co_filename):
            frame = self._first(frame.f_back)
        return None if frame is None else self._origin(frame)

    def is_library(self, path: str) -> bool:
        """Whether a file belongs to an installed package."""
        return path.startswith(self._libraries)

    def users(self) -> Iterator[FrameType]:
        """The frames that aren't hidden, the innermost first."""
        frame = self._first(sys._getframe(1))
        while frame is not None:
            yield frame
            frame = self._first(frame.f_back)

    def _first(self, frame: FrameType | None) -> FrameType | None:
        known = self._users
        while frame is not None:
            code = frame.f_code
            is_users = known.get(code)
            if is_users is None:
                is_users = known[code] = self._is_users(code.co_filename)
            if is_users:
                return frame
            frame = frame.f_back
        return None

    def _is_users(self, path: str) -> bool:
        if path.startswith(_BUILTIN) or path.startswith(self._hidden):
            return False
        return self.is_library(path) or not path.startswith(self._standard)

    def _origin(self, frame: FrameType) -> Origin:
        key = frame.f_code, frame.f_lasti
        if key not in self._origins:
            self._origins[key] = _origin(frame)
        return self._origins[key]


def _folder(path: str) -> str:
    return str(Path(path)) + "/" if Path(path).suffix != ".py" else path


def _origin(frame: FrameType) -> Origin:
    """The range of source that a frame is executing."""
    path, code = frame.f_code.co_filename, frame.f_code
    line, end_line, column, end_column = next(
        islice(code.co_positions(), frame.f_lasti // 2, None), (None, None, None, None)
    )
    if line is None or end_line is None or column is None or end_column is None:
        return Origin(path, frame.f_lineno, 0, frame.f_lineno, 0)
    return Origin(path, line, _characters(path, line, column), end_line, _characters(path, end_line, end_column))


def _characters(path: str, line: int, offset: int) -> int:
    """An offset in bytes as one in characters."""
    text = linecache.getline(path, line)
    return offset if text.isascii() else len(text.encode()[:offset].decode(errors="replace"))
