"""Where in the user's program an operation was called: the Python stack as places of source."""

from __future__ import annotations

import linecache
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType

from finallayer.expr import Origin

#: Frames of ours, and of what only hands calls on.
_OURS = str(Path(__file__).parents[1])
_BUILTIN = ("<frozen ", "<string>", "<eval_with_key>")


class Stack:
    """The user's part of the Python stack: without the frames of ``packages`` (folders), Python's own and ours.

    ``private``: folders of theirs whose code does on purpose what it does.
    """

    def __init__(self, packages: Iterable[str], private: Iterable[str] = ()) -> None:
        paths = sysconfig.get_paths()
        self._libraries = tuple({_folder(paths[name]) for name in ("purelib", "platlib")})
        self._standard = tuple({_folder(paths[name]) for name in ("stdlib", "platstdlib")})
        self._hidden = (_folder(_OURS), *(_folder(p) for p in packages))
        self._private = tuple(_folder(p) for p in private)
        self._users: dict[int, tuple[CodeType, bool]] = {}  # by identity: code of two files may be equal
        self._of_private: set[int] = set()
        self.in_private = False  # whether private code stood within the last place that was asked for
        self._origins: dict[tuple[int, int], Origin] = {}

    def place(self) -> Origin | None:
        """The innermost place of the user's, or of a library that isn't hidden; None where there is none."""
        self.in_private = False
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
            seen = known.get(id(code))
            if seen is None:
                seen = known[id(code)] = code, self.is_users(code.co_filename)
                if not seen[1] and code.co_filename.startswith(self._private):
                    self._of_private.add(id(code))
            if seen[1]:
                return frame
            if id(code) in self._of_private:
                self.in_private = True
            frame = frame.f_back
        return None

    def is_users(self, path: str) -> bool:
        if path.startswith(_BUILTIN) or path.startswith(self._hidden):
            return False
        return self.is_library(path) or not path.startswith(self._standard)

    def _origin(self, frame: FrameType) -> Origin:
        key = id(frame.f_code), frame.f_lasti
        if key not in self._origins:
            self._origins[key] = _origin(frame)
        return self._origins[key]


def frames() -> Iterator[FrameType]:
    """All frames of the Python stack, that of who asks first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def is_running(*codes: CodeType) -> bool:
    """Whether a function of one of these codes is running."""
    return any(frame.f_code is code for frame in frames() for code in codes)


@cache
def folders_of(*packages: str) -> list[str]:
    """The folders of those of these packages that are installed."""
    found = map(find_spec, packages)
    return [str(Path(spec.origin).parent) for spec in found if spec is not None and spec.origin]


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
