"""What the outcome of a test says: the facts behind an ``if``, its opposite, and the cases of a ``match``."""

from __future__ import annotations

import ast
from collections.abc import Hashable, Iterator
from typing import NamedTuple

from finallayer.catalog.conventions import Meaning, suggests
from finallayer.expr import Node
from finallayer.source.conditions import ANYTHING, TRUE, Clause, Fact, Way, all_of, facts_of, opposite
from finallayer.source.interpreter import EXPRESSIONS, Interpreter, Loop
from finallayer.source.limits import MOST_CANDIDATES
from finallayer.source.types import is_a
from finallayer.source.values import (
    MISSING,
    Choice,
    Dict,
    External,
    Frame,
    Instance,
    Missing,
    Union,
    Value,
    is_constant,
    opaque,
)
from finallayer.source.walking import children, names_in, walk

#: Functions that tell what a value is.
_ASK_WHAT_IT_IS = frozenset({"isinstance", "issubclass", "hasattr", "callable", "type"})
#: A test that holds, and one that doesn't.
Outcomes = tuple[Clause, Clause]


def found_out(run: Interpreter, test: ast.expr, frame: Frame) -> Outcomes:
    """What is known where a test holds, and where it doesn't."""
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            holds, fails = found_out(run, operand, frame)
            return fails, holds
        case ast.BoolOp(op=op, values=values):
            sides = [found_out(run, value, frame) for value in values]
            every, some = (0, 1) if isinstance(op, ast.And) else (1, 0)
            together = all_of(side[every] for side in sides)
            either = tuple(facts for side in sides for facts in side[some])
            return (together, either) if isinstance(op, ast.And) else (either, together)
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _one_fact(_compared(run, left, op, right, frame))
        case ast.NamedExpr(target=ast.Name() as name):
            return found_out(run, name, frame)
        case ast.Call(
            func=ast.Name(id="isinstance"), args=[ast.Name() | ast.Attribute() as asked, wanted], keywords=[]
        ):
            return _which_of(run, asked, wanted, test, frame)
    return _one_fact(_truth(_subject(run, test, frame)))


def _one_fact(fact: Fact) -> Outcomes:
    return ((fact,),), ((opposite(fact),),)


def _which_of(run: Interpreter, asked: ast.expr, wanted: ast.expr, test: ast.expr, frame: Frame) -> Outcomes:
    """What the type of one of several values says of the way by which it is meant: ``isinstance(self.loss, NLLLoss)``
    where that is an NLLLoss on one of them."""
    holds, fails = _one_fact(_truth(_subject(run, test, frame)))
    value = _known(run, asked, frame)
    if not isinstance(value, Union) or not value.when or not _is_name(wanted):
        return holds, fails
    answers = [is_a(one, run.evaluate(wanted, frame)) for one in value.values]

    def ways(unless: bool) -> Clause:
        meant = [all_of(way) for way, answer in zip(value.when, answers, strict=True) if answer is not unless]
        return tuple(facts for clause in meant for facts in clause)

    return all_of((holds, ways(unless=False))), all_of((fails, ways(unless=True)))


