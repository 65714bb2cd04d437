"""Fixes of heads: the softmax leaves the model, the loss takes logits, and who needs probabilities gets them back.

What differs between frameworks is a :class:`Dialect`: how a loss is told that it gets logits, how a softmax is put
around an expression, what stands in for ``predict``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple

from finallayer.expr import LOSSES, Node, logits, make, target
from finallayer.findings import Match, Refusal, Sighting
from finallayer.fix.fixers.dialect import CompiledOutput, Dialect, Edits
from finallayer.fix.fixers.honest_names import with_honest_outputs, with_honest_words
from finallayer.fix.fixers.keras_metrics import takes_new_keras
from finallayer.fix.fixers.probability_models import made_at_each_call
from finallayer.fix.fixers.removal import Removal, remove_all
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.context import Context, Program
from finallayer.fix.flow.everywhere import Written, make_everywhere
from finallayer.fix.flow.head import Head
from finallayer.fix.flow.keras_of_project import older_than_2_3
from finallayer.fix.flow.keras_version import is_keras_itself, is_newer_than_2_3, reads_history_of_old, speaks_keras_1
from finallayer.fix.flow.only_read import is_read_again_and_again
from finallayer.fix.flow.readers import Reader, Readers
from finallayer.fix.flow.roles import CROSS_ENTROPIES
from finallayer.fix.flow.wrapped_names import where_named
from finallayer.fix.registry import Offer, Proposal, Reach, cannot_see, mends
from finallayer.fix.text.edits import together
from finallayer.kinds import Kind
from finallayer.rules.bounds import may_be_logits
from finallayer.rules.margin import loss_of
from finallayer.rules.route import maker, units
from finallayer.source.walking import walk

#: The loss on logits that stands for the one on probabilities.
ON_LOGITS = {"xent_probs": "xent_logits", "bce_probs": "bce_logits"}
#: The head that belongs to each loss.
HEAD_OF = {"xent_logits": "softmax", "xent_probs": "softmax", "bce_logits": "sigmoid", "bce_probs": "sigmoid"}
#: A metric that bears the name which Keras gave an accuracy since 2.3.
_ACCURACY = re.compile(r"name=[\"']accuracy[\"']")


Modules = Mapping[str, AnalysedModule]


class Exchange(NamedTuple):
    """What a loss reads, whose softmax or sigmoid goes, and the head that comes back where probabilities are read."""

    read: Node
    instead: Node  # the same head, where it belongs to the loss
    loss_too: bool = False  # a binary loss becomes that for one class of several

    @property
    def made(self) -> Node:
        """The softmax or sigmoid that goes."""
        return maker(self.read)

    @property
    def written(self) -> Hashable:
        """All that a fix's text depends on, besides the place of the head."""
        told = [(n.op, *sorted(map(repr, n.attrs.items()))) for n in (self.made, self.instead)]
        return *told, units(self.read), self.read.attrs.get("layer"), self.loss_too


@mends("FL101", "FL104", "FL301", "FL302", reach=Reach.MODEL)
def drop_head(sighting: Sighting, _match: Match, context: Context) -> Iterator[Offer]:
    """The fix of a loss that is handed what a softmax or sigmoid made: that goes, and the loss takes logits."""
    loss = sighting.node
    made = maker(loss.args[0]) if loss.op in CROSS_ENTROPIES and loss.args else None
    if made is None or made.op != HEAD_OF[loss.op] or is_shown_both_ways(loss, context):
        return
    if made.op == "sigmoid" or units(made) != 1:
        yield from without(Exchange(loss.args[0], made), sighting, context)


@mends("FL101", "FL104", reach=Reach.MODEL)
def drop_first_of_two(sighting: Sighting, match: Match, context: Context) -> Iterator[Offer]:
    """The fix of ``softmax(softmax(z))`` where a loss applies the softmax to the inner one, too: that goes."""
    first = maker(sighting.node.args[0]) if sighting.node.op in HEAD_OF.values() else None
    if first is None or first.op != sighting.node.op:
        return
    losses = (s for s in context.sightings() if s.node.op in ON_LOGITS.values() and s.node.args)
    made = ((s, maker(s.node.args[0])) for s in losses)
    loss = next((s for s, head in made if head == first and head.origin == first.origin), None)
    if loss is not None:
        yield from drop_head(loss, match, context)


def _is_one_too_many(loss: Node, readers: Readers) -> bool:
    """Whether a head goes because a loss and all else that reads its numbers apply it themselves."""
    return loss.op in ON_LOGITS.values() and readers.all_apply_it_again


