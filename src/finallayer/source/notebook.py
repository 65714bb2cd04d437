"""A Jupyter notebook as one module: its code cells in order, what only IPython understands blanked.

Line and column of everything that stays are those of the cell, so a finding can be pointed at there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from finallayer.source.files import CellStart, SourceFile, Unreadable, parse

#: Cell magics whose cell is still this notebook's own Python; any other's cell is another program.
PYTHON_CELL_MAGICS = frozenset(
    "capture debug heat lprun memit mprun notify prun scalene skip snakeviz time timeit wandb".split()
)
#: Line magics that run the Python statement behind them.
STATEMENT_MAGICS = frozenset("lprun memit prun snakeviz time timeit".split())

# What no Python line begins or ends with, though the inside of a bracket or a string may.
_SUSPECT = re.compile(r"^[ \t]*(?:[%!?]|>>>|In \[\d)|\?[ \t]*(?:#.*)?$|=[ \t]*[%!]", re.M)
_PROMPT = re.compile(r"\s*(?:>>>|\.\.\.|In \[\d+\]:|\.{3,}:)(?: |$)")
_CELL_MAGIC = re.compile(r"\s*%%(\w*)")
_STATEMENT_MAGIC = re.compile(r"%%?(\w+)(?:[ \t]+-\w+(?:[ \t]+\d+)?)*[ \t]+(?=[\w(\[{\"'])")
_RUN = re.compile(r"%run\b(.*)")
_COMPOUND = re.compile(r"(?:async|class|def|for|if|try|while|with)\b")
_ASSIGNED = re.compile(r"\s*[\w.,\[\] ]+=[ \t]*[%!]")
# One step of a scan that knows strings, comments and brackets, and takes the rest as it comes.
_TOKEN = re.compile(r"#.*|[rbuf]{0,2}(\"\"\"|'''|\"|')|[(\[{]|[)\]}]|\\\Z|[^#rbufRBUF\"'()\[\]{}\\]+|.", re.I)


def read(path: str, data: bytes) -> SourceFile:
    """The notebook's code cells as one module. Raises :class:`Unreadable` where the file isn't a notebook.

    A cell that isn't Python 3 is blanked and noted; the others are kept. The notebook of another language is an empty
    module.
    """
    book = _load(data)
    found = list(_code_cells(book)) if _is_python(book) else []
    cells = [_read_cell(c.at, c.number, c.source) for c in found if c.source is not None]
    broken = {c.number: "its source is not text" for c in found if c.source is None}
    file = SourceFile(path, *_module(cells))
    return SourceFile(path, *_without_broken_cells(cells, broken)) if broken or not _is_module(file) else file


def _is_module(file: SourceFile) -> bool:
    try:
        _ = file.tree
    except Unreadable:
        return False
    return True


class _Cell(NamedTuple):
    """A code cell: its index among all, its number, its lines, and whether IPython takes an indentation from all."""

    at: int
    number: int
    lines: list[str]
    indented: bool = False


def _read_cell(index: int, number: int, source: str) -> _Cell:
    text = plain_python(source)
    first = next((line for line in text.split("\n") if line.strip()), "")
    indented = first[:1].isspace() and not _parses(text) and _parses(f"{_BLOCK}\n{text}")
    return _Cell(index, number, text.split("\n"), indented)


#: What stands before an indented cell, so that it is Python where it stands: each column is the reader's.
_BLOCK = "if True:"


def _module(cells: Sequence[_Cell]) -> tuple[str, tuple[CellStart, ...]]:
    """The cells as one text, and where each begins in it."""
    lines: list[str] = []
    starts: list[CellStart] = []
    for cell in cells:
        lines += [_BLOCK] if cell.indented else []
        starts.append(CellStart(len(lines) + 1, cell.at, cell.number))
        lines += cell.lines
    return "\n".join(lines), tuple(starts)


def plain_python(source: str) -> str:
    """A cell's source with magics, shell lines and help blanked, every line and column where it was."""
    if not _SUSPECT.search(source):
        return source
    lines = _without_prompts(source.split("\n"))
    magic = next((i for i, line in enumerate(lines) if line.strip()), 0)
    if got := _CELL_MAGIC.match(lines[magic]):
        if got[1] not in PYTHON_CELL_MAGICS:
            return "\n".join("" for _ in lines)
        lines[magic] = ""
    elif _parses("\n".join(lines)):
        return "\n".join(lines)
    return "\n".join(_blanked(lines))


def _without_prompts(lines: list[str]) -> list[str]:
    """The lines without ``>>> `` and ``In [1]: ``, which IPython takes away where the first of them has one."""
    first = next((line for line in lines if line.strip()), "")
    if not _PROMPT.match(first):
        return lines
    return [_PROMPT.sub(lambda prompt: " " * len(prompt[0]), line) for line in lines]


def _blanked(lines: list[str]) -> Iterator[str]:
    scan = _Scan()
    in_magic = False  # a magic or shell line that goes on behind a backslash
    for line in lines:
        if in_magic:
            in_magic = line.endswith("\\")
            yield ""
            continue
        if scan.at_statement:
            kept = _kept(line)
            if kept is not None:
                in_magic = line.endswith("\\")
                yield kept
                continue
        yield line
        scan.take(line)


