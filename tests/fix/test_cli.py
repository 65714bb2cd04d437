"""``finallayer fix`` on the command line: what it says, what it writes, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from finallayer.cli import main
from finallayer.findings import Edit
from finallayer.fix import repair
from finallayer.fix.text.syntax import Syntax
from finallayer.fix.text.unused_imports import unused_imports

Importers = Callable[[str], Iterable[str]]

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


def call(*args: str, stdin: str | bytes | None = None) -> Result:
    result = CliRunner().invoke(main, args, input=stdin)
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
    assert "  no fix: the log of one minus a softmax has no stable form" in lines
    assert lines[-1] == "Fixed 0 findings in 0 files; 1 without a fix."
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


TRAINER = """import torch
from torch import nn

class Judge(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(8, 1), nn.Sigmoid())

    def forward(self, x):
        return self.fc(x)

class {name}:
    def __init__(self):
        self.judge, self.loss = Judge(), nn.BCELoss()

    def train(self):
        for x in torch.zeros(4, 8, 8):
            self.loss(self.judge(x), torch.ones(8, 1)).backward()
"""


def test_a_program_that_comes_to_several_files_says_the_same_of_each(here: Path) -> None:
    names = ("first", "second", "third")
    for name in names:
        (here / f"{name}.py").write_text(TRAINER.format(name=name.title()))
    used = "".join(f"if sys.argv[1] == '{n}':\n    made = {n.title()}()\n" for n in names)
    imports = "".join(f"from {name} import {name.title()}\n" for name in names)
    (here / "use.py").write_text(f"import sys\n{imports}\n{used}made.train()\n")

    found = json.loads(call("check", "--output-format", "json", "-j", "1", ".").stdout)

    assert [f["fix"]["safe"] for f in found] == [True] * 3


def test_a_broken_file_is_noted_and_the_rest_fixed(here: Path) -> None:
    (here / "a.py").write_text("def (:\n")
    (here / "b.py").write_text(UNSTABLE)
    result = call("fix", "a.py", "b.py")
    assert result.exit_code == 2
    assert result.stdout.endswith("Fixed 1 finding in 1 file; 1 file could not be read.\n")
    assert "a.py: not Python 3" in result.stderr
    alone = call("fix", "a.py")
    assert (alone.exit_code, alone.stdout) == (2, "")


def test_what_goes_wrong_in_one_file_leaves_the_others_to_be_fixed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.py", "b.py"):
        (here / name).write_text(UNSTABLE)

    def fails_for_one(before: Syntax, after: Syntax, importers: Importers) -> Iterator[Edit]:
        if before.file.path.endswith("a.py"):
            raise RuntimeError("a mistake of ours")
        return unused_imports(before, after, importers)

    monkeypatch.setattr(repair, "unused_imports", fails_for_one)
    result = call("fix", ".")
    assert result.exit_code == 2
    assert result.stderr == (
        "finallayer: a.py: could not be fixed (RuntimeError: a mistake of ours); please report this\n"
    )
    assert result.stdout.endswith("Fixed 1 finding in 1 file; 1 left as it is.\n")
    assert ((here / "a.py").read_text(), (here / "b.py").read_text()) == (UNSTABLE, STABLE)


def test_where_a_fix_goes_wrong_the_finding_stays(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("finallayer.fix.proposals.fixers", fails)
    (here / "a.py").write_text(UNSTABLE)
    why = "the fix could not be worked out (RuntimeError: a mistake of ours); please report this"
    result = call("check", "--no-cache", "a.py")
    assert (result.exit_code, result.stderr) == (1, f"finallayer: a.py: {why}\n")
    assert "FL201 log of a softmax" in result.stdout
    assert f"  no fix: {why}\n" in call("fix", "a.py").stdout


def test_a_folder_named_like_a_file_is_a_folder(here: Path) -> None:
    (here / "folder.py").mkdir()
    (here / "folder.py" / "a.py").write_text(UNSTABLE)
    (here / "b.py").write_text(UNSTABLE)
    assert call("fix", ".").stdout.endswith("Fixed 2 findings in 2 files.\n")


# What remains, and why


READER = """\
from model import Net

import somewhere

