"""Abstract values: what a Python expression may stand for when nobody runs it.

:data:`Value` is all of them: Python's own constants and tuples, which stand for themselves; ``expr.Node``, a tensor or
anything not understood (an ``opaque`` one); and the classes here. None of these is a tuple, so that what is an instance
of one is a tuple of the program's. Whatever can change while the program runs keeps its state in ``slots``, which only
:class:`~finallayer.source.trail.Trail` writes.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from types import EllipsisType
from typing import NamedTuple, TypeAlias, TypeGuard, TypeVar

from finallayer.catalog import Signature
from finallayer.catalog.conventions import taken_for
from finallayer.catalog.frameworks import family
from finallayer.expr import Node, Origin, make
from finallayer.kinds import PROBABILITY_KINDS, Kind
from finallayer.source.conditions import Way, both, either
from finallayer.source.files import SourceFile

#: What stands for itself and has no parts.
Constant: TypeAlias = bool | int | float | complex | str | bytes | EllipsisType | None
#: Any abstract value.
Value: TypeAlias = (
    "Constant | tuple[Value, ...] | Node | List | Dict | External | Lazy | Frame | Function | Class | Instance | Built"
    " | Bound | Super | Partial | Union"
)

K = TypeVar("K", bound=Hashable)
C = TypeVar("C", bound=Constant)

CONSTANTS = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))
#: What is said of a node: constants, or several of them.
Attributes: TypeAlias = dict[str, Constant | tuple[Constant, ...]]


class Missing(Enum):
    """What isn't there: an attribute, a variable, a default. (None is a value.)"""

    MISSING = None


MISSING = Missing.MISSING


class Frame:
    """Names in scope: of a module, or of one call of a function."""

    __slots__ = (
        "changed",
        "continues",
        "function",
        "globals",
        "module",
        "nonlocals",
        "parent",
        "returns",
        "vars",
        "way",
        "yields",
    )

    def __init__(
        self, module: Module, parent: Frame | None = None, function: Function | None = None, way: int = 0
    ) -> None:
        self.way = way  # the way of a branch on which it came into being
        self.module = module
        self.parent = parent
        self.function = function
        self.vars: dict[str, Value] = {}
        self.globals: frozenset[str] = frozenset()
        self.nonlocals: frozenset[str] = frozenset()
        self.returns: list[tuple[Value, Way]] = []  # each with what the way there has found out
        self.yields = False
        self.changed: frozenset[str] = frozenset()  # the names whose tensors were changed in place
        self.continues = False  # whether a ``continue`` of the loop that runs now has been met

    @property
    def scope(self) -> ast.AST:
        """The function that is called, or the module."""
        return self.function.node if self.function is not None else self.module.tree


class Module:
    """One module of the project in one analysis, and the names that running it defines."""

    def __init__(self, file: SourceFile) -> None:
        self.file = file
        self.path = file.path
        self.tree = file.tree
        self.leave()

    def leave(self) -> None:
        """As if it had not been run."""
        self.frame = Frame(self)
        self.entered = False


@dataclass(frozen=True, slots=True)
class Lazy:
    """An import of a project's module, or of a name in it, that nothing has used yet."""

    path: Path
    name: str | None
    within: Path | None = None  # the module of that name, for a package that itself has no such name


class Site(NamedTuple):
    """Where something is done: a syntax node, and the scope around it."""

    node: ast.AST
    frame: Frame

    @property
    def origin(self) -> Origin:
        """The source range."""
        return self.frame.module.file.origin(self.node)  # type: ignore[arg-type]  # every node that is asked for has a place


@dataclass(frozen=True, slots=True)
class External:
    """A module, function or class that isn't the project's own, by its dotted name."""

    name: str

    @property
    def framework(self) -> str:
        return family(self.name)


@lru_cache(maxsize=8192)
def external(name: str) -> External:
    """What isn't the project's own, by its dotted name."""
    return External(name)


