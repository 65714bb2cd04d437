"""What a value is to a head: its output itself, in another shape or place, perhaps among others, or none of it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from finallayer.catalog.names import canonical
from finallayer.expr import MOVES, SEVERAL, TRANSPARENT, UNMOVED, Node, Origin
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.known_calls import calls_method, known_call
from finallayer.fix.flow.reshaped import keeps_classes
from finallayer.source.uses import Uses
from finallayer.source.values import Bound, Dict, External, List, Partial, Union, Value

#: Methods that take a tensor out of its framework: the softmax must come back before them.
_TO_HOST = ("numpy", "tolist", "item")
#: Keras' methods that give a model's output as an array.
_PREDICT = ("predict", "predict_on_batch")
_HOST_FUNCTIONS = frozenset(
    "jax.device_get keras.ops.convert_to_numpy builtins.float".split()
)  # besides all of NumPy's
#: Functions and methods after which the numbers are the same, elsewhere or in another shape. (The interpreter takes
#: ``relu`` and ``where`` of probabilities for the same, too; of logits they aren't.)
_KEEPING = frozenset(
    (
        "detach cpu cuda to float double half bfloat16 type type_as contiguous clone numpy item tolist squeeze "
        "unsqueeze "
        "view view_as reshape flatten ravel permute transpose t swapaxes cat concat concatenate stack hstack vstack "
        "asarray array device_get stop_gradient cast convert_to_tensor convert_to_numpy expand_dims gather "
        "index_select take take_along_dim take_along_axis requires_grad_ block_until_ready"
    ).split()
)
#: What computes other numbers, even where the analysis takes the result for the same.
_COMPUTING = (ast.BinOp, ast.UnaryOp, ast.Compare)
#: More ways from a value back to the head aren't told apart.
_MOST_WAYS = 64


class Head(NamedTuple):
    """The softmax or sigmoid: its operation, and the places under which the program's nodes know it."""

    op: str
    origins: frozenset[Origin]


