"""What the analysis knows at a line, where it comes from, and where knowledge was lost."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from finallayer.check.lost import Gap, Gaps
from finallayer.check.shortfalls import notes
from finallayer.expr import LEAVES, LOSSES, Node, Origin, Role, having
from finallayer.findings import Finding, Related
from finallayer.kinds import Kind
from finallayer.rules.judging import Judged, judge, outermost, place_of
from finallayer.rules.route import maker, route
from finallayer.source import Project, Uses, interpret
from finallayer.source.files import SourceFile
from finallayer.source.values import (
    Bound,
    Built,
    Class,
    Dict,
    External,
    Function,
    Instance,
    List,
    Partial,
    Union,
    Value,
    distinct,
    is_constant,
)

#: What operations that give no kind are called.
_SPOKEN_OF = dict.fromkeys(having(Role.READER), "reading") | dict.fromkeys(LOSSES, "loss")
#: How many of the values that one expression had are told.
_MOST_VALUES = 3


@dataclass(frozen=True)
class Known:
    """One value of one expression: what it is, where that was made, and why no more is known."""

    what: str
    made: tuple[Related, ...] = ()
    lost: tuple[Gap, ...] = ()


@dataclass(frozen=True)
class Told:
    """An expression of the line, as it is written, with the values that it had."""

    origin: Origin
    text: str
    values: tuple[Known, ...]
    more: int = 0  # further values, which aren't told


@dataclass(frozen=True)
class Route:
    """A finding of the line, and the steps from the softmax to the loss."""

    finding: Finding
    steps: tuple[Related, ...]


@dataclass(frozen=True)
class Why:
    """All that there is to tell of a line."""

    file: SourceFile
    line: int
    told: tuple[Told, ...]
    routes: tuple[Route, ...]
    left_out: tuple[str, ...] = ()  # what the analysis of the file left out
    silent: str = ""  # why there is nothing to tell


def why(file: SourceFile, line: int, project: Project | None = None) -> Why:
    """What the analysis of a file's program knows at one of its lines. Raises Unreadable for a broken file.

    ``project``: where its imports are looked for; by default on disk.
    """
    project, uses = project or Project(), Uses()
    project.adopt(file)
    seen, budget, _ = interpret(file, project, uses)
    told = tuple(_told(file, line, uses, project))
    silent = "" if told else _silence(file, line)
    return Why(file, line, told, tuple(_routes(list(judge(seen)), file.path, line)), tuple(notes(file, budget)), silent)


def _told(file: SourceFile, line: int, uses: Uses, project: Project) -> Iterator[Told]:
    gaps = Gaps(uses, project)
    met: set[str] = set()
    for node in _expressions(file.tree, line):
        text = ast.unparse(node)
        if text in met and isinstance(node, ast.Name):
            continue
        met.add(text)
        seen = uses.values.get(file.path, {}).get(node, ())
        values = [v for v in distinct(s.value for s in seen) if not _says_nothing(v)]
        if values:
            known = tuple(_known(value, gaps) for value in values[:_MOST_VALUES])
            yield Told(file.origin(node), text, known, len(values) - len(known))


def _expressions(tree: ast.Module, line: int) -> list[ast.expr]:
    """The expressions that begin on a line, or else those that cover it, in the order in which they are evaluated."""
    met = [n for n in ast.walk(tree) if isinstance(n, ast.expr) and n.lineno <= line <= (n.end_lineno or n.lineno)]
    called = {id(n.func) for n in met if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)}
    owners = {id(n.value) for n in met if isinstance(n, ast.Attribute)}
    shown = [n for n in met if not isinstance(n, ast.Constant) and id(n) not in called | owners]
    here = [n for n in shown if n.lineno == line] or shown
    return sorted(here, key=lambda n: (n.end_lineno or 0, n.end_col_offset or 0, -n.lineno, -n.col_offset))


def _says_nothing(value: Value) -> bool:
    """Whether a value is no tensor, model or loss, nor anything that one could be hidden in."""
    if isinstance(value, tuple):
        return all(map(_says_nothing, value))
    return is_constant(value) or (isinstance(value, External) and value.name.startswith("builtins."))


def _known(value: Value, gaps: Gaps) -> Known:
    if isinstance(value, Node):
        return _tensor(value, gaps)
    if isinstance(value, Union):
        return Known("one of " + ", or ".join(_thing(v) for v in value.values), tuple(_made_at(value)))
    return Known(_thing(value), tuple(_made_at(value)), tuple(gaps.of_callee(value)))


def _tensor(value: Node, gaps: Gaps) -> Known:
    if value.op == "opaque":
        return Known("not known", (), tuple(gaps.of(value)))
    if value.op in _SPOKEN_OF:
        return Known(f"a {_SPOKEN_OF[value.op]}: {value}")
    axes = "" if value.rank is None else f" of {value.rank} axes"
    if value.kind is not Kind.UNKNOWN:
        return Known(f"{value.kind}{axes}: {value}", tuple(_came_from(value)))
    return Known(f"numbers{axes} of no kind that is told apart: {value}", (), tuple(gaps.of(value)))


def _came_from(value: Node) -> Iterator[Related]:
    made = maker(value)
    if made.origin is not None and made.op not in LEAVES and made.kind is not Kind.UNKNOWN:
        yield Related(made.origin, f"{made.op} gives {made.kind}")


def _thing(value: Value) -> str:
    """What a value is that isn't a tensor."""
    match value:
        case Node():
            return str(value.kind) if value.op == "opaque" else f"{value.kind}: {value}"
        case Built():
            return f"a {value.symbol.name.rpartition('.')[2]} of {value.symbol.framework or value.symbol.name}"
        case Instance():
            return f"an object of the class {value.cls.name}"
        case Class():
            return f"the class {value.name}"
        case Function():
            return f"the function {value.name}"
        case External():
            return value.name.removeprefix("builtins.")
        case Bound(function=function):
            return f"the method {function if isinstance(function, str) else getattr(function, 'name', '')}"
        case Partial(function=function, how=how):
            return f"{how or 'a partial call'} of {_thing(function)}"
        case List():
            exactly = "" if value.exact else "nobody knows how many, among them "
            return f"a list of {exactly}{len(value.items)}"
        case tuple():
            return f"({', '.join(map(_thing, value))})"
        case Dict():
            return f"a dictionary of {', '.join(map(repr, value.known)) or 'keys that are not known'}"
    return repr(value)


