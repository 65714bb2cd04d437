"""Examples in docstrings that show what a model gives: they are run as tests, but no analysis follows them."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from doctest import DocTestParser, Example

from finallayer.fix.text.syntax import Syntax

_PROMPT = ">>> "
#: What an example shows that is the same of logits.
_SHAPE = re.compile(r"(?:torch\.Size\()?[\[(]?[\d, ]*[\])]?\)?|None|True|False", re.ASCII)


def doctests_about(syntax: Syntax, names: Collection[str]) -> Iterator[str]:
    """The examples of a file that speak of some names, and show numbers behind that; a phrase each."""
    for owner in syntax.nodes if _PROMPT in syntax.file.text else ():
        if not isinstance(owner, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        text = ast.get_docstring(owner, clean=False) or ""
        examples = _examples(text)
        speaking = [i for i, e in enumerate(examples) if not names_in(e.source).isdisjoint(names)]
        if speaking and any(map(_shows_numbers, examples[speaking[0] :])):
            named = min(names_in(examples[speaking[0]].source) & set(names))
            line = owner.body[0].lineno + examples[speaking[0]].lineno
            yield f"an example in a docstring asks `{named}` (line {line})"


def _examples(text: str) -> list[Example]:
    try:
        return DocTestParser().get_examples(text)
    except ValueError:
        return []


def names_in(source: str) -> set[str]:
    """The words of a piece of code."""
    return set(re.findall(r"\w+", source))


def _shows_numbers(example: Example) -> bool:
    return not _SHAPE.fullmatch(example.want.strip()) or "assert" in example.source
