"""Where git is asked, what it is asked about has it run nothing, and open no connection: settings may be anybody's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from finallayer.check import revision

from .attacks import UNSTABLE, command

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
SETTINGS = ("user.name=somebody", "user.email=somebody@example.org", "commit.gpgsign=false", "core.fsmonitor=false")


def git(folder: Path, *question: str, fails: bool = False) -> str:
    ours = [part for setting in SETTINGS for part in ("-c", setting)]
    run = subprocess.run(["git", *ours, *question], cwd=folder, capture_output=True, text=True, check=not fails)
    return run.stdout.strip()


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that lacks a file of its first commit, which its settings would have fetched by a program."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init")
    for text in (UNSTABLE, f"{UNSTABLE}\n"):
        for name in ("a.py", "b.py"):
            (folder / name).write_text(text + f"# {name}\n")
        git(folder, "add", ".")
        git(folder, "commit", "-m", "more")
    blob = git(folder, "rev-parse", "HEAD~1:a.py")
    (folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n: > '{tmp_path / 'ran'}'\n")
    program.chmod(0o755)
    for setting, value in {
        "core.repositoryformatversion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.url": "ssh://nowhere/repository",
        "remote.origin.promisor": "true",
        "core.sshCommand": str(program),
        "protocol.ssh.allow": "always",
        "core.fsmonitor": str(program),
    }.items():
        git(folder, "config", setting, value)
    return folder


def ran(trap: Path) -> bool:
    return (trap.parent / "ran").exists()


def test_the_trap_works(trap: Path) -> None:
    git(trap, "cat-file", "-p", "HEAD~1:a.py", fails=True)
    assert ran(trap)


def test_what_a_clone_has_left_out_is_not_fetched(trap: Path) -> None:
    ended = command(trap, "check", "--no-cache", "--diff-base", "HEAD~1", ".")
    assert ended.code == 2 and ended.err.count("\n") == 1 and not ran(trap)
    assert "the clone lacks 'a.py' of " in ended.err


def test_a_folder_that_looks_like_a_repository_is_none(trap: Path) -> None:
    """Such a one can be committed, with settings and all."""
    inner = trap / "inner"
    shutil.copytree(trap / ".git", inner)
    git(trap, f"--git-dir={inner}", "config", "core.worktree", str(inner))
    for name in ("a.py", "b.py"):
        (inner / name).write_text(UNSTABLE)
    (trap / ".git").rename(trap.parent / "away")
    ended = command(inner, "check", "--no-cache", "--diff-base", "HEAD~1", ".")
    assert ended.code == 2 and "is in no git repository" in ended.err
    assert command(inner, "fix", ".").code == 0
    assert not ran(trap)


def test_a_fix_of_several_files_asks_for_changes_and_fetches_nothing(trap: Path) -> None:
    git(trap, "reset", "--soft", "HEAD~1")
    assert command(trap, "fix", ".").code == 0
    assert not ran(trap)


def test_files_of_then_come_as_many_at_a_time_as_memory_is_for(trap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revision, "MOST_BYTES", 400)
    for name in ("c.py", "d.py", "e.py", "large.py"):
        (trap / name).write_text(UNSTABLE + "#" * 400 * (name == "large.py"))
    git(trap, "add", ".")
    git(trap, "commit", "-m", "more")
    copy = trap.parent / "copy"
    copy.mkdir()
    names = list(revision._extracted(str(trap), "HEAD", str(copy)))
    assert names == ["a.py", "b.py", "c.py", "d.py", "e.py"]
    assert all((copy / name).read_bytes() == (trap / name).read_bytes() for name in names)


def test_a_program_of_the_working_folder_is_not_git(trap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (trap.parent / "program").rename(trap / "git")
    monkeypatch.setenv("PATH", ".")
    assert command(trap, "check", "--no-cache", "--diff-base", "HEAD", ".").code == 2
    assert not ran(trap)
