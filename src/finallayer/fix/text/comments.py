"""Comments inside what a fix replaces: they go before the statement, so that none is lost."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Callable, Iterable, Iterator

from finallayer.expr import Origin
from finallayer.findings import Edit
from finallayer.fix.text.syntax import Syntax


def with_comments(edits: Iterable[Edit], syntax_of: Callable[[str], Syntax | None]) -> tuple[Edit, ...] | None:
    """The edits, and those that keep the comments of what they replace; None where a comment can't be kept."""
    found = list(edits)
    kept: list[Edit] = []
    for edit in found:
        syntax = syntax_of(edit.path)
        lost = list(_lost(syntax, edit)) if syntax is not None else []
        statement = _statement(syntax, edit) if syntax is not None and lost else None
        if lost and (syntax is None or statement is None):
            return None
        if syntax is not None and statement is not None:
            indent = syntax.file.lines[statement.lineno - 1][: syntax.file.origin(statement).column]
            kept.append(syntax.insert_before(statement, f"\n{indent}".join(lost)))
    return (*found, *kept)


def _lost(syntax: Syntax, edit: Edit) -> Iterator[str]:
    """The comments in an edit's range that its new text doesn't hold."""
    at = _in_module(syntax, edit)
    if at.line == at.end_line or not edit.text:  # a comment ends its line; what is taken away takes its own along
        return
    if "#" not in syntax.between((at.line, at.column), (at.end_line, at.end_column)):
        return
    for token in _comments(syntax.file.text):
        inside = (at.line, at.column) <= token.start and token.end <= (at.end_line, at.end_column)
        if inside and token.string not in edit.text:
            yield token.string


def _comments(text: str) -> Iterator[tokenize.TokenInfo]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return (token for token in tokens if token.type == tokenize.COMMENT)


def _statement(syntax: Syntax, edit: Edit) -> ast.stmt | None:
    """The innermost statement around an edit; None where it isn't the first on its line."""
    at = _in_module(syntax, edit)
    around = [
        node
        for node in syntax.nodes
        if isinstance(node, ast.stmt) and node.lineno <= at.line and at.end_line <= (node.end_lineno or 0)
    ]
    inner = max(around, key=lambda node: (node.lineno, node.col_offset), default=None)
    if inner is None or syntax.file.lines[inner.lineno - 1][: syntax.file.origin(inner).column].strip():
        return None
    return inner


def _in_module(syntax: Syntax, edit: Edit) -> Origin:
    place = Origin(edit.path, edit.line, edit.column, edit.end_line, edit.end_column, edit.cell)
    return syntax.file.in_module(place) if edit.cell is not None else place
