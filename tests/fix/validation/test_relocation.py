"""An edited file, each of whose nodes stands where it stood."""

from __future__ import annotations

import ast

import pytest

from finallayer.findings import Edit
from finallayer.fix.text.syntax import Syntax
from finallayer.fix.validation.relocation import WRITTEN, Relocated
from finallayer.source.files import SourceFile


def edited(text: str, *changes: tuple[str, str]) -> tuple[SourceFile, Relocated]:
    """A file, and the same with texts replaced."""
    file = SourceFile("program.py", text)
    edits = []
    for old, new in changes:
        before = text[: text.index(old)]
        start = before.count("\n") + 1, len(before.rpartition("\n")[2])
        behind = before + old
        end = behind.count("\n") + 1, len(behind.rpartition("\n")[2])
        edits.append(Edit("program.py", *start, *end, new))
    return file, Relocated(Syntax(file), edits)


def places(file: SourceFile) -> dict[str, list[tuple[int, ...]]]:
    """Where each expression of a file stands, by its text."""
    found: dict[str, list[tuple[int, ...]]] = {}
    for node in ast.walk(file.tree):
        if isinstance(node, ast.expr):
            found.setdefault(ast.unparse(node), []).append(file.origin(node)[1:5])
    return found


@pytest.mark.parametrize("letter", ["a", "ä", "\N{GRINNING FACE}"])
def test_what_no_edit_touches_keeps_its_place(letter: str) -> None:
    text = f"x = '{letter}', f(1), g(2), h(3)\ny = k(4)\n"
    file, after = edited(text, ("g(2)", "a_longer_name(\n    2,\n)"))
    before, now = places(file), places(after)
    assert all(now[text] == before[text] for text in ("f(1)", "h(3)", "k(4)", "y"))


def test_what_is_written_stands_where_nothing_stood() -> None:
    _, after = edited("x = f(1)\ny = 2\n", ("f(1)", "g(h(1))"))
    (whole,), (inner,) = places(after)["g(h(1))"], places(after)["h(1)"]
    assert whole == (1, 4, 1, 8)
    assert inner[1] >= WRITTEN


def test_what_stands_in_a_places_stead_is_found_there() -> None:
    file, after = edited("loss = ce(softmax(z), y)\n", ("softmax(z)", "z"))
    softmax = next(n for n in ast.walk(file.tree) if isinstance(n, ast.Call) and ast.unparse(n) == "softmax(z)")
    (there,) = after.counterparts[file.origin(softmax)[1:5]]
    assert ast.unparse(there) == "z"


def test_what_a_fix_moves_keeps_its_place() -> None:
    file, after = edited("p = softmax(net(x))\n", ("p =", "logits = net(x)\np ="), ("net(x)", "logits"))
    assert places(after)["net(x)"] == places(file)["net(x)"]
    assert after.copies == []


def test_what_is_called_twice_is_seen() -> None:
    _, after = edited("p = softmax(net(x))\nloss = log(p)\n", ("log(p)", "log_softmax(net(x))"))
    assert [ast.unparse(call) for call in after.copies] == ["net(x)"]


def test_what_is_taken_out_leaves_its_neighbours_where_they_were() -> None:
    file, after = edited("net = Sequential(Linear(4, 3), Softmax(1), Last())\n", (", Softmax(1)", ""))
    before, now = places(file), places(after)
    assert now["Linear(4, 3)"] == before["Linear(4, 3)"]
    assert now["Last()"] == before["Last()"]
    assert "Softmax(1)" not in now
