"""What of a file's bytes is code: its comments and docstrings speak of losses that it doesn't compute."""

from __future__ import annotations

import re

_TRIPLE = rb'"""[^\\"]*(?:(?:\\.|"(?!""))[^\\"]*)*"""|' + rb"'''[^\\']*(?:(?:\\.|'(?!''))[^\\']*)*'''"
_SINGLE = rb'"[^"\\\n]*(?:\\.[^"\\\n]*)*"|' + rb"'[^'\\\n]*(?:\\.[^'\\\n]*)*'"
#: Comments and texts, each from its first character on: what looks like one within another is none.
_TOKEN = re.compile(rb"(#[^\n]*)|(" + _TRIPLE + rb")|" + _SINGLE, re.DOTALL)
_PREFIX = b" \t\frRuUbBfF"


def code_of(path: str, data: bytes) -> bytes:
    """A Python file's bytes without its comments, nor the long texts that stand alone; any other file's as they are."""
    return _TOKEN.sub(_kept, data) if path.endswith(".py") else data


def _kept(token: re.Match[bytes]) -> bytes:
    if token[1] is not None:
        return b""
    return b'""' if token[2] is not None and _stands_alone(token) else token[0]


def _stands_alone(token: re.Match[bytes]) -> bool:
    """Whether nothing else is on a text's first line before it, or on its last behind it."""
    data, start, end = token.string, *token.span()
    before = data[data.rfind(b"\n", 0, start) + 1 : start]
    return not before.strip(_PREFIX) and data[end : end + 1] in (b"", b"\n", b"\r")
