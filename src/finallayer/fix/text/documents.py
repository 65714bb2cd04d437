"""Files as the user keeps them: read, edited and written back with encoding, byte order mark and line ends kept."""

from __future__ import annotations

import codecs
import errno
import io
import os
import tempfile
import tokenize
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path

from finallayer.disk import contents
from finallayer.findings import Edit
from finallayer.fix.text import cells
from finallayer.fix.text.edits import apply

#: As much of a file's name is in that of its copy, which may be no longer than the file's own may be.
_STEM = 40


class ChangedMeanwhileError(OSError):
    """The file isn't any more what the fix was made for."""


class Document:
    """One file's bytes, and what they become under edits."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        self.data = data
        self._leads_to = os.path.realpath(path)

    @classmethod
    def read(cls, path: Path) -> Document:
        return cls(path, contents(path))

    def edited(self, edits: Iterable[Edit]) -> bytes:
        """The file's bytes after the edits. Raises ConflictError where two overlap."""
        if self.path.suffix == ".ipynb":
            text, mark = self.data.decode("utf-8-sig"), self.data.startswith(codecs.BOM_UTF8)
            return cells.edited(text, edits).encode("utf-8-sig" if mark else "utf-8")
        new = apply(self.text, edits).encode(self._encoding)
        return new if self.data.startswith(codecs.BOM_UTF8) else new.removeprefix(codecs.BOM_UTF8)

    @property
    def text(self) -> str:
        """A program's text, by its encoding, with the line ends that it has."""
        return self.data.decode(self._encoding)

    @property
    def _encoding(self) -> str:
        return tokenize.detect_encoding(io.BytesIO(self.data).readline)[0]

    def check(self) -> None:
        """Raises OSError where the file isn't any more what was read, where it was, or is not to be written."""
        if os.path.realpath(self.path) != self._leads_to or contents(self.path) != self.data:
            raise ChangedMeanwhileError(f"{self.path} has changed since it was read")
        if not os.access(self.path, os.W_OK):
            raise PermissionError(errno.EACCES, "the file is read-only")


class _Staged:
    """New bytes beside the file whose place they are to take, on disk: what can fail has been done."""

    def __init__(self, document: Document, new: bytes) -> None:
        self.document, self.new = document, new
        self._target = document.path.resolve()  # a link goes on pointing to the file
        handle, name = tempfile.mkstemp(dir=self._target.parent, prefix=f".{self._target.name[:_STEM]}.")
        self._temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(new)
                file.flush()
                os.fsync(file.fileno())  # a full disk, or one across a network, says so here
            self._in_place = not self._stands_for_it()
        except BaseException:
            self.discard()
            raise

    def put(self) -> None:
        self.document.check()  # staging the others took its time
        if not self._in_place:
            self._temporary.replace(self._target)
            return
        try:  # the copy beside it is whole meanwhile
            _fill(self._target, self.new)
        except BaseException:
            _fill(self._target, self.document.data)
            raise
        self.discard()

    def discard(self) -> None:
        self._temporary.unlink(missing_ok=True)

    def _stands_for_it(self) -> bool:
        """Give the copy the owner, mode and attributes of the file; whether it may then take its place.

        It may not where somebody else's file would become ours, or one that goes by several names would part from them.
        """
        kept = self._target.stat()
        with suppress(OSError, AttributeError):  # only root may give files away, and not on every system
            os.chown(self._temporary, kept.st_uid, kept.st_gid)
        self._temporary.chmod(kept.st_mode & 0o7777)
        for name, value in _attributes(self._target).items():
            with suppress(OSError):  # some are the system's to set
                os.setxattr(self._temporary, name, value)
        return kept.st_nlink == 1 and _beside_its_text(self._temporary) == _beside_its_text(self._target)


def _beside_its_text(path: Path) -> tuple[object, ...]:
    """What the system keeps of a file: owner, mode, and attributes, such as who may read it."""
    kept = path.stat()
    return kept.st_uid, kept.st_gid, kept.st_mode, _attributes(path)


def _attributes(path: Path) -> dict[str, bytes]:
    try:
        return {name: os.getxattr(path, name) for name in os.listxattr(path)}
    except (OSError, AttributeError):  # not on every system, nor on every disk
        return {}


def _fill(path: Path, data: bytes) -> None:
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def write_together(
    changes: Sequence[tuple[Document, bytes]], held_back: Callable[[], AbstractContextManager[None]] = nullcontext
) -> None:
    """Write files that belong together, all or none. Raises OSError for the first that can't be written.

    A file that already has its new bytes (one that goes by two names, say) is left as it is. In ``held_back()`` no
    signal interrupts: between two steps one may, and then all is as it was.
    """
    due = [(document, new) for document, new in changes if contents(document.path) != new]
    for document, _ in due:
        document.check()
    staged: list[_Staged] = []
    done: list[_Staged] = []
    try:
        for document, new in due:
            with held_back():
                staged.append(_Staged(document, new))
        for one in staged:
            with held_back():
                one.put()
                done.append(one)
    except BaseException:
        with held_back():
            for one in staged:
                one.discard()
            _put_back(done)
        raise


def _put_back(done: Sequence[_Staged]) -> None:
    """Give files that were written what they held before. Raises OSError for those that it isn't possible for."""
    lost = []
    for one in done:
        try:
            back = _Staged(Document(one.document.path, one.new), one.document.data)
        except OSError as error:
            lost.append((one, error))
            continue
        try:
            back.put()
        except OSError as error:
            back.discard()
            lost.append((one, error))
    if lost:
        names = ", ".join(str(one.document.path) for one, _ in lost)
        why = lost[0][1].strerror or str(lost[0][1])
        raise OSError(lost[0][1].errno, f"{names} was written, and couldn't be put back: {why}")
