"""What comes from outside is shown, and neither obeyed by a terminal, nor by a workflow, nor followed on the disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finallayer.check.cache import FOLDER
from finallayer.report import FORMATS
from finallayer.report.places import plain, plain_json

from ..check.programs import DOUBLE
from .attacks import UNSTABLE, command

#: What a terminal obeys, or what turns what stands around it.
CHARACTERS = {
    "an escape": "\x1b[31m",
    "a bell": "\x07",
    "a backspace": "\x08",
    "an escape of one byte": "\x9b31m",
    "the end of a line in a log": "\x85",
    "a separator of lines": "\u2028",
    "the other direction": "\u202e",
    # no Python holds these in a line
    "a return": "\r",
    "a line of its own": "\n::error::forged ",
}


def obeyed(text: str) -> list[str]:
    """The lines of an output that do more than show themselves."""
    return [line for line in text.split("\n") if not line.replace("\t", "").isprintable() or "::error::f" in line[:10]]


@pytest.mark.parametrize("character", CHARACTERS)
def test_names_are_shown(tmp_path: Path, character: str) -> None:
    name = f"a{CHARACTERS[character]}b.py"
    (tmp_path / name).write_text(UNSTABLE)
    for output_format in FORMATS:
        ended = command(tmp_path, "check", "--no-cache", "--output-format", output_format, ".")
        assert ended.code == 1 and obeyed(ended.out + ended.err) == []
    (found,) = json.loads(command(tmp_path, "check", "--no-cache", "--output-format", "json", ".").out)
    assert found["path"] == name
    diff = command(tmp_path, "fix", "--diff", ".")
    assert obeyed(diff.out + diff.err) == []
    (tmp_path / name).write_text("import torch\nloss = (\n")
    assert obeyed(command(tmp_path, "check", "--no-cache", ".").err) == []
    assert obeyed(command(tmp_path, "check", "--no-cache", "." + name).err) == []


@pytest.mark.parametrize("character", list(CHARACTERS)[:-2])
def test_source_is_shown_and_the_marks_stand_under_what_they_mean(tmp_path: Path, character: str) -> None:
    text = f"'{CHARACTERS[character]}'; return F.cross"
    (tmp_path / "a.py").write_text(DOUBLE.replace("return F.cross", text), encoding="utf-8")
    ended = command(tmp_path, "check", "--no-cache", ".")
    assert obeyed(ended.out + ended.err) == []
    source, marks = next(pair for pair in zip(*[iter(ended.out.splitlines()[2:])] * 2, strict=False))
    assert source[marks.index("^") : marks.rindex("^") + 1].startswith("F.cross_entropy(")
    assert obeyed(command(tmp_path, "check", "--why", "a.py:6").out) == []


@pytest.mark.parametrize("character", list(CHARACTERS)[:-2])
def test_settings_and_comments_are_shown(tmp_path: Path, character: str) -> None:
    (tmp_path / "a.py").write_text(DOUBLE + f"# finallayer: ignore[FL{CHARACTERS[character]}]\n", encoding="utf-8")
    ended = command(tmp_path, "check", "--no-cache", ".")
    assert obeyed(ended.out + ended.err) == []
    key = json.dumps(CHARACTERS[character])
    (tmp_path / "pyproject.toml").write_text(f"[tool.finallayer]\n{key} = 1\n")
    ended = command(tmp_path, "check", "--no-cache", ".")
    assert ended.code == 2 and obeyed(ended.err) == []


def test_what_needs_no_escape_has_none() -> None:
    assert plain("é日本\t— 'x'") == "é日本\t— 'x'"
    assert plain("a\nb\r\x1b\u202e") == "a\\nb\\r\\x1b\\u202e"
    text = json.dumps("é\x9b\u202e\n\x7f", ensure_ascii=False)
    assert json.loads(plain_json(text)) == json.loads(text) and plain_json(text).isprintable()


# The cache


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "project" / "a.py").write_text(DOUBLE)
    (tmp_path / "project" / "pyproject.toml").write_text("")
    return tmp_path / "project"


@pytest.mark.parametrize("link", ["the folder", "a folder in it", "an entry", "a new entry", "its .gitignore"])
def test_a_link_in_place_of_the_cache_is_not_followed(project: Path, link: str) -> None:
    elsewhere = project.parent / "elsewhere"
    folder = project / FOLDER
    command(project, "check", ".")
    (entry,) = folder.glob("*/*.json")
    match link:
        case "the folder":
            folder.rename(elsewhere / "cache")
            folder.symlink_to(elsewhere / "cache")
        case "a folder in it":
            entry.parent.rename(elsewhere / "cache")
            entry.parent.symlink_to(elsewhere / "cache")
        case "an entry":
            entry.rename(elsewhere / "entry")
            entry.symlink_to(elsewhere / "entry")
        case "a new entry":
            entry.unlink()
            entry.symlink_to(elsewhere / "new")
        case _:
            (folder / ".gitignore").unlink()
            (folder / ".gitignore").symlink_to(elsewhere / "new")
    (project / "a.py").write_text(DOUBLE + "\n")
    before = {path: path.read_bytes() for path in elsewhere.rglob("*") if path.is_file()}
    assert command(project, "check", ".").code == 1
    assert {path: path.read_bytes() for path in elsewhere.rglob("*") if path.is_file()} == before


def test_an_entry_that_lies_elsewhere_is_not_read(project: Path) -> None:
    """Or a link would show as ours what somebody else has written."""
    command(project, "check", ".")
    (entry,) = (project / FOLDER).glob("*/*.json")
    made_up = entry.read_text().replace("cross_entropy", "made_up")
    assert made_up != entry.read_text()
    (project.parent / "entry").write_text(made_up)
    entry.unlink()
    entry.symlink_to(project.parent / "entry")
    assert "made_up" not in command(project, "check", ".").out


@pytest.mark.parametrize("output", FORMATS)
def test_a_workflow_obeys_no_name_and_no_source(tmp_path: Path, output: str) -> None:
    (tmp_path / "::error::forged.py").write_text(UNSTABLE)
    (tmp_path / "##[error]forged.py").write_text(
        "".join(f"{line}  ##[add-matcher]x ##vso[x]\n" for line in UNSTABLE.splitlines())
    )
    ended = command(tmp_path, "check", "--no-cache", "--output-format", output, ".")
    assert ended.code == 1 and "forged" in ended.out
    assert "##[" not in ended.out + ended.err and "##vso[" not in ended.out
    assert not [line for line in ended.out.splitlines() if line.lstrip().startswith("::error")]
    if output in {"json", "sarif"}:
        assert "##[error]forged.py" in json.dumps(json.loads(ended.out)) or output == "sarif"  # there it is a URI


def test_a_workflow_obeys_no_line_that_is_asked_about(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('x = """\n  ::error::forged\n"""\n')
    ended = command(tmp_path, "check", "--why", "a.py:2")
    assert "\\x3a:error::forged" in ended.out
    assert not [line for line in ended.out.splitlines() if line.lstrip().startswith("::")]
