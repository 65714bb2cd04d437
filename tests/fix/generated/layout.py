"""The same program, written as people's editors and habits leave it: a fix must not care."""

from __future__ import annotations

import ast
import codecs
import io
import random
import tokenize
from collections.abc import Callable

#: What may follow an opening bracket or a comma inside brackets.
_BREAKS = ("\n        ", "  # a note\n    ", " \\\n  ", "\n\n  ", "  ")


def laid_out(text: str, draw: random.Random) -> bytes:
    """A program's bytes in a random layout; it means the same."""
    for change in (_decorated, _one_line, _in_brackets, _commented, _with_tabs):
        if draw.random() < 0.3:
            text = change(text, draw)
    compile(text, "laid out", "exec")
    newline = draw.choice(("\n", "\n", "\r\n", "\r"))
    mark = codecs.BOM_UTF8 if draw.random() < 0.2 else b""
    return mark + text.replace("\n", newline).encode()


def _in_brackets(text: str, draw: random.Random) -> str:
    """Line breaks, comments and blanks after brackets and commas that stand within brackets."""
    lines, depth = text.split("\n"), 0
    places: list[tuple[int, int]] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.OP:
            depth += (token.string in "([{") - (token.string in ")]}")
            if depth and token.string in "([{,":
                places.append(token.end)
    for row, column in reversed(places):
        if draw.random() < 0.2:
            line = lines[row - 1]
            lines[row - 1] = line[:column] + draw.choice(_BREAKS) + line[column:].lstrip(" ")
    return "\n".join(lines)


def _commented(text: str, draw: random.Random) -> str:
    """A comment behind some statements."""
    ends = {
        t.start[0]
        for t in tokenize.generate_tokens(io.StringIO(text).readline)
        if t.type == tokenize.NEWLINE and draw.random() < 0.3
    }
    lines = text.split("\n")
    return "\n".join(
        f"{line}  # größer: (a, [b" if i in ends and "#" not in line else line for i, line in enumerate(lines, 1)
    )


def _one_line(text: str, draw: random.Random) -> str:
    """Two simple statements on a line."""
    lines = text.split("\n")
    simple = _simple_lines(text)
    for row in sorted(simple, reverse=True):
        first, second = lines[row - 1], lines[row] if row < len(lines) else ""
        same = len(first) - len(first.lstrip()) == len(second) - len(second.lstrip())
        if same and row + 1 in simple and draw.random() < 0.3:
            lines[row - 1 : row + 1] = [f"{first}; {second.strip()}"]
    return "\n".join(lines)


def _simple_lines(text: str) -> set[int]:
    """The lines that are a simple statement each."""
    tree = ast.parse(text)
    blocks = [block for n in ast.walk(tree) for block in (getattr(n, "body", None),) if isinstance(block, list)]
    single = [s for block in blocks for s in block if s.lineno == s.end_lineno and not hasattr(s, "body")]
    return {s.lineno for s in single}


def _with_tabs(text: str, draw: random.Random) -> str:
    """Tabs for four blanks at the starts of lines that begin a statement."""
    return "\n".join(_tabbed(line) for line in text.split("\n"))


def _tabbed(line: str) -> str:
    inner = line.lstrip(" ")
    blanks = len(line) - len(inner)
    return "\t" * (blanks // 4) + " " * (blanks % 4) + inner


def _decorated(text: str, draw: random.Random) -> str:
    """A decorator of the program's own before its functions."""
    lines = text.split("\n")
    decorated = [f"@plainly\n{line}" if line.startswith("def ") else line for line in lines]
    first = next(i for i, line in enumerate(lines) if not line.startswith(("import ", "from ", "#")))
    decorated.insert(first, "\ndef plainly(function):\n    return function\n")
    return "\n".join(decorated)


Change = Callable[[str, random.Random], str]
