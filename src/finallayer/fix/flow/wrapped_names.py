"""Names that say "probabilities" of an output that becomes logits: the head comes back where the name is given."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from finallayer.fix.flow.bindings import are_shown, reaching, readers
from finallayer.fix.flow.head import Head
from finallayer.fix.flow.readers import Reader
from finallayer.fix.text.names import says_probabilities
from finallayer.fix.text.syntax import is_inside
from finallayer.source.walking import walk


def where_named(wraps: Sequence[Reader], head: Head) -> list[Reader]:
    """The expressions that need the head back: ``probs = net(x)`` itself, where all that reads ``probs`` does."""
    found: dict[ast.expr, Reader] = {}
    for reader in wraps:
        named = _named(reader, wraps, head) or reader
        found.setdefault(named.node, named)
    return list(found.values())


def _named(reader: Reader, wraps: Sequence[Reader], head: Head) -> Reader | None:
    """The reader that a name stands for, where it says probabilities and is given in the same function."""
    syntax, read = reader.module.syntax, reader.node
    if not isinstance(read, ast.Name) or not reader.can_be_wrapped or not says_probabilities(read.id):
        return None
    scope, statement = syntax.scope(read), reaching(syntax, read, read.id)
    if not isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)) or are_shown(scope):
        return None
    match statement:
        case ast.Assign(targets=[ast.Name(id=read.id)], value=value) if syntax.scope(statement) is scope:
            needing = {w.node for w in wraps}
            same = readers(scope, read.id)
            if not all(n in needing and reaching(syntax, n, read.id) is statement for n in same):
                return None
            parts = {n for n in walk(value) if isinstance(n, ast.expr)}
            changed = any(syntax.file.origin(n) in head.origins for n in parts) or parts & needing
            named = Reader(reader.module, value)
            return named if not changed and named.can_be_wrapped and not is_inside(value, read) else None
    return None
