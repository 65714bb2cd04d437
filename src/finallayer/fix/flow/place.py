"""The place that a fix rewrites, and the logits behind it as that place can read them."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence

from finallayer.expr import GUARDS, TRANSPARENT, Node
from finallayer.findings import Edit, Sighting
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.bindings import alters, path_of, unchanged
from finallayer.fix.flow.context import Context
from finallayer.fix.flow.descent import BY_MASK, Descent, Step, descend
from finallayer.fix.flow.known_calls import KnownCall, known_call, sides
from finallayer.fix.flow.naming import Named, name_logits
from finallayer.fix.flow.unread import removals
from finallayer.fix.text.spelling import Speller, Written
from finallayer.fix.text.syntax import is_inside, is_minus
from finallayer.source.walking import walk

#: What stands between a softmax and its log only to keep that finite, or to no effect.
IDLE = GUARDS | {"identity"}
#: The operations that make probabilities, and nothing else.
_MAKERS = ("softmax", "log_softmax", "sigmoid")


class Place:
    """An expression of the source that a fix replaces, and the way from it down to the call that made its values."""

    def __init__(self, module: AnalysedModule, node: ast.expr, descent: Descent) -> None:
        self.module = module
        self.syntax = module.syntax
        self.node = node
        self.descent = descent
        self.speller = Speller(module.syntax)

    @classmethod
    def of_log(cls, context: Context, log: Node, arrived: Callable[[ast.expr], bool] = lambda _: False) -> Place | None:
        """A call of log, and what it is taken of; ``arrived``: what else ends the way down from there."""
        module = context.module_at(log.origin)
        call = known_call(module, module.syntax.expression(log.origin), "log", "log1p") if module is not None else None
        if module is None or call is None or call.only_operand is None or not call.is_natural_log:
            return None
        if call.op == "log1p":
            return cls._of_log1p(module, call, log, arrived)
        descent = descend(module, call.only_operand, log.args[0], arrived)
        return cls(module, call.node, descent) if descent is not None else None

    @classmethod
    def _of_log1p(
        cls, module: AnalysedModule, call: KnownCall, log: Node, arrived: Callable[[ast.expr], bool]
    ) -> Place | None:
        """``log1p(-p)``, the log of one minus a probability."""
        minus, rest = call.only_operand, log.args[0]
        if not is_minus(minus) or rest.op != "one_minus":
            return None
        below = descend(module, minus.operand, rest.args[0], arrived)
        step = Step("one_minus", minus, minus.operand)
        return cls(module, call.node, below._replace(steps=(step, *below.steps))) if below is not None else None

    @classmethod
    def of_argument(cls, context: Context, loss: Node) -> Place | None:
        """The argument of a loss that holds its prediction."""
        module = context.module_at(loss.origin)
        call = module.syntax.expression(loss.origin) if module is not None else None
        if module is None or not isinstance(call, ast.Call):
            return None
        given = [*call.args, *(k.value for k in call.keywords)]
        found = [cls(module, a, d) for a in given if (d := descend(module, a, loss.args[0])) is not None]
        return found[0] if len(found) == 1 else None

    def framework(self, sighting: Sighting) -> str | None:
        return self.speller.framework(sighting.framework, self.node, self.descent.made)

    def flips(self) -> bool:
        """Whether the log is of one minus the probability."""
        return sum(step.kind == "one_minus" for step in self.descent.steps) % 2 == 1

    @property
    def maker(self) -> KnownCall | None:
        """The framework's function, tensor's method or layer that makes the probabilities; no formula."""
        return known_call(self.module, self.descent.made, *_MAKERS)

    def logits_argument(self) -> ast.expr | None:
        """The logits in what makes the probabilities: a framework's function, a tensor's method, a layer, a formula."""
        maker = self.maker
        if maker is not None:
            return maker.operand
        # a layer may do more than the softmax: Dense(10, activation="softmax")
        return self.descent.given or self._logits_of_formula(self.descent.made)

    def other_arguments(self, maker: KnownCall) -> list[str] | None:
        """What makes the probabilities is given besides the logits and a name; None where the place can't say it."""
        kept = maker.besides("x", "name")
        here = is_inside(self.node, maker.node)
        same = (here or _is_constant(a.node) or unchanged(self.syntax, a.node, maker.node, self.node) for a in kept)
        named = {k.value: f"{k.arg}=" for k in maker.node.keywords}
        return [named.get(a.node, "") + self.syntax.text(a.node) for a in kept] if all(same) else None

    def logits(self, context: Context, z: ast.expr, gone: Sequence[ast.expr] = ()) -> Named | None:
        """The logits as the log's place can read them; ``gone``: what won't read the probabilities, besides it."""
        return name_logits(context, self.syntax, self.descent, z, self.node, [self.node, *gone])

    def replaced(self, written: Written | None) -> tuple[Edit, ...]:
        """The edits that put a new expression in the place's stead; none where that can't be done."""
        text = written and self.with_shape(written)
        if not written or not text:
            return ()
        around = self.syntax.parent(self.node)
        if is_minus(around) and is_minus(ast.parse(text.strip(), mode="eval").body):  # twice is not at all
            return (*written.edits, self.syntax.replace(around, text.strip()[1:].strip()))
        sign = self.sign_around(self.node) if is_minus(ast.parse(text.strip(), mode="eval").body) else None
        if sign is not None:
            return (*written.edits, *self.unsigned(text, sign))
        return (*written.edits, self.syntax.replace(self.node, self._as_operand(text)))

    def term(self) -> ast.AST:
        """The product that the place is a factor of, itself perhaps."""
        node: ast.AST = self.node
        while isinstance(around := self.syntax.parent(node), ast.BinOp) and isinstance(around.op, ast.Mult):
            node = around
        return node

    def unsigned(self, text: str, sign: Edit) -> tuple[Edit, ...]:
        """The edits that put an expression without its minus in the place's stead, as the sign around it turns."""
        return (sign, self.syntax.replace(self.node, text.strip()[1:].strip()))

    def sign_around(self, node: ast.AST) -> Edit | None:
        """The edit that turns the minus before a sum, mean or product of an expression, or before its first factor, or
        that takes it from something else; None where there is none."""
        while (outer := self._total_of(node)) is not None:
            if isinstance(outer, ast.BinOp) and is_minus(first := _first_factor(outer)) and first is not node:
                return self._without_minus(first)
            node = outer
        around = self.syntax.parent(node)
        if is_minus(around) and node is not self.node:
            return self._without_minus(around)
        if isinstance(around, ast.BinOp) and isinstance(around.op, ast.Sub) and around.right is node:
            start, end = self.syntax.file.origin(around.left)[3:5], self.syntax.file.origin(around.right)[1:3]
            between = self.syntax.between(start, end)
            return self.syntax.put(start, end, between.replace("-", "+")) if _SUBTRACTS.fullmatch(between) else None
        return None

    def _without_minus(self, signed: ast.UnaryOp) -> Edit | None:
        start, end = (self.syntax.file.origin(n)[1:3] for n in (signed, signed.operand))
        between = self.syntax.between(start, end).strip()
        return self.syntax.put(start, end, between[1:].strip()) if between.rstrip("( ") == "-" else None

    def _total_of(self, node: ast.AST) -> ast.expr | None:
        """The sum or mean of an expression, as a function or a method, or its product; None where it is none."""
        around = self.syntax.parent(node)
        if isinstance(around, ast.BinOp) and isinstance(around.op, ast.Mult):
            return around
        call = self.syntax.parent(around) if isinstance(around, ast.Attribute) else around
        known = known_call(self.module, call, "sum", "mean")
        return known.node if known is not None and known.operand is node else None

    def edits(self, written: Written | None, named: Named) -> tuple[Edit, ...]:
        """Those edits, and those that name the logits or take out what nobody reads any more."""
        return rewritten([(self, written)], named)

    def with_shape(self, written: Written) -> str | None:
        """The new expression with the indexing and reshaping that stood between it and the log; guards are dropped."""
        named: ast.stmt | None = None
        outer: list[Step] = []
        for step in self.descent.steps:
            if step.kind == "name":
                named = step.statement
            elif step.kind in TRANSPARENT - IDLE | {BY_MASK}:
                if named is not None and not self._still_holds(step, named):
                    return None  # what it is indexed with may have changed since
                outer.append(step)
            elif step.kind not in IDLE and step.kind != "one_minus":
                return None
        text = f"({written.text})" if outer and written.is_loose else written.text
        for step in reversed(outer):
            text = self._around(step, text)
        return text

    def _still_holds(self, step: Step, named: ast.stmt) -> bool:
        """Whether a step that has a name says the same where the log gets one: ``p = probs[i]``, ``logp = log(p)``."""
        use = self.syntax.parent(self.node)
        block = getattr(self.syntax.parent(named), "body", [])
        if not isinstance(use, ast.Assign) or use not in block or named not in block:
            return False
        inner = set(walk(step.inner))
        rest = [n for n in walk(step.outer) if n not in inner and n is not step.outer]
        paths = [
            path_of(n)
            for n in rest
            if isinstance(n, (ast.Name, ast.Attribute)) and n is not getattr(step.outer, "func", None)
        ]
        between = block[block.index(named) + 1 : block.index(use)]
        if any(isinstance(n, (ast.Call, ast.NamedExpr, ast.Lambda)) for n in rest) or None in paths:
            return False
        return not any(alters(s, path) for s in between for path in paths if path is not None)

    def _around(self, step: Step, text: str) -> str:
        """A step's own text with its inner expression replaced."""
        whole, inner = self.syntax.file.origin(step.outer), self.syntax.file.origin(step.inner)
        before = self.syntax.between((whole.line, whole.column), (inner.line, inner.column))
        after = self.syntax.between((inner.end_line, inner.end_column), (whole.end_line, whole.end_column))
        return f"{before}{text}{after}"

    def _as_operand(self, text: str) -> str:
        """The new text where the log stood: in brackets where an operator would bind otherwise."""
        parent = self.syntax.parent(self.node)
        if isinstance(parent, _OPERATIONS) and Written(text).is_loose:
            return f"({text})"
        tight = isinstance(parent, (ast.Attribute, ast.Subscript)) or (
            isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Pow)
        )
        return f"({text})" if text.startswith("-") and tight else text

    def _logits_of_formula(self, made: ast.expr) -> ast.expr | None:
        """The ``z`` of ``1 / (1 + exp(-z))``."""
        _, below = sides(self.module, made, ast.Div, "div") or (None, None)
        for side in sides(self.module, below, ast.Add, "add") or ():
            power = known_call(self.module, side, "exp")
            if power and isinstance(power.only_operand, ast.UnaryOp):
                return power.only_operand.operand if is_minus(power.only_operand) else None
        return None


