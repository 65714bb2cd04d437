"""The one way to read a file that may be anybody's: a regular one, of bounded size, with one error for all else."""

from __future__ import annotations

import errno
import os
import stat
from hashlib import blake2b
from pathlib import Path

#: A larger file is no program, no notebook and no settings.
MOST_BYTES = 50_000_000
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
# A pipe without a writer would keep whoever opens it waiting, a terminal would become ours.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


def contents(path: str | Path, most: int = MOST_BYTES, *, follow: bool = True) -> bytes:
    """The bytes of a regular file, or of one that a link leads to unless it isn't to be followed.

    Raises OSError, and nothing else, where there is none, where it is something else (a folder, a pipe, a device, a
    link to itself), where it is not to be read, and where it is larger than ``most`` bytes.
    """
    try:
        # Before it is opened: opening a device may do something.
        _must_be_regular(os.stat(path, follow_symlinks=follow), path)  # noqa: PTH116
        with os.fdopen(os.open(path, _FLAGS if follow else _FLAGS | _NO_LINKS), "rb") as file:
            size = _must_be_regular(os.fstat(file.fileno()), path)
            if size > most:
                raise _too_large(path, size, most)
            data = file.read(most + 1)
    except ValueError as error:  # a null byte in the path
        raise OSError(errno.EINVAL, str(error), str(path)) from None
    if len(data) > most:  # it grows
        raise _too_large(path, len(data), most)
    return data


def head(path: str | Path, most: int) -> bytes:
    """The first bytes of a regular file. Raises OSError where it is something else."""
    _must_be_regular(os.stat(path), path)  # noqa: PTH116
    with os.fdopen(os.open(path, _FLAGS), "rb") as file:
        _must_be_regular(os.fstat(file.fileno()), path)
        return file.read(most)


def size_of(path: str | Path) -> int:
    """The bytes of a regular file. Raises OSError where it is something else."""
    return _must_be_regular(os.stat(path), path)  # noqa: PTH116


def text_of(path: str | Path, most: int = MOST_BYTES) -> str | None:
    """What of a file is text, as far as that can be told; None where it can't be read."""
    try:
        return contents(path, most).decode(errors="ignore")
    except OSError:
        return None


def digest(data: bytes) -> str:
    """What stands for some content."""
    return blake2b(data, digest_size=16).hexdigest()


def _must_be_regular(state: os.stat_result, path: str | Path) -> int:
    """The size of a regular file."""
    if stat.S_ISDIR(state.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(state.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return state.st_size


def _too_large(path: str | Path, size: int, most: int) -> OSError:
    return OSError(errno.EFBIG, f"too large ({size:,} bytes; the most is {most:,})", str(path))
