"""Texts of which only the beginning and the end are known: ``f"generator_{kind}"`` is no ``"discriminator"``."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from string import Formatter

from finallayer.expr import Node
from finallayer.source.limits import MOST_CHARACTERS, may_format, small
from finallayer.source.values import Call, Dict, Value, opaque

#: A place in a text that ``%`` fills.
_CONVERSION = re.compile(r"%(?:\([^)]*\))?[-#0 +]*(?:\d+|\*)?(?:\.(?:\d+|\*))?[a-zA-Z%]")
#: Those that put in a text or number as ``str`` writes it.
_PLAIN = frozenset({"%s", "%d"})


class Text(Node):
    """A text that begins and ends with what is known, and has anything between."""

    __slots__ = ("begins", "ends")

    def __init__(self, unknown: Node, begins: str, ends: str) -> None:
        super().__init__(unknown.op, (), unknown.attrs, None)
        self.begins = begins
        self.ends = ends


def joined(name: str, parts: Sequence[Value], made_of: Sequence[Value]) -> Value:
    """The text that these parts make one after the other; ``name`` and ``made_of`` tell it from others if one of them
    isn't known."""
    if all(isinstance(part, str) for part in parts):
        text = "".join(part for part in parts if isinstance(part, str))
        return text if small(text) else opaque(name, *made_of)
    begins, ends = _known(parts, lambda text: text.begins), _known(parts[::-1], lambda text: text.ends)
    return Text(opaque(name, *made_of), "".join(begins)[:MOST_CHARACTERS], "".join([*ends][::-1])[-MOST_CHARACTERS:])


def _known(parts: Sequence[Value], end: Callable[[Text], str]) -> Iterator[str]:
    """What is known of the parts up to the first that isn't known altogether."""
    for part in parts:
        if not isinstance(part, str):
            if isinstance(part, Text):
                yield end(part)
            return
        yield part


def written(value: Value) -> Value:
    """A value as ``str`` writes it, where that is known."""
    return str(value) if isinstance(value, (str, int)) and small(value) else value


def by_percent(template: str, given: Value) -> Value:
    """``template % given``."""
    places = [*_CONVERSION.finditer(template)]
    items = given if isinstance(given, tuple) else (given,)
    parts: list[Value] = []
    end = 0
    for number, place in enumerate(places):
        plain = place.group() in _PLAIN and len(items) == len(places)
        parts += (template[end : place.start()], written(items[number]) if plain else opaque("item"))
        end = place.end()
    return joined("Mod", [*parts, template[end:]], (template, given))


def by_format(template: str, call: Call) -> Value:
    """``template.format(...)``."""
    parts: list[Value] = []
    try:
        fields = [*Formatter().parse(template)] if small(template) else []
    except ValueError:
        fields = []
    for number, (literal, field, spec, conversion) in enumerate(fields):
        parts.append(literal)
        if field is not None:
            known = may_format(template) and not spec and not conversion
            parts.append(written(_filling(field, number, call)) if known else opaque("item"))
    return joined("text.format", parts or [opaque("item")], (template, *call.args, *call.kwargs.values()))


def _filling(field: str, number: int, call: Call) -> Value:
    """What a field is filled with: the next argument, the one of that number or of that name."""
    position = number if not field else int(field) if field.isdecimal() else len(call.args)
    return call.args[position] if position < len(call.args) else call.kwargs.get(field, opaque("item"))


def compared(op: ast.cmpop, left: Value, right: Value) -> bool | None:
    """What a comparison with a text gives that is known in part; None where that depends."""
    if isinstance(op, (ast.Eq, ast.NotEq)):
        return None if _may_be(left, right) else isinstance(op, ast.NotEq)
    if isinstance(op, (ast.In, ast.NotIn)):
        holds = _is_in(left, right)
        return None if holds is None else holds == isinstance(op, ast.In)
    return None


def _is_in(left: Value, right: Value) -> bool | None:
    if isinstance(right, Text) and isinstance(left, str):
        return True if left in right.begins or left in right.ends else None
    if isinstance(right, (tuple, Dict)):
        items = right if isinstance(right, tuple) else tuple(right.known)
        complete = isinstance(right, tuple) or not right.rest
        return None if not complete or any(_may_be(left, item) for item in items) else False
    return None


def _may_be(left: Value, right: Value) -> bool:
    """Whether two values may be the same text."""
    if isinstance(left, str) and isinstance(right, Text):
        left, right = right, left
    if not isinstance(left, Text):
        return True
    if isinstance(right, str):
        return (
            len(right) >= len(left.begins) + len(left.ends)
            and right.startswith(left.begins)
            and right.endswith(left.ends)
        )
    if isinstance(right, Text):
        begin = min(len(left.begins), len(right.begins))
        end = min(len(left.ends), len(right.ends))
        return left.begins[:begin] == right.begins[:begin] and (not end or left.ends[-end:] == right.ends[-end:])
    return True


def reached(owner: Dict, key: Text) -> Dict:
    """Of a dictionary, what such a key may find."""
    return Dict({k: v for k, v in owner.known.items() if not isinstance(k, str) or _may_be(key, k)}, owner.rest)


_AS_A_WHOLE: dict[str, Callable[[str], str]] = {
    "lower": str.lower,
    "upper": str.upper,
    "strip": str.strip,
    "title": str.title,
    "capitalize": str.capitalize,
}
#: What changes every letter by itself, whatever stands beside it.
_LETTER_BY_LETTER = frozenset({"lower", "upper"})


def method(owner: str | Text, name: str, call: Call) -> Value:
    """What ``owner.name(...)`` gives."""
    args = call.args
    if name == "format" and isinstance(owner, str):
        return by_format(owner, call)
    if name in _AS_A_WHOLE and not args and isinstance(owner, str):
        return _AS_A_WHOLE[name](owner)
    if name in _LETTER_BY_LETTER and not args and isinstance(owner, Text):
        letters = _AS_A_WHOLE[name]
        return Text(opaque(f"text.{name}", owner), letters(owner.begins), letters(owner.ends))
    if name in ("startswith", "endswith") and len(args) == 1 and isinstance(args[0], str):
        answer = _at_the_end(owner, args[0], name == "startswith")
        if answer is not None:
            return answer
    return opaque(f"text.{name}", owner, *args)


def _at_the_end(owner: str | Text, wanted: str, first: bool) -> bool | None:
    """Whether a text begins, or ends, with another; None where that depends."""
    if isinstance(owner, str):
        return owner.startswith(wanted) if first else owner.endswith(wanted)
    known = owner.begins if first else owner.ends
    if len(known) >= len(wanted):
        return known.startswith(wanted) if first else known.endswith(wanted)
    agrees = wanted.startswith(known) if first else wanted.endswith(known)
    return None if agrees else False
