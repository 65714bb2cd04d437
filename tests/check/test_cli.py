"""The command line: options, exit codes, and one clear line for what can't be done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import finallayer
from finallayer import report
from finallayer.cli import main
from finallayer.rules import all_rules
from finallayer.rules.base import Rule

from .programs import CLEAN, DOUBLE, MODEL, TRAIN, lay

ADVICE = """\
import keras

model = keras.Sequential([keras.layers.Dense(10, activation="softmax")])
model.compile(loss="categorical_crossentropy")
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test works in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def call(*args: str, stdin: str | bytes | None = None) -> Result:
    result = CliRunner().invoke(main, args, input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def check(*args: str, stdin: str | bytes | None = None) -> Result:
    return call("check", "--no-cache", *args, stdin=stdin)


def only_line(result: Result) -> str:
    """The one line that a command that could not run says, and nothing else."""
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


# Exit codes


@pytest.mark.parametrize(
    ("program", "args", "code"),
    [
        (CLEAN, [], 0),
        (DOUBLE, [], 1),
        (DOUBLE, ["--exit-zero"], 0),
        (DOUBLE, ["--severity", "error"], 1),
        (DOUBLE, ["--ignore", "FL101"], 0),
        (DOUBLE, ["--ignore", "FL102,FL1"], 0),
        (DOUBLE, ["--select", "FL2"], 0),
        (DOUBLE, ["--select", "FL2", "--select", "double-softmax"], 1),
        (DOUBLE, ["--statistics"], 1),
        (ADVICE, [], 1),
        (ADVICE, ["--severity", "warning"], 0),
    ],
)
def test_the_exit_code_says_whether_there_are_findings(here: Path, program: str, args: list[str], code: int) -> None:
    lay(here, a=program)
    assert check(*args, ".").exit_code == code


def test_a_file_that_can_not_be_read_is_one_note_and_exit_code_2(here: Path) -> None:
    lay(here, clean=CLEAN, old="import torch\nprint 'loss'\n")
    for args in ([], ["--output-format", "json"]):
        result = check(*args, ".")
        assert result.exit_code == 2
        assert result.stderr == "finallayer: old.py: Python 2, not Python 3 (line 2)\n"
    assert check(".").stdout == "Nothing found in 1 file; 1 file could not be read.\n"
    assert check("old.py").stdout == ""
    lay(here, double=DOUBLE)
    result = check(".", "old.py")
    assert result.exit_code == 2
    assert "Found 1 error in 1 of 3 files; 1 file could not be read.\n" in result.stdout
    assert check("--exit-zero", ".").exit_code == 0


def test_that_a_file_can_not_be_read_is_kept_in_the_cache(here: Path) -> None:
    lay(here, old="import torch\nprint 'loss'\n")
    for _ in range(2):
        assert call("check", ".").exit_code == 2
    (here / "old.py").write_text(CLEAN)
    assert call("check", ".").exit_code == 0


def test_a_named_file_is_always_parsed_and_noted(here: Path) -> None:
    lay(here, old="print 'nothing of ours'\n")
    assert check("old.py").stderr == "finallayer: old.py: Python 2, not Python 3 (line 1)\n"


# What can't be done


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["absent.py"], "finallayer: absent.py: no such file or folder"),
        (["--select", "FL999", "."], "finallayer: --select: unknown rule 'FL999'"),
        (
            ["--ignore", "double-sofmax", "."],
            "finallayer: --ignore: unknown rule 'double-sofmax'; did you mean double-softmax",
        ),
    ],
)
def test_one_line_says_what_can_not_be_done(args: list[str], says: str) -> None:
    assert only_line(check(*args)).startswith(says)


def test_without_a_working_folder_nothing_can_be_said(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "gone").mkdir()
    monkeypatch.chdir(here / "gone")
    (here / "gone").rmdir()
    assert only_line(check(".")) == "finallayer: the working folder doesn't exist any more"


def test_a_link_to_itself_is_no_file(here: Path) -> None:
    lay(here, double=DOUBLE)
    (here / "loop.py").symlink_to("loop.py")
    assert check(".").exit_code == 1
    assert only_line(check("loop.py")) == "finallayer: loop.py: no such file or folder"


def test_an_interruption_is_one_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("finallayer.check.run.check", interrupted)
    result = check(".")
    assert (result.exit_code, result.stderr) == (130, "finallayer: interrupted\n")


@pytest.mark.parametrize(
    "args", [[], ["--output-format", "xml", "."], ["--severity", "loud", "."], ["-j", "0", "."], ["--nonsense", "."]]
)
def test_a_wrong_option_is_explained(args: list[str]) -> None:
    result = check(*args)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert result.stdout == ""


def test_a_bad_setting_is_one_line(here: Path) -> None:
    (here / "pyproject.toml").write_text("[tool.finallayer]\nselect = 1\n")
    line = only_line(check("."))
    assert line == f"finallayer: {here / 'pyproject.toml'}: [tool.finallayer] select must be a list of strings, not 1"


@pytest.mark.parametrize("output_format", ["sarif", "github"])
def test_statistics_come_as_text_or_json_only(output_format: str) -> None:
    for args in (
        ["--statistics", "--output-format", output_format],
        ["--output-format", output_format, "--statistics"],
    ):
        result = check(*args, ".")
        assert result.exit_code == 2
        assert f"--statistics comes as text or json, not {output_format}." in result.stderr


# Output


def test_every_format_shows_the_finding(here: Path) -> None:
    lay(here, model=MODEL, train=TRAIN)
    for output_format in report.FORMATS:
        result = check("--output-format", output_format, ".")
        assert "FL101" in result.stdout, output_format
        assert "train.py" in result.stdout
        assert result.stderr == ""


