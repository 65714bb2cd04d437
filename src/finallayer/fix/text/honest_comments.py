"""Comments beside a head that goes: the words that name it name logits, or go."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import partial

from finallayer.findings import Edit
from finallayer.fix.text.edits import meet
from finallayer.fix.text.syntax import Syntax

_HEAD = r"(?:softmax|sigmoid)"
#: What stays true: the name of a family of models, losses or functions, or a word of the program's.
_STAYS = r"(?![\w.(]|[\s-]+(?:regression|cross|loss|function|score))"
#: A phrase about the head that says nothing once it is gone.
_WITH_HEAD = re.compile(
    rf",?\s+(?:with|using|and|through|by)\s+(?:an?\s+|the\s+)?{_HEAD}(?:\s+activation)?\b{_STAYS}", re.I
)
_WORDS = (
    (re.compile(r"\bsoftmax\s+(?=classifier)", re.I), ""),
    (re.compile(rf"\b(?:apply\s+)?(?:an?\s+|the\s+)?{_HEAD}\s+transform(?:ation)?\s+of\b", re.I), "logits of"),
    (re.compile(rf"\b(?:an?\s+)?softmax(?:\s+activation)?\b{_STAYS}", re.I), "logits"),
    (re.compile(rf"\bsigmoid(?:\s+activation)?\b{_STAYS}", re.I), "logit"),
    (re.compile(r"\bprobabilities\b", re.I), "logits"),
    (re.compile(r"\bprobability\b", re.I), "logit"),
)
_ANY_HEAD = re.compile(_HEAD, re.I)
#: A head as code, which is no word of a sentence: ``tf.nn.softmax``, ``softmax(z)``, ``softmax = exp(z) / sum``.
_AS_CODE = re.compile(rf"[\w)]\.{_HEAD}\b|\b{_HEAD}\s*(?:\(\w|=)", re.I)
#: What may stand between an expression and the comment on its line.
_BEHIND = re.compile(r"[\s,;)\]}]*(#.*)")


def with_honest_comments(syntax: Syntax, place: ast.expr | None, edits: tuple[Edit, ...]) -> tuple[Edit, ...]:
    """The edits, and those of the comments beside a head that none of them touches."""
    for edit in _honest(syntax, place) if place is not None else ():
        if not meet([*edits, edit]):
            edits = (*edits, edit)
    return edits


def _honest(syntax: Syntax, place: ast.expr) -> Iterator[Edit]:
    at, lines = syntax.file.origin(place), syntax.file.lines
    behind = _BEHIND.fullmatch(lines[at.end_line - 1][at.end_column :])
    if behind is not None:
        start = at.end_column + behind.start(1)
        yield from _reworded(syntax, at.end_line, start, behind.group(1))
    for line in _lines_about(syntax, place):
        start = len(lines[line - 1]) - len(lines[line - 1].lstrip())
        yield from _reworded(syntax, line, start, lines[line - 1][start:])


def _lines_about(syntax: Syntax, place: ast.expr) -> Iterator[int]:
    """The lines of comments right above a head; and those of its paragraph, where that has no other head."""
    at, lines = syntax.file.origin(place), syntax.file.lines
    line = at.line if not lines[at.line - 1][: at.column].strip() else syntax.statement(place).lineno
    cell, heads, is_right_above = syntax.file.in_cell(at).cell, len(_ANY_HEAD.findall(syntax.text(place))), True
    found: list[int] = []
    while line > 1 and lines[line - 2].strip():
        line -= 1
        if syntax.file.in_cell(at._replace(line=line, end_line=line)).cell != cell:
            break
        is_comment = lines[line - 1].lstrip().startswith("#")
        is_right_above = is_right_above and is_comment
        heads += 0 if is_comment else len(_ANY_HEAD.findall(lines[line - 1]))
        if is_right_above:
            yield line
        elif is_comment:
            found.append(line)
    if heads <= 1:
        yield from found


def _reworded(syntax: Syntax, line: int, start: int, comment: str) -> Iterator[Edit]:
    """The edit of a comment that names a head, where it does. One that spells it as code, a line alone, goes."""
    if _AS_CODE.search(comment):
        if not syntax.file.lines[line - 1][:start].strip():
            yield syntax.put((line, 0), (line + 1, 0), "")
        return
    new = _WITH_HEAD.sub("", comment)
    for word, instead in _WORDS:
        new = word.sub(partial(_as_before, instead), new)
    if new != comment:
        yield syntax.put((line, start), (line, start + len(comment)), new)


def _as_before(instead: str, found: re.Match[str]) -> str:
    return instead.capitalize() if found.group()[:1].isupper() else instead
