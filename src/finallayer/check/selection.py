"""Which rules are meant by what a user writes: a code, the start of one, a rule's name, or ALL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from finallayer.check.check_error import CheckError
from finallayer.rules.base import Rule

EVERY = "ALL"


def codes(selectors: Iterable[str], rules: Mapping[str, Rule], where: str) -> frozenset[str]:
    """The codes that the selectors mean. Raises :class:`CheckError` naming ``where`` for one that means nothing."""
    found: set[str] = set()
    for selector in selectors:
        meant = matching(selector, rules)
        if not meant:
            raise CheckError(f"{where}: {unknown_rule(selector, rules)}")
        found |= meant
    return frozenset(found)


def matching(selector: str, rules: Mapping[str, Rule]) -> frozenset[str]:
    """The codes of the rules that one selector means; empty where it means none."""
    wanted = selector.strip()
    if not wanted:
        return frozenset()
    if wanted.upper() == EVERY:
        return frozenset(rules)
    return frozenset(c for c, r in rules.items() if r.name == wanted.lower() or c.startswith(wanted.upper()))


def unknown_rule(selector: str, rules: Mapping[str, Rule]) -> str:
    """One clause for a selector that means no rule, with what was perhaps meant."""
    import difflib

    wanted = selector.strip()
    by_name = {r.name: r.code for r in rules.values()}
    near = difflib.get_close_matches(wanted.upper(), rules, n=2, cutoff=0.75)
    near += difflib.get_close_matches(wanted.lower(), by_name, n=2)
    hint = f"; did you mean {' or '.join(near)}?" if near else "; `finallayer rules` lists them"
    return f"unknown rule {wanted!r}{hint}"
