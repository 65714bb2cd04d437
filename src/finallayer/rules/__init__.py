"""The rules: one file a rule, found by walking this package; none knows a framework.

A rule module holds a docstring (what ``finallayer explain`` prints), ``RULE``, a ``judge`` function registered for the
operations that it looks at, and the examples that are its tests: ``BAD``, with what becomes of each (see ``examples``),
and ``GOOD`` (nothing may be reported).
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from finallayer.rules.base import Rule


@cache
def all_rules() -> dict[str, Rule]:
    """Every rule by its code, in order."""
    modules = (
        importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__) if m.name != "base"
    )
    rules = [m.RULE for m in modules if hasattr(m, "RULE")]
    return {r.code: r for r in sorted(rules, key=lambda r: r.code)}


@cache
def rules_by_operation() -> dict[str, tuple[Rule, ...]]:
    """The rules that look at an operation, by the operation's name."""
    table: dict[str, tuple[Rule, ...]] = {}
    for rule in all_rules().values():
        for op in rule.operations:
            table[op] = (*table.get(op, ()), rule)
    return table
