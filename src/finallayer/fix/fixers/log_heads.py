"""Fixes of losses on log-probabilities: a model's softmax becomes log_softmax, a log_softmax too many goes.

``NLLLoss`` after ``nn.Softmax`` wants ``nn.LogSoftmax``; whoever reads the probabilities besides gets them back by
``exp``. Logits that are handed to it want ``CrossEntropyLoss``. ``CrossEntropyLoss`` after a log_softmax wants none.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from finallayer.catalog.names import canonical
from finallayer.expr import LOSSES, Node, logits, make, target
from finallayer.findings import Match, Refusal, Sighting
from finallayer.fix.fixers.dialect import Dialect, Edits
from finallayer.fix.fixers.head_removal import Exchange, parses_after, without
from finallayer.fix.fixers.logs import WITH_LOG_SOFTMAX, is_likelihood, meant_otherwise
from finallayer.fix.fixers.removal import remove
from finallayer.fix.flow.analysed import AnalysedModule, made_alike
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.criterion import Criterion
from finallayer.fix.flow.head import Output
from finallayer.fix.flow.known_calls import known_call
from finallayer.fix.flow.outsiders import outsiders
from finallayer.fix.flow.readers import Reader
from finallayer.fix.registry import Offer, Proposal, Reach, cannot_see, mends
from finallayer.fix.text.edits import together
from finallayer.fix.text.spelling import Speller, as_object
from finallayer.fix.text.syntax import last_name
from finallayer.kinds import Kind
from finallayer.rules.route import maker
from finallayer.source.values import Bound, Built, External

#: Losses of PyTorch's that take log-probabilities of one class of several. (CTC's are of a row of them.)
_NLL = frozenset("torch.nn.functional.nll_loss torch.nn.NLLLoss torch.nn.NLLLoss2d".split())
_FRAMEWORKS = frozenset({"torch", "jax"})


@mends("FL303", reach=Reach.MODEL)
def drop_log_softmax(sighting: Sighting, _match: Match, context: Context) -> Iterator[Offer]:
    """``CrossEntropyLoss`` of a model that ends in a log_softmax: the model gives its logits."""
    loss = sighting.node
    made = maker(loss.args[0]) if loss.op == "xent_logits" else None
    if made is None or made.op != "log_softmax" or sighting.framework not in _FRAMEWORKS:
        return
    old, new = (make("xent_logits", x, target()) for x in (make("log_softmax", logits()), logits()))
    for proposal in without(Exchange(loss.args[0], made), sighting, context):
        yield proposal if isinstance(proposal, Refusal) else proposal._replace(old=old, new=new, mends_maths=False)


@mends("FL103")
def cross_entropy_of_logits(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``nll_loss(z, y)`` of logits, which is wrong maths, becomes ``cross_entropy(z, y)``."""
    loss, dialect = sighting.node, Dialect.of(sighting.framework)
    if loss.attrs.get("name") not in _NLL or loss.args[0].kind is not Kind.LOGITS or dialect is None:
        return
    criterion = Criterion(loss, context)
    edits = together(
        dialect.on_logits(module, other) if module is not None and other.args[0].kind is Kind.LOGITS else None
        for other in criterion.losses
        for module in (context.module_at(other.origin),)
    )
    if edits:
        note = cannot_see("calls the loss", criterion.unseen)
        yield Proposal(edits, None, make("xent_logits", logits(), target()), note)


#: Losses on log-probabilities.
_LIKELIHOODS = frozenset({"nll", "kl"})


