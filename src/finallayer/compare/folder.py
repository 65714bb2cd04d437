"""The report folder as one run's own: proven writable, and locked against a second, which would lose the first."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from finallayer.compare.compare_error import BadInputError

LOCK = ".lock"
#: What a report is made of.
MEASUREMENTS, TABLE, PAGE, FIGURES = "results.json", "results.csv", "report.html", "figures"
EARLIER = "earlier"


def make_folder(folder: Path) -> None:
    """The report folder, proven writable before hours of training end there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        for inner in (folder / EARLIER, folder / FIGURES):
            if inner.is_symlink() or (inner.exists() and not inner.is_dir()):
                raise BadInputError(f"--out: {inner} is a link or a file; expected a folder, or none")
    except OSError as error:
        raise BadInputError(
            f"--out: cannot write into {folder} ({error.strerror}); expected a writable folder"
        ) from error


def set_aside(folder: Path) -> None:
    """Move an earlier report, if there is one, into ``earlier/`` within the folder, named after when it ended."""
    if not (folder / MEASUREMENTS).exists():
        return
    try:
        ended = datetime.fromtimestamp((folder / MEASUREMENTS).stat().st_mtime).strftime("%Y-%m-%d %H.%M.%S")
    except (ValueError, OverflowError, OSError):  # a time that no calendar has
        ended = "undated"
    names = itertools.chain([ended], (f"{ended} ({again})" for again in itertools.count(2)))
    place = next(place for name in names if not (place := folder / EARLIER / name).exists())
    place.mkdir(parents=True)
    for name in (MEASUREMENTS, TABLE, PAGE, FIGURES):
        if (folder / name).exists():
            (folder / name).rename(place / name)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Inside, no other run writes into the folder. The lock ends with the process, however that ends."""
    make_folder(folder)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BadInputError(f"--out: another run is writing into {folder}; expected another --out") from None
    try:
        yield
    finally:
        lock.release()