def test_json_is_the_only_thing_on_standard_output(here: Path) -> None:
    lay(here, a=DOUBLE, old="import torch\nprint 'loss'\n")
    (finding,) = json.loads(check("--output-format", "json", ".").stdout)
    assert (finding["path"], finding["line"], finding["column"], finding["rule"]) == ("a.py", 6, 12, "FL101")
    assert (finding["end_line"], finding["end_column"]) == (6, 60)
    assert json.loads(check("--output-format", "json", "--select", "FL2", ".").stdout) == []
    (counted,) = json.loads(check("--statistics", "--output-format", "json", ".").stdout)
    assert (counted["rule"], counted["count"]) == ("FL101", 1)


def test_paths_are_from_the_working_folder_or_absolute(here: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    lay(here, **{"pkg/a": DOUBLE})
    lay(elsewhere, b=DOUBLE)
    found = json.loads(check("--output-format", "json", str(here / "pkg"), str(elsewhere)).stdout)
    assert [f["path"] for f in found] == [str(elsewhere / "b.py"), "pkg/a.py"]


@pytest.mark.parametrize(
    ("variable", "value", "coloured"), [("FORCE_COLOR", "1", True), ("NO_COLOR", "1", False), ("NO_COLOR", "", False)]
)
def test_colour_is_for_terminals(
    here: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, coloured: bool
) -> None:
    lay(here, a=DOUBLE)
    monkeypatch.setenv(variable, value)
    assert ("\x1b[" in check(".").stdout) == coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in check(".").stdout


# Standard input


def test_standard_input_is_checked_as_a_file(here: Path) -> None:
    result = check("-", stdin=DOUBLE)
    assert result.exit_code == 1
    assert result.stdout.startswith("<stdin>:6:12: FL101")
    assert "^^^^" in result.stdout
    assert check("-", stdin=CLEAN).exit_code == 0
    assert check("-", stdin="print 'x'").stderr == "finallayer: <stdin>: Python 2, not Python 3 (line 1)\n"
    assert check("-", stdin=b"\xff").exit_code == 2


def test_standard_input_stands_for_the_file_that_is_named(here: Path) -> None:
    lay(here, model=MODEL, **{"sub/quiet": CLEAN})
    (here / "pyproject.toml").write_text('[tool.finallayer]\nper-file-ignores = {"sub/*" = ["FL101"]}\n')
    assert check("--stdin-filename", "train.py", "-", stdin=TRAIN).stdout.startswith("train.py:9:12: FL101")
    assert check("--stdin-filename", "sub/quiet.py", "-", stdin=DOUBLE).exit_code == 0
    book = json.dumps({"cells": [{"cell_type": "code", "source": DOUBLE}]})
    assert check("--stdin-filename", "b.ipynb", "-", stdin=book).stdout.startswith("b.ipynb:cell 1:6:12: FL101")


# The other verbs


def test_rules_lists_every_rule() -> None:
    table = call("rules").stdout
    listed = json.loads(call("rules", "--output-format", "json").stdout)
    assert [r["rule"] for r in listed] == list(all_rules())
    for rule in all_rules().values():
        (line,) = [line for line in table.splitlines() if line.startswith(rule.code)]
        assert rule.name in line and str(rule.severity) in line and rule.summary in line


@pytest.mark.parametrize("rule", all_rules().values(), ids=lambda r: r.code)
def test_explain_prints_what_the_rule_says_of_itself(rule: Rule) -> None:
    shown = call("explain", rule.code).stdout
    assert shown.startswith(f"{rule.code} {rule.name} ({rule.severity})\n")
    for heading in ("What it does", "Why is this bad", "Example", "Use instead", "References"):
        assert f"\n{heading}\n" in shown
    assert "```" not in shown and "##" not in shown
    assert call("explain", rule.name.upper()).stdout == shown


def test_a_rule_that_does_not_exist_is_one_line_with_a_suggestion() -> None:
    assert only_line(call("explain", "FL2055")).startswith("finallayer: unknown rule 'FL2055'; did you mean FL205")
    assert "did you mean double-softmax" in only_line(call("explain", "doublesoftmax"))
    assert "`finallayer rules` lists them" in only_line(call("explain", "xyz"))


def test_help_says_what_the_exit_codes_and_comments_mean() -> None:
    shown = " ".join(call("check", "--help").stdout.split())
    assert "0 no findings, 1 findings, 2 could not run" in shown
    assert "# finallayer: ignore[FL101]" in shown


# Starting


HEAVY = {
    "numpy",
    "mpmath",
    "rich",
    "torch",
    "keras",
    "tensorflow",
    "jax",
    "multiprocessing",
    "concurrent.futures",
    "finallayer.fix",
}


#: What working out a fix takes, and proving it in exact arithmetic.
FOR_FIXES = {"finallayer.fix", "mpmath"}


@pytest.mark.parametrize(("program", "allowed"), [(CLEAN, set()), (DOUBLE, FOR_FIXES)], ids=["clean", "with a finding"])
def test_checking_one_small_file_loads_nothing_heavy(here: Path, program: str, allowed: set[str]) -> None:
    lay(here, a=program)
    script = (
        "import sys\nfrom finallayer.cli import main\n"
        "try:\n    main(['check', 'a.py'])\nexcept SystemExit:\n    print(' '.join(sys.modules), file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(finallayer.__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    loaded = set(run.stderr.split())
    assert "finallayer.source" in loaded
    assert not loaded & HEAVY - allowed
