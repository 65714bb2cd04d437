"""Comments that keep today's findings quiet, so that a project can begin with what is new: ``check --add-ignore``."""

from __future__ import annotations

import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from finallayer.check.suppression import COMMENT
from finallayer.expr import Origin
from finallayer.findings import Edit, Finding
from finallayer.fix.text.documents import Document
from finallayer.source.files import SourceFile
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
    file = read(path, document.data)
    tokens = _tokens(file)
    ends = _ends(tokens)
    codes: defaultdict[int, set[str]] = defaultdict(set)
    for finding in findings:
        place = file.in_module(finding.origin)
        if place.line not in ends:
            raise CannotSilenceError(f"line {place.line} isn't in a statement")
        codes[ends[place.line]].add(finding.rule.code)
    comments = {t.start[0]: t.start[1] for t in tokens if t.type == tokenize.COMMENT}
    new = document.edited(_edit(file, line, quiet, comments.get(line)) for line, quiet in codes.items())
    if _program(_tokens(read(path, new))) != _program(tokens):
        raise CannotSilenceError("a comment would change the program")
    return document, new


def by_file(findings: Sequence[Finding]) -> Mapping[str, list[Finding]]:
    """The findings of each file."""
    found: defaultdict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        found[finding.origin.path].append(finding)
    return found


def _edit(file: SourceFile, line: int, codes: set[str], comment: int | None) -> Edit:
    """The comment at the end of a line; one of ours that begins there takes the codes in."""
    text = file.lines[line - 1]
    ours = None if comment is None else COMMENT.search(text, comment)
    if ours and ours["verb"].lower() == "ignore" and ours["codes"] is not None:
        start, stop = ours.span("codes")
        new = ", ".join(dict.fromkeys([*re.split(r"[\s,]+", ours["codes"].strip()), *sorted(codes)]))
    else:
        start = stop = len(text.rstrip())
        new = f"  # finallayer: ignore[{', '.join(sorted(codes))}]"
    place = file.in_cell(Origin(file.path, line, end_line=line))
    return Edit(file.path, place.line, start, place.line, stop, new, place.cell)


def _ends(tokens: Sequence[tokenize.TokenInfo]) -> dict[int, int]:
    """The last line of the statement that each line of a module is in."""
    ends: dict[int, int] = {}
    first = 0
    for token in tokens:
        if token.type == tokenize.NEWLINE:
            ends |= dict.fromkeys(range(first, token.start[0] + 1), token.start[0])
            first = 0
        elif token.type not in _LAYOUT and not first:
            first = token.start[0]
    return ends


def _program(tokens: Sequence[tokenize.TokenInfo]) -> list[tuple[int, str]]:
    """What of a module isn't comment or layout."""
    return [(t.type, t.string) for t in tokens if t.type not in _LAYOUT]


def _tokens(file: SourceFile) -> list[tokenize.TokenInfo]:
    try:
        return list(tokenize.generate_tokens(io.StringIO(file.text).readline))
    except (tokenize.TokenError, SyntaxError, ValueError) as error:
        raise CannotSilenceError(f"it can't be tokenized: {error}") from None
