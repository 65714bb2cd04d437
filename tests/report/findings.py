"""Findings that the tests of the reports show, with the sources that they stand in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from pathlib import Path

from finallayer.expr import Origin
from finallayer.findings import Edit, Finding, Fix, Related
from finallayer.report import Report
from finallayer.rules import all_rules

HERE = str(Path.cwd())
RULES = all_rules()
ERROR, WARNING, ADVICE = (
    next(r for r in RULES.values() if str(r.severity) == s) for s in ("error", "warning", "advice")
)

SOURCES = {
    "train.py": "def step(net, x, y):\n\treturn loss(\n        net(x),\n        y)\nerr = f(gé(x))  # 損失\n",
    "model.py": "return softmax(z)\n",
    "a b%.py": "損 = f(損失, x)\n",
    "book.ipynb": "loss = f(softmax(z))\n",
}


def at(name: str, line: int, column: int, end_column: int, end_line: int = 0) -> Origin:
    return Origin(f"{HERE}/{name}", line, column, end_line or line, end_column)


def in_cell(origin: Origin) -> Origin:
    """The second code cell, the fourth of all cells."""
    return origin._replace(cell=3, code_cell=2)


def lines(origin: Origin) -> Sequence[str]:
    """The lines of a place; the notebook's one cell begins on the module's first line."""
    text = SOURCES.get(Path(origin.path).name)
    return [] if text is None else text.split("\n")[origin.line - 1 : origin.end_line]


SOFTMAX = Related(at("model.py", 1, 7, 17), "softmax applied here")
FIX = Fix(True, (Edit(f"{HERE}/model.py", 1, 7, 1, 17, "z"),), "the softmax goes")

ONE_LINE = Finding(
    ERROR, at("train.py", 5, 6, 14), "handed softmax outputs", "xent_logits(softmax(z), y)", None, (SOFTMAX,), FIX
)
SEVERAL_LINES = Finding(
    WARNING,
    at("train.py", 2, 8, 10, end_line=4),
    "log of a softmax",
    "log(softmax(z))",
    {"float32": 88.7, "float64": inf},
)
WIDE = Finding(ADVICE, at("a b%.py", 1, 4, 12), "works by luck: 100 %,\nhere", "f(z)")
IN_CELL = Finding(
    ERROR,
    in_cell(at("book.ipynb", 1, 7, 20)),
    "twice",
    "f(z)",
    related=(Related(in_cell(at("book.ipynb", 1, 9, 19)), "here"),),
)
LOST = Finding(ERROR, Origin("/elsewhere/gone.py", 7, 0, 7, 3), "no source to show", "f(z)")
UNSAFE = replace(ONE_LINE, fix=replace(FIX, safe=False, note="predict() returns it"))
LEFT = replace(ONE_LINE, fix=None, unfixed="nobody knows how")
EVERY = (ONE_LINE, SEVERAL_LINES, WIDE, IN_CELL, LOST)


def report(*findings: Finding, colour: bool = False) -> Report:
    return Report(findings, files=7, lines=lines, colour=colour)
