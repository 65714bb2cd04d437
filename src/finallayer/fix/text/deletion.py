"""Taking away what stands in a list or on lines of its own, with the comma or the comment that belongs to it."""

from __future__ import annotations

import ast

from finallayer.expr import Origin
from finallayer.findings import Edit
from finallayer.fix.text.syntax import Syntax


def drop_item(syntax: Syntax, items: list[ast.AST], index: int) -> Edit | None:
    """The edit that takes one of several arguments or elements away, with its comma and its comment; others stay."""
    places = [syntax.file.origin(i) for i in items]  # type: ignore[arg-type]  # keywords have a place, too
    at, lines = places[index], syntax.file.lines
    after = lines[at.end_line - 1][at.end_column :].strip().removeprefix(",").strip()
    if not lines[at.line - 1][: at.column].strip() and (not after or after.startswith("#")):  # with its own comment
        return syntax.put((at.line, 0), (at.end_line + 1, 0))
    if index:
        before = places[index - 1]
        if "#" in _between(lines, before, at):
            return None
        return syntax.put((before.end_line, before.end_column), (at.end_line, at.end_column))
    if len(items) > 1:
        behind = places[1]
        return None if "#" in _between(lines, at, behind) else syntax.put((at.line, at.column), behind[1:3])
    return syntax.put((at.line, at.column), (at.end_line, at.end_column))


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
    alone = not lines[at.line - 1][: at.column].strip() and not lines[at.end_line - 1][at.end_column :].strip()
    if not alone or block is None or len(block) < 2 or at.end_line >= len(lines):
        return None
    return syntax.put((at.line, 0), (at.end_line + 1, 0))