def is_shown_both_ways(loss: Node, context: Context) -> bool:
    """Whether a program computes a loss on probabilities and the one on their logits, too, to show that they agree."""
    instead, scores = ON_LOGITS.get(loss.op), maker(loss.args[0]).args[:1]
    others = (s.node.args[0] for s in context.sightings() if s.node.op == instead and s.node.args)
    return any((other,) == scores and other.origin == scores[0].origin for other in others)  # no other model's


def without(exchange: Exchange, sighting: Sighting, context: Context, doubt: str = "") -> Iterator[Offer]:
    """A program whose loss takes the logits from before a head.

    Model, loss and readers may stand in different files: all of them are edited, or none. ``doubt``: what makes it
    unsafe, besides readers that can't be seen.
    """
    loss, made, dialect = sighting.node, exchange.made, Dialect.of(sighting.framework)
    if dialect is None or loss.origin is None or made.origin is None:
        return
    modules = context.modules()
    module = modules.get(made.origin.path)
    if module is None or loss.origin.path not in modules or is_along_other_axis(made):
        return
    alike = _made_for(loss, made, context)
    removal = remove_all(alike, modules)
    if removal is None:
        yield Refusal(f"the {made.op} can't be taken out of where it stands ({_at(made, module)})")
        return
    elsewhere = context.readers(removal.head, at_calls=True).only_reading
    needing = context.readers(removal.head).wraps
    ways = [False, True] if elsewhere else [False]
    if any(is_read_again_and_again(r.module.syntax, r.node, elsewhere) for r in needing):
        ways = [True, False]
    for at_calls in ways:
        yield from _given_back(removal, alike, exchange, sighting, context, doubt, at_calls)


def _given_back(
    removal: Removal,
    alike: Sequence[Node],
    exchange: Exchange,
    sighting: Sighting,
    context: Context,
    doubt: str,
    at_calls: bool,
) -> Iterator[Offer]:
    """The fix that gives the head back to whoever reads its output, or where a function that only reads is called."""
    loss, made, dialect, modules = sighting.node, exchange.made, Dialect.of(sighting.framework), context.modules()
    readers = context.readers(removal.head, at_calls=at_calls)
    if dialect is None or loss.origin is None or readers.steps(loss.args[0]) is None:
        return

    def write(program: Program) -> Written:
        there = context.at(program).readers(removal.head, at_calls=at_calls)
        stays = there.refusals and not _is_one_too_many(loss, there)
        return Written(there, None if stays else _all_edits(program, removal, there, dialect, exchange))

    question = removal.head, sighting.framework, exchange.written, at_calls
    made_everywhere = context.answer(question, lambda: make_everywhere(context, write))
    if made_everywhere is None:
        yield Refusal(_in_the_way(readers, context, dialect, exchange))
        return
    unseen = [*removal.unseen, *made_everywhere.unseen]
    edits = made_everywhere.edits
    for one in alike:
        home = context.module_at(one.origin)
        edits = with_honest_words(home, one, edits) if home is not None else edits
    for path in {e.path for e in edits} | {loss.origin.path}:
        home = modules.get(path)
        edits = with_honest_outputs(home, readers, edits) if home is not None else edits
    binary = exchange.instead.op == "sigmoid"
    new = make("bce_logits" if binary else "xent_logits", logits(), target())
    other = _read_otherwise(readers, exchange)
    notes = (
        doubt,
        other,
        _needs_newer_keras(edits, modules),
        _is_threshold_in_older_keras(readers, exchange, modules),
        *made_at_each_call(edits, modules),
        cannot_see(f"reads the {made.op}", unseen),
    )
    note = "; ".join(filter(None, notes))
    mends_maths = loss.op not in ON_LOGITS or exchange.instead is not made or exchange.loss_too
    yield Proposal(edits, loss_of(loss), new, note, binary, mends_maths)


def _at(made: Node, module: AnalysedModule) -> str:
    place = module.syntax.expression(made.origin)
    return module.syntax.where(place) if place is not None else module.path.rpartition("/")[2]


