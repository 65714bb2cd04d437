"""Tuples, lists and dictionaries of abstract values: their items, and what may be said of them."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import TypeGuard, assert_never

from finallayer.expr import TRANSPARENT, Node, through
from finallayer.source.batches import batch_of, is_loader, part_of
from finallayer.source.budget import MOST_UNROLLED
from finallayer.source.conditions import Way
from finallayer.source.interpreter import Interpreter
from finallayer.source.layers import forget_layers, holder, put_layer
from finallayer.source.limits import MOST_CANDIDATES, any_of
from finallayer.source.symbols import signature_of
from finallayer.source.values import (
    EXACT,
    INNER,
    ITEMS,
    LAYERS,
    REST,
    Attributes,
    Bound,
    Built,
    Class,
    Dict,
    External,
    Frame,
    Function,
    Instance,
    Lazy,
    List,
    Partial,
    Super,
    Union,
    Value,
    is_constant,
    opaque,
    tuple_in,
    union,
)

#: The name of what stands for a slice among the indices of several axes.
SLICE = "slice"
#: What a number that counts is called, which nobody knows: no variable is called so.
PLACE = "each place"
#: As many numbers of a ``range`` are known.
MOST_NUMBERS = 256


def truth(value: Value) -> bool | None:
    """Whether a value is true; None where that depends."""
    match value:
        case bool() | int() | float() | complex() | str() | bytes() | tuple() | EllipsisType() | None:
            return bool(value)
        case Bound(function=str(), owner=Node(op="opaque")):  # args.sigmoid may be a flag
            return None
        case Function() | Class() | Instance() | Built() | Bound() | Partial() | Frame():
            return True
        case External(name):  # a function or module is true; who knows of a flag or another library's variable?
            return True if "." not in name or signature_of(name) is not None else None
        case List():
            return bool(value.items) if value.exact or value.items else None
        case Union(values=values):
            decided = {truth(v) for v in values}
            return decided.pop() if len(decided) == 1 else None
        case Node():
            return True if value.attrs.get("object") else None
        case Dict() | Super() | Lazy():
            return None
    assert_never(value)


def sequence(value: Value) -> tuple[Value, ...] | None:
    """The items of a tuple, list or dictionary whose length is certain."""
    if isinstance(value, tuple):
        return value
    if isinstance(value, List) and value.exact:
        return value.items
    if isinstance(value, Dict):
        keys = tuple(k for k in value.slots if isinstance(k, (str, int)))
        return keys if len(keys) == len(value.slots) else None
    if isinstance(value, Partial) and value.how.startswith("pure"):  # haiku: init, apply = transform(f)
        return (opaque("init"), Partial(value.function, how=value.how.replace("pure", "apply")))
    if isinstance(value, Built) and LAYERS in value.slots:
        return tuple_in(value.slots, LAYERS) if value.slots[EXACT] else None
    if isinstance(value, Instance) and INNER in value.slots:
        return sequence(value.slots[INNER])
    return None


def element(iterable: Value) -> Value:
    """What a loop over a value may get."""
    if isinstance(iterable, Union):
        return union([element(one) for one in iterable.values], iterable.when)
    if isinstance(iterable, Built) and is_loader(iterable):
        return batch_of(iterable)
    items = iterable.items if isinstance(iterable, List) else sequence(iterable)
    if items and len(items) > MOST_UNROLLED and all(type(item) is int for item in items):
        return opaque("each", len(items), items[0], items[-1])
    if items:
        return any_of(items, iterable)
    if isinstance(iterable, Node) and iterable.op != "opaque":
        attrs = {"rank": iterable.rank - 1} if iterable.rank else {}
        return Node("index", (iterable,), attrs | {"rows": True}, iterable.origin)
    counts = isinstance(iterable, Node) and iterable.attrs.get("name") == "range"
    return opaque(PLACE if counts else "each", iterable)


def get_slice(owner: Value, lower: Value, upper: Value, stepped: bool) -> Value:
    """``owner[lower:upper]``."""
    if isinstance(owner, Node):
        return Node("index", (owner,), ({"rank": owner.rank} if owner.rank else {}) | {"rows": True}, owner.origin)
    if is_constant(owner):
        return owner
    items = sequence(owner)
    if items is not None and not stepped and _is_bound(lower) and _is_bound(upper):
        part = items[lower:upper]
        return part if isinstance(owner, tuple) else List(tuple(part))
    return owner if isinstance(owner, List) else opaque("slice", owner)


def _is_bound(value: Value) -> TypeGuard[int | None]:
    return value is None or type(value) is int


def get_item(owner: Value, index: Value, rank: int | None = None, least_rank: int = 0) -> Value:
    """``owner[index]``. ``rank``, ``least_rank``: how many axes the index leaves, or leaves at the least."""
    if isinstance(owner, Node):
        if owner.op == "opaque":
            if isinstance(index, str) and owner.attrs.get("batched"):
                return part_of(owner, index)
            item = opaque(f"{owner.attrs['name']}[{str(index) if is_constant(index) else ''}]", owner, index)
            axes = {"rank": rank} if rank is not None else {"least_rank": least_rank} if least_rank else {}
            return Node("opaque", (), {**item.attrs, **axes}, None) if axes else item
        attrs = _of_index(index) | ({"rank": rank} if rank is not None else {})
        attrs |= {"least_rank": least_rank} if least_rank and rank is None else {}
        counted = isinstance(index, Node) and index.attrs.get("name") == PLACE
        attrs |= {"rows": True} if type(index) is int or counted else {}
        attrs |= _least_of(owner, index)
        return Node("index", (owner,), attrs, owner.origin)
    if isinstance(owner, Union):
        return union([get_item(v, index) for v in owner.values], owner.when)
    if isinstance(owner, Dict):
        return item_by_key(owner, index)
    if isinstance(owner, Instance) and INNER in owner.slots:
        return get_item(owner.slots[INNER], index)
    items = sequence(owner)
    if items is not None and type(index) is int and -len(items) <= index < len(items):
        return items[index]
    if isinstance(owner, List) and owner.items:
        return owner.items[-1] if index == -1 else any_of(owner.items, owner)
    if items:
        return any_of(items, owner)
    return opaque("item", owner, index)


def _least_of(owner: Node, index: Value) -> Attributes:
    """What the entries are at the least that a mask picks of a value by its own size: ``p[p > 0.1]``."""
    mask = through(index, TRANSPARENT) if isinstance(index, Node) else None
    if mask is None or mask.op != "threshold" or not mask.attrs.get("above") or mask.args[0] != owner:
        return {}
    return {"least": mask.attrs.get("value")}


def _of_index(index: Value) -> Attributes:
    """What an index goes by, also one of several: ``probs[0, action]``."""
    parts = index if isinstance(index, tuple) else (index,)
    bare = [through(p, TRANSPARENT) for p in parts[::-1] if isinstance(p, Node)]
    found = next((index_attributes(p) for p in bare if p.attrs.get("name") != SLICE), {})
    return found | {"each": True} if _is_of_each_row(parts) else found


def _is_of_each_row(parts: tuple[Value, ...]) -> bool:
    """Whether an index goes through the rows and picks an entry of each by data: ``p[arange(n), y]``."""
    if not parts:
        return False
    *rows, entry = parts
    picks = isinstance(entry, Node) and not _is_slice(entry) and through(entry, TRANSPARENT).op == "opaque"
    return picks and bool(rows) and not any(is_constant(r) or _is_slice(r) for r in rows)


def _is_slice(part: Value) -> bool:
    return isinstance(part, Node) and part.attrs.get("name") == SLICE


def index_attributes(index: Node) -> Attributes:
    """What an index, or its operation, is called."""
    return {"at": index.attrs.get("name", index.op)}


def item_by_key(owner: Dict, index: Value, when: Sequence[Way] = ()) -> Value:
    """``owner[index]`` (``when``: the ways on which the index is each of the keys, or none of them)."""
    if is_constant(index) and index in owner.slots:
        return owner.slots[index]
    rest = owner.rest
    if is_constant(index):
        return any_of(rest, owner) if rest else opaque(f"[{index!s}]", owner)
    if not owner.slots:
        return opaque("item", owner, index)
    ways = [*when[:-1], *(when[-1] for _ in rest)] if when else []
    return any_of([*owner.known.values(), *rest], owner, ways)


def forget_length(run: Interpreter, owner: Value) -> None:
    """Nobody knows any more which items a list has, or which layers a model."""
    if isinstance(owner, List):
        run.write(owner.slots, EXACT, False)
    elif (held := holder(owner)) is not None:
        forget_layers(run, held)


def store_item(run: Interpreter, owner: Value, index: Value, value: Value) -> None:
    """``owner[index] = value``."""
    match owner:
        case Bound(function=str() as name, owner=Built(slots=slots)):  # model.classifier[6] = a new head
            run.write(slots, name, value)
        case Instance(slots=slots) if INNER in slots:
            store_item(run, slots[INNER], index, value)
        case Built() if LAYERS in owner.slots:
            put_layer(run, owner, index, value)
    if isinstance(owner, Dict):
        if is_constant(index):
            run.write(owner.slots, index, value)
        else:
            rest = owner.rest
            if len(rest) <= MOST_CANDIDATES:  # more aren't told apart
                run.write(owner.slots, REST, (*rest, value))
    elif isinstance(owner, List):
        if type(index) is int and -len(owner.items) <= index < len(owner.items) and owner.exact:
            items = list(owner.items)
            items[index] = value
            run.write(owner.slots, ITEMS, tuple(items))
        else:
            run.write(owner.slots, ITEMS, (*owner.items, value)[-8:])
            run.write(owner.slots, EXACT, False)
