"""The log that takes a log's place: where the log stood, or where what it is of was picked and named.

``pt = p.gather(1, y)``, ``log(pt)``: what picks the entries may have changed by the time of the log. So the log moves
to where they are picked, ``log_pt = log_softmax(z).gather(1, y)``, and replaces what is named there if nobody else
reads it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from finallayer.expr import Role, having
from finallayer.findings import Edit
from finallayer.fix.flow.bindings import are_shown, path_of
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.known_calls import known_call
from finallayer.fix.flow.naming import Named, standing_alone
from finallayer.fix.flow.place import IDLE, Place, rewritten
from finallayer.fix.flow.unread import unread
from finallayer.fix.text.spelling import Written
from finallayer.fix.text.syntax import Syntax, is_inside
from finallayer.source.values import External
from finallayer.source.walking import walk

#: How the log of what a place's logits become is written there.
Write = Callable[[Place, str], Written | None]


def with_log(place: Place, context: Context, write: Write, beside: Sequence[Place] = ()) -> tuple[Edit, ...]:
    """The edits that put a log of the logits in a log's place; none where that can't be done.

    ``beside``: other logs of the same probabilities, which nobody may read once all of them are gone.
    """
    together = _all_at_once([place, *beside], context, write) if beside else ()
    alone = together or _all_at_once([place], context, write)
    return alone or where_it_was_named(place, context, write, beside) or _named_before(place, context, write)


def _all_at_once(places: Sequence[Place], context: Context, write: Write) -> tuple[Edit, ...]:
    gone = [place.node for place in places]
    names = {place.logits(context, z, gone) if (z := place.logits_argument()) else None for place in places}
    named = names.pop()
    if names or named is None:
        return ()
    return rewritten([(place, write(place, named.text)) for place in places], named)


def where_it_was_named(
    place: Place, context: Context, write: Write, others: Sequence[Place] = (), beside: bool = True
) -> tuple[Edit, ...]:
    """The edits that take the log where a name was given to what it is of: in its place, or ``beside`` it."""
    syntax, statement = place.syntax, _naming(place)
    target = statement.targets[0] if statement is not None else None
    if statement is None or not isinstance(target, ast.Name) or are_shown(syntax.scope(target)):
        return ()
    logs = [place, *(other for other in others if _naming(other) is statement)]
    goes = statement in unread(syntax, [log.node for log in logs], ()) and syntax.is_alone(statement)
    if not syntax.has_own_lines(statement) or not (goes or beside):
        return ()
    lines: dict[str, str] = {}
    edits: list[Edit] = []
    for log in logs:
        picked = _where_picked(log, statement.value if goes else target)
        z = picked.logits_argument()
        named = _named(context, picked, z, None if goes else statement) if z is not None else None
        if (
            named is not None
            and z is not None
            and goes
            and len(logs) > 1
            and named.text == syntax.text(z) != path_of(z)
        ):
            named = Named(context.logits_name(syntax, target))  # computed once for all of them
            lines[f"{named.text} = {standing_alone(syntax.text(z))}"] = named.text
        written = write(picked, named.text) if named is not None else None
        text = picked.with_shape(written) if written is not None else None
        if named is None or written is None or text is None or not (goes or _gives_the_same_again(picked, z)):
            return ()
        wanted = (
            f"log_not_{target.id}" if log.flips() != _where_picked(log, target, False).flips() else f"log_{target.id}"
        )
        name = context.name(syntax, target, wanted, wanted)
        lines[f"{name} = {text}"] = name
        edits += [*named.edits, *written.edits, syntax.replace(log.node, name)]
    indent = " " * syntax.file.origin(statement).column
    block = f"\n{indent}".join(lines)
    defined = syntax.replace(statement, block) if goes else syntax.insert_after(statement, block)
    return tuple(dict.fromkeys((*edits, defined)))


def _naming(place: Place) -> ast.Assign | None:
    """The statement that names what a log is of, where only guards and a minus lie between."""
    for step in place.descent.steps:
        if step.kind == "name":
            return step.statement
        if step.kind not in IDLE | {"one_minus"}:
            break
    return None


def _where_picked(log: Place, node: ast.expr, flipped: bool = True) -> Place:
    """The log's way down from the statement that names what it is of, where it is to be taken of one minus that."""
    steps = log.descent.steps
    index = next(i for i, step in enumerate(steps) if step.kind == "name")
    minus = [step for step in steps[:index] if step.kind == "one_minus"] if flipped else []
    return Place(log.module, node, log.descent._replace(steps=(*minus, *steps[index + 1 :])))


def _named(context: Context, picked: Place, z: ast.expr, stays: ast.Assign | None) -> Named | None:
    """The logits as they can be read where entries are picked; what ``stays`` goes on reading them, too."""
    if picked.descent.definition is not None or stays is None or path_of(z) is not None:
        return picked.logits(context, z)
    named = _before(context, picked.syntax, z, stays, stays.targets[0])
    return named and named._replace(edits=(*named.edits, picked.syntax.replace(z, named.text)))


def _named_before(place: Place, context: Context, write: Write) -> tuple[Edit, ...]:
    """The edits that name the logits before a log's statement: what a formula reads twice is computed once."""
    z, statement = place.logits_argument(), place.syntax.statement(place.node)
    if z is None or place.descent.definition is not None or path_of(z) is not None:
        return ()
    named = _before(context, place.syntax, z, statement, z) if isinstance(statement, SIMPLE) else None
    return rewritten([(place, write(place, named.text))], named) if named is not None else ()


def _before(context: Context, syntax: Syntax, z: ast.expr, statement: ast.stmt, variable: ast.expr) -> Named | None:
    """A name for logits that are spelled within a statement, given before it."""
    later = any(isinstance(n, _LATER) for n in syntax.around(z) if is_inside(statement, n))
    if not syntax.is_legible(z) or later or are_shown(syntax.scope(z)):
        return None
    name = context.logits_name(syntax, variable)
    return Named(name, (syntax.insert_before(statement, f"{name} = {standing_alone(syntax.text(z))}"),))


#: Statements that run once, and wholly, where they stand.
SIMPLE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return, ast.Expr)
#: What evaluates an expression in it another time, or not at all.
_LATER = (ast.Lambda, ast.IfExp, ast.BoolOp, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.NamedExpr)
#: Operations that give the same whenever they are run on the same.
_REPEATABLE = frozenset().union(
    *map(having, (Role.PLACE, Role.HEAD, Role.GUARD, Role.CONSTANT, Role.READER)),
    *map(having, (Role.ARITHMETIC, Role.REDUCTION, Role.MASK)),
) - having(Role.DRAW)


def _gives_the_same_again(picked: Place, z: ast.expr | None) -> bool:
    """Whether all that is around the logits where entries are picked may be run twice: nothing is drawn there."""
    inside = set(walk(z)) if z is not None else set()
    outer = (step.outer for step in picked.descent.steps if step.kind != "name")
    calls = {n for node in outer for n in walk(node) if isinstance(n, ast.Call) and n not in inside}
    return all(_is_repeatable(picked, call) for call in calls)


def _is_repeatable(picked: Place, call: ast.Call) -> bool:
    known = known_call(picked.module, call)
    if known is not None:
        return known.op in _REPEATABLE
    callees = picked.module.values(call.func)
    return bool(callees) and all(
        isinstance(c, External) and c.name in ("builtins.len", "builtins.range") for c in callees
    )
