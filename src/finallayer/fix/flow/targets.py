"""Whether the targets of a loss certainly are distributions over the classes: one-hot rows, whatever feeds them.

TensorFlow's fused cross-entropy takes the gradient ``softmax - labels`` for granted, which is right only then.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from finallayer.catalog.names import canonical
from finallayer.expr import UNMOVED, Node, through
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import changes_in_place, path_of
from finallayer.fix.flow.known_calls import known_call
from finallayer.fix.text.syntax import Syntax, last_name
from finallayer.source.values import External

_MOST_STEPS = 8
#: What makes one-hot rows and raises for a label that is out of range.
_REFUSING = frozenset({"keras.utils.to_categorical"})
#: How TensorFlow's tutorials read their digits: with a module of its own, or a copy of that beside the program.
_READS_MNIST = re.compile(r"(tensorflow\..+|input_data)\.read_data_sets")


def are_distributions(target: ast.expr, module: AnalysedModule, modules: Iterable[AnalysedModule]) -> bool:
    """Whether each row of a target certainly sums to one: it is made one-hot, or a placeholder that only such feed."""
    if _is_one_hot(target, module):
        return True
    return _placeholder(target, module) is not None and _is_fed_one_hot(target, modules)


def _is_one_hot(data: ast.expr, module: AnalysedModule) -> bool:
    """Whether an expression always is one-hot, and was made by what refuses a label that no class has."""
    values = module.values(data)
    return bool(values) and all(isinstance(v, Node) and _refuses_others(through(v, UNMOVED), module) for v in values)


def _refuses_others(rows: Node, module: AnalysedModule) -> bool:
    """``tf.one_hot`` gives a row of zeros for such a label, as those of pixels are that don't count."""
    made = module.syntax.expression(rows.origin)
    values = module.values(made.func) if isinstance(made, ast.Call) else []
    names = {canonical(v.name) if isinstance(v, External) else "" for v in values}
    return rows.op == "one_hot" and bool(names) and names <= _REFUSING


def has_two_axes(target: ast.expr, module: AnalysedModule) -> bool:
    """Whether a target certainly has one axis for the examples and one for the classes."""
    shape = _shape_of_placeholder(target, module)
    return isinstance(shape, (ast.List, ast.Tuple)) and len(shape.elts) == 2


def _placeholder(target: ast.expr, module: AnalysedModule) -> ast.Call | None:
    """The one call of ``tf.placeholder`` that a name or attribute stands for."""
    bound = list(_bound_to(target, module))
    match bound:
        case [ast.Call(func=func) as call]:
            values = module.values(func)
            theirs = all(isinstance(v, External) and canonical(v.name) == "tensorflow.placeholder" for v in values)
            return call if values and theirs else None
    return None


def _shape_of_placeholder(target: ast.expr, module: AnalysedModule) -> ast.expr | None:
    known = known_call(module, _placeholder(target, module))
    return known.argument("shape") if known is not None else None


def _bound_to(target: ast.expr, module: AnalysedModule) -> Iterator[ast.expr | None]:
    """Everything that a file assigns to a name, or to an attribute by that name; None for what it can't say."""
    path = path_of(target)
    if path is None:
        yield None
        return
    last = path.rpartition(".")[2]
    for node in module.syntax.nodes:
        kind = ast.Attribute if "." in path else ast.Name
        name = getattr(node, "attr", None) if "." in path else getattr(node, "id", None)
        if isinstance(node, kind) and name == last and not isinstance(node.ctx, ast.Load):
            statement = module.syntax.parent(node)
            plain = isinstance(statement, ast.Assign) and node in statement.targets
            yield statement.value if plain and isinstance(statement, ast.Assign) else None
        elif isinstance(node, ast.arg) and node.arg == path:
            yield None


def _is_fed_one_hot(target: ast.expr, modules: Iterable[AnalysedModule]) -> bool:
    """Whether every feed of a placeholder, in whichever file, is one-hot, and each of them can be seen."""
    found = False
    for module in modules:
        fed: list[ast.expr] = []
        for node in module.syntax.nodes:
            if isinstance(node, ast.Dict):
                keyed = zip(node.keys, node.values, strict=True)
                fed += [v for k, v in keyed if k is not None and last_name(k) == last_name(target)]
            elif not all(_is_written_out(feed, module) for feed in _feeds(node)):
                return False
        if not all(_Rows(module).are_one_hot(v, _MOST_STEPS) for v in fed):
            return False
        found |= bool(fed)
    return found


