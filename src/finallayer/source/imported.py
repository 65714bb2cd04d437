"""Which files of the project a file imports, read off its bytes: no parsing, so that the answer costs microseconds.

An import in a string or a comment counts too: what is found may be more than an analysis follows, hardly ever less.
"""

from __future__ import annotations

import re
import unicodedata
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

# The word that every import holds, and what it is a part of; in a notebook it may stand right behind a line's end as
# JSON spells it.
_IMPORT = re.compile(rb"import(?!\w)")
_PART_OF = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_GAP = rb"(?:[ \t\f]|\\(?:\r\n?|\n)|\\\\\\n)*+"  # a line may go on behind a backslash
_WORD = rb"(?:[\w\x80-\xff]|\\u[0-9a-fA-F]{4})++"  # in a notebook, a letter may be spelled as an escape
_FROM = re.compile(rb"from%b((?:\.%b)*+)(%b(?:%b\.%b%b)*+)?+%b" % (_GAP, _GAP, _WORD, _GAP, _GAP, _WORD, _GAP))
_DEEPEST = 64  # packages in each other; no file lies deeper
_MOST_FROMS = 8  # in one name; no more are tried
_STARTS = (b"\n", b"\r", b'"', b"'", b";", b":", b"\\n", b"\\t", b"\\r")  # what stands before a statement
_JOINTS = (b"\\\n", b"\\\r\n", b"\\\r", b"\\\\\\n")
# What follows it, to the end of the line or bracket: in `from a import ...`, and in `import ...`.
_COMMENT = rb"#(?:[^\n\\]|\\(?!n))*+"
_BRACKET = re.compile(rb"%b\(" % _GAP)
_BRACKETED = re.compile(rb"%b(\((?:[^)#]++|%b)*+\))" % (_GAP, _COMMENT))
_NAMES = re.compile(rb"""%b((?:[^\n#;"\\]|\\(?:\r\n?|\n)|\\\\\\n|\\u)*+)""" % _GAP)
_MODULES = re.compile(rb"((?:[\w., \t\f\x80-\xff]|\\(?:\r\n?|\n)|\\\\\\n|\\u[0-9a-fA-F]{4})++)")
_JOINT = re.compile(r"\\+n|\\(?:\r\n?|\n)|[\r\n]")  # where a statement's lines are joined
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_NAME = re.compile(r"([\w.]+)(?: as \w+)?")
#: Where a word begins; in a notebook also behind a line's end.
_APART = rb"(?:(?<!\w)|(?<=\\[nrt]))"
_ASKED = _APART + rb"""(?:%b)\s*+\(\s*+(?:\w+\s*+=\s*+)?+[rRuU]?+\\?["']([\w.\x80-\xff]+)"""
_NAMES_BY_TEXT = rb"import_module|__import__|run_module"
_BY_TEXT = re.compile(_ASKED % _NAMES_BY_TEXT)
#: Another name for what imports by text.
_CALLED = re.compile(rb"\b(?:import_module|run_module)\s++as\s++(\w+)")
#: What asks for a module by a text, and what runs a file: each where it isn't imported or defined.
_LONGEST_IMPORT = 200
_ASKING = _APART + rb"(?:%b)(?!\w)(?!\s++as\s)"
_FILES_BY_TEXT = rb"run_path|spec_from_file_location|SourceFileLoader|load_source|execfile"
_NAMED_HERE = re.compile(rb"(?:\bdef|\bas|\bfrom\b[^;\n]*\bimport\b[^;\n]*|\bimport)[ \t(]*\Z")
#: An argument that is one text, all of it; and the packages that one which is put together begins with.
_WHOLE = re.compile(rb"""\s*+\(\s*+(?:\w+\s*+=\s*+)?+[rRuU]?+\\?["'][\w./\x80-\xff-]++\\?["']\s*+[,)]""")
_START = re.compile(rb"""\s*+\(\s*+(?:\w+\s*+=\s*+)?+[fFrRuU]{0,2}+\\?["']((?:[A-Za-z_]\w*+\.)*+)""")
#: What runs a text as a program, each of its arguments where they are texts that a scan reads as they stand.
_SHELL = tuple(b"run_line_magic run_cell_magic run_cell magic".split())
_RUNNING_TEXT = (b"eval", b"exec", *_SHELL)
_CALL = re.compile(rb"\s*+(?=\()")
_TEXT = rb"""[rRuU]?(?:"(?:[^"\\\n]|\\[nt'"\\])*+"|'(?:[^'\\\n]|\\[nt'"\\])*+')"""
_TEXTS = re.compile(rb"\(\s*+(?:%b\s*+,\s*+)*+(?:%b\s*+)?+\)" % (_TEXT, _TEXT))
#: What gives a value by a name that may be put together.
_BY_NAME = (
    *b"getattr __getattribute__ attrgetter methodcaller __dict__ globals locals vars eval exec".split(),
    *(b"sys.modules", b"from sys import"),
    *_SHELL,
)
_NAME_WHOLE = re.compile(
    rb"""(?<=eval)\(\)|(?:\(\))?+\s*+\[\s*+\\?["']\w++\\?["']\s*+\]"""
    rb"""|\s*+\((?:[^()"',\n]*+,\s*+)?+\\?["'][\w.]++\\?["']\s*+[,)]"""
)
_RUN = re.compile(
    rb"""(?:%run|magic\(\\?["']%?run(?:\\?["'],[ \t]*\\?["'])?)"""
    rb"""[ \t]*(?:-\w+[ \t]+)*\\?["']?(?:\.{1,2}/)*([\w./-]+?)(?:\.(py|ipynb))?(?![\w./-])"""
)
_RUNNING = re.compile(_APART + rb"(?:exec|" + _FILES_BY_TEXT + rb")\(")
_FILE = re.compile(rb"""["'](?:\.{1,2}/)*+([\w./-]+)\.py\\?["']""")
# What stands behind a dot, also on the next line, in a notebook or not.
_ATTRIBUTE = re.compile(rb"""\.(?:\s|\\[nt]|[",\\])*([A-Za-z_\x80-\xff][\w\x80-\xff]*)""")


