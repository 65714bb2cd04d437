"""What a notebook runs in its own names, and cells that were exported as calls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finallayer.check import run
from finallayer.check.config import find
from finallayer.rules import all_rules
from finallayer.source import Project, sightings
from finallayer.source.importers import Importers
from finallayer.source.reading import read

RULES = all_rules()
HEAD = "import torch.nn.functional as F\nfrom torch import nn\nhead = nn.Softmax(1)\n"
LOSS = "def step(z, y):\n    return F.cross_entropy(head(z), y)\n"


def notebook(*cells: str) -> str:
    made = [{"cell_type": "code", "source": cell, "metadata": {}, "outputs": []} for cell in cells]
    return json.dumps({"cells": made, "nbformat": 4, "metadata": {}})


def checked(root: Path) -> list[tuple[str, int, bool]]:
    found = run.check([root], find([root], RULES), RULES, jobs=1, use_cache=False, fixes=True).findings
    return [(f.rule.code, f.origin.line, f.fix is not None) for f in found]


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("a.ipynb", "%run defs.py"),
        ("a.ipynb", "%run -i ./defs"),
        ("a.ipynb", "%run 01-defs.ipynb"),
        ("a.ipynb", '%run "01-defs.ipynb" --epochs 3'),
        ("sub/a.ipynb", "%run ../defs.py"),
        ("a.py", "get_ipython().run_line_magic('run', 'defs.py')"),
        ("a.py", "get_ipython().magic('run 01-defs.ipynb')"),
        ("a.py", "from IPython import get_ipython\nget_ipython().magic('%run defs')"),
    ],
)
def test_a_program_that_is_run_gives_its_names(tmp_path: Path, where: str, line: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "defs.py").write_text(HEAD)
    (tmp_path / "01-defs.ipynb").write_text(notebook(HEAD))
    file = tmp_path / where
    file.write_text(notebook(line, LOSS) if where.endswith("ipynb") else f"{line}\n{LOSS}")
    assert [rule for rule, _, _ in checked(tmp_path)] == ["FL101"]
    project = Project()
    sightings(read(file), project)
    (ran,) = project.dependencies(str(file))
    assert [i.path for i in Importers(tmp_path).of(ran)] == [str(file)]


def test_a_program_that_isn_t_at_hand_gives_none(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text(notebook("%run away.py", LOSS))
    assert not checked(tmp_path)


@pytest.mark.parametrize(
    ("program", "found"),
    [
        (f"get_ipython().run_cell_magic('time', '', {HEAD + LOSS!r})\n", ["FL101"]),
        (f"get_ipython().run_cell_magic('capture', 'out', {HEAD + '!ls' + chr(10)!r})\n{LOSS}", ["FL101"]),
        (f"get_ipython().run_cell({HEAD!r})\n{LOSS}", ["FL101"]),
        (f"{HEAD}get_ipython().run_line_magic('timeit', 'F.cross_entropy(head(z), y)')\n", ["FL101"]),
        (f"get_ipython().run_cell_magic('bash', '', {HEAD!r})\n{LOSS}", []),
        (f"get_ipython().run_cell_magic('time', '', 'def f(:')\n{LOSS}", []),
    ],
)
def test_code_in_a_text_is_run_where_the_text_stands_and_has_no_fix(
    tmp_path: Path, program: str, found: list[str]
) -> None:
    (tmp_path / "a.py").write_text(program)
    assert [(rule, fixed) for rule, _, fixed in checked(tmp_path)] == [(rule, False) for rule in found]
