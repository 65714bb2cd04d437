"""Comments that keep today's findings quiet, so that a project can begin with what is new: ``check --add-ignore``."""

from __future__ import annotations

import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from finallayer.check.saved import is_saved
from finallayer.check.suppression import COMMENT, Statement, statements
from finallayer.expr import Origin
from finallayer.findings import Edit, Finding
from finallayer.fix.text.documents import Document
from finallayer.source.files import SourceFile, Unreadable
from finallayer.source.reading import read

#: What is between statements, or is no part of one.
_LAYOUT = frozenset({tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.NEWLINE})


class CannotSilenceError(ValueError):
    """A file in which a comment can't be put where it would do nothing else."""


def silenced(path: str, findings: Sequence[Finding], at_hand: bytes | None = None) -> tuple[Document, bytes]:
    """The file, and its bytes with a comment behind each statement that something is found in.

    Raises :class:`CannotSilenceError` where the program wouldn't stay what it is, and OSError.
    """
    document = Document.read(Path(path)) if at_hand is None else Document(Path(path), at_hand)
    file = _read(path, document.data)
    around = {line: s for s in statements(file.text) for line in range(s.first, s.last + 1)}
    codes: defaultdict[Statement, set[str]] = defaultdict(set)
    for finding in findings:
        place = file.in_module(finding.origin)
        if place.line not in around:
            raise CannotSilenceError(f"line {place.line} isn't in a statement")
        codes[around[place.line]].add(finding.rule.code)
    new = document.edited(_edit(file, statement, quiet) for statement, quiet in codes.items())
    if _program(_read(path, new)) != _program(file):
        raise CannotSilenceError("a comment would change the program")
    return document, new


def _read(path: str, data: bytes) -> SourceFile:
    if is_saved(path):
        raise CannotSilenceError("a saved model has no comments")
    try:
        return read(path, data)
    except Unreadable as why:
        raise CannotSilenceError(str(why)) from None


def _edit(file: SourceFile, statement: Statement, codes: set[str]) -> Edit:
    """The comment at the end of a statement; one of ours that begins there takes the codes in."""
    line = statement.last
    text = file.lines[line - 1]
    ours = next((COMMENT.search(text, column) for at, column, _ in statement.comments if at == line), None)
    if ours and ours["verb"].lower() == "ignore" and ours["codes"] is not None:
        start, stop = ours.span("codes")
        new = ", ".join(dict.fromkeys([*re.split(r"[\s,]+", ours["codes"].strip()), *sorted(codes)]))
    else:
        start = stop = len(text.rstrip())
        new = f"  # finallayer: ignore[{', '.join(sorted(codes))}]"
    place = file.in_cell(Origin(file.path, line, end_line=line))
    return Edit(file.path, place.line, start, place.line, stop, new, place.cell)


def _program(file: SourceFile) -> list[tuple[int, str]]:
    """What of a module isn't comment or layout."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(file.text).readline))
    except (tokenize.TokenError, SyntaxError, ValueError) as error:
        raise CannotSilenceError(f"it can't be tokenized: {error}") from None
    return [(t.type, t.string) for t in tokens if t.type not in _LAYOUT]