class Finder(Protocol):
    """How an import is resolved: :class:`finallayer.source.Project` does it."""

    def find(self, importer: str, dotted: str, level: int = 0) -> Path | None: ...


def imported(data: bytes) -> Iterator[tuple[str, int]]:
    """The modules that a file may import, as (dotted name, level).

    ``from a import b`` gives a and a.b, ``import a.b`` too: importing a module of a package imports the package.
    """
    data = data.removeprefix(BOM_UTF8)
    words = [word.span() for word in _IMPORT.finditer(data) if _is_a_word(data, word.start())]
    before_it = scanned = 0
    for at, (start, end) in enumerate(words):
        found = _before(data, before_it, start)
        before_it = end
        if found is None:
            continue
        dots, base = found
        # None reaches beyond the next import, but for a bracket; and no bracket lies in another.
        within = words[at + 1][0] if at + 1 < len(words) else len(data)
        if base is None and not dots:
            after = _MODULES.match(data, end, within)
        else:
            after = _NAMES.match(data, end, within)
            if end >= scanned and _BRACKET.match(data, end):
                whole = _BRACKETED.match(data, end)
                after, scanned = (after, len(data)) if whole is None else (whole, whole.end())  # it may never be closed
        if after is not None:
            yield from _named(dots, base, _plain(after[1]))


def _is_a_word(data: bytes, at: int) -> bool:
    """Whether no word goes on at a place."""
    return at == 0 or data[at - 1] not in _PART_OF or data[max(0, at - 2) : at] in (b"\\n", b"\\t", b"\\r")


def _before(data: bytes, start: int, end: int) -> tuple[int, str | None] | None:
    """What an import is from, its dots and its name, where what stands before the word may be an import's beginning."""
    text = data[start:end]
    at = len(text)
    for _ in range(_MOST_FROMS):
        at = text.rfind(b"from", 0, at)
        if at < 0:
            break
        stated = _FROM.fullmatch(text, at)
        if stated is not None and _begins(text[:at], start):
            base = stated[2]
            return stated[1].count(b"."), None if base is None else "".join(_plain(base).split())
    return (0, None) if _begins(text, start) else None


def _begins(text: bytes, start: int) -> bool:
    """Whether a statement may begin behind a text, which begins the file where ``start`` is 0."""
    end = len(text.rstrip(b" \t\f"))
    while text.endswith(_JOINTS, max(0, end - 4), end):
        end -= next(len(joint) for joint in _JOINTS if text.endswith(joint, 0, end))
        while end and text[end - 1] in b" \t\f":
            end -= 1
    return (end == 0 and start == 0) or text.endswith(_STARTS, 0, end)


