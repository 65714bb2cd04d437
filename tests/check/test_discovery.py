"""Which files are checked: git's own opinion where there is a work tree, and what is named is always read."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from finallayer.check.check_error import CheckError
from finallayer.check.discovery import discover
from finallayer.check.ignore import Patterns

NOTHING = Patterns("/", [])


def lay(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("x = 1\n")


def found(*paths: Path, exclude: Patterns = NOTHING, below: Path | None = None) -> list[str]:
    return [f.relative_to(below or paths[0]).as_posix() for f in discover(paths, exclude).files]


def test_python_files_and_notebooks_below_a_folder_in_order(tmp_path: Path) -> None:
    lay(tmp_path, "b.py", "a/x.ipynb", "a/y.py", "a/z.txt", "c.pyc", "no_suffix")
    assert found(tmp_path) == ["a/x.ipynb", "a/y.py", "b.py"]


def test_other_peoples_code_and_products_are_not_entered(tmp_path: Path) -> None:
    lay(tmp_path, "a.py", ".venv/b.py", "node_modules/c.py", "build/d.py", ".git/e.py", "lib/site-packages/f.py")
    lay(tmp_path, "my_env/pyvenv.cfg", "my_env/g.py", "env/h.py")
    assert found(tmp_path) == ["a.py", "env/h.py"]  # env is an environment of another kind


def test_what_is_named_is_checked_whatever_it_is(tmp_path: Path) -> None:
    lay(tmp_path, "build/a.py", "script", ".gitignore", ".git/config")
    (tmp_path / ".gitignore").write_text("build\nscript\n")
    assert found(tmp_path / "build", tmp_path / "script", below=tmp_path) == ["build/a.py", "script"]


def test_a_file_named_twice_is_checked_once(tmp_path: Path) -> None:
    lay(tmp_path, "a.py")
    assert found(tmp_path, tmp_path / "a.py", tmp_path / "." / "a.py") == ["a.py"]


def test_what_is_neither_file_nor_folder_is_refused() -> None:  # reading a pipe, say, would wait for ever
    with pytest.raises(CheckError, match=rf"{os.devnull}: neither a file nor a folder$"):
        discover([Path(os.devnull)], NOTHING)


def test_a_path_that_does_not_exist_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match=r"absent\.py: no such file or folder$"):
        discover([tmp_path / "absent.py"], NOTHING)


def test_the_projects_own_setting_excludes_named_files_too(tmp_path: Path) -> None:
    lay(tmp_path, "a.py", "old/b.py", "old/keep.py", "c_test.py")
    exclude = Patterns(str(tmp_path), ["old/*", "!old/keep.py", "*_test.py"])
    assert found(tmp_path, exclude=exclude) == ["a.py", "old/keep.py"]
    assert found(tmp_path / "old" / "b.py", exclude=exclude, below=tmp_path) == []


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    lay(tmp_path, "a/b.py")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")
    assert found(tmp_path) == ["a/b.py"]


def test_without_a_work_tree_gitignore_means_nothing(tmp_path: Path) -> None:
    lay(tmp_path, "a.py")
    (tmp_path / ".gitignore").write_text("*.py\n")
    assert found(tmp_path) == ["a.py"]


def test_a_named_folder_that_is_ignored_is_checked(tmp_path: Path) -> None:
    lay(tmp_path, ".git/config", "data/a.py", "data/inner/b.py")
    (tmp_path / ".gitignore").write_text("data/\n")
    assert found(tmp_path) == []
    assert found(tmp_path / "data") == ["a.py", "inner/b.py"]
    assert found(tmp_path / "data" / "inner") == ["b.py"]


GITIGNORES = [
    ("*.ipynb", ""),
    ("/a.py", ""),
    ("a.py", ""),
    ("pkg/", ""),
    ("pkg\n!pkg/a.py", ""),
    ("pkg/*\n!pkg/a.py", ""),
    ("pkg/**\n!pkg/deep\n!pkg/deep/a.py", ""),
    ("**/deep/*.py", ""),
    ("**/a.py", "!a.py"),
    ("pkg/**/a.py", ""),
    ("pkg/*/a.py", ""),
    ("*/a.py", ""),
    ("# a.py\n\\#x.py", ""),
    ("\\!b.py", ""),
    ("a.py", "!a.py"),
    ("", "/a.py"),
    ("", "deep/"),
    ("", "/b.py"),
    ("*\n!*.py\n!*/", ""),
    ("*\n!*/\n!a.py", ""),
    ("*.py\n!pkg/", ""),
    ("/*\n!/pkg", ""),
    ("pkg/deep", "!deep"),
    ("a.py \nxx.py\\ ", ""),
    ("b[a-c].py\n[!a].py", ""),
    ("?.py", ""),
    ("[]", ""),
    ("[z-a].py\n**", "!**"),
    ("de**p/", ""),
    ("/", ""),
]


@pytest.mark.skipif(shutil.which("git") is None, reason="compares with git itself")
@pytest.mark.parametrize(("ignore", "inner"), GITIGNORES)
def test_what_git_ignores_is_not_checked(tmp_path: Path, ignore: str, inner: str) -> None:
    lay(tmp_path, "a.py", "ba.py", "#x.py", "!b.py", "xx.py", "n.ipynb", "pkg/a.py", "pkg/n.ipynb", "pkg/deep/a.py")
    lay(tmp_path, "pkg/deep/b.py", "pkg/deep/er/a.py")
    (tmp_path / ".gitignore").write_text(ignore)
    (tmp_path / "pkg" / ".gitignore").write_text(inner)
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / ".git" / "info").mkdir(exist_ok=True)
    (tmp_path / ".git" / "info" / "exclude").write_text("xx.py\n")
    listing = subprocess.run(
        [*git, "ls-files", "-z", "--others", "--exclude-standard"], check=True, capture_output=True, text=True
    )
    listed = sorted(f for f in listing.stdout.split("\0") if f.endswith((".py", ".ipynb")))
    assert sorted(found(tmp_path)) == listed
    ignored = subprocess.run([*git, "check-ignore", "-q", "pkg"], check=False).returncode == 0
    if not ignored:
        assert sorted(found(tmp_path / "pkg")) == [f[4:] for f in listed if f.startswith("pkg/")]