def _is_name(node: ast.expr) -> bool:
    """Whether an expression is a name, perhaps dotted: looking it up does nothing."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


class Subject(NamedTuple):
    """What a test asks about: an expression as a key that the same value has elsewhere, or the constant that it is."""

    key: Hashable
    mentions: frozenset[Hashable]
    constant: Value | Missing = MISSING
    loop: Loop | None = None
    passing: bool = False


def _truth(subject: Subject) -> Fact:
    return Fact(subject.key, True, frozenset((TRUE,)), subject.mentions, subject.loop, subject.passing)


def _compared(run: Interpreter, left: ast.expr, op: ast.cmpop, right: ast.expr, frame: Frame) -> Fact:
    one, other = _subject(run, left, frame), _subject(run, right, frame)
    loop, passing = one.loop or other.loop, one.passing or other.passing
    mentions = one.mentions | other.mentions
    holds = not isinstance(op, (ast.NotEq, ast.IsNot, ast.NotIn, ast.LtE, ast.GtE))
    if isinstance(op, (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)):
        values = _values(other, several=isinstance(op, (ast.In, ast.NotIn)))
        if values is None and isinstance(op, (ast.Eq, ast.NotEq)):
            one, other, values = other, one, _values(one, several=False)
        if values is not None:
            return Fact(one.key, holds, values, mentions, loop, passing)
        keys: Hashable = (
            frozenset((one.key, other.key)) if isinstance(op, (ast.Eq, ast.NotEq)) else (one.key, other.key)
        )
        return Fact((type(op).__name__.removeprefix("Not"), keys), holds, frozenset((TRUE,)), mentions, loop, passing)
    smaller, larger = (one, other) if isinstance(op, (ast.Lt, ast.GtE)) else (other, one)
    return Fact(("<", smaller.key, larger.key), holds, frozenset((TRUE,)), mentions, loop, passing)


def _values(subject: Subject, several: bool) -> frozenset[Hashable] | None:
    """The constants that a subject is compared with."""
    value = subject.constant
    if isinstance(value, Missing):
        return None
    if not several:
        return frozenset((value,)) if is_constant(value) else None
    items = [v for v in value if is_constant(v)] if isinstance(value, tuple) else []
    return frozenset(items) if isinstance(value, tuple) and len(items) == len(value) else None


def _subject(run: Interpreter, node: ast.expr, frame: Frame) -> Subject:
    names, passing = _words(run, node)
    loop: Loop | None = None
    if run.repeating:
        loop = next((loop for loop in reversed(run.repeating) if not names.isdisjoint(names_in(loop).stored)), None)
    value = _known(run, node, frame)
    if isinstance(value, tuple) or (not isinstance(value, Missing) and is_constant(value)):
        return Subject(("constant", repr(value)), frozenset(), value, loop, passing)
    if not isinstance(value, Missing):
        return Subject(*_key(value), MISSING, loop, passing)
    text = _text(run, node)
    mentions = frozenset((text,)).union(*(_key(inner)[1] for inner in _parts(run, node, frame)))
    return Subject(text, mentions, MISSING, loop, passing)


def _text(run: Interpreter, node: ast.expr) -> str:
    """An expression as it is written, however that is laid out."""
    if node not in run.texts:
        run.texts[node] = ast.unparse(node)
    return run.texts[node]


def _key(value: Value) -> tuple[Hashable, frozenset[Hashable]]:
    """What tells a value from others, and what it depends on."""
    if isinstance(value, (Union, Choice)):
        asked = frozenset(s for way in value.when for fact in facts_of(way) for s in fact.mentions)
        return ("one of", id(value)), asked
    key = hash(value) if isinstance(value, Node) else value.name if isinstance(value, External) else id(value)
    return key, frozenset((key,))


def _known(run: Interpreter, node: ast.expr, frame: Frame) -> Value | Missing:
    """The value of a name, or of an attribute of one: what can be looked up without doing anything."""
    match node:
        case ast.Constant():
            return EXPRESSIONS[ast.Constant](run, node, frame)
        case ast.Name():
            return EXPRESSIONS[ast.Name](run, node, frame)
        case ast.Attribute(value=inner, attr=name):
            owner = _known(run, inner, frame)
            if isinstance(owner, Instance):
                return owner.slots.get(name, MISSING)
            if isinstance(owner, Node):
                return opaque(f"{owner.attrs.get('name', owner.op)}.{name}", owner)
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            known = [_known(run, item, frame) for item in items]
            if not any(isinstance(item, Missing) for item in known):
                return tuple(item for item in known if not isinstance(item, Missing))
    return MISSING


def _parts(run: Interpreter, node: ast.expr, frame: Frame) -> Iterator[Value]:
    """What is known of what an expression is made of."""
    for inner in children(node):
        if isinstance(inner, ast.expr):
            value = _known(run, inner, frame)
            if isinstance(value, Missing):
                yield from _parts(run, inner, frame)
            elif isinstance(value, (Node, Union)):
                yield value


def _words(run: Interpreter, node: ast.expr) -> tuple[frozenset[str], bool]:
    """The names in a test, and whether its outcome is nothing that whoever runs the program chooses.

    A word may tell training from use; and what a value is, is the same in every run.
    """
    if node not in run.words:
        inner = [*walk(node)]
        names = frozenset(n.id for n in inner if isinstance(n, ast.Name))
        said = [n.attr if isinstance(n, ast.Attribute) else getattr(n, "value", None) for n in inner]
        passing = not names.isdisjoint(_ASK_WHAT_IT_IS) or any(
            isinstance(word, str) and suggests(word, Meaning.USE) for word in (*names, *said)
        )
        run.words[node] = names, passing
    return run.words[node]


def cases(run: Interpreter, node: ast.Match, frame: Frame) -> tuple[list[Clause], bool]:
    """What is known in each case of a ``match``, and whether one of them always matches.

    Where none has to, a last clause says what is known if none does.
    """
    subject = _subject(run, node.subject, frame)
    clauses: list[Clause] = []
    before: list[Clause] = []
    for number, case in enumerate(node.cases):
        values = _matched(case.pattern)
        this = Fact(("case", id(node)), True, frozenset((number,)), frozenset())
        facts: list[Clause] = [((this,),), *before]
        if values is not None:
            fact = Fact(subject.key, True, values, subject.mentions, subject.loop, subject.passing)
            facts.append(((fact,),))
            if case.guard is None:
                before.append(((opposite(fact),),))
        clauses.append(all_of(facts))
        if case.guard is None and isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None:
            return clauses, True
    return [*clauses, all_of(before) if before else ANYTHING], False


def _matched(pattern: ast.pattern) -> frozenset[Hashable] | None:
    """The constants that a pattern matches, where it matches nothing else."""
    match pattern:
        case ast.MatchValue(value=ast.Constant(value=value)) | ast.MatchSingleton(value=value):
            return frozenset((value,))
        case ast.MatchOr(patterns=patterns):
            found = [_matched(p) for p in patterns]
            return frozenset().union(*(f for f in found if f is not None)) if None not in found else None
    return None


def keyed(run: Interpreter, owner: Dict, key: ast.expr, frame: Frame) -> list[Way]:
    """The ways on which a key that nobody knows is each of those that a dictionary has, and none of them."""
    if len(owner.slots) > MOST_CANDIDATES:
        return []
    subject = _subject(run, key, frame)

    def way(among: bool, keys: frozenset[Hashable]) -> Way:
        return (((Fact(subject.key, among, keys, subject.mentions, subject.loop, subject.passing),),),)

    keys = [*owner.known]
    return [*(way(True, frozenset((k,))) for k in keys), way(False, frozenset(keys))]
