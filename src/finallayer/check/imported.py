"""Which files of the project a file imports, read off its bytes: no parsing, so that the answer costs microseconds.

An import in a string or a comment counts too: what is found may be more than an analysis follows, hardly ever less.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

# A statement (of a notebook: within a JSON string) up to the word that every import holds. It is looked for from that
# word backwards: a file has few of them, and a notebook's figures have none.
_WORD = b"import"
_BEFORE = re.compile(rb"""(?:^|["';]|\\n)[ \t]*(?:from[ \t]+(\.*)([\w.]*)[ \t]+)?import\Z""", re.M)
_LONGEST_BEFORE = 200
# What follows it, to the end of the line or bracket: in `from a import ...`, and in `import ...`.
_NAMES = re.compile(rb"""\b[ \t]*(\([^)]*\)|[^\n#;"]*)""")
_MODULES = re.compile(rb"[ \t]+([\w., \t]+)")
_NAME = re.compile(r"([\w.]+)(?:[ \t]+as[ \t]+\w+)?")


class Finder(Protocol):
    """How an import is resolved: :class:`finallayer.source.Project` does it."""

    def find(self, importer: str, dotted: str, level: int = 0) -> Path | None: ...


def imported(data: bytes) -> Iterator[tuple[str, int]]:
    """The modules that a file may import, as (dotted name, level); ``from a import b`` gives a and a.b."""
    at = data.find(_WORD)
    while at >= 0:
        end = at + len(_WORD)
        before = _BEFORE.search(data, max(0, at - _LONGEST_BEFORE), end)
        if before is not None:
            dots, base = before.groups()
            after = (_MODULES if base is None else _NAMES).match(data, end)
            if after is not None:
                yield from _named(dots, base, after[1].decode(errors="ignore"))
        at = data.find(_WORD, end)


def _named(dots: bytes | None, base: bytes | None, names: str) -> Iterator[tuple[str, int]]:
    if dots is None or base is None:
        yield from ((name[1], 0) for name in _NAME.finditer(names))
    elif base or dots:
        module = base.decode(errors="ignore")
        yield module, len(dots)
        prefix = f"{module}." if module else ""
        yield from ((prefix + name[1], len(dots)) for name in _NAME.finditer(names.replace("\\n", " ")))
