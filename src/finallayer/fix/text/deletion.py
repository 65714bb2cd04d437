"""Taking away what stands in a list or on lines of its own, with the comma or the comment that belongs to it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from itertools import takewhile

from finallayer.expr import Origin
from finallayer.findings import Edit
from finallayer.fix.text.syntax import Syntax, last_name
from finallayer.source.walking import walk


def drop_item(syntax: Syntax, items: list[ast.AST], index: int) -> Edit | None:
    """The edit that takes one of several arguments or elements away, with its comma and its comment; others stay."""
    places = [syntax.file.origin(i) for i in items]  # type: ignore[arg-type]  # keywords have a place, too
    at, lines = places[index], syntax.file.lines
    after = lines[at.end_line - 1][at.end_column :].strip().removeprefix(",").strip()
    if not lines[at.line - 1][: at.column].strip() and (not after or after.startswith("#")):  # with its own comment
        if 0 < index == len(items) - 1 and not after and _closes_behind(lines, before := places[index - 1], at):
            return syntax.put((before.end_line, before.end_column), (at.end_line + 1, _indent(lines[at.end_line])))
        return syntax.put((at.line, 0), (at.end_line + 1, 0))
    if index:
        before = places[index - 1]
        if "#" in _between(lines, before, at):
            return _before_bracket(syntax, items, index) if not lines[at.line - 1][: at.column].strip() else None
        return syntax.put((before.end_line, before.end_column), (at.end_line, at.end_column))
    if len(items) > 1:
        behind = places[1]
        return None if "#" in _between(lines, at, behind) else syntax.put((at.line, at.column), behind[1:3])
    return syntax.put((at.line, at.column), (at.end_line, at.end_column))


def _before_bracket(syntax: Syntax, items: list[ast.AST], index: int) -> Edit | None:
    """The edit that takes the last item away where a comment ends the line above: the bracket stands alone then."""
    at = syntax.file.origin(items[index])  # type: ignore[arg-type]
    around, lines = syntax.parent(items[index]), syntax.file.lines
    rest = lines[at.end_line - 1][at.end_column :].strip().removeprefix(",").lstrip()
    if index < len(items) - 1 or not rest.startswith((")", "]")) or not isinstance(around, ast.expr):
        return None
    skipped = len(lines[at.end_line - 1]) - len(lines[at.end_line - 1][at.end_column :].lstrip(" \t,"))
    opening = lines[syntax.file.origin(around).line - 1]
    return syntax.put((at.line, 0), (at.end_line, skipped), opening[: _indent(opening)])


def _closes_behind(lines: list[str], before: Origin, at: Origin) -> bool:
    """Whether what goes is the one line between the line that the items begin on and the bracket that ends them."""
    opened = before.end_line == at.line - 1 and lines[before.line - 1][: before.column].strip()
    closes = at.end_line < len(lines) and lines[at.end_line].lstrip().startswith((")", "]"))
    return bool(opened) and closes and "#" not in _between(lines, before, at)


def _between(lines: list[str], first: Origin, second: Origin) -> str:
    if first.end_line == second.line:
        return lines[first.end_line - 1][first.end_column : second.column]
    middle = lines[first.end_line : second.line - 1]
    return "\n".join([lines[first.end_line - 1][first.end_column :], *middle, lines[second.line - 1][: second.column]])


def whole_line(syntax: Syntax, statement: ast.stmt) -> Edit | None:
    """The edit that takes away a statement's lines, where nothing else stands on them and its block keeps another."""
    parent = syntax.parent(statement)
    block = next((b for b in (getattr(parent, n, None) for n in ("body", "orelse")) if b and statement in b), None)
    at = syntax.file.origin(statement)
    lines = syntax.file.lines
    behind = lines[at.end_line - 1][at.end_column :].strip()
    alone = not lines[at.line - 1][: at.column].strip() and (not behind or behind.startswith("#"))
    if not alone or block is None or len(block) < 2 or at.end_line >= len(lines):
        return None
    if behind and not syntax.file.cells:
        at = at._replace(end_line=at.end_line + _goes_on(lines, at))
    first, last = _with_traces(lines, at) if not syntax.file.cells else (at.line, at.end_line)
    return syntax.put((first, 0), (last + 1, 0))


