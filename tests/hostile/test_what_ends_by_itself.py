"""A program of the user's that ends, however it does, is not an answer of ``audit`` or ``probe``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from finallayer.cli import main

Run = Callable[..., Result]

ENDS = {
    "as if all were well": "raise SystemExit(0)",
    "with a text": "raise SystemExit('\\x1b[31mred')",
    "as nothing else ends": "raise BaseException('odd')",
    "without a folder": "raise OSError(2, 'nope')",
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a verb on a module ``ends`` of the working folder, which is not remembered."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    sys.modules.pop("ends", None)

    def running(text: str, *verb: str) -> Result:
        (tmp_path / "ends.py").write_text(text)
        try:
            return CliRunner().invoke(main, list(verb))
        finally:
            sys.modules.pop("ends", None)

    return running


@pytest.mark.parametrize("way", ENDS)
def test_a_script_that_ends_is_not_audited(run: Run, way: str) -> None:
    assert run(ENDS[way], "audit", "ends.py").exit_code == 2


@pytest.mark.parametrize("where", ["where it is imported", "where it is asked for", "where it is called"])
@pytest.mark.parametrize("way", ENDS)
def test_a_loss_that_ends_is_not_measured(run: Run, way: str, where: str) -> None:
    pytest.importorskip("numpy")
    head = {
        "where it is imported": "",
        "where it is asked for": "def __getattr__(name):\n    if name == 'f': ",
    }
    ended = run(head.get(where, "def f(logits, labels):\n    ") + ENDS[way], "probe", "ends:f", "--framework", "numpy")
    assert ended.exit_code == 2 and "Traceback" not in ended.stderr and "could not be written" not in ended.stderr
    assert ended.stderr.count("\n") == 2 and "\x1b" not in ended.stderr and not ended.stdout


@pytest.mark.parametrize("verb", [["audit", "ends.py"], ["probe", "ends:f"]])
def test_an_interruption_is_no_finding(run: Run, verb: list[str]) -> None:
    ended = run("raise KeyboardInterrupt", *verb)
    assert ended.exit_code == 130 and ended.stderr.endswith("finallayer: interrupted\n")


def test_a_loss_is_not_looked_for_in_a_folder_that_is_gone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> str:
        raise FileNotFoundError

    monkeypatch.setattr(os, "getcwd", gone)
    ended = run("", "probe", "ends:f")
    assert ended.exit_code == 2 and ended.stderr.endswith("the working folder doesn't exist any more\n")
