"""What a command can't do is said in one line, with exit code 2: there is never a traceback."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import finallayer

from ..check.programs import MODEL, TRAIN, lay
from .attacks import UNSTABLE, command

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(finallayer.__file__).parents[1])}
FULL = "finallayer: the output could not be written: No space left on device\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("verb", ["--help", "--version", "rules", "explain FL101", "check --why a.py:6"])
def test_a_full_disk_behind_the_output_is_one_line(tmp_path: Path, verb: str) -> None:
    (tmp_path / "a.py").write_text(UNSTABLE)
    with Path("/dev/full").open("w") as full:
        command_line = [sys.executable, "-P", "-m", "finallayer", *verb.split()]
        ended = subprocess.run(
            command_line, cwd=tmp_path, env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (ended.returncode, ended.stderr) == (2, FULL)


@pytest.mark.parametrize("verb", ["check .", "fix --diff .", "check --why a.py:6", "audit /dev/null", "compare"])
def test_a_working_folder_that_is_gone_is_one_line(tmp_path: Path, verb: str) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f'rmdir "{gone}"; "$0" -P -m finallayer {verb}'
    ended = subprocess.run(
        ["sh", "-c", script, sys.executable], cwd=gone, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (2, "finallayer: the working folder doesn't exist any more\n")


@pytest.mark.parametrize(
    ("verb", "while_loading"), [("--help", "click"), ("check .", "dataclasses"), ("compare", "rich")]
)
def test_ctrl_c_while_a_command_is_being_loaded_is_one_line(tmp_path: Path, verb: str, while_loading: str) -> None:
    pytest.importorskip(while_loading)
    (tmp_path / f"{while_loading}.py").write_text("raise KeyboardInterrupt")
    path = os.pathsep.join([str(tmp_path), ENVIRONMENT["PYTHONPATH"]])
    command_line = [sys.executable, "-P", "-m", "finallayer", *verb.split()]
    ended = subprocess.run(
        command_line, cwd=tmp_path, env={**ENVIRONMENT, "PYTHONPATH": path}, capture_output=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, b"", b"finallayer: interrupted\n")


@pytest.mark.parametrize("verb", ["--help", "check --help", "rules", "explain FL101"])
def test_who_reads_no_further_is_no_error(tmp_path: Path, verb: str) -> None:
    script = f'"$0" -P -m finallayer {verb} | true; exit "${{PIPESTATUS[0]}}"'
    ended = subprocess.run(
        ["bash", "-c", script, sys.executable], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("verb", ["check", "fix"])
def test_standard_input_that_is_closed_is_one_line(tmp_path: Path, verb: str) -> None:
    script = f'"$0" -P -m finallayer {verb} - <&-'
    ended = subprocess.run(
        ["sh", "-c", script, sys.executable], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", "finallayer: -: standard input is closed\n")


LONG = {"a name": "x" * 300, "a path": "x/" * 3000 + "a.py", "a number": "a.py:" + "9" * 5000}


@pytest.mark.parametrize("verb", [["check"], ["fix"], ["check", "--why"], ["fix", "--at"]], ids=" ".join)
@pytest.mark.parametrize("long", LONG)
def test_what_is_too_long_is_one_line(tmp_path: Path, verb: list[str], long: str) -> None:
    (tmp_path / "a.py").write_text(UNSTABLE)
    for text in (LONG[long], f"{LONG[long]}:1", f"a.ipynb:cell {'9' * 5000}:1"):
        ended = command(tmp_path, *verb, text)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)


SETTINGS = {
    "an integer of 5,000 digits": "x = " + "9" * 5000,
    "one where a list is expected": "[tool.finallayer]\nselect = " + "0x" + "f" * 50_000,
    "one in a list": "[tool.finallayer]\nselect = [0x" + "f" * 50_000 + "]",
    "brackets in brackets": "x = " + "[" * 5000 + "]" * 5000,
    "brackets in very many brackets": "x = " + "[" * 100_000,
    "tables in very many tables": "x = " + "{a=" * 100_000,
    "a key of very many parts": f"[{'.'.join('a' * 100_000)}]",
    "a key of very many parts in quotes": " . ".join(['"a"'] * 50_000) + " = 1",
    "no date": "x = 1979-13-45T99:99:99Z",
    "no text": "x = '\udcff'",
    "an impossible key": f"[tool.finallayer]\n{'x' * 10_000} = 1",
}


@pytest.mark.parametrize("settings", SETTINGS)
def test_settings_that_can_not_be_read_are_one_line(tmp_path: Path, settings: str) -> None:
    text = SETTINGS[settings]
    text = text if "[tool" in text else f"{text}\n[tool.finallayer]\n"
    (tmp_path / "pyproject.toml").write_bytes(text.encode(errors="surrogateescape"))
    (tmp_path / "a.py").write_text(UNSTABLE)
    for verb in ("check", "fix"):
        ended = command(tmp_path, verb, ".")
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)


def test_a_disk_that_is_full_is_told_truly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is said to be fixed that isn't, and no half of a file, nor a second one, is left."""
    lay(tmp_path, model=MODEL, train=TRAIN, alone=UNSTABLE)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("finallayer.fix.text.documents.os.fsync", full)
    ended = command(tmp_path, "fix", "--unsafe-fixes", ".")
    assert ended.code == 2
    assert "Fixed 0 findings in 0 files; 2 not written." in ended.out
    assert "alone.py: not fixed: No space left on device\n" in ended.err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("encoding", ["unicode_escape", "raw_unicode_escape", "utf_7", "idna", "iso2022_jp", "utf_16"])
def test_an_encoding_that_does_not_give_back_what_it_reads_changes_nothing(tmp_path: Path, encoding: str) -> None:
    data = (
        f'# coding: {encoding}\n{UNSTABLE}s = "a\\x41 \\\\ +AGE- ~"\n'.encode("ascii")
        + b'z = "\x1b$B$\x22\x1b(B\x1b(B"\n'
    )
    (tmp_path / "a.py").write_bytes(data)
    ended = command(tmp_path, "fix", ".")
    changed = (tmp_path / "a.py").read_bytes()
    if changed == data:
        assert ended.code == 2 and ended.err.count("\n") == 1
    else:
        assert changed.splitlines()[-2:] == data.splitlines()[-2:]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["without a mark", "with a mark"])
def test_a_byte_order_mark_comes_and_goes_with_nobody(tmp_path: Path, mark: bytes) -> None:
    (tmp_path / "a.py").write_bytes(mark + f"# coding: utf-8-sig\n{UNSTABLE}s = 'é'\n".encode())
    assert command(tmp_path, "fix", ".").code == 0
    fixed = (tmp_path / "a.py").read_bytes()
    assert b"log_softmax" in fixed and fixed.startswith(mark + b"# coding") and "é" in fixed.decode()


def test_a_file_that_is_not_python_is_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import torch\nloss = (\n")
    (tmp_path / "b.py").write_text(UNSTABLE)
    assert command(tmp_path, "check", "--no-cache", ".").code == 2
    assert command(tmp_path, "check", "--no-cache", "--exit-zero", ".").code == 0
    assert command(tmp_path, "fix", ".").code == 2
    assert "log_softmax" in (tmp_path / "b.py").read_text()
