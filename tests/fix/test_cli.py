"""``finallayer fix`` on the command line: what it says, what it writes, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from finallayer.cli import main

UNSTABLE = """\
import torch
import torch.nn.functional as F

torch.manual_seed(0)


def loss(net, x, y):
    return -(y * torch.log(F.softmax(net(x), dim=1))).sum()
"""
STABLE = UNSTABLE.replace("torch.log(F.softmax(net(x), dim=1))", "F.log_softmax(net(x), dim=1)")
UNFIXABLE = UNSTABLE.replace("F.softmax", "1 - F.softmax")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*args: str) -> Result:
    result = CliRunner().invoke(main, args)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def test_files_are_fixed_and_counted(here: Path) -> None:
    for name in ("a.py", "b.py"):
        (here / name).write_text(UNSTABLE)
    result = call("fix", ".")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "Fixed a.py: 1 × FL201 (log-of-softmax)",
        "Fixed b.py: 1 × FL201 (log-of-softmax)",
        "Fixed 2 findings in 2 files.",
    ]
    assert (here / "a.py").read_text() == (here / "b.py").read_text() == STABLE
    again = call("fix", ".")
    assert (again.exit_code, again.stdout) == (0, "Nothing to fix in 2 files.\n")


def test_what_has_no_fix_is_left_shown_with_the_reason_and_counted(here: Path) -> None:
    (here / "a.py").write_text(UNFIXABLE)
    result = call("fix", "a.py")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0].startswith("a.py:8:18: FL201 log of a softmax")
    assert "  no fix: nothing that mends this rule's findings can be written here" in lines
    assert lines[-1] == "Fixed 0 findings in 0 files; 1 left without a fix."
    assert (here / "a.py").read_text() == UNFIXABLE


def test_a_diff_changes_nothing(here: Path) -> None:
    (here / "a.py").write_text(UNSTABLE)
    result = call("fix", "--diff", "a.py")
    assert result.exit_code == 1
    assert "--- a.py\n+++ a.py\n" in result.stdout
    assert "-    return -(y * torch.log(F.softmax(net(x), dim=1))).sum()\n" in result.stdout
    assert "+    return -(y * F.log_softmax(net(x), dim=1)).sum()\n" in result.stdout
    assert result.stderr == "Would fix a.py: 1 × FL201 (log-of-softmax)\nWould fix 1 finding in 1 file.\n"
    assert (here / "a.py").read_text() == UNSTABLE


def test_a_diff_of_nothing_exits_with_0(here: Path) -> None:
    (here / "a.py").write_text(STABLE)
    assert call("fix", "--diff", "a.py").exit_code == 0


@pytest.mark.parametrize("args", [["--ignore", "FL201"], ["--select", "FL101"], ["--severity", "error"]])
def test_only_what_is_asked_for_is_fixed(here: Path, args: list[str]) -> None:
    (here / "a.py").write_text(UNSTABLE)
    assert call("fix", *args, "a.py").exit_code == 0
    assert (here / "a.py").read_text() == UNSTABLE


def test_a_suppressed_finding_is_not_fixed(here: Path) -> None:
    program = UNSTABLE.replace(".sum()", ".sum()  # finallayer: ignore[FL201]")
    (here / "a.py").write_text(program)
    assert call("fix", "a.py").exit_code == 0
    assert (here / "a.py").read_text() == program


@pytest.mark.parametrize("args", [["absent.py"], ["--select", "FL999", "a.py"], []])
def test_what_cannot_be_run_says_so_in_one_line(here: Path, args: list[str]) -> None:
    (here / "a.py").write_text(UNSTABLE)
    result = call("fix", *args)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_a_file_that_cannot_be_written_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "a.py").write_text(UNSTABLE)

    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    result = call("fix", "a.py")
    assert result.exit_code == 2
    assert result.stderr == "finallayer: a.py: not fixed: Permission denied\n"
    assert (here / "a.py").read_text() == UNSTABLE


MODEL = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 4)

    def forward(self, x):
        return torch.softmax(self.fc(x), dim=1)
"""
TRAIN = """\
import torch

from model import Net

net = Net()


def loss(x):
    return -torch.log(net(x)).mean()
"""


def test_files_that_belong_together_change_together(here: Path) -> None:
    (here / "model.py").write_text(MODEL)
    (here / "train.py").write_text(TRAIN)
    result = call("fix", ".")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "Fixed train.py: 1 × FL201 (log-of-softmax); changes model.py, too",
        "Fixed 1 finding in 2 files.",
    ]
    assert "return self.fc(x)" in (here / "model.py").read_text()
    assert "log_softmax(net(x), dim=1)" in (here / "train.py").read_text()


def test_where_one_of_them_cannot_be_written_none_is(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "model.py").write_text(MODEL)
    (here / "train.py").write_text(TRAIN)
    replace, calls = Path.replace, iter(range(9))

    def refuse_the_second(path: Path, target: Path) -> Path:
        if next(calls) == 1:
            raise PermissionError(13, "Permission denied")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", refuse_the_second)
    result = call("fix", ".")
    assert result.exit_code == 2
    assert result.stderr.endswith(": not fixed: Permission denied\n")
    assert (here / "model.py").read_text() == MODEL
    assert (here / "train.py").read_text() == TRAIN
    assert {p.name for p in here.iterdir()} == {"model.py", "train.py"}


def test_check_gives_the_same_edits_as_json(here: Path) -> None:
    (here / "a.py").write_text(UNSTABLE)
    (finding,) = json.loads(call("check", "--output-format", "json", "a.py").stdout)
    (edit,) = finding["fix"]["edits"]
    line = UNSTABLE.splitlines()[edit["line"] - 1]
    new = line[: edit["column"] - 1] + edit["text"] + line[edit["end_column"] - 1 :]
    assert finding["fix"]["safe"] is True
    assert new == STABLE.splitlines()[edit["line"] - 1]


def test_a_broken_file_is_noted_and_the_rest_fixed(here: Path) -> None:
    (here / "a.py").write_text("def (:\n")
    (here / "b.py").write_text(UNSTABLE)
    result = call("fix", "a.py", "b.py")
    assert result.exit_code == 2
    assert result.stdout.endswith("Fixed 1 finding in 1 file; 1 file could not be read.\n")
    assert "a.py: not Python 3" in result.stderr