def _in_the_way(readers: Readers, context: Context, dialect: Dialect, exchange: Exchange) -> str:
    """What keeps a softmax where it is: a reader that can't get it back, or a loss that can't be told of logits."""
    if readers.refusals:
        return f"the {exchange.made.op} can't go: {readers.refusals[0]}"
    fixed = [r.module.syntax.where(r.node) for r in readers.wraps if not r.can_be_wrapped]
    if fixed:
        return f"the {exchange.made.op} can't go: {fixed[0]} reads it with other numbers, or in another shape"
    modules = context.modules()
    for reader in _readers_at_losses(context.sightings(), readers):
        if reader.origin is not None and _at_reader(modules, reader, dialect, exchange) is None:
            return f"the loss can't be told that it is handed logits ({_at(reader, modules[reader.origin.path])})"
    return "what reads the output, or a metric, can't be told that it is handed logits"


@mends("FL102", reach=Reach.MODEL)
def take_logits(sighting: Sighting, _match: Match, context: Context) -> Iterator[Proposal]:
    """The fix of a loss on probabilities that is handed logits: it is told so."""
    loss, dialect = sighting.node, Dialect.of(sighting.framework)
    modules = context.modules()
    module = context.module_at(loss.origin)
    x = loss.args[0] if loss.args else None
    if loss.op not in ON_LOGITS or module is None or x is None or x.kind is not Kind.LOGITS:
        return
    if dialect is None or x.origin is None or not may_be_logits(x):
        return  # a relu's outputs, as logits, would mean that nothing is ever unlikely, a tanh's that nothing is likely
    head = HEAD_OF[loss.op]
    readers = context.readers(Head(x.op, frozenset({x.origin})))
    edits = together([dialect.on_logits(module, loss), *_at_metrics(readers, context.sightings(), dialect, head, x)])
    if not edits or not parses_after(modules, edits):
        return
    new = make(ON_LOGITS[loss.op], logits(), target())
    old = make(loss.op, logits(), target(), eps=loss.attrs.get("eps"))
    unseen = "; ".join([*readers.lines, *readers.unseen, *readers.refusals])
    reads = f"what reads the logits as probabilities needs a {head}: {unseen}" if unseen else ""
    note = "; ".join(filter(None, (_needs_newer_keras(edits, modules), reads)))
    yield Proposal(edits, old, new, note, loss.op == "bce_probs", mends_maths=True)


def _needs_newer_keras(edits: Edits, modules: Modules) -> str:
    """Why edits are unsafe that write what only a newer Keras than the program's has."""
    written = any("from_logits" in edit.text for edit in edits)
    if written and any(speaks_keras_1(module.syntax) for module in modules.values()):
        return "the program is written for Keras 1, and losses on logits need 2.3"
    old = [module.syntax for module in modules.values() if reads_history_of_old(module.syntax)]
    if written and any(map(is_keras_itself, old)):
        return "the program reads its accuracy by the name that Keras gave it before 2.3, and losses on logits need 2.3"
    if old and any(_ACCURACY.search(edit.text) for edit in edits):
        return "the program reads its accuracy by the name that Keras gave it before 2.3, and a metric has another"
    theirs = [path for path, module in modules.items() if is_keras_itself(module.syntax)] if written else []
    told = next(filter(None, map(older_than_2_3, theirs)), "") if not is_newer_than_2_3(modules.values()) else ""
    if told:
        return f"{told} is written for a Keras before 2.3, and losses on logits need that"
    return takes_new_keras(edits, modules)


def _made_for(loss: Node, made: Node, context: Context) -> list[Node]:
    """The heads whose outputs meet a loss: of several models that one function trains, all go, or none."""
    at_loss = [s.node for s in context.sightings() if s.node.origin == loss.origin and s.node.op == loss.op]
    makers = [maker(node.args[0]) for node in at_loss if node.args]
    alike = [m for m in makers if m.op == made.op and m.attrs.get("axis") == made.attrs.get("axis")]
    found = {m.origin: m for m in (made, *alike) if m.origin is not None}
    return [found[origin] for origin in sorted(found, key=lambda origin: origin[:5])]


def _is_threshold_in_older_keras(readers: Readers, exchange: Exchange, modules: Modules) -> str:
    """Why several sigmoids with an accuracy are unsafe to change where the program may be for an older Keras."""
    said = {getattr(n, "value", None) for place in readers.compiled for n in walk(place.node)}
    several = exchange.made.op == exchange.instead.op == "sigmoid" and units(exchange.read) != 1
    if several and said & {"accuracy", "acc"} and not is_newer_than_2_3(modules.values()):
        return "Keras before 2.4 takes the accuracy of several sigmoids for a threshold of 0.5"
    return ""


