"""How a file spells Keras' names, and how a call is given an argument."""

from __future__ import annotations

import ast

from finallayer.catalog.frameworks import homes
from finallayer.catalog.names import canonical
from finallayer.findings import Edit
from finallayer.fix.text.imports import Imports, Spelled
from finallayer.fix.text.syntax import Syntax, is_written_out

Edits = tuple[Edit, ...]
#: What is a loss and a metric.
_BOTH = frozenset({"BinaryCrossentropy", "CategoricalCrossentropy", "SparseCategoricalCrossentropy"})
#: Modules from which a file may know Keras.
_KERAS = (*homes("keras"), "tensorflow.compat.v1.keras", "tensorflow.compat.v2.keras")


def spell(syntax: Syntax, name: str, at: ast.AST) -> Spelled | None:
    """``losses.SparseCategoricalCrossentropy`` as the file's imports reach it; with an import where none does."""
    imports = Imports(syntax)
    used = [r for r in _KERAS if any(n == r or n.startswith(f"{r}.") for n in imports.names.values())]
    for root in used or _KERAS:  # another Keras, which TensorFlow may bring, has other models
        known = imports.known(f"{root}.{name}", at)
        if known is not None:
            return known
    for target in imports.names.values():  # from keras.layers.core import Activation
        of_root = any(target.startswith(f"{root}.") for root in used[:1])
        if of_root and canonical(target) == f"keras.{name}" and (known := imports.known(target, at)) is not None:
            return known
    home, _, last = name.partition(".")
    if home == "metrics" and last in _BOTH and used:  # a loss has the same name, which the file may come to import, too
        module = imports.imported_by_name(f"{used[0]}.{home}", at)
        return module and module._replace(text=name)
    return imports.imported_by_name(f"{used[0]}.{name}", at) if used else None


def with_argument(syntax: Syntax, call: ast.Call, name: str, value: str) -> Edits | None:
    """The edits that give a call a keyword argument, or change the one that it has."""
    if not is_written_out(call):
        return None
    for keyword in call.keywords:
        if keyword.arg == name:
            return (syntax.replace(keyword.value, value),)
    given: list[ast.AST] = [*call.args, *call.keywords]
    file = syntax.file
    if given:
        last = max((file.origin(g) for g in given), key=lambda o: (o.end_line, o.end_column))  # type: ignore[arg-type]
        place = (last.end_line, last.end_column)
        before = file.lines[last.line - 1][: last.column]
        own_line = not before.strip() and len(given) > 1 and last.line == last.end_line
        return (syntax.put(place, place, f",\n{before}{name}={value}" if own_line else f", {name}={value}"),)
    at = file.origin(call)
    place = (at.end_line, at.end_column - 1)
    return (syntax.put(place, place, f"{name}={value}"),)