class Function:
    """A function or lambda of the project, with the scope that it closes over."""

    __slots__ = ("decorators", "defaults", "frame", "kw_defaults", "name", "node", "owner")

    def __init__(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, frame: Frame) -> None:
        self.node = node
        self.frame = frame
        self.name = getattr(node, "name", "<lambda>")
        self.owner: Class | None = None
        self.defaults: list[Value] = []
        self.kw_defaults: list[Value | Missing] = []
        self.decorators: list[Value] = []


#: Of a longer line of classes, each of which derives from the next, only the nearest are looked through.
MOST_ANCESTORS = 200


class Class:
    """A class of the project."""

    __slots__ = ("_above", "_ancestry", "bases", "name", "node", "slots")

    def __init__(self, node: ast.ClassDef, bases: list[Value]) -> None:
        self.node = node
        self.name = node.name
        self.bases = bases
        self.slots: dict[str, Value] = {}
        self._ancestry: tuple[Class | External, ...] | None = None
        self._above: frozenset[Class] | None = None

    def derives_from(self, cls: Class) -> bool:
        """Whether it is another class, or has it among its ancestors."""
        if self._above is None:
            self._above = frozenset(c for c in self.ancestry() if isinstance(c, Class))
        return cls in self._above

    def ancestry(self) -> tuple[Class | External, ...]:
        """This class and its ancestors, nearest first (depth first; good enough for single inheritance)."""
        if self._ancestry is None:
            found: list[Class | External] = [self]
            for base in self.bases:
                if isinstance(base, Class):
                    found += [b for b in base.ancestry() if b not in found] if len(found) > 1 else base.ancestry()
                elif isinstance(base, External):
                    found.append(base)
            self._ancestry = tuple(found[:MOST_ANCESTORS])
        return self._ancestry

    def find(self, name: str, after: Class | None = None) -> Value | Missing:
        """The attribute by that name on the class or its project ancestors (``after``: past that class: super)."""
        line = self.ancestry()
        if after is not None and after in line:
            line = line[line.index(after) + 1 :]
        for cls in line:
            if isinstance(cls, Class) and name in cls.slots:
                return cls.slots[name]
        return MISSING

    def external_bases(self) -> list[External]:
        return [c for c in self.ancestry() if isinstance(c, External)]


class Instance:
    """An object of a project's class, and where it was made."""

    __slots__ = ("cls", "site", "slots")

    def __init__(self, cls: Class, site: Site) -> None:
        self.cls = cls
        self.site = site
        self.slots: dict[str, Value] = {}

    @property
    def is_new(self) -> bool:
        """Whether nothing has given it any attribute yet."""
        return self.slots.keys() <= _OF_NEW


class Built:
    """What a catalogued layer, loss, model or transform gave when it was constructed.

    ``bound``: its arguments by the signature's names. ``keywords``: all that were given by name, as they were given.
    """

    __slots__ = ("bound", "keywords", "signature", "site", "slots", "symbol")

    def __init__(
        self,
        symbol: External,
        signature: Signature,
        bound: dict[str, Value],
        site: Site,
        keywords: dict[str, Value] | None = None,
    ) -> None:
        self.symbol = symbol
        self.signature = signature
        self.bound = bound
        self.keywords = keywords or {}
        self.site = site
        self.slots: dict[str, Value] = {}


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """A method with the object that it was taken from. ``function`` is a Function, or the name of a foreign method."""

    function: Value
    owner: Value


@dataclass(frozen=True, slots=True, eq=False)
class Super:
    """``super()``: the instance, seen past a class."""

    cls: Class
    instance: Value


@dataclass(frozen=True, slots=True, eq=False)
class Partial:
    """A callable with some of its arguments given; ``how`` names what else a call does (``value_and_grad``, ...)."""

    function: Value
    args: tuple[Value, ...] = ()
    kwargs: tuple[tuple[str, Value], ...] = ()
    how: str = ""