#: What stands between what something is taken from and that.
_SUBTRACTS = re.compile(r"[)\s]*-[(\s]*")


def _first_factor(product: ast.expr) -> ast.expr:
    while isinstance(product, ast.BinOp) and isinstance(product.op, (ast.Mult, ast.Div)):
        product = product.left
    return product


def _is_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or (isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant))


#: What is held together by operators, or belongs to an object.
_OPERATIONS = (ast.BinOp, ast.UnaryOp, ast.Compare, ast.Attribute, ast.Subscript)


def _sign_of_both(pairs: Sequence[tuple[Place, Written | None]]) -> Edit | None:
    """The edit that takes the minus from ``-(y * log(p) + (1 - y) * log(1 - p))`` where both logs bring their own."""
    texts = [written and place.with_shape(written) for place, written in pairs]
    if len(pairs) != 2 or not all(text and is_minus(ast.parse(text.strip(), mode="eval").body) for text in texts):
        return None
    first, terms = pairs[0][0], [place.term() for place, _ in pairs]
    total = first.syntax.parent(terms[0])
    signed = any(is_minus(n) for place, _ in pairs for n in _factors(place))
    if not isinstance(total, ast.BinOp) or not isinstance(total.op, ast.Add) or signed:
        return None
    return first.sign_around(total) if {total.left, total.right} == set(terms) else None


def _factors(place: Place) -> Iterator[ast.AST]:
    """What stands between a place and its term, and the factors on the way."""
    node, term = place.syntax.parent(place.node), place.term()
    while node is not None and place.node is not term:
        if isinstance(node, ast.BinOp):
            yield from (node.left, node.right)
        if node is term:
            return
        node = place.syntax.parent(node)


def rewritten(pairs: Sequence[tuple[Place, Written | None]], named: Named) -> tuple[Edit, ...]:
    """The edits that put new expressions in the stead of places of one function that read the same logits.

    With those that name the logits, and take out what nobody reads any more; none where one of them can't be made.
    """
    edits: list[Edit] = []
    texts: list[str] = []
    sign = _sign_of_both(pairs)
    for place, written in pairs:
        text = written and place.with_shape(written)
        unsigned = (*written.edits, *place.unsigned(text, sign)) if sign is not None and written and text else ()
        replaced = unsigned or place.replaced(written)
        if written is None or not replaced:
            return ()
        edits += replaced
        texts.append(place.with_shape(written) or "")
    syntax = pairs[0][0].syntax
    dead = removals(syntax, [place.node for place, _ in pairs], texts, (named.replaced,))
    return tuple(dict.fromkeys((*named.edits, *dead, *edits)))
