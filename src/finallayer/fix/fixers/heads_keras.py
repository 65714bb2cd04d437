"""Fixes of heads in Keras, and of TensorFlow's losses on Keras models: ``from_logits=True``."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import ClassVar

from finallayer.expr import Node
from finallayer.findings import Edit, Match, Sighting
from finallayer.fix.fixers.dialect import CompiledOutput, Dialect, Edits
from finallayer.fix.fixers.head_removal import drop_head, take_logits
from finallayer.fix.fixers.keras_metrics import metrics_on_logits
from finallayer.fix.fixers.removal import Removal
from finallayer.fix.flow.analysed import Program
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.readers import Reader
from finallayer.fix.registry import Proposal, Reach, mends
from finallayer.fix.text.imports import Imports
from finallayer.fix.text.keras_spelling import spell, with_argument
from finallayer.fix.text.syntax import Syntax
from finallayer.source.values import External

#: A loss's function (and the string that names it) -> its class.
_CLASSES = {
    "categorical_crossentropy": "CategoricalCrossentropy",
    "sparse_categorical_crossentropy": "SparseCategoricalCrossentropy",
    "binary_crossentropy": "BinaryCrossentropy",
}


class Keras(Dialect):
    frameworks: ClassVar[frozenset[str]] = frozenset({"keras", "tensorflow"})

    def on_logits(self, program: Program, loss: Node) -> Edits | None:
        place = program.syntax.expression(loss.origin)
        if place is None:
            return None
        named = loss_values(program, place)
        if isinstance(named, ast.Call):
            if self._states_it_by_position(program, named):
                return None
            return with_argument(program.syntax, named, "from_logits", "True")
        if named is None:
            return None
        spelled = spell(program.syntax, f"losses.{named}", place)
        if spelled is None:
            return None
        return (program.syntax.replace(place, f"{spelled.text}(from_logits=True)"), *spelled.edits)

    def _states_it_by_position(self, program: Program, call: ast.Call) -> bool:
        """Whether from_logits, a class' first parameter and a function's third, may be among the positional ones."""
        is_class = any(
            isinstance(v, External) and v.name[v.name.rfind(".") + 1].isupper() for v in _symbols(program, call)
        )
        return len(call.args) > (0 if is_class else 2)

    def restored(self, reader: Reader, removal: Removal, made: Node) -> Edits | None:
        """``tf.nn.softmax(...)`` where TensorFlow is imported, else ``keras.ops.softmax(...)``."""
        if made.attrs.get("axis", -1) not in (-1, None):
            return None
        syntax = reader.program.syntax
        tensorflow = Imports(syntax).known(f"tensorflow.nn.{made.op}", reader.node)
        spelled = tensorflow or spell(syntax, f"ops.{made.op}", reader.node)
        if spelled is None:
            return None
        text = f"{spelled.text}({syntax.text(reader.node)})"
        return (syntax.replace(reader.node, text), *spelled.edits)

    def predicting(self, calls: Sequence[Reader], made: Node) -> Edits | None:
        """``probability_model = keras.Sequential([model, keras.layers.Softmax()])``, and its ``predict``."""
        program, at = calls[0].program, calls[0].node
        several = any(not isinstance(v, Node) for call in calls for v in program.values(call.node))
        if made.attrs.get("axis", -1) not in (-1, None) or several:
            return None
        ways = [spell(program.syntax, name, at) for name in ("Sequential", "models.Sequential")]
        sequential = min((w for w in ways if w is not None), key=lambda w: len(w.edits), default=None)
        layer = spell(program.syntax, "layers.Softmax" if made.op == "softmax" else "layers.Activation", at)
        if sequential is None or layer is None:
            return None
        head = f"{layer.text}()" if made.op == "softmax" else f'{layer.text}("sigmoid")'
        edits: list[Edit] = [*sequential.edits, *layer.edits]
        for model, group in _by_model(calls).items():
            if model in ("self", "cls") or not all(program.syntax.is_legible(c) for c in group):
                return None
            edits += _by_probability_model(program.syntax, group, model, f"{sequential.text}([{model}, {head}])")
        return tuple(edits)

    def compiled(self, program: Program, call: ast.Call, head: str, output: CompiledOutput) -> Edits | None:
        return metrics_on_logits(program, call, head, output)


def loss_values(program: Program, place: ast.expr) -> ast.Call | str | None:
    """The call that makes or is a loss, or the class that stands for the string or function at a place."""
    values = program.values(place)
    named = {v if isinstance(v, str) else v.name for v in values if isinstance(v, (str, External))}
    if len(named) == 1 and all(isinstance(v, (str, External)) for v in values):
        last = named.pop().rpartition(".")[2]
        return _CLASSES.get(last, last if last in _CLASSES.values() else None)
    built = program.layer(place)
    if built is not None:
        return program.maker(built)
    if not isinstance(place, ast.Call):
        return None
    built = program.layer(place.func)
    if built is not None:
        return program.maker(built)
    return place if any("crossentropy" in s.name for s in _symbols(program, place)) else None


def _symbols(program: Program, call: ast.Call) -> list[External]:
    return [v for v in program.values(call.func) if isinstance(v, External)]


def _by_model(calls: Sequence[Reader]) -> dict[str, list[ast.Call]]:
    """Calls of ``predict`` by the model that they are of, as it is spelled, in the order of the text."""
    found: dict[str, list[ast.Call]] = {}
    for reader in sorted(calls, key=lambda c: (c.node.lineno, c.node.col_offset)):
        if isinstance(reader.node, ast.Call) and isinstance(reader.node.func, ast.Attribute):
            found.setdefault(reader.program.syntax.text(reader.node.func.value), []).append(reader.node)
    return found


def _by_probability_model(syntax: Syntax, calls: list[ast.Call], model: str, whole: str) -> Iterator[Edit]:
    """The edits that have calls of ``predict`` ask a model with the softmax, made where the first of them stands."""
    anchor = _anchor(syntax, calls)
    name = syntax.fresh_name(_probability_name(model), set())
    if anchor is not None:
        yield syntax.insert_before(anchor, f"{name} = {whole}")
    for call in calls:
        assert isinstance(call.func, ast.Attribute)
        yield syntax.replace(call.func.value, name if anchor is not None else whole)


def _probability_name(model: str) -> str:
    last = model.rpartition(".")[2]
    return "probability_model" if last == "model" or not last.isidentifier() else f"probability_{last}"


def _anchor(syntax: Syntax, calls: list[ast.Call]) -> ast.stmt | None:
    """The statement before which the model of probabilities is made: the first use, where all are in its block."""
    statements = [syntax.statement(c) for c in calls]
    block = syntax.parent(statements[0])
    same = all(syntax.parent(s) is block for s in statements)
    plain = isinstance(block, (ast.Module, ast.FunctionDef))
    return statements[0] if same and plain else None


@mends("FL101", "FL104", "FL301", "FL302", reach=Reach.MODEL)
def keras_head(sighting: Sighting, match: Match, context: Context) -> Iterator[Proposal]:
    """The softmax layer or activation goes, and the loss gets ``from_logits=True``."""
    if sighting.framework in Keras.frameworks:
        yield from drop_head(sighting, context, Keras())


@mends("FL102", reach=Reach.MODEL)
def keras_loss_on_logits(sighting: Sighting, match: Match, context: Context) -> Iterator[Proposal]:
    """A loss that is handed logits gets ``from_logits=True``."""
    if sighting.framework in Keras.frameworks:
        yield from take_logits(sighting, context, Keras())