#: Slots of a list's items, of a model's layers, and of whether they are certain. No attribute can have such a name.
ITEMS, LAYERS, EXACT = "<items>", "<layers>", "<exact>"
#: The variable of a module that holds the modules of which it imports every name.
STARRED = "<starred>"
#: The slot of what an object inherits from a foreign class: what that class would have built of its own.
INNER = "<inner>"
#: The slot of what a registry holds.
TABLE = "<table>"
#: The slot of the positional arguments that an object was made with.
ARGUMENTS = "<arguments>"
#: Methods that calling an object runs, in the order in which frameworks look for them.
CALLED_BY_FRAMEWORKS = ("__call__", "forward", "call", "_build")
#: The slot that says that a Keras layer's ``build`` has run.
BUILT = "<built>"
#: The slot that says that something was done to the inside of a model, so that nobody knows what it gives.
UNSETTLED = "<unsettled>"
#: The slot of a class's annotated names: the fields of a dataclass or flax module, in order.
FIELDS = "<fields>"

#: The slots that an object has from the first.
_OF_NEW = frozenset({ARGUMENTS, LAYERS, EXACT})


class List:
    """A list. ``exact`` is False where items may repeat or be missing (a comprehension over something unknown).

    ``within``: the loops of unknown length in one round of which it was made, and in which it therefore grows but once.
    """

    __slots__ = ("slots", "within")

    def __init__(self, items: tuple[Value, ...], exact: bool = True, within: tuple[ast.AST, ...] = ()) -> None:
        self.slots: dict[str, Value] = {ITEMS: items, EXACT: exact}
        self.within = within

    @property
    def items(self) -> tuple[Value, ...]:
        return tuple_in(self.slots, ITEMS)

    @property
    def exact(self) -> bool:
        return bool(self.slots[EXACT])


class Rest(Enum):
    """The key under which a Dict keeps values of unknown keys."""

    REST = None


REST = Rest.REST
#: A key of a Dict.
Key: TypeAlias = Constant | Rest


class Dict:
    """A dictionary with constant keys; ``rest`` holds what was stored under keys not known."""

    __slots__ = ("slots",)

    def __init__(self, items: Mapping[C, Value], rest: tuple[Value, ...] = ()) -> None:
        self.slots: dict[Key, Value] = dict(items.items())
        if rest:
            self.slots[REST] = rest

    def copy(self) -> Dict:
        """Another dictionary that holds the same now."""
        made = Dict({})
        made.slots.update(self.slots)
        return made

    @property
    def rest(self) -> tuple[Value, ...]:
        return tuple_in(self.slots, REST)

    @property
    def known(self) -> dict[Constant, Value]:
        """What is stored under keys that are known."""
        return {k: v for k, v in self.slots.items() if not isinstance(k, Rest)}


def tuple_in(slots: Mapping[K, Value], key: K) -> tuple[Value, ...]:
    """The tuple that a slot holds; an empty one where it holds none."""
    value = slots.get(key)
    return value if isinstance(value, tuple) else ()


class Call(NamedTuple):
    """What a call hands over, and where it stands."""

    args: list[Value]
    kwargs: dict[str, Value]
    site: Site
    complete: bool = True  # False where ``*args`` or ``**kwargs`` hold what isn't known

    def of(self, *first: Value) -> Call:
        """The same call with arguments before its own: a method's owner."""
        return Call([*first, *self.args], self.kwargs, self.site, self.complete)


@dataclass(frozen=True, slots=True, eq=False)
class Union:
    """One of several values, depending on what nobody knows before the program runs.

    ``when``: the way on which each of them is meant, where that is known.
    """

    values: tuple[Value, ...]
    when: tuple[Way, ...] = ()


class Choice(Node):
    """One of several tensors, and the way on which each of them is meant."""

    __slots__ = ("when",)

    def __init__(self, ways: tuple[Node, ...], when: tuple[Way, ...]) -> None:
        super().__init__("join", ways, {}, None)
        self.when = when