@mends("FL103", reach=Reach.MODEL)
def log_softmax_head(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """``NLLLoss`` of a model that ends in a softmax: the model ends in a log_softmax."""
    loss, modules = sighting.node, context.modules()
    made = maker(loss.args[0])
    module = context.module_at(made.origin)
    if not is_likelihood(loss, context) or made.op != "softmax" or module is None:
        return
    removal = remove(made, module) if not made.attrs.get("naive") and not made.attrs.get("whole") else None
    logged = _logged(made, module, modules) if removal is not None else None
    if removal is None or not logged or sighting.framework not in _FRAMEWORKS:
        return
    head = Output(removal.head, modules, context.uses())
    reading = [s.node for s in context.sightings() if s.node.args and head.steps(s.node.args[0]) is not None]
    predictions = frozenset(e for n in reading if n.op in _LIKELIHOODS for e in _prediction(n, context))
    readers = context.readers(removal.head, predictions)
    others = [n for n in reading if n.op in (LOSSES | {"log"}) - _LIKELIHOODS]
    if readers.steps(loss.args[0]) is None or others or readers.refusals or readers.compiled or readers.predictions:
        return
    edits = together([logged, *(_exponential(reader, sighting.framework) for reader in readers.wraps)])
    if edits is None or not parses_after(modules, edits):
        return
    unseen = [*removal.unseen, *readers.unseen, *map(str, outsiders(context, edits, modules))]
    new = make(loss.op, make("log_softmax", logits()), target())
    notes = (meant_otherwise(loss), cannot_see("reads the softmax", unseen))
    yield Proposal(edits, None, new, "; ".join(filter(None, notes)))


def _prediction(loss: Node, context: Context) -> Iterator[ast.expr]:
    """The argument of a loss that is its prediction."""
    module = context.module_at(loss.origin)
    call = module.syntax.expression(loss.origin) if module is not None else None
    if module is not None and isinstance(call, ast.Call):
        given = [*call.args, *(k.value for k in call.keywords)]
        yield from (a for a in given if any(v is loss.args[0] for v in module.values(a)))


def _logged(made: Node, module: AnalysedModule, modules: dict[str, AnalysedModule]) -> Edits | None:
    """The edits that make a softmax a log_softmax, where it is made for this head only; None where they can't."""
    place = module.syntax.expression(made.origin)
    if not isinstance(place, ast.Call):
        return None
    layer = module.layer(place.func) or module.layer(place)
    if layer is None:
        known = known_call(module, place, "softmax")
        return _renamed(module, place.func, "softmax", "log_softmax") if known is not None else None
    constructor = module.maker(layer)
    if constructor is None or layer.signature.op != "softmax" or _calls(layer, modules) - {place}:
        return None
    renamed = _renamed(module, constructor.func, "Softmax", "LogSoftmax")
    return (*renamed, *_attribute(module, constructor, place, modules)) if renamed is not None else None


def _calls(layer: Built, modules: dict[str, AnalysedModule]) -> set[ast.Call]:
    return {
        node
        for module in modules.values()
        for node in module.syntax.nodes
        if isinstance(node, ast.Call) and any(made_alike(v, layer) for v in module.values(node.func))
    }


def _renamed(module: AnalysedModule, func: ast.expr, old: str, new: str) -> Edits | None:
    """``F.softmax`` becomes ``F.log_softmax``, however it is imported."""
    names = {canonical(v.name) if isinstance(v, External) else "" for v in module.values(func)}
    if isinstance(func, ast.Attribute) and func.attr == old:
        package = {name.removesuffix(f".{old}") for name in names}
        is_method = all(isinstance(v, Bound) for v in module.values(func))
        if is_method or (len(package) == 1 and package <= WITH_LOG_SOFTMAX | {"torch.nn"}):
            return (module.syntax.replace(func, module.syntax.text(func)[: -len(old)] + new),)
    if isinstance(func, ast.Name) and len(names) == 1:
        package_of, _, last = names.pop().rpartition(".")
        spelled = Speller(module.syntax).spell(f"{package_of}.{new}", func) if last == old else None
        return (module.syntax.replace(func, spelled.text), *spelled.edits) if spelled is not None else None
    return None


def _attribute(
    module: AnalysedModule, constructor: ast.Call, place: ast.Call, modules: dict[str, AnalysedModule]
) -> Edits:
    """``self.softmax``, which now is a log_softmax, is called so, where only its definition and its call know it."""
    statement = module.syntax.parent(constructor)
    target_ = statement.targets[0] if isinstance(statement, ast.Assign) and len(statement.targets) == 1 else None
    known = [n for m in modules.values() for n in m.syntax.nodes if _last(n) == "softmax"]
    if (
        not isinstance(target_, ast.Attribute)
        or {*known} != {target_, place.func}
        or "log_softmax" in module.syntax.names
    ):
        return ()
    both = (target_, place.func)
    return tuple(module.syntax.replace(n, module.syntax.text(n)[: -len("softmax")] + "log_softmax") for n in both)


def _last(node: ast.AST) -> str:
    return last_name(node) if isinstance(node, (ast.Attribute, ast.Name)) else ""


def _exponential(reader: Reader, framework: str) -> Edits | None:
    """The edits that give a reader of log-probabilities the probabilities again."""
    if not reader.can_be_wrapped:
        return None
    syntax = reader.module.syntax
    text = syntax.text(reader.node)
    if framework == "torch":
        return (syntax.replace(reader.node, f"{as_object(text)}.exp()"),)
    written = Speller(syntax).call("jax.numpy.exp", text, reader.node)
    return (*written.edits, syntax.replace(reader.node, written.text)) if written is not None else None
