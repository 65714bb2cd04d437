"""One cell: a program in a process and a folder of its own, and what becomes of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from finallayer.compare.own.cell import run_cell

PROGRAM = """\
import os, random, sys
from pathlib import Path
import helper
print("args", sys.argv[1:], "in", Path.cwd() == Path(sys.argv[0]).parent, helper.WHERE)
Path("written").write_text("x")
print(f"acc: {random.random():.3f}%\\racc: {random.random():.6f}")
if "diverge" in sys.argv: print("acc: nan\\nacc: -Infinity\\nacc: 1e999")
if "fail" in sys.argv:
    error = ValueError("no such thing\\nreally")
    error.add_note("a note")
    raise error
if "syntax" in sys.argv: compile("x =", "y", "exec")
if "exit" in sys.argv: sys.exit("that is all")
if "die" in sys.argv: os.kill(os.getpid(), 9)
"""


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the program, of which an original lies elsewhere, with some arguments; a module is found by PYTHONPATH."""
    for name in ("original", "tree"):
        (tmp_path / name / "lib").mkdir(parents=True)
        (tmp_path / name / "train.py").write_text(PROGRAM)
        (tmp_path / name / "lib/helper.py").write_text(f"WHERE = {name!r}\n")
    library = str(tmp_path / "original/lib")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([library, os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(sys, "path", [library, *sys.path])

    def run(*arguments: str, **more: Any) -> dict[str, Any]:
        job = {
            "arm": "as-is",
            "seed": 3,
            "tree": str(tmp_path / "tree"),
            "script": "train.py",
            "arguments": list(arguments),
            "original": str((tmp_path / "original").resolve()),
            "changed": ["lib/helper.py"],
            "metric": r"acc: (\S+)",
            "threads": 1,
        }
        return run_cell(job | more)

    return run


def test_a_program_runs_in_a_copy_as_it_would_at_its_place(ask: Any, tmp_path: Path) -> None:
    answer = ask("a", "--b")
    assert answer["error"] is None, answer["output"]
    assert "args ['a', '--b'] in True tree" in answer["output"]
    assert len(answer["metric"]) == 2 and all(0 <= value <= 1 for value in answer["metric"])
    assert ask("a", "--b")["metric"] == answer["metric"] != ask(seed=4)["metric"]
    assert len(answer["notes"]) == 1 and "no step of its training was seen" in answer["notes"][0]
    assert not (tmp_path / "tree/written").exists() and answer["seconds"] > 0 and answer["epochs"] == []


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("fail", "ValueError: no such thing"),
        ("syntax", "SyntaxError: invalid syntax"),
        ("exit", "it exited with that is all"),
        ("die", "it was killed by signal 9: acc: "),
    ],
)
def test_a_program_that_fails_says_so_in_one_line(ask: Any, how: str, error: str) -> None:
    answer = ask(how)
    assert error in answer["error"] and "\n" not in answer["error"]
    assert "acc: " in answer["output"] and len(answer["metric"]) == 2


def test_a_metric_that_is_not_finite_is_none_and_noted(ask: Any) -> None:
    answer = ask("diverge")
    assert answer["error"] is None and answer["metric"][2:] == [None, None, None] and None not in answer["metric"][:2]
    assert any("no finite number" in note for note in answer["notes"])


def test_a_module_that_is_imported_from_the_original_is_told(ask: Any, tmp_path: Path) -> None:
    program = f"import sys\nsys.path.insert(0, {str(tmp_path / 'original/lib')!r})\n{PROGRAM}"
    (tmp_path / "tree/train.py").write_text(program)
    assert "helper.py itself, not the arm's copy" in ask()["error"]
    assert ask(changed=[])["error"] is None


def test_a_machine_without_the_folder_says_so(ask: Any, tmp_path: Path) -> None:
    assert "a file system that all share" in ask(tree=str(tmp_path / "gone"))["error"]
