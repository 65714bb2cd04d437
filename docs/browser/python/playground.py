"""What the playground shows of a program: its findings, what each costs, and the program with its safe fixes made."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from finallayer.check.config import Config
from finallayer.check.run import Outcome, check, found_in
from finallayer.expr import Node, Origin, logits, make, target
from finallayer.findings import Finding
from finallayer.fix.flow.foreseen import Foreseen
from finallayer.fix.repair import repair
from finallayer.fix.text.documents import Document
from finallayer.numerics.evaluate import evaluate
from finallayer.numerics.program import UnevaluableError, compile_expression
from finallayer.report.diff import between
from finallayer.report.json import as_object
from finallayer.rules import all_rules
from finallayer.rules.judging import judge
from finallayer.source import Project, interpret
from finallayer.source.files import Unreadable
from finallayer.source.notebook import code_cells
from finallayer.source.reading import read

FOLDER = Path("/program")
RULES = all_rules()
SETTINGS = Config(FOLDER, frozenset(RULES))
#: The line that begins a cell, where a notebook's code is shown as one text.
CELL = "# %%"
#: The margins by which the target trails (leads, where they are negative) in a finding's curve.
MARGINS = [float(m) for m in range(-20, 61)]
#: Cross-entropy, and its binary form, in one step from the logits: what a finding's loss is measured against.
TRUTHS = {
    True: make("neg", make("gather", make("log_softmax", logits()), target())),
    False: make("bce_logits", logits(), target()),
}


class Shown(NamedTuple):
    """A program as the editor shows it: its name, and its text; of a notebook the code cells, each below a mark."""

    name: str
    text: str

    @classmethod
    def of(cls, name: str, data: bytes) -> Shown:
        """A file as it is on disk. Raises Unreadable for what isn't a notebook by that name."""
        if not name.endswith(".ipynb"):
            return cls(name, data.decode())
        return cls(name, "\n".join(f"{CELL}\n{cell.source or ''}" for cell in code_cells(data)))

    @property
    def path(self) -> str:
        return str(FOLDER / self.name)

    @property
    def data(self) -> bytes:
        """The file that the text stands for."""
        if not self.name.endswith(".ipynb"):
            return self.text.encode()
        cells = [{"cell_type": "code", "source": source} for _, source in self._cells()]
        return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()

    def line(self, line: int, cell: int | None) -> int:
        """A line of a cell as a line of the text."""
        return line if cell is None else line + self._cells()[cell][0]

    def _cells(self) -> list[tuple[int, str]]:
        """Each cell's code, and how many lines stand before it."""
        lines = self.text.split("\n")
        marks = [i for i, line in enumerate(lines) if line == CELL] or [-1]
        ends = [*marks[1:], len(lines)]
        return [(at + 1, "\n".join(lines[at + 1 : end])) for at, end in zip(marks, ends, strict=True)]


def opened(name: str, data: bytes) -> str:
    """The text that the editor shows of a file: JSON, with ``text`` or, where it can't be read, ``error``."""
    try:
        return json.dumps({"text": Shown.of(name, bytes(data)).text})
    except (UnicodeDecodeError, Unreadable) as error:
        return json.dumps({"error": f"{name} can't be read: {error}"})


def look(name: str, text: str) -> str:
    """What there is to say of a program, as JSON: ``findings``, ``notes``, and ``fixed``, with every safe fix made."""
    shown = Shown(name, text)
    outcome = check([], SETTINGS, RULES, stdin=(shown.path, shown.data), fixes=True, use_cache=False)
    notes = [note.text for note in outcome.notes]
    return json.dumps({"findings": list(_findings(shown, outcome)), "notes": notes, "fixed": _fixed(shown, outcome)})


def _findings(shown: Shown, outcome: Outcome) -> Iterator[dict[str, Any]]:
    """Each as ``check --output-format json`` has it, with its curve, and the program with its fix alone."""
    curves = _curves(shown)
    for finding in outcome.findings:
        said = as_object(finding)
        for place in (said, *said["related"]):
            for end in ("line", "end_line"):
                place[end] = shown.line(place[end], place["cell"])
        applied = (
            None
            if finding.fix is None
            else _changed(shown, Document(Path(shown.path), shown.data).edited(finding.fix.edits))
        )
        yield {**said, "curve": curves.get((finding.rule.code, finding.origin)), "applied": applied}


def _fixed(shown: Shown, outcome: Outcome) -> dict[str, Any] | None:
    def again(paths: Sequence[str], now: Mapping[str, bytes], foreseen: Foreseen) -> tuple[Finding, ...]:
        return found_in(paths, now, foreseen, SETTINGS, RULES)

    if not outcome.findings:
        return None
    repaired = repair([shown.path], again, at_hand={shown.path: shown.data})
    return next(({**_changed(shown, new), "count": repaired.fixed} for _, new in repaired.changed), None)


def _changed(shown: Shown, new: bytes) -> dict[str, Any]:
    """The text that a file's new bytes are shown as, and what is different."""
    text = Shown.of(shown.name, new).text
    return {"text": text, "diff": list(between(shown.name, shown.text, shown.name, text))[2:]}


def _curves(shown: Shown) -> dict[tuple[str, Origin], dict[str, Any]]:
    """By finding, the gradient of the loss that it is about, in float32."""
    project = Project()
    try:
        file = read(shown.path, shown.data)
        seen, _, _ = interpret(file, project)
    except Unreadable:  # the check says so
        return {}
    matches = ((m.finding, m.match.expression) for m in judge(seen))
    return {
        (finding.rule.code, file.in_cell(finding.origin)): curve
        for finding, loss in matches
        if loss is not None and (curve := _curve(loss)) is not None
    }


def _curve(loss: Node) -> dict[str, Any] | None:
    """The gradient's size at the target, that of the fused loss, and the margins; None of what isn't evaluated."""
    try:
        categorical = compile_expression(loss).categorical
        return {
            "margins": MARGINS,
            "gradient": [_gradient(loss, m, categorical, "float32") for m in MARGINS],
            "truth": [_gradient(TRUTHS[categorical], m, categorical, "float64") for m in MARGINS],
        }
    except (UnevaluableError, ValueError):
        return None


def _gradient(loss: Node, margin: float, categorical: bool, dtype: str) -> float | None:
    row, label, at = ([max(margin, 0.0), max(-margin, 0.0), 0.0], 1, 1) if categorical else ([margin], 0, 0)
    size = abs(evaluate(loss, row, label, dtype).grad[at])
    return size if math.isfinite(size) else None
