"""Writing files that belong together: all or none, whatever comes between, and nothing left beside them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from finallayer.fix.text.documents import ChangedMeanwhileError, Document, write_together

OLD, NEW = b"x = 1\n", b"x = 2\n"


def two_files(folder: Path) -> list[tuple[Document, bytes]]:
    for name in ("a.py", "b.py"):
        (folder / name).write_bytes(OLD)
    return [(Document.read(folder / name), NEW) for name in ("a.py", "b.py")]


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_all_are_written(tmp_path: Path) -> None:
    write_together(two_files(tmp_path))
    assert contents(tmp_path) == {"a.py": NEW, "b.py": NEW}


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("place", ["os.fsync", "pathlib.Path.chmod", "pathlib.Path.replace"])
@pytest.mark.parametrize("turn", [0, 1])
def test_where_one_fails_all_stay_and_no_temporary_file_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, place: str, turn: int
) -> None:
    changes = two_files(tmp_path)
    owner, _, name = place.rpartition(".")
    real = getattr(os if owner == "os" else Path, name)
    calls = iter(range(9))

    def fail_once(*args: object) -> object:
        if next(calls) == turn:
            raise failure
        return real(*args)

    monkeypatch.setattr(place, fail_once)
    with pytest.raises(type(failure)):
        write_together(changes)
    assert contents(tmp_path) == {"a.py": OLD, "b.py": OLD}


def test_a_file_that_has_changed_keeps_all_of_them(tmp_path: Path) -> None:
    changes = two_files(tmp_path)
    (tmp_path / "b.py").write_bytes(b"x = 3\n")
    with pytest.raises(ChangedMeanwhileError, match=r"b\.py has changed since it was read"):
        write_together(changes)
    assert contents(tmp_path) == {"a.py": OLD, "b.py": b"x = 3\n"}


def test_a_read_only_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = two_files(tmp_path)
    (tmp_path / "b.py").chmod(0o444)
    monkeypatch.setattr(os, "access", lambda path, _mode: bool(Path(path).stat().st_mode & 0o200))  # root may all
    with pytest.raises(PermissionError, match="the file is read-only"):
        write_together(changes)
    assert contents(tmp_path) == {"a.py": OLD, "b.py": OLD}


def test_one_file_by_two_names_is_written_once(tmp_path: Path) -> None:
    changes = two_files(tmp_path)
    (tmp_path / "link.py").symlink_to("a.py")
    link = Document.read(tmp_path / "link.py")
    write_together(changes)
    write_together([(link, NEW)])
    assert (tmp_path / "link.py").is_symlink()
    assert contents(tmp_path) == {"a.py": NEW, "b.py": NEW, "link.py": NEW}


def test_the_mode_stays(tmp_path: Path) -> None:
    changes = two_files(tmp_path)
    (tmp_path / "a.py").chmod(0o750)
    write_together(changes)
    assert (tmp_path / "a.py").stat().st_mode & 0o7777 == 0o750
