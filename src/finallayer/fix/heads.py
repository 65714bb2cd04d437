"""Fixes of heads: the softmax leaves the model, the loss takes logits, and who needs probabilities gets them back.

What differs between frameworks is a :class:`Dialect`: how a loss is told that it gets logits, how a softmax is put
around an expression, what stands in for ``predict``.
"""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from finallayer.expr import Node, logits, make, target
from finallayer.fix.readers import LOSSES, Place, Readers, importers
from finallayer.fix.registry import Context, Proposal
from finallayer.fix.removal import Program, Removal, remove
from finallayer.rules.base import Edit, Sighting
from finallayer.rules.margin import loss_of
from finallayer.rules.route import maker

Edits = tuple[Edit, ...]
#: The loss on logits that stands for the one on probabilities.
ON_LOGITS = {"xent_probs": "xent_logits", "bce_probs": "bce_logits"}
#: The head that belongs to each loss.
_HEAD_OF = {"xent_logits": "softmax", "xent_probs": "softmax", "bce_logits": "sigmoid", "bce_probs": "sigmoid"}


class Dialect(ABC):
    """How one framework spells what a fix writes. Every method gives None where it can't say it surely."""

    frameworks: ClassVar[frozenset[str]]

    @abstractmethod
    def on_logits(self, program: Program, loss: Node) -> Edits | None:
        """The edits that make a loss on probabilities take logits."""

    @abstractmethod
    def restored(self, program: Program, place: Place, removal: Removal, made: Node) -> Edits | None:
        """The edits that put the softmax back around an expression that reads probabilities."""

    def predicting(self, program: Program, calls: list[Place], removal: Removal, made: Node) -> Edits | None:
        """The edits that have ``predict`` give probabilities again."""
        return None

    def compiled(self, program: Program, call: ast.Call, removal: Removal, one_unit: bool) -> Edits | None:
        """The edits that have the metrics that a model is compiled with read logits."""
        return ()


def drop_head(sighting: Sighting, context: Context, dialect: Dialect) -> Iterator[Proposal]:
    """The fix of a loss that is handed what a softmax or sigmoid made: that goes, and the loss takes logits."""
    loss = sighting.node
    made = maker(loss.args[0]) if loss.op in LOSSES and loss.args else None
    if made is None or loss.origin is None or made.origin is None or made.op != _HEAD_OF[loss.op]:
        return
    program = context.program(loss.origin.path)
    if program is None or made.origin.path != program.path or _is_along_other_axis(made, dialect):
        return
    removal = remove(made, program)
    if removal is None:
        return
    readers = Readers(removal.head, program.uses, context.syntaxes(program.uses))
    edits = _all_edits(program, removal, readers, context.seen(program.path), dialect, made)
    if edits is None or readers.refusals or not parses_after(program, edits):
        return
    unseen = [*readers.unseen, *(f"{name} imports this file" for name in _importers(program))]
    binary = made.op == "sigmoid"
    new = make(ON_LOGITS.get(loss.op, loss.op), logits(), target())
    note = f"can't see all that reads the {made.op}: {'; '.join(unseen)}" if unseen else ""
    yield Proposal(edits, loss_of(loss), new, not unseen, note, binary, mends_maths=loss.op not in ON_LOGITS)


def _is_along_other_axis(made: Node, dialect: Dialect) -> bool:
    """A softmax along another axis than the classes is another mistake."""
    return made.op == "softmax" and (made.attrs.get("naive") or made.attrs.get("axis", -1) not in (-1, 1, None))


def _importers(program: Program) -> Iterator[str]:
    from pathlib import Path

    for path in importers(program.syntax.file):
        yield Path(path).name


def _all_edits(
    program: Program, removal: Removal, readers: Readers, seen: list[Sighting], dialect: Dialect, made: Node
) -> Edits | None:
    """Every edit of a fix; None where one of them can't be made."""
    edits: list[Edit] = list(removal.edits)
    for reader in _readers_at_losses(seen, readers):
        if reader.origin is None or reader.origin.path != program.path:
            return None
        if reader.op in ON_LOGITS:
            if _HEAD_OF[reader.op] != made.op:
                return None
            moved = dialect.on_logits(program, reader)
        elif reader.op not in LOSSES and reader.op != "metric" and _is_compiled(program, reader):
            return None
        else:
            moved = ()
        if moved is None:
            return None
        edits += moved
    metrics = [s.node for s in seen if s.node.op == "metric"]
    for place in readers.compiled:
        one_unit = any(_is_within(m, place, program) and _is_binary(m) for m in metrics)
        is_here = isinstance(place.node, ast.Call) and place.path == program.path
        read = dialect.compiled(program, place.node, removal, one_unit) if is_here else None  # type: ignore[arg-type]
        if read is None:
            return None
        edits += read
    for place in readers.wraps:
        around = dialect.restored(program, place, removal, made) if _can_be_wrapped(program, place) else None
        if around is None:
            return None
        edits += around
    if readers.predictions:
        predicting = dialect.predicting(program, readers.predictions, removal, made)
        if predicting is None:
            return None
        edits += predicting
    return tuple(dict.fromkeys(edits))


def _readers_at_losses(seen: list[Sighting], readers: Readers) -> list[Node]:
    """The losses and metrics that are handed the head's output, each place once."""
    reading = [s.node for s in seen if s.node.args and readers.steps(s.node.args[0]) is not None]
    judged = {*LOSSES, "metric", "mse", "mae", "kl", "kl_probs", "nll", "hinge"}
    return list({(n.origin, n.op, n.attrs.get("name")): n for n in reading if n.op in judged}.values())


def _is_binary(metric: Node) -> bool:
    return str(metric.attrs.get("name")).endswith("binary_accuracy")


def _is_within(node: Node, place: Place, program: Program) -> bool:
    """Whether a node's place lies inside an expression's."""
    around = program.syntax.file.origin(place.node)
    at = node.origin
    return at is not None and around[1:3] <= at[1:3] and at[3:5] <= around[3:5]


def _is_compiled(program: Program, reader: Node) -> bool:
    """Whether a loss or metric stands in ``compile``, so that no expression of the program reads for it."""
    node = program.syntax.expression(reader.origin)
    return node is not None and not any(
        isinstance(v, Node) and v.op == reader.op for v in program.uses.of(program.path, node)
    )


def _can_be_wrapped(program: Program, place: Place) -> bool:
    return place.whole and not place.derived and place.path == program.path and is_legible(program, place.node)


def is_legible(program: Program, node: ast.expr) -> bool:
    """Whether the text at a node's place is the node (inside f-strings of older Pythons it isn't)."""
    try:
        parsed = ast.parse(f"({program.syntax.text(node)}\n)", mode="eval").body
    except SyntaxError:
        return False
    return ast.dump(parsed) == ast.dump(node)


def parses_after(program: Program, edits: Edits) -> bool:
    """Whether the file is still Python after the edits, and no two of them meet."""
    from finallayer.fix.edits import ConflictError, apply

    file = program.syntax.file
    try:
        ast.parse(apply(file.text, [e for e in edits if e.path == file.path]) if not file.cells else "")
    except (SyntaxError, ConflictError):
        return False
    return True


def bracketed(text: str, node: ast.expr) -> str:
    """The text of an expression as something that a method can be called on."""
    return text if isinstance(node, (ast.Name, ast.Call, ast.Attribute, ast.Subscript)) else f"({text})"