def _read_otherwise(readers: Readers, exchange: Exchange) -> str:
    """What reads other numbers than before, which may have been meant: a softmax of one unit says nothing at all."""
    if exchange.made.op != "sigmoid" or exchange.instead.op == "sigmoid":
        return ""
    return "; ".join(f"{line} reads a {exchange.instead.op} instead" for line in readers.lines)


def is_along_other_axis(made: Node) -> bool:
    """A softmax along another axis than the classes is another mistake."""
    return made.op == "softmax" and (made.attrs.get("naive") or made.attrs.get("axis", -1) not in (-1, 1, None))


def _all_edits(
    program: Program, removal: Removal, readers: Readers, dialect: Dialect, exchange: Exchange
) -> Edits | None:
    """Every edit of a fix in one program; None where one of them can't be made, or leaves a file that isn't Python."""
    modules, seen, made = program.modules, program.sightings, exchange.instead
    parts = [
        removal.edits,
        *(_at_reader(modules, reader, dialect, exchange) for reader in _readers_at_losses(seen, readers)),
        *_at_metrics(readers, seen, dialect, made.op, exchange.read),
        *(
            dialect.restored(r, removal, made) if r.can_be_wrapped else None
            for r in where_named(readers.wraps, removal.head)
        ),
        *_at_predictions(readers.predictions, dialect, made),
    ]
    edits = together(parts)
    return edits if edits is not None and parses_after(modules, edits) else None


def _at_reader(modules: Modules, reader: Node, dialect: Dialect, exchange: Exchange) -> Edits | None:
    """The edits of a loss or metric that is handed the head's output."""
    module = modules.get(reader.origin.path) if reader.origin is not None else None
    if module is None:
        return None
    if reader.op in ON_LOGITS:
        if exchange.loss_too:
            return dialect.of_one_class(module, reader) if reader.op == "bce_probs" else None
        return dialect.on_logits(module, reader) if HEAD_OF[reader.op] == exchange.instead.op else None
    if reader.op not in CROSS_ENTROPIES and reader.op != "metric" and _is_compiled(module, reader):
        return None
    return ()


def _at_metrics(
    readers: Readers, seen: list[Sighting], dialect: Dialect, head: str, read: Node
) -> Iterator[Edits | None]:
    """The edits of the metrics that each model is compiled with."""
    metrics = [s.node for s in seen if s.node.op == "metric"]
    for place in readers.compiled:
        within = [m for m in metrics if _is_within(m, place)]
        reading = tuple(str(m.attrs.get("name")) for m in within if readers.steps(m.args[0]) is not None)
        output = CompiledOutput(read.attrs.get("layer"), reading, units(read))
        assert isinstance(place.node, ast.Call)
        yield dialect.compiled(place.module, place.node, head, output)


def _at_predictions(predictions: list[Reader], dialect: Dialect, made: Node) -> Iterator[Edits | None]:
    for path in dict.fromkeys(p.module.path for p in predictions):
        yield dialect.predicting([p for p in predictions if p.module.path == path], made)


def _readers_at_losses(seen: list[Sighting], readers: Readers) -> list[Node]:
    """The losses and metrics that are handed the head's output, each place once."""
    reading = [s.node for s in seen if s.node.args and readers.steps(s.node.args[0]) is not None]
    judged = LOSSES | {"metric"}
    return list({(n.origin, n.op, n.attrs.get("name")): n for n in reading if n.op in judged}.values())


def _is_within(node: Node, place: Reader) -> bool:
    """Whether a node's place lies inside an expression's."""
    around = place.module.syntax.file.origin(place.node)
    at = node.origin
    return at is not None and around[1:3] <= at[1:3] and at[3:5] <= around[3:5]


def _is_compiled(module: AnalysedModule, reader: Node) -> bool:
    """Whether a loss or metric stands in ``compile``, so that no expression of the program reads for it."""
    node = module.syntax.expression(reader.origin)
    return node is not None and not any(isinstance(v, Node) and v.op == reader.op for v in module.values(node))


def parses_after(modules: Modules, edits: Edits) -> bool:
    """Whether every file is still Python after the edits, and no two of them meet."""
    from finallayer.fix.text.edits import ConflictError, apply

    for path in {e.path for e in edits}:
        if path not in modules:
            return False  # an edit where this program never comes
        file = modules[path].syntax.file
        try:
            ast.parse(apply(file.text, [e for e in edits if e.path == path]) if not file.cells else "")
        except (SyntaxError, ConflictError):
            return False
    return True
