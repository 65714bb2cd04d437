"""Notebooks that no editor writes: what check reads, fix edits, and every other byte stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .attacks import UNSTABLE, command


def code(source: object, **more: object) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {}, "outputs": [], "source": source, **more}


QUOTED = json.dumps(UNSTABLE)

FIXED: dict[str, str] = {
    "of the old format": json.dumps({"worksheets": [{"cells": [{"cell_type": "code", "input": UNSTABLE}]}]}),
    "with sheets that are none": json.dumps(
        {"worksheets": [7, {"cells": 7}, {}, {"cells": [{"cell_type": "code", "input": UNSTABLE}]}]}
    ),
    "with a cell without a source": json.dumps({"cells": [{"cell_type": "code"}, code(UNSTABLE)]}),
    "with cells that are none": json.dumps({"cells": [7, None, "x", [code("x")], {}, code(UNSTABLE)]}),
    "with a cell whose source isn't text": json.dumps({"cells": [code([1, "x = 1", None]), code(7), code(UNSTABLE)]}),
    "with a source under the old name": json.dumps({"cells": [{"cell_type": "code", "input": UNSTABLE}]}),
    "with two sources": json.dumps({"cells": [code(UNSTABLE, input="x = 1")]}),
    "with a name twice": f'{{"cells": [], "cells": [{{"cell_type": "code", "source": "", "source": {QUOTED}}}]}}',
    "with a name that is escaped": f'{{"c\\u0065lls": [{{"cell_type": "code", "source": {QUOTED}}}]}}',
    "with a number that is none": f'{{"cells": [{{"cell_type": "code", "source": {QUOTED}, "n": NaN}}]}}',
    "with space around it": "\n\n  " + json.dumps({"cells": [code(UNSTABLE)]}) + "\n\n",
    "in pieces": json.dumps({"cells": [code([UNSTABLE[:30], "", UNSTABLE[30:70], UNSTABLE[70:]])]}),
    "with line ends of other systems": json.dumps({"cells": [code(UNSTABLE.replace("\n", "\r\n"))]}),
}


@pytest.mark.parametrize("book", FIXED)
def test_what_check_reads_fix_edits(tmp_path: Path, book: str) -> None:
    file = tmp_path / "a.ipynb"
    file.write_text(FIXED[book])
    assert "FL201" in command(tmp_path, "check", ".").out
    assert "log_softmax" in command(tmp_path, "fix", "--diff", ".").out
    assert "Fixed 1 finding in 1 file" in command(tmp_path, "fix", ".").out
    was, now = json.dumps(json.loads(FIXED[book])), json.dumps(json.loads(file.read_text()))
    assert "log_softmax" in now and len(was) - 40 < len(now) < len(was) + 40


REFUSED = {
    "of numbers that are too long": f'{{"cells": [{{"cell_type": "code", "source": {QUOTED}, "n": {"9" * 5000}}}]}}',
    "nested too deeply": f'{{"cells": [{json.dumps(code(UNSTABLE))}], "m": {"[" * 100_000}{"]" * 100_000}}}',
    "whose only source isn't text": json.dumps({"cells": [code([1, UNSTABLE])]}),
    "with half a character": f'{{"cells": [{{"cell_type": "code", "source": {QUOTED[:-1]}s = \\"\\ud800\\""}}]}}',
    "that ends early": json.dumps({"cells": [code(UNSTABLE)]})[:-2],
    "that is a list": "[]",
    "without cells": "{}",
}


@pytest.mark.parametrize("verb", ["check", "fix"])
@pytest.mark.parametrize("book", REFUSED)
def test_what_is_no_notebook_is_told_in_one_line(tmp_path: Path, book: str, verb: str) -> None:
    (tmp_path / "a.ipynb").write_text(REFUSED[book])
    ended = command(tmp_path, verb, "a.ipynb")
    assert (ended.code, ended.err.count("\n")) == (2, 1) and ended.err.startswith("finallayer: a.ipynb: ")
    assert (tmp_path / "a.ipynb").read_text() == REFUSED[book]


def test_a_cell_that_is_left_out_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": [code("x = 1"), code([1, "y"]), code(UNSTABLE)]}))
    assert "cell 2 left out: its source is not text" in command(tmp_path, "check", ".").err
