"""What a rule's own docstring says of it, and how that is set for a terminal."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

from finallayer.rules.base import Rule


def explanation(rule: Rule) -> str:
    """The rule as Markdown: its code and name, then the docstring of its module."""
    module = sys.modules.get(rule.judge.__module__)
    text = inspect.cleandoc((module and module.__doc__) or rule.summary)
    return f"# {rule.code} {rule.name} ({rule.severity})\n\n{text}\n"


def for_terminal(markdown: str, colour: bool) -> Iterator[str]:
    """The lines of an explanation with headings bold and code indented in place of the marks."""
    in_code = False
    for line in markdown.rstrip().split("\n"):
        if line.startswith("```"):
            in_code = not in_code
        elif in_code:
            yield f"    {line}" if line else ""
        elif line.startswith("#"):
            heading = line.lstrip("#").strip()
            yield f"\x1b[1m{heading}\x1b[0m" if colour else heading
        else:
            yield line