class Patched(Node):
    """A tensor of which some entries were assigned: ``index`` says which, as the program writes it."""

    __slots__ = ("index", "old", "part")

    def __init__(self, old: Node, index: ast.expr, part: Node) -> None:
        super().__init__("join", (old, part), {}, None)
        self.old = old
        self.index = index
        self.part = part


#: More alternatives than this are not followed.
MOST_ALTERNATIVES = 24
#: Nor more than these where it matters at which places they were made.
MOST_TOLD_APART = 32


def opaque(name: str, *parts: Value) -> Node:
    """A value that isn't understood; the same name and parts stand for the same value."""
    attrs: dict[str, str | tuple[int, ...]] = {"name": name}
    if parts:
        _tell(name, parts)
        attrs["of"] = tuple([_identity(p) for p in parts])
    meaning = taken_for(name)
    if meaning is not None:
        attrs["taken_for"] = meaning
    return Node("opaque", (), attrs, None)


#: What hears of the values that went into one that isn't understood.
Listener: TypeAlias = "Callable[[str, tuple[Value, ...]], None]"
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def _tell(name: str, parts: tuple[Value, ...]) -> None:
    listener = _listener.get()
    if listener is not None:
        listener(name, parts)


@contextmanager
def telling(listener: Listener) -> Iterator[None]:
    """Tell of each value that isn't understood by which name it goes, and what went in."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


def renamed(name: str, value: Node) -> Node:
    """A value that isn't understood, by another name."""
    node, made_of = opaque(name, value), _made_of.get()
    kept = {name: value.attrs[name] for name in ("rank", "least_rank", "batched", "object") if name in value.attrs}
    if kept:
        node = Node("opaque", (), node.attrs | kept, None)
    if made_of is not None:
        made_of.renamed[node] = value
    return node


def nameless(place: str, *parts: Value) -> Node:
    """A value that isn't understood, and has no name but the place where it was made."""
    if not parts:
        return Node("opaque", (), {"name": place}, None)
    _tell(place, parts)
    return Node("opaque", (), {"name": place, "of": tuple([_identity(p) for p in parts])}, None)


def _identity(value: Value) -> int:
    made_of = _made_of.get()
    if made_of is None:
        return hash(_key(value))
    number = hash(value) if type(value) is Node else hash(_contents(value))
    held = List(value.items, value.exact) if isinstance(value, List) else value
    made_of.parts[number] = held.copy() if isinstance(held, Dict) else held
    return number


def _contents(value: Value) -> Hashable:
    """The key of a value; of a list or dictionary, which may change later, that of what it holds now."""
    match value:
        case List(items=items):
            return List, value.exact, tuple(map(_key, items))
        case Dict():
            return Dict, tuple([(key, _key(item)) for key, item in value.slots.items()])
    return _key(value)


def union(values: Sequence[Value], when: Sequence[Way] = ()) -> Value:
    """One value for several: themselves where they agree, one joined node for nodes, else a Union.

    ``when``: the way on which each is meant. More than are followed are one alternative that nobody knows.
    """
    flat = _alternatives(values, when or ((),) * len(values))
    if len(flat) == 1:
        return flat[0][0]
    rows = [v for v, _ in flat if isinstance(v, tuple)]
    if flat and len(rows) == len(flat) and len({len(row) for row in rows}) == 1:
        paths = [path for _, path in flat]
        return tuple(union(column, paths if when else ()) for column in zip(*rows, strict=True))
    if not flat:
        return opaque("any")
    most = MOST_TOLD_APART if _places_matter.get() else MOST_ALTERNATIVES
    found, paths_of = zip(*(flat if len(flat) <= most else _most_telling(flat, most)), strict=True)
    known = paths_of if any(paths_of) else ()
    if not all(isinstance(v, Node) for v in found):
        return Union(found, known)
    return Choice(found, known) if known else make("join", *found)


Alternative: TypeAlias = "tuple[Value, Way]"


