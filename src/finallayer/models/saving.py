"""A changed model written: beside its place, looked at there, and put in it whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from finallayer.models.model import Edited
from finallayer.models.refusals import NotDone

#: So much of a name goes on in that of the file beside it.
_STEM = 100


def save(edited: Edited, target: Path, check: Callable[[str], None]) -> None:
    """Write a changed file; ``check``: raises where what was written, at the path that it is told, is no good.

    Raises :class:`NotDone` or OSError; then nothing has changed.
    """
    place = _place_of(target)
    handle, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.stem[:_STEM]}.", suffix=place.suffix)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w+b") as file:
            edited.write(file)
            file.flush()
            os.fsync(file.fileno())  # a full disk, or one across a network, says so here
        edited.compare(name)
        check(name)
        _keep_mode(temporary, place)
        temporary.replace(place)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror or str(error), str(target)) from None
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _place_of(target: Path) -> Path:
    """Where a file goes: a link goes on pointing to it. Raises :class:`NotDone`."""
    try:
        place = target.resolve()
        place.stat()
    except FileNotFoundError:
        if not place.parent.is_dir():
            raise NotDone(f"{target}: there is no folder {target.parent}") from None
        return place
    except RuntimeError:  # a link that leads to itself, before Python 3.13
        raise NotDone(f"{target} is no file") from None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise NotDone(f"{target} is no file") from None
    if not place.is_file():
        raise NotDone(f"{target} is no file")
    return place


def _keep_mode(temporary: Path, place: Path) -> None:
    """Owner and mode of the file that is replaced; else those that any new file has."""
    if place.exists():
        kept = place.stat()
        with suppress(OSError, AttributeError):  # only root may give files away, and not on every system
            os.chown(temporary, kept.st_uid, kept.st_gid)
        temporary.chmod(kept.st_mode & 0o7777)
        return
    mask = os.umask(0)
    os.umask(mask)
    temporary.chmod(0o666 & ~mask)
