"""Which Python a file is written for that this one can't parse: older than 3, older than 3.7, or newer than ours."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator

_PYTHON_2 = re.compile(r"Missing parentheses in call to|multiple exception types must be parenthesized|<>")
_PYTHON_2_TEXT = re.compile(
    r"^\s*(?:print\s+[^\s(=]|exec\s+[\"']|raise\s+\w+\s*,|except\s+[\w.]+\s*,\s*\w+\s*:)|<>|\b0[0-7]+\b|\bur[\"']|\d[lL]\b",
)
_BEFORE_3_7 = re.compile(r"\basync\s*=[^=]|\bawait\s*=[^=]|[.,(]\s*async\s*[,).]")
#: Two types, as their capitals say: Python 2 has a type and a variable there.
_TWO_TYPES = re.compile(r"^\s*except\*?\s+[\w.]*\b[A-Z]\w*\s*,\s*[\w.]*\b[A-Z]\w*\s*(?:,[\w.,\s]*)?:")
#: What a line says that only a newer Python understands, and since when: (pattern, version, what it is).
_NEWER = (
    (_TWO_TYPES, (3, 14), "exception types without brackets"),
    (re.compile(r"(?<![\w\"'])[rR]?[tT][rR]?[\"']"), (3, 14), "a template string"),
    (re.compile(r"^\s*(?:(?:async\s+)?def|class)\s+\w+\s*\["), (3, 12), "type parameters"),
    (re.compile(r"^\s*type\s+\w+\s*(?:\[.*\]\s*)?="), (3, 12), "a type statement"),
)
_F_STRING = re.compile(r"(?<![\w\"'])(?:[rR]?[fF]|[fF][rR])(\"\"\"|'''|\"|')")


def written_for(message: str, line: str) -> str:
    """Which Python a line is of that can't be parsed, and what shows it; empty where it is of none that we know."""
    newer = ((version, what) for pattern, version, what in _NEWER if pattern.search(line))
    for version, what in (*newer, *(((3, 12), "quotes within an f-string's") for _ in _newer_f_strings(line))):
        if sys.version_info < version:
            needed, ours = (f"{major}.{minor}" for major, minor in (version, sys.version_info[:2]))
            return f"Python {needed} or newer ({what}); this is Python {ours}"
    if _PYTHON_2.search(message) or _PYTHON_2_TEXT.search(line):
        return "Python 2, not Python 3"
    return "Python before 3.7 (async as a name)" if _BEFORE_3_7.search(line) else ""


def _newer_f_strings(line: str) -> Iterator[str]:
    """The f-strings of a line whose parts are expressions, though they hold the quote that the string stands in."""
    for start in _F_STRING.finditer(line):
        quote, parts = start[1], list(_parts(line, start.end(), start[1]))
        if any(quote in part for part in parts) and all(map(_is_expression, parts)):
            yield line[start.start() :]


def _parts(line: str, at: int, quote: str) -> Iterator[str]:
    """What stands in the brackets of an f-string that begins before ``at``, up to its end."""
    depth, begin, inner = 0, at, ""
    while at < len(line):
        if inner:
            inner = "" if line.startswith(inner, at) else inner
        elif depth and line[at] in "\"'":
            inner = line[at]
        elif line[at] in "{}":
            if not depth and line[at : at + 2] in ("{{", "}}"):
                at += 1
            elif line[at] == "{":
                depth, begin = depth + 1, at + 1 if not depth else begin
            else:
                depth -= 1
                if not depth:
                    yield line[begin:at]
        elif not depth and line.startswith(quote, at):
            return
        at += 1


def _is_expression(part: str) -> bool:
    expression = re.sub(r"(?:![rsa])?(?::[^:\"'\])]*)?$", "", part)
    try:
        ast.parse(f"({expression})", mode="eval")
    except (SyntaxError, ValueError):
        return False
    return True
