"""Heads: the softmax leaves the model, the loss takes logits, and each reader goes on seeing what it saw."""

from __future__ import annotations

from pathlib import Path

import pytest

from .heads import LEFT_ALONE, SAFE, UNSAFE, Pair
from .workbench import fixed, repaired


@pytest.mark.parametrize("pair", SAFE.values(), ids=SAFE)
def test_what_becomes_of_it(tmp_path: Path, pair: Pair) -> None:
    assert fixed(tmp_path, pair.before) == pair.after


@pytest.mark.parametrize("pair", SAFE.values(), ids=SAFE)
def test_nothing_is_found_afterwards(tmp_path: Path, pair: Pair) -> None:
    file = tmp_path / "program.py"
    file.write_text(pair.after)
    result = repaired(file)
    assert [(f.rule.code, f.message) for f in result.remaining] == []
    assert result.changed == ()


@pytest.mark.parametrize(("program", "unseen"), UNSAFE.values(), ids=UNSAFE)
def test_a_reader_out_of_sight_makes_it_unsafe(tmp_path: Path, program: str, unseen: str) -> None:
    assert fixed(tmp_path, program) == program
    (finding,) = repaired(tmp_path / "program.py").remaining
    assert finding.fix is not None and not finding.fix.safe
    assert unseen in finding.fix.note


@pytest.mark.parametrize("program", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_what_is_left_alone(tmp_path: Path, program: str) -> None:
    file = tmp_path / "program.py"
    file.write_text(program)
    assert repaired(file, unsafe=True).changed == ()


def test_a_file_that_imports_the_model_makes_it_unsafe(tmp_path: Path) -> None:
    program = SAFE["torch: the last of a Sequential"].before
    (tmp_path / "serve.py").write_text("from program import net\n\nprint(net)\n")
    assert fixed(tmp_path, program) == program
    (finding,) = repaired(tmp_path / "program.py").remaining
    assert finding.fix is not None and "serve.py imports this file" in finding.fix.note