def _plain(names: bytes) -> str:
    """Names on one line, as Python knows them."""
    text = _JOINT.sub(" ", _ESCAPE.sub(lambda letter: chr(int(letter[1], 16)), names.decode(errors="ignore")))
    text = " ".join(text.split()).replace(" .", ".").replace(". ", ".")
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def asked_by_text(data: bytes) -> Iterator[tuple[str, int]]:
    """The modules that a function is asked for, as (dotted name, level): ``import_module("a.b")``."""
    if not any(word in data for word in (b"import_", b"__import__", b"run_module")):
        return
    names = b"|".join(_CALLED.findall(data))
    asked = re.compile(_ASKED % (_NAMES_BY_TEXT + b"|" + names)) if names else _BY_TEXT
    for called in asked.finditer(data):
        dotted = called[1].decode(errors="ignore")
        name = dotted.lstrip(".")
        yield name, len(dotted) - len(name)


def asked_for_any(data: bytes) -> Iterator[str]:
    """The packages in which a file may import any module, since it puts the name together; "" for any there is."""
    if b"magic" in data or b"run_cell" in data:
        yield from ("" for _ in _unclear(data, _SHELL))
    if not any(word in data for word in (b"import_", b"__import__", b"run_module", *_FILES_BY_TEXT.split(b"|"))):
        return
    names = b"|".join((_NAMES_BY_TEXT, _FILES_BY_TEXT, *map(re.escape, _CALLED.findall(data))))
    for asking in re.finditer(_ASKING % names, data):
        if _NAMED_HERE.search(data, max(0, asking.start() - _LONGEST_IMPORT), asking.start()):
            continue
        if _WHOLE.match(data, asking.end()) is None:
            start = _START.match(data, asking.end())
            yield start[1].decode().rstrip(".") if start is not None else ""


def puts_names_together(data: bytes) -> bool:
    """Whether a file may ask for a function or class by a name that isn't spelled out in it: ``getattr(F, a + b)``."""
    return any(_NAME_WHOLE.match(data, end) is None for end in _mentions(data, _BY_NAME))


def runs_a_text(data: bytes) -> bool:
    """Whether a file may run as a program what no text says that stands in it: ``eval(a + b)``."""
    return any(True for _ in _unclear(data, _RUNNING_TEXT))


def _unclear(data: bytes, words: Iterable[bytes]) -> Iterator[int]:
    """Where a function of these is called other than with texts that a scan reads as they stand."""
    calls = (call.end() for end in _mentions(data, words) if (call := _CALL.match(data, end)) is not None)
    return (at for at in calls if _TEXTS.match(data, at) is None)


def _mentions(data: bytes, words: Iterable[bytes]) -> Iterator[int]:
    """Where one of these words ends, as a word of its own: looked for one by one, which is faster than all at once."""
    for word in words:
        at = data.find(word)
        while at >= 0:
            end = at + len(word)
            if _is_a_word(data, at) and not data[end : end + 1].isalnum() and data[end : end + 1] != b"_":
                yield end
            at = data.find(word, end)


def run_by_text(data: bytes) -> Iterator[tuple[str, int]]:
    """The modules that a file runs, so that it has their names: ``%run a/b.py``, ``exec(open("b.py").read())``."""
    for ran in _RUN.finditer(data) if b"%run" in data or b"magic(" in data else ():
        name = ran[1].decode(errors="ignore").replace("/", ".")
        yield f"{name}.ipynb" if ran[2] == b"ipynb" else name, 0
    for ran in _FILE.finditer(data) if _RUNNING.search(data) else ():
        yield ran[1].decode(errors="ignore").replace("/", "."), 0


def _named(dots: int, base: str | None, names: str) -> Iterator[tuple[str, int]]:
    if base is None and not dots:
        for name in _NAME.finditer(names):
            parts = name[1].split(".", _DEEPEST)[:_DEEPEST]
            yield from ((".".join(parts[:n]), 0) for n in range(1, len(parts) + 1))
        return
    yield base or "", dots
    prefix = f"{base}." if base else ""
    yield from ((prefix + name[1], dots) for name in _NAME.finditer(names))


def attributes(data: bytes) -> set[bytes]:
    """Every name that stands behind a dot in a file."""
    return set(_ATTRIBUTE.findall(data))
