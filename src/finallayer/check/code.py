"""What of a file's bytes is code: its comments and docstrings speak of losses that it doesn't compute."""

from __future__ import annotations

import re

_ESCAPED = rb"\\(?:\r\n|.)"
_TRIPLE = (
    rb'"""[^\\"]*(?:(?:%b|"(?!""))[^\\"]*)*"""|' % _ESCAPED + rb"'''[^\\']*(?:(?:%b|'(?!''))[^\\']*)*'''" % _ESCAPED
)
_SINGLE = rb'"[^"\\\r\n]*(?:%b[^"\\\r\n]*)*"|' % _ESCAPED + rb"'[^'\\\r\n]*(?:%b[^'\\\r\n]*)*'" % _ESCAPED
#: Comments and texts, each from its first character on: what looks like one within another is none.
_TOKEN = re.compile(rb"(#[^\r\n]*)|(" + _TRIPLE + rb")|" + _SINGLE, re.DOTALL)
_PREFIX = b" \t\frRuUbB"
_OPENING, _CLOSING = (b"(", b"[", b"{"), (b")", b"]", b"}")
#: Where a field of an f-string begins and ends.
_BRACE = re.compile(rb"\{\{|\}\}|[{}]")


def code_of(path: str, data: bytes) -> bytes:
    """A Python file's bytes without its comments, nor the long texts that stand alone; any other file's as they are."""
    if not path.endswith((".py", ".pyw")):
        return data
    kept: list[bytes] = []
    outside: list[bytes] = []  # what is neither text nor comment, since brackets were counted
    end = depth = 0
    for token in _TOKEN.finditer(data):
        code = data[end : token.start()]
        end = token.end()
        kept.append(code)
        outside.append(code)
        if token[1] is not None:
            continue
        if code[-2:].lower().rstrip(b"r")[-1:] == b"f" and not _is_whole(token[0]):
            return data  # an f-string in which the quotes of another stand: where it ends, only a parser knows
        if token[2] is not None and _stands_alone(token):
            depth += _opened(b"".join(outside))
            outside.clear()
            kept.append(token[0] if depth else b'""')
        else:
            kept.append(token[0])
    kept.append(data[end:])
    return b"".join(kept)


def _opened(code: bytes) -> int:
    """How many brackets code opens and leaves open."""
    return sum(map(code.count, _OPENING)) - sum(map(code.count, _CLOSING))


def _is_whole(text: bytes) -> bool:
    """Whether every field of an f-string ends within what a scan takes for it."""
    depth = 0
    for brace in _BRACE.findall(text):
        if len(brace) == 1 or depth:
            depth += brace.count(b"{") - brace.count(b"}")
    return depth == 0


def _stands_alone(token: re.Match[bytes]) -> bool:
    """Whether nothing else is on a text's first line before it, or on its last behind it."""
    data, start, end = token.string, *token.span()
    line = max(data.rfind(b"\n", 0, start), data.rfind(b"\r", 0, start)) + 1
    if data[line:start].strip(_PREFIX) or data[max(0, line - 3) : line].rstrip(b"\r\n").endswith(b"\\"):
        return False
    return data[end : end + 1] in (b"", b"\n", b"\r")
