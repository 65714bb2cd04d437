"""The copy of a working folder: what is copied, what is linked, and that the original stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from finallayer.compare.compare_error import BadInputError
from finallayer.compare.own import folder_copy
from finallayer.compare.own.folder_copy import copy_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    for name in ("train.py", "pkg/model.py", "data/a.txt", "report/arms/train.py", "pkg/__pycache__/model.pyc"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    for name in (".git", "env", "many"):
        (root / name).mkdir()
    (root / "env/pyvenv.cfg").touch()
    (root / "earlier").mkdir()
    (root / "earlier/.lock").touch()
    (root / "earlier/results.json").touch()
    for number in range(folder_copy.MANY_FILES + 1):
        (root / f"many/{number}").touch()
    with (root / "weights.bin").open("wb") as file:
        file.truncate(folder_copy.LARGE_FILE + 1)
    (root / "there").symlink_to("data")
    return root


def test_programs_and_small_files_are_copies_and_the_rest_links(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy_folder(folder, copy, folder / "report")
    kinds = {p.name: p.is_symlink() for p in copy.iterdir()}
    assert kinds == {
        "train.py": False,
        "pkg": False,
        "data": False,
        ".git": True,
        "env": True,
        "many": True,
        "weights.bin": True,
        "there": True,
    }
    assert [p.name for p in (copy / "pkg").iterdir()] == ["model.py"]
    assert (copy / "there").resolve() == folder / "data" and (copy / "many/0").exists()
    (copy / "train.py").write_text("other")
    (copy / "data/new").touch()
    assert (folder / "train.py").read_text() == "train.py" and not (folder / "data/new").exists()


def test_a_folder_of_too_much_is_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_copy, "MOST_FILES", 3)
    with pytest.raises(BadInputError, match="nearer to the script"):
        copy_folder(folder, tmp_path / "copy", tmp_path)
    monkeypatch.setattr(folder_copy, "MOST_ENTRIES", 3)
    with pytest.raises(BadInputError, match="more than 3 entries"):
        copy_folder(folder, tmp_path / "copy", tmp_path)
    assert not (tmp_path / "copy").exists()
