"""A rule's bad examples: what is reported in each, and what the fix makes of it, in one text.

The text is the program, marked as in a diff where a fix changes it: a line that starts with ``-`` goes, and one that
starts with ``+`` comes. Before the program, ``! ...`` says why something in it stays unfixed, ``? ...`` why its fix is
unsafe. The lines that are reported end in ``# FLnnn``. A rule none of whose findings is ever fixed says why once, as
``NO_FIX``.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

from finallayer.rules.base import Rule


class Example(NamedTuple):
    """A program in which a rule reports something, and the same after its fix: None where there is no fix."""

    before: str
    after: str | None = None
    unfixed: str = ""
    unsafe: str = ""


def bad_examples(rule: Rule) -> list[Example]:
    """The programs in which a rule reports something."""
    module = sys.modules[rule.judge.__module__]
    never = why_never_fixed(rule)
    return [example._replace(unfixed=example.unfixed or never) for example in map(read, module.BAD)]


def why_never_fixed(rule: Rule) -> str:
    """Why none of a rule's findings is ever fixed; empty where some are."""
    why: str = getattr(sys.modules[rule.judge.__module__], "NO_FIX", "")
    return why


def read(text: str) -> Example:
    """Read an example's text."""
    said, program = {"! ": "", "? ": ""}, []
    for line in text.splitlines(keepends=True):
        if line[:2] in said:
            said[line[:2]] = line[2:].strip()
        else:
            program.append(line)
    before = "".join(line.removeprefix("-") for line in program if line[0] != "+")
    after = "".join(line.removeprefix("+") for line in program if line[0] != "-")
    return Example(before, after if after != before else None, said["! "], said["? "])
