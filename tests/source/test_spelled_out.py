"""Numbers that a program spells out: what is made of them stays between known bounds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finallayer.check.judge import analyse
from finallayer.source import Project

PROGRAM = """\
import numpy as np
def softmax(x, temperature=1.0):
    e = np.exp(x / temperature)
    return e / e.sum()
scores = {}
print(softmax(scores, temperature=0.5))
"""


def rules(path: Path) -> set[str]:
    return {f.rule.code for f in analyse(str(path), Project()).findings}


@pytest.mark.parametrize(
    ("scores", "found"),
    [
        ("np.array([0.2, 0.3, 0.1])", False),
        ("np.array([[1, 2], [3, -40]])", False),
        ("[3.0, 1.0, 0.2]", False),
        ("np.array([50.0, 2.0])", True),
        ("np.array([1.0, unknown])", True),
        ("np.load('scores.npy')", True),
    ],
)
def test_a_notebooks_function_is_called_with_what_is_in_sight(tmp_path: Path, scores: str, found: bool) -> None:
    cell: dict[str, object] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    cells = [cell | {"source": PROGRAM.format(scores)}]
    path = tmp_path / "program.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    assert rules(path) == ({"FL204"} if found else set())


def test_a_files_function_may_be_called_with_any_numbers(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.format("np.array([0.2, 0.3, 0.1])"))
    assert rules(path) == {"FL204"}