def _feeds(node: ast.AST) -> list[ast.expr]:
    """The feeds that a syntax node hands to a session."""
    match node:
        case ast.keyword(arg="feed_dict", value=feed):
            return [feed]
        case ast.Call(func=ast.Attribute(attr="run"), args=[_, feed, *_]):
            return [feed]
        case ast.Call(func=ast.Attribute(attr="eval"), args=[feed, *_]):
            return [feed]
    return []


def _is_written_out(feed: ast.expr, module: AnalysedModule) -> bool:
    """Whether a dictionary of feeds stands in the text, there or at its name."""
    if isinstance(feed, ast.Dict):
        return None not in feed.keys
    bound = list(_bound_to(feed, module))
    return bool(bound) and all(isinstance(value, ast.Dict) for value in bound)


@lru_cache(maxsize=256)  # whatever is fed is asked for its names
def _writing(syntax: Syntax, name: str) -> tuple[ast.AST, ...]:
    """Where a file binds a name, or changes what it stands for."""
    return tuple(
        node
        for node in syntax.nodes
        if (isinstance(node, ast.arg) and node.arg == name)
        or (isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load))
        or changes_in_place(node, name)
    )


class _Rows:
    """What the text says of rows of data."""

    def __init__(self, module: AnalysedModule) -> None:
        self._module = module

    def are_one_hot(self, data: ast.expr, budget: int) -> bool:
        """Whether data are one-hot rows, some of them, or a row."""
        if not budget:
            return False
        match data:
            case ast.Subscript(value=ast.Name() as batch, slice=ast.Constant(value=1)) if self._is_batch(batch):
                return True
            case ast.Subscript(value=rows):
                return self.are_one_hot(rows, budget - 1)
            case ast.Attribute(attr="labels", value=part):
                return self._is_one_hot_set(part)
            case ast.Call():
                known = known_call(self._module, data, *UNMOVED)
                if known is not None and known.operand is not None:
                    return self.are_one_hot(known.operand, budget - 1)
            case ast.Name(id=name):
                bound = list(self._bound(name))
                return bool(bound) and all(b and (b is True or self.are_one_hot(b, budget - 1)) for b in bound)
        return _is_one_hot(data, self._module)

    def _bound(self, name: str) -> Iterator[ast.expr | bool]:
        """What a name is bound to, everywhere in the file; True where that is the labels of a one-hot batch."""
        for node in _writing(self._module.syntax, name):
            yield self._bound_here(node) if isinstance(node, ast.Name) else False

    def _bound_here(self, name: ast.Name) -> ast.expr | bool:
        match self._module.syntax.parent(name):
            case ast.Assign(targets=[target], value=value) if target is name:
                return value
            case ast.Tuple(elts=[_, second]) as pair if second is name:
                statement = self._module.syntax.parent(pair)
                return isinstance(statement, ast.Assign) and self._is_next_batch(statement.value)
        return False

    def _is_batch(self, batch: ast.Name) -> bool:
        bound = list(self._bound(batch.id))
        return bool(bound) and all(isinstance(b, ast.expr) and self._is_next_batch(b) for b in bound)

    def _is_next_batch(self, call: ast.expr) -> bool:
        """``mnist.train.next_batch(100)`` of labels that are one-hot."""
        match call:
            case ast.Call(func=ast.Attribute(attr="next_batch", value=part)):
                return self._is_one_hot_set(part)
        return False

    def _is_one_hot_set(self, part: ast.expr) -> bool:
        """``mnist.train`` of ``mnist = input_data.read_data_sets(..., one_hot=True)``."""
        match part:
            case ast.Attribute(value=ast.Name(id=name)):
                bound = list(self._bound(name))
                return bool(bound) and all(isinstance(b, ast.expr) and self._reads_one_hot(b) for b in bound)
        return False

    def _reads_one_hot(self, call: ast.expr) -> bool:
        """``read_data_sets(..., one_hot=True)`` of TensorFlow's tutorials, which isn't the project's own."""
        if not isinstance(call, ast.Call):
            return False
        callees = self._module.values(call.func)
        theirs = all(isinstance(c, External) and _READS_MNIST.fullmatch(c.name) for c in callees)
        said = any(k.arg == "one_hot" and getattr(k.value, "value", None) is True for k in call.keywords)
        return bool(callees) and theirs and said
