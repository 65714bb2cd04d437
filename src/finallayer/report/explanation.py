"""What a rule's own docstring and examples say of it, and how that is set for a terminal."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

from finallayer.rules.base import Rule
from finallayer.rules.examples import bad_examples

#: The section that the examples complete, and the one behind it.
FIXES, NEXT = "## Fix safety", "## References"


def explanation(rule: Rule) -> str:
    """The rule as Markdown: its code and name, the docstring of its module, and what its examples say of fixes."""
    text = inspect.cleandoc(sys.modules[rule.judge.__module__].__doc__ or rule.summary)
    before, behind, references = text.partition(f"\n{NEXT}")
    said = [] if FIXES in before else ["", FIXES]
    fixes = "\n".join([before.rstrip(), *said, *_of_fixes(rule), ""]) if behind else before
    return f"# {rule.code} {rule.name} ({rule.severity})\n\n{fixes}{behind}{references}\n"


def _of_fixes(rule: Rule) -> Iterator[str]:
    """What can't be fixed, and what can't be safely: a line each, from the rule's examples."""
    examples = bad_examples(rule)
    yield from dict.fromkeys(f"- Unsafe where {example.unsafe}." for example in examples if example.unsafe)
    never = all(example.after is None for example in examples)
    no_fix = "There is no fix" if never else "- No fix where"
    yield from dict.fromkeys(f"{no_fix}{':' * never} {example.unfixed}." for example in examples if example.unfixed)


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