def _kept(line: str) -> str | None:
    """What stays of a line that only IPython understands; None for any other line."""
    body = line.lstrip()
    indent = line[: len(line) - len(body)]
    if got := _STATEMENT_MAGIC.match(body):
        statement = body[got.end() :]
        if got[1] in STATEMENT_MAGICS and not _COMPOUND.match(statement) and _parses(statement):
            return indent + "0;".ljust(got.end()) + statement
    if not indent and (ran := _RUN.match(line)):
        return f"get_ipython().run_line_magic('run', {ran[1].strip()!r})"
    if body.startswith(("%", "!", "?")) or _ASSIGNED.match(line) or _asks_for_help(line):
        return indent + "pass"  # a block may hold nothing else
    return None


def _asks_for_help(line: str) -> bool:
    return "?" in line and _Scan().take(line).rstrip().endswith("?")


class _Scan:
    """Follows brackets and strings from line to line, to know where a statement begins."""

    def __init__(self) -> None:
        self.depth = 0
        self.quote = ""  # the triple quote of an open string
        self.continued = False

    @property
    def at_statement(self) -> bool:
        return not (self.depth or self.quote or self.continued)

    def take(self, line: str) -> str:
        """Go over a line; its code without strings and comments."""
        code: list[str] = []
        self.continued = False
        at = 0
        while at < len(line):
            if self.quote:
                at = self._end_of_string(line, at)
                continue
            got = _TOKEN.match(line, at)
            assert got is not None  # the last alternative takes anything
            at = got.end()
            token = got[0]
            if got[1]:
                self.quote = got[1]
                code.append('""')
            elif token == "\\":
                self.continued = True
            elif not token.startswith("#"):
                self.depth = max(0, self.depth + (token in "([{") - (token in ")]}"))
                code.append(token)
        if len(self.quote) == 1:
            self.continued = line.endswith("\\")
            self.quote = self.quote if self.continued else ""
        return "".join(code)

    def _end_of_string(self, line: str, at: int) -> int:
        while at < len(line):
            if line[at] == "\\":
                at += 2
            elif line.startswith(self.quote, at):
                at += len(self.quote)
                self.quote = ""
                return at
            else:
                at += 1
        return at


def _load(data: bytes) -> dict[str, Any]:
    try:
        book = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Unreadable("not a notebook: not UTF-8") from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"not a notebook: broken JSON ({error.msg}, line {error.lineno})") from None
    except (RecursionError, ValueError):  # nested too deeply; integers of too many digits
        raise Unreadable("not a notebook: broken JSON") from None
    if not isinstance(book, dict) or not isinstance(_cells(book), list):
        raise Unreadable("not a notebook: it has no list of cells")
    return book


def _cells(book: dict[str, Any]) -> Any:
    """The cells, also of the old format, which kept them in worksheets."""
    if "cells" in book:
        return book["cells"]
    sheets = book.get("worksheets")
    if not isinstance(sheets, list):
        return None
    kept = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)]
    return [cell for cells in kept if isinstance(cells, list) for cell in cells]


def _is_python(book: dict[str, Any]) -> bool:
    language: Any = "python"
    about = book.get("metadata")
    if isinstance(about, dict):
        for key, name in (("kernelspec", "language"), ("language_info", "name")):
            stated = about.get(key)
            if isinstance(stated, dict) and stated.get(name):
                language = stated[name]
    return isinstance(language, str) and language.lower() in ("python", "ipython", "python3")


class CodeCell(NamedTuple):
    """A code cell as it is written: its index among all cells, its number as Jupyter gives it when all are run."""

    at: int
    number: int
    source: str | None  # None where it isn't text


def code_cells(data: bytes) -> Iterator[CodeCell]:
    """A notebook's code cells. Raises :class:`Unreadable` where it isn't one."""
    return _code_cells(_load(data))


def _code_cells(book: dict[str, Any]) -> Iterator[CodeCell]:
    number = 1
    for index, cell in enumerate(_cells(book)):
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = cell.get("source", cell.get("input", ""))
        if isinstance(source, list) and all(isinstance(part, str) for part in source):
            source = "".join(source)
        text = source.replace("\r\n", "\n").replace("\r", "\n").replace("\0", " ") if isinstance(source, str) else None
        yield CodeCell(index, number, text)
        number += text is None or not (text.isspace() or text == "")


def _parses(text: str) -> bool:
    try:
        parse(text)
    except Unreadable:
        return False
    return True


def _without_broken_cells(
    cells: Sequence[_Cell], unread: dict[int, str]
) -> tuple[str, tuple[CellStart, ...], tuple[str, ...]]:
    """The module with each cell that isn't Python blanked, and a note of them. Raises where none is left.

    ``unread``: why other cells could not be read, by their numbers.
    """
    whole = list(cells)
    reasons = dict(unread)
    for i, cell in enumerate(cells):
        try:
            parse(_module([cell])[0])
        except Unreadable as why:
            reasons[cell.number] = str(why)
            whole[i] = _Cell(cell.at, cell.number, [""] * len(cell.lines))
    first = next(iter(reasons), None)
    if first is None or not any(line.strip() for cell in whole for line in cell.lines):
        raise Unreadable(reasons[first] if first is not None else "its cells are not one Python module")
    text, starts = _module(whole)
    if not _parses(text):
        raise Unreadable("its cells are not one Python module")
    left_out = f"cell {first} left out: {reasons[first]}"
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return text, starts, (left_out + more,)
