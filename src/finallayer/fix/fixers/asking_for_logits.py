"""A model that gives logits when it is asked to: the call before the loss asks, and the model stays as it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from finallayer.expr import Node, logits, make, target
from finallayer.findings import Edit, Match, Sighting
from finallayer.fix.fixers.dialect import Dialect
from finallayer.fix.fixers.head_removal import HEAD_OF, ON_LOGITS
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import parameters, reaching, readers
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.flags import Flag, flag_of
from finallayer.fix.flow.known_calls import known_call
from finallayer.fix.flow.roles import CROSS_ENTROPIES
from finallayer.fix.registry import Proposal, Reach, mends
from finallayer.fix.text.edits import together
from finallayer.fix.text.keras_spelling import with_argument
from finallayer.fix.text.names import says_probabilities
from finallayer.rules.margin import loss_of
from finallayer.rules.route import maker
from finallayer.source.values import Bound, Function, Instance

#: The methods that a call of a model runs.
_CALLED = ("__call__", "forward", "call")


@mends("FL101", "FL104", "FL301", "FL302", reach=Reach.CALLERS)
def asked_for_logits(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``ce(model(x), y)`` becomes ``ce(model(x, from_logits=True), y)``, where that gives the logits alone."""
    loss, dialect = sighting.node, Dialect.of(sighting.framework)
    module = context.module_at(loss.origin)
    made = maker(loss.args[0]) if loss.op in CROSS_ENTROPIES and loss.args else None
    flag = flag_behind(made, context) if made is not None and made.op == HEAD_OF[loss.op] else None
    if module is None or dialect is None or made is None or flag is None or flag.function is None:
        return
    call = _prediction(module, loss, made)
    if call is None or not all(_runs(callee, flag.function) for callee in module.values(call.func) or [None]):
        return
    told = () if loss.op not in ON_LOGITS else dialect.on_logits(module, loss)
    edits = together([_asking(module, call, flag), told])
    if edits:
        new = make("bce_logits" if made.op == "sigmoid" else "xent_logits", logits(), target())
        yield Proposal(edits, loss_of(loss), new, "", made.op == "sigmoid", loss.op not in ON_LOGITS)


def flag_behind(made: Node, context: Context) -> Flag | None:
    """The flag that chooses between probabilities and the logits that they are made of."""
    home = context.module_at(made.origin)
    place = home.syntax.expression(made.origin) if home is not None else None
    z = known.operand if home is not None and (known := known_call(home, place)) is not None else None
    return flag_of(home.syntax, place, home.syntax.text(z)) if home and z is not None and place is not None else None


def _prediction(module: AnalysedModule, loss: Node, made: Node) -> ast.Call | None:
    """The call that gives a loss its prediction, there or on its way by a name that nothing else reads."""
    call = module.syntax.expression(loss.origin)
    given = [*call.args, *(k.value for k in call.keywords)] if isinstance(call, ast.Call) else []
    found = [a for a in given if any(_is(v, made) for v in module.values(a))]
    if len(found) != 1:
        return None
    (read,) = found
    if isinstance(read, ast.Name):
        match reaching(module.syntax, read, read.id):
            case ast.Assign(targets=[ast.Name(id=name)], value=value) as given_here if not says_probabilities(name):
                same = readers(module.syntax.scope(read), name)
                theirs = [n for n in same if reaching(module.syntax, n, name) in (given_here, None)]
                return value if theirs == [read] and isinstance(value, ast.Call) else None
    return read if isinstance(read, ast.Call) else None


def _is(value: object, made: Node) -> bool:
    return isinstance(value, Node) and (value.op, value.origin) == (made.op, made.origin)


def _runs(callee: object, function: ast.FunctionDef) -> bool:
    """Whether a call of something runs a function of the project."""
    if isinstance(callee, Instance):
        methods = (m for name in _CALLED if isinstance(m := callee.cls.find(name), Function))
        return next((m.node is function for m in methods), False)
    if isinstance(callee, Bound):
        callee = callee.function
    return isinstance(callee, Function) and callee.node is function


def _asking(module: AnalysedModule, call: ast.Call, flag: Flag) -> tuple[Edit, ...] | None:
    """The edits that set a flag in a call; None where it may be set there already."""
    names = [a.arg for a in flag.function.args.args] if flag.function is not None else []
    by_position = flag.name in names and len(call.args) > names.index(flag.name) - ("self" in names[:1])
    stated = [k.value for k in call.keywords if k.arg == flag.name]
    if flag.function is None or flag.name not in parameters(flag.function) or by_position:
        return None
    if any(not isinstance(value, ast.Constant) for value in stated):
        return None
    return with_argument(module.syntax, call, flag.name, str(flag.for_logits))