class Output:
    """A head's output, as the values of one analysis show it."""

    def __init__(self, head: Head, modules: Mapping[str, AnalysedModule], uses: Uses) -> None:
        self.head, self.modules, self.uses = head, modules, uses
        self._same_numbers = (MOVES if head.op == "sigmoid" else UNMOVED) | {"join"}
        self._others: dict[int, tuple[Node, bool]] = {}  # by identity, which lasts while the node is kept
        self._touching: dict[int, tuple[Node, bool]] = {}  # likewise
        self._whole: dict[int, tuple[Node, bool]] = {}  # likewise
        self._found: dict[int, tuple[Value, list[list[Node]]]] = {}  # likewise

    def steps(self, value: Value) -> list[Node] | None:
        """The operations from a value back to the head; None where it isn't the head's output, or not it alone."""
        found: list[Node] = []
        node, of_several = value, False
        while isinstance(node, Node):
            if self.is_head(node):
                return found
            if node.op not in TRANSPARENT or not node.args or self._is_other(node):
                return None
            if len(node.args) > 1 and node.op in SEVERAL and not of_several:
                of_several = True
                if not self._all_of_head(node.args):
                    return None
            found.append(node)
            node = node.args[0]
        return None

    def ways(self, value: Value) -> list[list[Node]]:
        """The operations on every way from a value back to the head: what puts outputs together has one for each.

        There is none where it isn't the head's output alone, or where the ways are too many to be told apart.
        """
        if id(value) not in self._found:
            ways = self._ways(value, {}) if isinstance(value, Node) and self.steps(value) is not None else None
            self._found[id(value)] = value, ways or []
        return self._found[id(value)][1]

    def _ways(self, node: Node, known: dict[int, list[list[Node]] | None]) -> list[list[Node]] | None:
        if self.is_head(node):
            return [[]]
        if id(node) not in known:
            parts = node.args if node.op in SEVERAL else node.args[:1]
            behind = [self._ways(part, known) for part in parts]
            found = [[node, *way] for ways in behind for way in ways or ()]
            known[id(node)] = found if None not in behind and len(found) <= _MOST_WAYS else None
        return known[id(node)]

    def _all_of_head(self, nodes: Iterable[Node]) -> bool:
        """Whether values that are put together are the head's output, all of them."""
        return all(map(self._is_whole, nodes))

    def _is_whole(self, node: Node) -> bool:
        """Whether all that hands its numbers on to this value is the head's output; asked once of each value."""
        if id(node) not in self._whole:
            behind = list(self._behind([node], self._not_yet_whole))
            whole = all(self._whole.get(id(n), (n, self._hands_on(n)))[1] for n in behind)
            self._whole |= {id(n): (n, True) for n in behind} if whole else {id(node): (node, False)}
        return self._whole[id(node)][1]

    def _not_yet_whole(self, node: Node) -> Iterable[Node]:
        if id(node) in self._whole:
            return ()
        return node.args if node.op in SEVERAL else node.args[:1]

    def _hands_on(self, node: Node) -> bool:
        return self.is_head(node) or (node.op in TRANSPARENT and bool(node.args) and not self._is_other(node))

    def _behind(self, nodes: Iterable[Node], parts: Callable[[Node], Iterable[Node]]) -> Iterator[Node]:
        """These values and what hands its numbers on to them, back to the head; each once."""
        seen: set[int] = set()
        waiting = list(nodes)
        while waiting:
            node = waiting.pop()
            if id(node) not in seen:
                seen.add(id(node))
                yield node
                if node.op in TRANSPARENT and not self.is_head(node) and not self._is_other(node):
                    waiting += parts(node)

    def is_head(self, node: Node) -> bool:
        return node.op == self.head.op and node.origin in self.head.origins

    def touches(self, value: Value, depth: int = 4) -> bool:
        """Whether a value is or holds the head's output, perhaps among others."""
        if isinstance(value, Node):
            if id(value) not in self._touching:
                self._touching[id(value)] = value, any(map(self.is_head, self._behind([value], lambda node: node.args)))
            return self._touching[id(value)][1]
        return depth > 0 and any(self.touches(v, depth - 1) for v in held(value))

    def is_mixed_into(self, value: Value) -> bool:
        """Whether a value is made of the head's output and of something else, side by side: ``cat([x, out])``."""
        node = value
        while isinstance(node, Node) and not self.is_head(node) and node.op in TRANSPARENT and node.args:
            if node.op in SEVERAL - {"join"} and not self._all_of_head(node.args):
                return self.touches(node)
            node = node.args[0]
        return False

    def _is_other(self, node: Node) -> bool:
        """Whether this node has the same numbers only if they are probabilities: so has all after it.

        ``relu(p)``, ``p / p.sum()``, ``p * y + (1 - p) * (1 - y)``.
        """
        if id(node) not in self._others:
            self._others[id(node)] = node, node.op not in SEVERAL and self._computes(node)
        return self._others[id(node)][1]

    def _computes(self, node: Node) -> bool:
        module, place = self._place_of(node.origin)
        if isinstance(place, _COMPUTING) or "by" in node.attrs:
            return True
        if node.op != "identity" or module is None or not isinstance(place, ast.Call):
            return False
        return not keeps_numbers(module, place)

    @property
    def is_elementwise(self) -> bool:
        """Whether an item of the output can get the head back by itself."""
        return "index" in self._same_numbers

    def keep_classes(self, value: Value) -> bool:
        """Whether a value is the output of a softmax with its classes side by side, whatever else was reshaped."""
        ways = self.ways(value)
        return bool(ways) and all(not way or keeps_classes(way, way[-1].args[0], self.modules) for way in ways)

    def is_derived(self, steps: list[Node]) -> bool:
        return any(s.op not in self._same_numbers or self.leaves_framework(s) for s in steps)

    def leaves_framework(self, step: Node) -> bool:
        module, call = self._call_at(step.origin)
        if module is None or call is None:
            return False
        if isinstance(call.func, ast.Attribute) and call.func.attr in (*_TO_HOST, *_PREDICT):
            return True
        callees = module.values(call.func)
        if any(_is_predicting(c) for c in callees):
            return True
        outside = [c for c in callees if isinstance(c, External)]
        return any(canonical(c.name) in _HOST_FUNCTIONS or c.framework == "numpy" for c in outside)

    def _place_of(self, origin: Origin | None) -> tuple[AnalysedModule | None, ast.expr | None]:
        module = self.modules.get(origin.path) if origin is not None else None
        return module, module.syntax.expression(origin) if module is not None else None

    def _call_at(self, origin: Origin | None) -> tuple[AnalysedModule | None, ast.Call | None]:
        module, call = self._place_of(origin)
        return module, call if isinstance(call, ast.Call) else None

    def through_predict(self, chain: list[Node]) -> bool:
        """Whether a value comes out of Keras' ``predict``."""
        calls = [self._call_at(step.origin) for step in chain]
        return any(module is not None and call is not None and is_predict(module, call) for module, call in calls)


def held(value: Value) -> Iterator[Value]:
    if isinstance(value, List):
        yield from value.items
    elif isinstance(value, Dict):
        yield from (v for k, v in value.slots.items() if isinstance(k, (str, int)))
    elif isinstance(value, Union):
        yield from value.values
    elif isinstance(value, tuple):
        yield from value


def is_predict(module: AnalysedModule, node: ast.expr) -> bool:
    """Whether an expression is a call of Keras' ``predict``, and not of a project's own method."""
    return isinstance(node, ast.Call) and calls_method(module, node, *_PREDICT)


def _is_predicting(function: Value) -> bool:
    """``predict = model.predict``, or a ``partial`` of it: what it gives is an array, by whatever name it is called."""
    method = function.function if isinstance(function, Partial) else function
    return isinstance(method, Bound) and method.function in _PREDICT


def keeps_numbers(module: AnalysedModule, call: ast.Call) -> bool:
    """Whether a call certainly gives the same numbers as it is handed, elsewhere or in another shape."""
    known = known_call(module, call)
    return is_predict(module, call) or (known is not None and known.last_name in _KEEPING)