def _made_at(value: Value) -> Iterator[Related]:
    if isinstance(value, Union):
        for one in value.values:
            yield from _made_at(one)
    elif isinstance(value, (Built, Instance)):
        yield Related(value.site.origin, f"{_thing(value)} made here")


def _silence(file: SourceFile, line: int) -> str:
    """Why nothing on a line was evaluated."""
    if not 0 < line <= len(file.lines):
        return f"the file has {len(file.lines)} lines"
    if not _expressions(file.tree, line):
        return "there is no expression on the line"
    return "the analysis never comes here: control ends before it, or a condition that it can decide goes the other way"


def _routes(judged: list[Judged], path: str, line: int) -> Iterator[Route]:
    kept = {place_of(f) for f in outermost([j.finding for j in judged])}
    told: set[object] = set()
    for finding, sighting, _ in judged:
        origin = finding.origin
        here = origin.path == path and origin.line <= line <= max(origin.line, origin.end_line)
        if here and place_of(finding) in kept and place_of(finding) not in told:
            told.add(place_of(finding))
            yield Route(finding, tuple(_steps(sighting.node)))


def _steps(loss: Node) -> Iterator[Related]:
    """From the head to the loss, each operation that stands in the source."""
    handed = loss.args[0] if loss.args else loss
    for step in dict.fromkeys([maker(handed), *reversed([*route(handed)]), loss]):
        if step.origin is not None and step.op not in LEAVES:
            gives = "" if step is loss or step.kind is Kind.UNKNOWN else f" gives {step.kind}"
            yield Related(step.origin, f"{step.op}{gives}")
