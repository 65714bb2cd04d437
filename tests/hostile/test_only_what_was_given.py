"""``fix`` writes the files of the project that it was given, and only their text: names, owner and mode stay."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from finallayer.fix.text import documents
from finallayer.fix.text.documents import ChangedMeanwhileError, Document, write_together

from ..check.programs import MODEL, TRAIN, lay
from .attacks import UNSTABLE, command


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    (tmp_path / "elsewhere").mkdir()
    return folder


ADD_IGNORE = ["check", "--add-ignore", "--no-cache", "."]


@pytest.mark.parametrize(
    "verb", [["fix", "."], ["fix", "--diff", "."], ["check", "--fix", "--no-cache", "."], ADD_IGNORE]
)
def test_a_link_out_of_the_project_is_not_followed(project: Path, verb: list[str]) -> None:
    victim = project.parent / "elsewhere" / "victim.py"
    victim.write_text(UNSTABLE)
    (project / "a.py").symlink_to(victim)
    ended = command(project, *verb)
    assert ended.code == (2 if verb is ADD_IGNORE else 1) or "--diff" in verb
    assert "is a link out of the project" in ended.out + ended.err or verb[1] == "--fix"
    assert victim.read_text() == UNSTABLE and (project / "a.py").is_symlink()


def test_a_module_in_a_folder_that_is_a_link_out_of_the_project_is_not_written(project: Path) -> None:
    lay(project.parent / "elsewhere", model=MODEL)
    (project / "models").symlink_to(project.parent / "elsewhere")
    lay(project, train=TRAIN.replace("model", "models.model"))
    ended = command(project, "fix", ".")
    assert "models/model.py, which is a link out of the project" in ended.out
    assert (project.parent / "elsewhere" / "model.py").read_text() == MODEL


def test_a_link_that_is_named_is_written_through(project: Path) -> None:
    victim = project.parent / "elsewhere" / "given.py"
    victim.write_text(UNSTABLE)
    (project / "a.py").symlink_to(victim)
    assert command(project, "fix", "a.py").code == 0
    assert "log_softmax" in victim.read_text() and (project / "a.py").is_symlink()


def test_a_link_within_the_project_is_written_through(project: Path) -> None:
    (project / "text").write_text(UNSTABLE)
    (project / "a.py").symlink_to("text")
    assert command(project, "fix", ".").code == 0
    assert "log_softmax" in (project / "text").read_text() and (project / "a.py").is_symlink()


def test_a_project_that_is_reached_by_a_link_is_fixed(project: Path) -> None:
    lay(project, model=MODEL, train=TRAIN)
    (project.parent / "here").symlink_to(project)
    assert command(project.parent / "here", "fix", "--unsafe-fixes", "train.py").code == 0
    assert "softmax" not in (project / "model.py").read_text()


@pytest.mark.parametrize("other", ["b.txt", "b.py"])
def test_a_file_of_two_names_stays_one(project: Path, other: str) -> None:
    (project / "a.py").write_text(UNSTABLE)
    os.link(project / "a.py", project / other)
    assert command(project, "fix", ".").code == 0
    assert (project / "a.py").samefile(project / other)
    assert "log_softmax" in (project / other).read_text()
    assert sorted(p.name for p in project.iterdir()) == ["a.py", other, "pyproject.toml"]


def test_a_file_of_two_names_is_as_it_was_where_it_can_not_be_written(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "a.py").write_text(UNSTABLE)
    os.link(project / "a.py", project / "b.txt")
    real, calls = os.fsync, []

    def full_at_last(file: int) -> None:
        calls.append(file)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file)

    monkeypatch.setattr("finallayer.fix.text.documents.os.fsync", full_at_last)
    assert command(project, "fix", ".").code == 2
    assert (project / "b.txt").read_text() == UNSTABLE
    assert sorted(p.name for p in project.iterdir()) == ["a.py", "b.txt", "pyproject.toml"]


@pytest.mark.parametrize("mode", [0o600, 0o755, 0o4755, 0o2664])
def test_mode_and_attributes_stay(project: Path, mode: int) -> None:
    (project / "a.py").write_text(UNSTABLE)
    (project / "a.py").chmod(mode)
    try:
        os.setxattr(project / "a.py", "user.origin", b"a forum")
    except OSError:
        pytest.skip("this disk keeps no attributes")
    assert command(project, "fix", ".").code == 0
    assert (project / "a.py").stat().st_mode & 0o7777 == mode
    assert os.getxattr(project / "a.py", "user.origin") == b"a forum"


@pytest.mark.parametrize("what", ["the owner", "an attribute"])
def test_a_file_that_can_not_be_given_back_is_written_in_place(
    project: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Such as a colleague's, in a folder of a group: it stays theirs."""
    (project / "a.py").write_text(UNSTABLE)
    try:
        os.setxattr(project / "a.py", "user.origin", b"a forum")
    except OSError:
        pytest.skip("this disk keeps no attributes")
    kept, inode = documents._beside_its_text, (project / "a.py").stat().st_ino

    def another(path: Path) -> tuple[object, ...]:
        return kept(path) if path.name == "a.py" or what != "the owner" else (12345, *kept(path)[1:])

    def denied(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(documents, "_beside_its_text", another)
    monkeypatch.setattr(f"finallayer.fix.text.documents.os.{'chown' if what == 'the owner' else 'setxattr'}", denied)
    assert command(project, "fix", ".").code == 0
    assert "log_softmax" in (project / "a.py").read_text() and (project / "a.py").stat().st_ino == inode
    assert len(list(project.iterdir())) == 2


@pytest.mark.parametrize("output", ["json", "sarif", "text"])
def test_a_check_offers_no_fix_that_would_not_be_made(project: Path, output: str) -> None:
    victim = project.parent / "elsewhere" / "victim.py"
    victim.write_text(UNSTABLE)
    (project / "a.py").symlink_to(victim)
    ended = command(project, "check", "--no-cache", "--output-format", output, ".")
    assert ended.code == 1 and "fixable" not in ended.out and "insertedContent" not in ended.out
    assert "a.py, which is a link out of the project" in ended.out or output == "text"
    assert '"fix": null' in ended.out or output != "json"


def test_a_file_whose_name_is_as_long_as_may_be_is_fixed(project: Path) -> None:
    file = project / f"{'n' * 252}.py"
    file.write_text(UNSTABLE)
    assert command(project, "fix", ".").code == 0
    assert "log_softmax" in file.read_text() and len(list(project.iterdir())) == 2


def test_a_file_that_changes_while_others_are_written_is_left(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (Document(project / name, b"before") for name in ("a.py", "b.py"))
    for document in (first, second):
        document.path.write_bytes(b"before")
    put = documents._Staged.put

    def meanwhile(staged: documents._Staged) -> None:
        put(staged)
        if staged.new == b"after":
            second.path.write_bytes(b"the user's")

    monkeypatch.setattr(documents._Staged, "put", meanwhile)
    with pytest.raises(ChangedMeanwhileError):
        write_together([(first, b"after"), (second, b"after")])
    assert (first.path.read_bytes(), second.path.read_bytes()) == (b"before", b"the user's")
    assert len(list(project.iterdir())) == 3


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_becomes_a_link_meanwhile_is_not_followed(project: Path, what: str) -> None:
    (project / "folder").mkdir()
    elsewhere = project.parent / "elsewhere" / "a.py"
    for place in (elsewhere, project / "folder" / "a.py"):
        place.write_bytes(b"before")
    document = Document(project / "folder" / "a.py", b"before")
    link = document.path if what == "file" else document.path.parent
    link.rename(project / "away")
    link.symlink_to(elsewhere if what == "file" else elsewhere.parent)
    with pytest.raises(ChangedMeanwhileError):
        write_together([(document, b"after")])
    assert elsewhere.read_bytes() == b"before"


def test_what_can_not_be_put_back_is_told_and_the_others_are(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [Document(project / name, b"before") for name in ("a.py", "b.py", "c.py")]
    for document in files:
        document.path.write_bytes(b"before")
    put = documents._Staged.put

    def full(staged: documents._Staged) -> None:
        if staged.document.path.name == "c.py" or (staged.new == b"before" and staged.document.path.name == "a.py"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        put(staged)

    monkeypatch.setattr(documents._Staged, "put", full)
    with pytest.raises(OSError, match=r"a\.py was written, and couldn't be put back: No space left"):
        write_together([(document, b"after") for document in files])
    assert [document.path.read_bytes() for document in files] == [b"after", b"before", b"before"]
    assert len(list(project.iterdir())) == 4
