"""Zip archives that may be anybody's: a member read, or replaced, all others copied byte for byte, none unpacked."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from finallayer import disk
from finallayer.models.parsing import json_in
from finallayer.models.refusals import NotDone, NotRead

#: The largest member that is read: the description of a graph, never its weights.
MOST_BYTES = 256 * 2**20
#: More members than the largest sharded archive has.
MOST_MEMBERS = 100_000
_LOCAL_HEADER = 30
_CHUNK = 2**20
#: What zipfile may make of a damaged archive.
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, NotImplementedError, RuntimeError)
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Archive:
    """A zip archive on disk. Raises :class:`NotRead` for what is none, is damaged or may do harm."""

    def __init__(self, path: str) -> None:
        self.path = path
        disk.size_of(path)  # a regular file
        with _told(), zipfile.ZipFile(path) as archive:
            self.members = archive.infolist()
            self._ends = archive.start_dir
        if len(self.members) > MOST_MEMBERS:
            raise NotRead(f"too many members ({len(self.members):,}; the most is {MOST_MEMBERS:,})")
        self.names = [m.filename for m in self.members]
        if len(set(self.names)) < len(self.names):
            raise NotRead("two members of one name: nobody could say which is meant")
        for name in self.names:
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name.replace("\\", "/")).parts:
                raise NotRead(f"a member whose name leads out of the archive: {name!r}")

    def bytes_of(self, name: str) -> bytes:
        """The content of a member. Raises :class:`NotRead` where it is too large, however small it is packed."""
        member = next((m for m in self.members if m.filename == name), None)
        if member is None:
            raise NotRead(f"no member {name!r}")
        if member.flag_bits & 1 or member.compress_type not in _PLAIN:
            raise NotRead(f"{name} is encrypted, or packed in an unusual way")
        with _told(), zipfile.ZipFile(self.path) as archive, archive.open(member) as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise NotRead(f"{name} is too large (the most is {MOST_BYTES:,} bytes)")
        return data

    def json_of(self, name: str) -> Any:
        """The JSON in a member. Raises :class:`NotRead`."""
        return json_in(self.bytes_of(name), name)

    def spans(self) -> dict[str, tuple[int, int]]:
        """From where to where each member lies in the file, with its header and whatever follows its content."""
        starts = sorted(m.header_offset for m in self.members)
        after = dict(zip(starts, [*starts[1:], self._ends], strict=True))
        return {m.filename: (m.header_offset, after[m.header_offset]) for m in self.members}

    def raw(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes of the file from one place to another."""
        with open(self.path, "rb") as file:  # noqa: PTH123
            file.seek(start)
            while start < end and (chunk := file.read(min(_CHUNK, end - start))):
                start += len(chunk)
                yield chunk

    def rewrite(self, file: BinaryIO, name: str, content: bytes, align: int = 1) -> None:
        """Write the archive with another content of one member; ``align``: by which the others go on being aligned."""
        spans = self.spans()
        with zipfile.ZipFile(file, "w") as new:
            for member in sorted(self.members, key=lambda m: m.header_offset):
                if member.filename == name:
                    self._put(new, member, content, spans[name], align)
                    continue
                moved = copy(member)
                moved.header_offset = new.start_dir
                for chunk in self.raw(*spans[member.filename]):
                    file.write(chunk)
                new.filelist.append(moved)
                new.NameToInfo[moved.filename] = moved
                new.start_dir = file.tell()

    def _put(
        self, new: zipfile.ZipFile, member: zipfile.ZipInfo, content: bytes, span: tuple[int, int], align: int
    ) -> None:
        """Write another content of a member, padded so that what follows is aligned as it was."""
        info = zipfile.ZipInfo(member.filename, member.date_time)
        info.compress_type, info.external_attr = member.compress_type, member.external_attr
        if align > 1:
            packed = len(content) if info.compress_type == zipfile.ZIP_STORED else 0
            grows = new.start_dir + _LOCAL_HEADER + len(member.filename.encode()) + packed - span[1]
            padding = -(grows + 4) % align
            info.extra = struct.pack("<2sH", b"FB", padding) + b"Z" * padding
        new.writestr(info, content)

    def compare(self, other: Archive, name: str) -> None:
        """Raise :class:`NotDone` where another archive differs in anything but one member's content."""
        ours, theirs = self.spans(), other.spans()
        if self.names != other.names:
            raise NotDone("the new archive would have other members: please report this")
        for member in self.names:
            if member != name and not _same(self.raw(*ours[member]), other.raw(*theirs[member])):
                raise NotDone(f"the new archive's {member} would differ: please report this")


def _same(one: Iterator[bytes], other: Iterator[bytes]) -> bool:
    return all(a == b for a, b in zip(one, other, strict=True))


@contextmanager
def _told() -> Iterator[None]:
    """Around reading: whatever zipfile makes of a damaged archive is one line."""
    try:
        yield
    except NotRead:
        raise
    except _DAMAGED as error:
        raise NotRead(f"a damaged zip archive ({str(error) or type(error).__name__})") from None