somewhere.show(Net())
"""


def test_an_unsafe_fix_is_left_with_its_note_until_it_is_asked_for(here: Path) -> None:
    (here / "model.py").write_text(MODEL)
    (here / "train.py").write_text(TRAIN)
    (here / "reader.py").write_text(READER)
    result = call("fix", ".")
    assert result.exit_code == 1
    assert "FL201 [?] " in result.stdout
    assert "  unsafe fix: " in result.stdout
    assert result.stdout.endswith("Fixed 0 findings in 0 files; 1 more with `--unsafe-fixes`.\n")
    assert call("fix", "--unsafe-fixes", ".").exit_code == 0
    assert "return self.fc(x)" in (here / "model.py").read_text()


def test_settings_leave_findings_to_people(here: Path) -> None:
    (here / "a.py").write_text(UNSTABLE)
    (here / "pyproject.toml").write_text('[tool.finallayer]\nunfixable = ["FL201"]\n')
    result = call("fix", "a.py")
    assert result.exit_code == 1
    assert "  no fix: the settings leave this rule's findings to people" in result.stdout
    assert (here / "a.py").read_text() == UNSTABLE
    assert "[*]" not in call("check", "--no-cache", "a.py").stdout
    (finding,) = json.loads(call("check", "--no-cache", "--output-format", "json", "a.py").stdout)
    assert finding["fix"] is None


def test_exit_non_zero_on_fix(here: Path) -> None:
    for args in (["fix"], ["check", "--no-cache", "--fix"]):
        (here / "a.py").write_text(UNSTABLE)
        assert call(*args, "--exit-non-zero-on-fix", "a.py").exit_code == 1
        assert call(*args, "--exit-non-zero-on-fix", "a.py").exit_code == 0


def test_what_was_fixed_need_not_be_listed(here: Path) -> None:
    (here / "a.py").write_text(UNSTABLE)
    assert call("fix", "--no-show-fixes", "a.py").stdout == "Fixed 1 finding in 1 file.\n"


# check --fix


def test_check_fixes_as_fix_does_and_reports_what_is_left(here: Path) -> None:
    (here / "a.py").write_text(UNSTABLE)
    (here / "b.py").write_text(UNFIXABLE)
    for cache in ([], ["--no-cache"]):
        result = call("check", *cache, "--fix", "--show-fixes", ".")
        assert result.exit_code == 1
        assert result.stdout.startswith("b.py:8:18: FL201 log of a softmax")
        fixed = "Fixed 1 finding in 1 file" if not cache else "Fixed 0 findings in 0 files"
        assert result.stdout.endswith(f"{fixed}; 1 without a fix.\n")
        assert ("Fixed a.py: 1 × FL201 (log-of-softmax)\n" in result.stdout) == (not cache)
    assert (here / "a.py").read_text() == STABLE
    assert call("check", "--fix", "--exit-zero", ".").exit_code == 0


def test_in_other_formats_only_what_is_left_is_on_standard_output(here: Path) -> None:
    (here / "a.py").write_text(UNSTABLE)
    (here / "b.py").write_text(UNFIXABLE)
    (finding,) = json.loads(call("check", "--fix", "--output-format", "json", ".").stdout)
    assert (finding["path"], finding["fix"]) == ("b.py", None)
    assert (here / "a.py").read_text() == STABLE


@pytest.mark.parametrize("option", ["--unsafe-fixes", "--show-fixes", "--exit-non-zero-on-fix"])
def test_what_is_said_of_fixes_goes_with_fix(option: str) -> None:
    assert f"{option} goes with --fix." in call("check", option, ".").stderr


def marks(*args: str) -> tuple[int, int]:
    """How many findings are said to have a safe fix, and an unsafe one."""
    shown = call("check", *args, ".").stdout
    return shown.count(" [*] ") - shown.count("; [*] "), shown.count(" [?] ")


def test_kept_results_are_marked_as_new_ones(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "model.py").write_text(MODEL)
    (here / "train.py").write_text(TRAIN)
    assert marks() == marks("--no-cache") == (1, 0)
    (here / "tools").mkdir()
    (here / "tools" / "reader.py").write_text(READER)  # no analysis of the others reads it, but their fix does
    assert marks() == marks("--no-cache") == (0, 1)
    call("check", "--output-format", "github", ".")  # works no fixes out
    assert marks() == (0, 1)
    monkeypatch.setattr("finallayer.check.run.analyse_all", lambda paths, *_: iter([pytest.fail(p) for p in paths]))
    assert marks() == (0, 1)  # nothing has changed
    (here / "tools" / "reader.py").unlink()
    with pytest.raises(pytest.fail.Exception):
        call("check", ".")


# One line


TWICE = f"{UNSTABLE}\n\ndef again(net, x, y):\n    return -(y * torch.log(F.softmax(net(x), dim=1))).mean()\n"


def test_only_what_is_found_on_a_line_is_fixed(here: Path) -> None:
    (here / "a.py").write_text(TWICE)
    for place in ("a.py:8", "./a.py:12:4"):
        result = call("fix", "--at", place)
        assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "Fixed 1 finding in 1 file.")
        assert (here / "a.py").read_text().count("F.log_softmax") == (1 if place == "a.py:8" else 2)


def test_in_a_notebook_the_line_is_within_a_cell(here: Path) -> None:
    cells = [{"cell_type": "code", "source": source} for source in TWICE.split("\n\n\n")]
    (here / "b.ipynb").write_text(json.dumps({"cells": cells}))
    assert call("fix", "--at", "b.ipynb:cell 3:2").exit_code == 0
    sources = [cell["source"] for cell in json.loads((here / "b.ipynb").read_text())["cells"]]
    assert ["F.log_softmax" in source for source in sources] == [False, False, True]


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("a.py:3", "--at: no finding at a.py:3; there is at a.py:8, a.py:12"),
        ("clean.py:3", "--at: no finding at clean.py:3"),
        ("a.py", "--at: expected FILE:LINE, or FILE:cell N:LINE of a notebook, not 'a.py'"),
        ("absent.py:3", "absent.py: no such file or folder"),
    ],
)
def test_a_line_where_nothing_is_found_is_an_error(here: Path, place: str, says: str) -> None:
    (here / "a.py").write_text(TWICE)
    (here / "clean.py").write_text(STABLE)
    result = call("fix", "--at", place)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("finallayer: ") and result.stderr.endswith(f"{says}\n")


# Standard input


@pytest.mark.parametrize("args", [["fix", "-"], ["check", "--fix", "-"]])
def test_standard_input_is_printed_fixed(args: list[str]) -> None:
    result = call(*args, stdin=UNSTABLE.replace("\n", "\r\n"))
    assert result.exit_code == 0
    assert result.stdout_bytes == STABLE.replace("\n", "\r\n").encode()
    assert result.stderr.endswith("Fixed 1 finding in 1 file.\n")


def test_standard_input_stands_for_a_file_and_other_files_stay(here: Path) -> None:
    (here / "model.py").write_text(MODEL)
    (here / "train.py").write_text("")
    result = call("fix", "--stdin-filename", "train.py", "-", stdin=TRAIN)
    assert (result.exit_code, result.stdout) == (1, TRAIN)
    assert "  not fixed: the fix changes model.py, too\n" in result.stderr
    assert ((here / "model.py").read_text(), (here / "train.py").read_text()) == (MODEL, "")


@pytest.mark.parametrize(("text", "code"), [("", 0), (STABLE, 0), (UNFIXABLE, 1), ("def (:\n", 2)])
def test_what_can_not_be_fixed_is_printed_as_it_is(text: str, code: int) -> None:
    result = call("fix", "-", stdin=text)
    assert (result.exit_code, result.stdout) == (code, text)


def test_a_diff_of_standard_input(here: Path) -> None:
    result = call("fix", "--diff", "--stdin-filename", "a.py", "-", stdin=UNSTABLE)
    assert result.exit_code == 1
    assert result.stdout.startswith("--- a.py\n+++ a.py\n")


@pytest.mark.parametrize("args", [["fix", "-", "a.py"], ["check", "--fix", "a.py", "-"]])
def test_standard_input_is_fixed_alone(args: list[str]) -> None:
    assert "'-' (standard input) is fixed alone" in call(*args, stdin="").stderr


# Asking


@pytest.mark.parametrize(
    ("answers", "fixed"),
    [
        ("y\ny\n", [0, 1]),
        ("n\ny\n", [1]),
        ("y\nn\n", [0]),
        ("a\n", [0, 1]),
        ("q\n", []),
        ("what\ny\nq\n", [0]),
        ("", []),
    ],
)
def test_each_fix_is_shown_and_asked_for(
    here: Path, monkeypatch: pytest.MonkeyPatch, answers: str, fixed: list[int]
) -> None:
    monkeypatch.setattr("finallayer.cli.fix.is_terminal", lambda: True)
    (here / "a.py").write_text(TWICE)
    result = call("fix", "--interactive", "a.py", stdin=answers)
    assert "\n+    return -(y * F.log_softmax(net(x), dim=1)).sum()\n" in result.stdout
    assert "\nMake this fix [y,n,a,q,?]? " in result.stdout
    lines = [line for line in (here / "a.py").read_text().splitlines() if "softmax" in line]
    assert [i for i, line in enumerate(lines) if "log_softmax" in line] == fixed
    assert result.exit_code == (0 if len(fixed) == 2 else 1)
    assert result.stdout.count("not fixed: left as it is, as you said") == 2 - len(fixed)
    assert ("q - leave it and all that follow" in result.stdout) == ("what" in answers)


def test_without_a_terminal_nobody_is_asked(here: Path) -> None:
    (here / "a.py").write_text(UNSTABLE)
    result = call("fix", "--interactive", "a.py")
    assert result.exit_code == 2
    assert "--interactive asks on a terminal, and this isn't one." in result.stderr


def test_a_diff_asks_nothing(here: Path) -> None:
    assert "choose one" in call("fix", "--interactive", "--diff", ".").stderr
