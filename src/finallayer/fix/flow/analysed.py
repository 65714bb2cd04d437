"""One file of an analysed program: its syntax, and what its expressions stood for."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import NamedTuple

from finallayer.fix.text.syntax import Syntax
from finallayer.source.uses import Uses
from finallayer.source.values import Built, Union, Value


class AnalysedModule(NamedTuple):
    """One analysed file: its syntax, and what its expressions stood for."""

    syntax: Syntax
    uses: Uses

    @property
    def path(self) -> str:
        return self.syntax.file.path

    def values(self, node: ast.AST) -> list[Value]:
        """The values that an expression had."""
        return self.uses.of(self.path, node)

    def evaluated(self, node: ast.expr) -> bool:
        """Whether an analysis of this program, or of others that are looked at with it, came to an expression."""
        return self.uses.evaluated_anywhere(self.path, node)

    def is_called(self, definition: ast.AST | None) -> bool:
        """Whether any call of these programs enters a definition."""
        return self.uses.is_called_anywhere(definition)

    def layer(self, node: ast.AST) -> Built | None:
        """The layer, loss or model that an expression stands for, where it is always the same."""
        values = self.values(node)
        built = values[0] if values else None
        same_site = isinstance(built, Built) and all(made_alike(v, built) for v in values)
        return built if same_site and isinstance(built, Built) else None

    def layers(self, node: ast.AST) -> list[Built]:
        """The same of one that is made in several places, in each branch of an ``if``, say: one for each place."""
        found: dict[ast.AST | None, Built] = {}
        for value in (a for v in self.values(node) for a in alternatives(v)):
            if not isinstance(value, Built):
                return []
            found.setdefault(value.site.node, value)
        return list(found.values())

    def maker(self, layer: Built) -> ast.Call | None:
        """The call that constructs a layer or loss, where it stands in this file."""
        node = layer.site.node
        return node if isinstance(node, ast.Call) and layer.site.frame.module.path == self.path else None


def where(modules: Mapping[str, AnalysedModule], node: ast.AST) -> str:
    """The line that a node of one of these files is on, as a reader finds it."""
    home = next((m for m in modules.values() if m.syntax.parent(node) is not None), None)
    return home.syntax.where(node) if home is not None else f"line {getattr(node, 'lineno', 0)}"


def made_alike(value: object, built: Built) -> bool:
    """Whether the same call made two layers: ``nn.Softmax(dim=1)(x)`` makes one whenever it is run."""
    return isinstance(value, Built) and value.site.node is built.site.node


def alternatives(value: Value) -> tuple[Value, ...]:
    """The values that a value may be."""
    return value.values if isinstance(value, Union) else (value,)
