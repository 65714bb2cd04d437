"""One file never stops or hangs a tree: whatever lies beside a program, the program is checked, and fixed."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from finallayer.disk import contents

from ..check.programs import DOUBLE
from .attacks import UNSTABLE, command

pytestmark = pytest.mark.timeout(30)  # what waits for ever fails soon


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def link(path: Path, to: str) -> Path:
    path.symlink_to(to)
    return path


def folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


#: What may lie beside a program: each makes it, and says in which notes it ends ("" for none: it is passed over).
BESIDE: dict[str, Callable[[Path], object]] = {
    "a lock of Emacs": lambda d: link(d / ".#b.py", "somebody@somewhere.1:2"),
    "a link to nowhere": lambda d: link(d / "b.py", "nowhere.py"),
    "a link to itself": lambda d: link(d / "b.py", "b.py"),
    "a folder of the name": lambda d: folder(d / "b.py"),
    "a pipe": lambda d: pipe(d / "b.py"),
    "a link to a pipe": lambda d: (pipe(d / "p"), link(d / "b.py", "p")),
    "a link to a device": lambda d: link(d / "b.py", "/dev/zero"),
    "an import of a device": lambda d: (link(d / "b.py", "/dev/zero"), (d / "c.py").write_text("import a, b\n")),
    "an import of a pipe": lambda d: (pipe(d / "b.py"), (d / "c.py").write_text("from b import *\nimport a\n")),
    "a pipe for .gitignore": lambda d: (folder(d / ".git"), pipe(d / ".gitignore")),
    "a device for .gitignore": lambda d: (folder(d / ".git"), link(d / ".gitignore", "/dev/zero")),
    "a folder for .gitignore": lambda d: (folder(d / ".git"), folder(d / ".gitignore")),
    "a pipe for git's exclude": lambda d: (folder(d / ".git/info"), pipe(d / ".git/info/exclude")),
    "a repository that is a link to itself": lambda d: link(d / ".git", ".git"),
    "a folder for pyproject.toml": lambda d: folder(d / "pyproject.toml"),
    "a pipe for settings": lambda d: pipe(d / "model.yaml"),
    "a device for settings": lambda d: link(d / "model.yaml", "/dev/zero"),
    "a folder that is a link to itself": lambda d: link(d / "b", "b"),
    "a folder that is a link to the one around it": lambda d: link(d / "b", "."),
    "an environment that is a link to itself": lambda d: (
        folder(d / "b"),
        link(d / "b/pyvenv.cfg", "pyvenv.cfg"),
    ),
}


@pytest.mark.parametrize("beside", BESIDE)
def test_a_program_is_checked_and_fixed_whatever_lies_beside_it(tmp_path: Path, beside: str) -> None:
    (tmp_path / "a.py").write_text(UNSTABLE)
    BESIDE[beside](tmp_path)
    assert "FL201" in command(tmp_path, "check", ".").out
    assert command(tmp_path, "fix", ".").code == 0
    assert "log_softmax" in (tmp_path / "a.py").read_text()


def test_a_program_that_imports_a_pipe_is_checked_and_fixed(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("from b import *\n" + DOUBLE)
    os.mkfifo(tmp_path / "b.py")
    assert "FL101" in command(tmp_path, "check", "a.py").out
    assert command(tmp_path, "fix", "--unsafe-fixes", "a.py").code == 0


@pytest.mark.parametrize("verb", ["check", "fix"])
@pytest.mark.parametrize("settings", ["a pipe", "a device", "a file that is too large"])
def test_settings_that_can_not_be_read_are_one_line(tmp_path: Path, verb: str, settings: str) -> None:
    (tmp_path / "a.py").write_text(DOUBLE)
    file = tmp_path / "pyproject.toml"
    if settings == "a pipe":
        os.mkfifo(file)
    elif settings == "a device":
        file.symlink_to("/dev/zero")
    else:
        with file.open("wb") as sparse:
            sparse.truncate(1 << 40)
    ended = command(tmp_path, verb, ".")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert "pyproject.toml: can't be read: " in ended.err


@pytest.mark.parametrize("name", ["b.py", "b.ipynb"])
def test_a_file_that_is_too_large_is_told_and_not_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.py").write_text(DOUBLE)
    with (tmp_path / name).open("wb") as sparse:
        sparse.truncate(1 << 40)
    ended = command(tmp_path, "check", "--no-cache", "--jobs", "1", ".")
    assert ended.code == 2 and "FL101" in ended.out
    assert f"finallayer: {name}: can't be read: too large (1,099,511,627,776 bytes; the most is " in ended.err


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-32-be"])
def test_a_program_that_python_can_not_read_is_told_where_it_is_found_and_where_it_is_named(
    tmp_path: Path, encoding: str
) -> None:
    (tmp_path / "a.py").write_text("\ufeff" * encoding.endswith("be") + DOUBLE, encoding=encoding)
    for path in (".", "a.py"):
        for verb in ("check", "check", "fix"):  # the second time from the cache
            ended = command(tmp_path, verb, path)
            assert (ended.code, ended.err.count("\n")) == (2, 1) and "finallayer: a.py: not Python" in ended.err


@pytest.fixture
def forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file and a folder that are not ours to read, whoever we are."""
    place = tmp_path / "secret"
    place.mkdir()
    (place / "b.py").write_text(DOUBLE)
    (tmp_path / "secret.py").write_text("import a\n")
    (tmp_path / "inside.py").symlink_to(place / "b.py")

    def refusing(real: Callable[..., Any]) -> Callable[..., Any]:
        def called(path: Any, *more: Any, **options: Any) -> Any:
            if isinstance(path, (str, Path)) and (str(path) + "/").startswith((f"{place}/", f"{place}.py/")):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return real(path, *more, **options)

        return called

    monkeypatch.setattr(os, "open", refusing(os.open))
    monkeypatch.setattr(os, "scandir", refusing(os.scandir))
    return tmp_path


