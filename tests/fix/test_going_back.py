"""The hint on how to go back: where git has uncommitted changes, and edits go across files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from finallayer.cli import main

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

UNSTABLE = """\
import torch
import torch.nn.functional as F

torch.manual_seed(0)


def loss(net, x, y):
    return -(y * torch.log(F.softmax(net(x), dim=1))).sum()
"""
HINT = (
    "finallayer: the work tree had uncommitted changes: `git diff` shows them and the fixes, "
    "`git checkout -p` takes back some\n"
)


def git(folder: Path, *args: str) -> None:
    quiet = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *quiet, *args], cwd=folder, check=True, capture_output=True, timeout=60)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work tree without changes, the working folder."""
    for variable in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(variable, "/dev/null")
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(UNSTABLE)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "all")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(*args: str) -> str:
    return CliRunner().invoke(main, ["fix", *args]).stderr


def test_where_changes_and_fixes_mix(tree: Path) -> None:
    (tree / "a.py").write_text(UNSTABLE + "# new\n")
    assert said(".") == HINT


def test_not_where_nothing_was_changed_or_one_file_is_fixed_or_nothing_is_written(tree: Path) -> None:
    assert said("--diff", ".").count("work tree") == 0
    (tree / "new.txt").write_text("not git's\n")
    assert said("a.py") == said("b.py") == ""
    git(tree, "checkout", "-q", ".")
    assert said(".") == ""


def test_not_where_there_is_no_git(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "a.py").write_text(UNSTABLE + "# new\n")
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert said(".") == ""


@pytest.mark.parametrize("setting", ["core.fsmonitor", "filter.x.clean"])
def test_nothing_is_run_that_the_work_tree_names(tree: Path, setting: str) -> None:
    (tree / "trap.sh").write_text(f"#!/bin/sh\ntouch {tree}/sprung\ncat\n")
    (tree / "trap.sh").chmod(0o755)
    (tree / ".gitattributes").write_text("*.py filter=x\n")
    git(tree, "config", setting, str(tree / "trap.sh"))
    (tree / "a.py").write_text(UNSTABLE + "# new\n")
    said(".")
    assert not (tree / "sprung").exists()