def _alternatives(values: Sequence[Value], when: Sequence[Way]) -> list[Alternative]:
    """Every value that several may be, those that are certainly the same as one, and the way to each."""
    inner: list[Alternative] = []
    for value, path in zip(values, when, strict=True):
        if not isinstance(value, Union):
            inner.append((value, path))
        elif value.when:
            inner += [(v, both(path, own)) for v, own in zip(value.values, value.when, strict=True)]
        else:
            inner += [(v, path) for v in value.values]
    if len(inner) == 2 and inner[0][0] is inner[1][0]:
        return inner[:1]
    places = _places_matter.get()
    found: dict[Hashable, tuple[Value, list[Way]]] = {}
    for value, path in inner:
        found.setdefault(_key(value, places), (value, []))[1].append(path)
    return [(value, either(paths)) for value, paths in found.values()]


def _most_telling(flat: list[Alternative], most: int) -> list[Alternative]:
    """As many alternatives as are followed, those first that a loss may be wrong for; the others are one."""
    telling = sorted(flat, key=lambda one: isinstance(one[0], Node) and one[0].kind in (Kind.UNKNOWN, Kind.PARAMETER))
    kept, others = telling[: most - 1], telling[most - 1 :]
    name = "join" if all(isinstance(v, Node) for v, _ in flat) else "any"
    return [*kept, (opaque(name, *(v for v, _ in others)), either([path for _, path in others]))]


def distinct(values: Iterable[Value]) -> list[Value]:
    """The values without those that are certainly the same as one before."""
    places = _places_matter.get()
    found: dict[Hashable, Value] = {}
    for value in values:
        found.setdefault(_key(value, places), value)
    return list(found.values())


def _key(value: Value, places: bool = False) -> Hashable:
    """What two values have in common that are certainly the same, and no two others.

    ``places``: whether probabilities that were made at different places, or came another way, are others.
    """
    exactly = type(value)
    if exactly is Node and not places:  # as most are
        return value
    if exactly in CONSTANTS:
        return exactly, value
    match value:
        case Node():
            return (value, _places(value)) if places and value.kind in PROBABILITY_KINDS else value
        case tuple():
            return tuple([_key(v, places) for v in value])
        case External():
            return External, value.name
        case Union():
            return Union, tuple([_key(v, places) for v in value.values])
        case Bound():
            return Bound, _key(value.function, places), _key(value.owner, places)
        case Partial(args=(), kwargs=()):
            return Partial, value.how, _key(value.function, places)
    return object, id(value)


#: Whether probabilities that were made at different places are told apart, though they are the same expression.
_places_matter: ContextVar[bool] = ContextVar("places_matter", default=False)


class MadeOf:
    """What went into opaque values: by the numbers in their ``of``, and what those are that only got a name."""

    def __init__(self) -> None:
        self.parts: dict[int, Value] = {}
        self.renamed: dict[Node, Node] = {}


_made_of: ContextVar[MadeOf | None] = ContextVar("made_of", default=None)


@contextmanager
def telling_places_apart(made_of: MadeOf) -> Iterator[None]:
    """Keep alike probabilities of several places as several: who takes one softmax away must hear of its twins.

    ``made_of``: filled with what goes into opaque values meanwhile.
    """
    places, known = _places_matter.set(True), _made_of.set(made_of)
    try:
        yield
    finally:
        _places_matter.reset(places)
        _made_of.reset(known)


def _places(node: Node) -> tuple[Origin | None, ...]:
    """Where probabilities were made, and what handed them on."""
    seen: set[int] = set()
    found: list[Origin | None] = []
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if id(node) not in seen:
            seen.add(id(node))
            found.append(node.origin)
            waiting += [a for a in node.args if a.kind in PROBABILITY_KINDS]
    return tuple(found)


def is_constant(value: Value) -> TypeGuard[Constant]:
    """Whether a value stands for itself and has no parts."""
    return isinstance(value, CONSTANTS)