def _goes_on(lines: Sequence[str], at: Origin) -> int:
    """How many lines of nothing else the comment behind a statement goes on for, further in than the statement."""
    below = lines[at.end_line :]
    return sum(1 for _ in takewhile(lambda line: line.lstrip().startswith("#") and _indent(line) > at.column, below))


def _with_traces(lines: Sequence[str], at: Origin) -> tuple[int, int]:
    """The lines of what goes, with a comment on it alone and with the blank lines that would be left twice."""
    first, last = at.line, at.end_line
    above = lines[first - 2] if first > 1 else ""
    ends = not lines[last].strip() or _indent(lines[last]) < at.column
    if _HEADS.search(above) and above.lstrip().startswith("#") and not _is_comment(lines, first - 3):
        alone = ends or len(above.split()) <= _FEW_WORDS
        first -= bool(alone and _indent(above) == at.column)
    elif ends and _TITLE.fullmatch(above) and not _is_comment(lines, first - 3):
        first -= _indent(above) == at.column
    elif _CLIPS.search(above) and _CLIPS.search("\n".join(lines[at.line - 1 : at.end_line])):
        own = above.lstrip().startswith("#") and not _is_comment(lines, first - 3)
        first -= bool(own and _indent(above) == at.column)
    before, after = _blanks(reversed(lines[: first - 1])), _blanks(iter(lines[last:]))
    opens = first > 1 + before and lines[first - 2 - before].rstrip().endswith((":", "{", "(", "["))
    return first, last + (after if opens and not before else min(before, after))


#: What a comment speaks of that is made false where a softmax goes.
_HEADS = re.compile(r"#.*\b(?:log_?)?(?:softmax|sigmoid)", re.IGNORECASE | re.ASCII)  # and behind other scripts
_FEW_WORDS = 4
#: A comment of a few words, no code, that would stand there without what it is the title of.
_TITLE = re.compile(r"\s*#\s*(?!TODO|FIXME|XXX)[A-Za-z][\w-]*(?:\s+[\w-]+){0,3}\s*[:.]?\s*")
_CLIPS = re.compile(r"cl(?:ip|amp)", re.IGNORECASE)


def _is_comment(lines: Sequence[str], index: int) -> bool:
    return index >= 0 and lines[index].lstrip().startswith("#")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _blanks(lines: Iterator[str]) -> int:
    return sum(1 for _ in takewhile(lambda line: not line.strip(), lines))


#: What a comment calls by its name.
_CALLED = re.compile(r"\b(\w+)\(")


def comment_on_call(syntax: Syntax, old: ast.expr, new: str) -> tuple[Edit, ...]:
    """The edit that takes away the comment behind a statement which speaks of a call that leaves it, and no other."""
    text, gone = _comment_behind(syntax, syntax.statement(old))
    spoken = set(_CALLED.findall(text))
    was = {last_name(n.func) for n in walk(old) if isinstance(n, ast.Call)}
    return (gone,) if spoken and spoken <= was and spoken.isdisjoint(_CALLED.findall(new)) else ()


def false_comments(syntax: Syntax, statement: ast.stmt) -> tuple[Edit, ...]:
    """The edits that take away the short comments on a statement which speak of the softmax that leaves it."""
    if syntax.file.cells:
        return ()
    at, lines = syntax.file.origin(statement), syntax.file.lines
    edits: list[Edit] = []
    behind, gone = _comment_behind(syntax, statement)
    if _HEADS.search(behind) and len(behind.split()) <= _FEW_WORDS:
        edits.append(gone)
    above = lines[at.line - 2] if at.line > 1 else ""
    speaks = above.lstrip().startswith("#") and _HEADS.search(above) and len(above.split()) <= _FEW_WORDS
    if speaks and _indent(above) == at.column and not _is_comment(lines, at.line - 3):
        edits.append(syntax.put((at.line - 1, 0), (at.line, 0)))
    return tuple(edits)


def _comment_behind(syntax: Syntax, statement: ast.stmt) -> tuple[str, Edit]:
    """The comment behind a statement, empty without one, and the edit that takes away what is there."""
    at = syntax.file.origin(statement)
    line = syntax.file.lines[at.end_line - 1]
    behind = line[at.end_column :]
    gone = syntax.put((at.end_line, at.end_column), (at.end_line, len(line)))
    return behind if behind.lstrip().startswith("#") else "", gone
