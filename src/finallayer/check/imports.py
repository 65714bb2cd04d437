"""Which files of the project a file imports, read off its bytes: no parsing, so that the answer costs microseconds.

An import in a string or a comment counts too: what is found may be more than an analysis follows, hardly ever less.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

# A statement (of a notebook: within a JSON string) that imports; names go on to the end of the line or bracket.
_IMPORT = re.compile(
    rb"""(?:^|["';]|\\n)[ \t]*
    (?: from [ \t]+ (\.*) ([\w.]*) [ \t]+ import \b [ \t]* ( \([^)]*\) | [^\n#;"]* )
      | import [ \t]+ ([\w., \t]+) )""",
    re.M | re.X,
)
_NAME = re.compile(r"([\w.]+)(?:[ \t]+as[ \t]+\w+)?")


class Finder(Protocol):
    """How an import is resolved: :class:`finallayer.source.Project` does it."""

    def find(self, importer: str, dotted: str, level: int = 0) -> Path | None: ...


def imported(data: bytes) -> Iterator[tuple[str, int]]:
    """The modules that a file may import, as (dotted name, level); ``from a import b`` gives a and a.b."""
    for got in _IMPORT.finditer(data):
        dots, base, names, modules = (part.decode(errors="ignore") if part else "" for part in got.groups())
        if modules:
            yield from ((name[1], 0) for name in _NAME.finditer(modules))
        elif base or dots:
            yield base, len(dots)
            prefix = f"{base}." if base else ""
            yield from ((prefix + name[1], len(dots)) for name in _NAME.finditer(names.replace("\\n", " ")))