def test_what_is_not_ours_to_read_is_told_and_costs_nothing_else(forbidden: Path) -> None:
    (forbidden / "a.py").write_text(UNSTABLE)
    ended = command(forbidden, "check", "--no-cache", ".")
    assert ended.code == 2 and "FL201" in ended.out
    assert "finallayer: secret: can't be read: Permission denied\n" in ended.err
    assert "finallayer: secret.py: can't be read: Permission denied\n" in ended.err
    command(forbidden, "fix", ".")
    assert "log_softmax" in (forbidden / "a.py").read_text()


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """1,500 folders in each other, with a program in the innermost."""
    top, before = tmp_path / "top", Path.cwd()
    top.mkdir()
    (top / "a.py").write_text(UNSTABLE)
    os.chdir(top)
    for _ in range(1500):
        Path("d").mkdir()
        os.chdir("d")
    Path("z.py").write_text(UNSTABLE)
    os.chdir(before)
    yield top
    subprocess.run(["rm", "-rf", str(top)], check=True)  # shutil.rmtree is at its end here


@pytest.mark.timeout(120)
def test_folders_in_folders_are_walked_to_the_last(deep: Path) -> None:
    ended = command(deep, "fix", "--diff", ".")
    assert ended.code in (1, 2) and "a.py" in ended.err
    assert "Would fix 2 findings in 2 files" in ended.err or "File name too long" in ended.err


@pytest.mark.parametrize("what", ["a pipe", "a device", "a link to itself", "a folder", "a long name", "a null"])
def test_there_is_one_error_for_what_can_not_be_read(tmp_path: Path, what: str) -> None:
    path = str(tmp_path / "x")
    with suppress(FileExistsError):
        match what:
            case "a pipe":
                os.mkfifo(path)
            case "a device":
                path = "/dev/zero"
            case "a link to itself":
                Path(path).symlink_to(path)
            case "a folder":
                Path(path).mkdir()
            case "a long name":
                path += "x" * 5000
            case "a null":
                path += "\0"
    with pytest.raises(OSError) as caught:
        contents(path)
    assert caught.value.strerror


def test_a_file_that_is_a_link_is_read_unless_it_is_not_to_be_followed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"data")
    (tmp_path / "b").symlink_to("a")
    assert contents(tmp_path / "b") == b"data"
    with pytest.raises(OSError):
        contents(tmp_path / "b", follow=False)
    with pytest.raises(OSError, match="too large"):
        contents(tmp_path / "a", most=3)
