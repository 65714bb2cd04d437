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
_GAP = rb"(?:[ \t\f]|\\\r?\n|\\\\\\n)*"  # a line may go on behind a backslash
_BEFORE = re.compile(rb"""(?:^|["';:]|\\n|\\t)%b(?:from%b((?:\.%b)*)([\w.]*)%b)?import\Z""" % ((_GAP,) * 4), re.M)
_LONGEST_BEFORE = 200
# What follows it, to the end of the line or bracket: in `from a import ...`, and in `import ...`.
_COMMENT = rb"#(?:[^\n\\]|\\(?!n))*+"
_NAMES = re.compile(rb"""\b%b(\((?:[^)#]++|%b)*+\)|(?:[^\n#;"\\]|\\\r?\n|\\\\\\n)*+)""" % (_GAP, _COMMENT))
_MODULES = re.compile(rb"\b((?:[\w., \t\f]|\\\r?\n|\\\\\\n)++)")
_JOINT = re.compile(r"\\+n|\\\r?\n|[\r\n]")  # where a statement's lines are joined
_NAME = re.compile(r"([\w.]+)(?:[ \t]+as[ \t]+\w+)?")
_BY_TEXT = re.compile(rb"""\b(?:import_module|__import__)\(\s*\\?["']([\w.]+)""")
_RUN = re.compile(
    rb"""(?:%run|magic\(\\?["']%?run(?:\\?["'],[ \t]*\\?["'])?)"""
    rb"""[ \t]*(?:-\w+[ \t]+)*\\?["']?(?:\.{1,2}/)*([\w./-]+?)(?:\.(py|ipynb))?(?![\w./-])"""
)
_RUNNING = re.compile(rb"""\b(?:exec|execfile|run_path|spec_from_file_location|SourceFileLoader|load_source)\(""")
_FILE = re.compile(rb"""["'](?:\.{1,2}/)*([\w./-]+)\.py\\?["']""")
# What stands behind a dot, also on the next line, in a notebook or not.
_ATTRIBUTE = re.compile(rb"""\.(?:\s|\\[nt]|[",\\])*([A-Za-z_]\w*)""")


class Finder(Protocol):
    """How an import is resolved: :class:`finallayer.source.Project` does it."""

    def find(self, importer: str, dotted: str, level: int = 0) -> Path | None: ...


def imported(data: bytes) -> Iterator[tuple[str, int]]:
    """The modules that a file may import, as (dotted name, level).

    ``from a import b`` gives a and a.b, ``import a.b`` too: importing a module of a package imports the package.
    """
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


def asked_by_text(data: bytes) -> Iterator[tuple[str, int]]:
    """The modules that a function is asked for, as (dotted name, level): ``import_module("a.b")``."""
    for called in _BY_TEXT.finditer(data) if b"import_" in data or b"__import__" in data else ():
        dotted = called[1].decode(errors="ignore")
        name = dotted.lstrip(".")
        yield name, len(dotted) - len(name)


def run_by_text(data: bytes) -> Iterator[tuple[str, int]]:
    """The modules that a file runs, so that it has their names: ``%run a/b.py``, ``exec(open("b.py").read())``."""
    for ran in _RUN.finditer(data) if b"%run" in data or b"magic(" in data else ():
        name = ran[1].decode(errors="ignore").replace("/", ".")
        yield f"{name}.ipynb" if ran[2] == b"ipynb" else name, 0
    for ran in _FILE.finditer(data) if _RUNNING.search(data) else ():
        yield ran[1].decode(errors="ignore").replace("/", "."), 0


def _named(dots: bytes | None, base: bytes | None, names: str) -> Iterator[tuple[str, int]]:
    names = _JOINT.sub(" ", names)
    if dots is None or base is None:
        for name in _NAME.finditer(names):
            parts = name[1].split(".")
            yield from ((".".join(parts[:n]), 0) for n in range(1, len(parts) + 1))
    elif base or dots:
        module, level = base.decode(errors="ignore"), dots.count(b".")
        yield module, level
        prefix = f"{module}." if module else ""
        yield from ((prefix + name[1], level) for name in _NAME.finditer(names))


def attributes(data: bytes) -> set[bytes]:
    """Every name that stands behind a dot in a file."""
    return set(_ATTRIBUTE.findall(data))
