"""A page a rule, made of what its file says, with examples that open in the playground."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import ndiff
from pathlib import Path
from typing import Any
from urllib.parse import quote

from finallayer.report.explanation import explanation
from finallayer.rules import all_rules
from finallayer.rules.base import Rule
from finallayer.rules.examples import Example, bad_examples

#: How many of a rule's examples are shown.
MOST_EXAMPLES = 3

BEGIN = """\
# Rules

What `finallayer check` finds, and the language server and `finallayer audit` with it. An *error* is wrong maths,
a *warning* right maths that breaks down, an *advice* works today, depending on backend, precision or luck.

| rule | name | severity | what |
|---|---|---|---|
"""


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", lambda app: write(Path(app.srcdir) / "rules"))
    return {"parallel_read_safe": True}


def write(folder: Path) -> None:
    """All pages, into a folder of their own; what stands there already and is the same keeps its time."""
    folder.mkdir(exist_ok=True)
    rules = all_rules().values()
    _put(folder / "index.md", "".join([BEGIN, *map(_row, rules), *_contents(rules)]))
    for rule in rules:
        _put(folder / f"{rule.code}.md", explanation(rule) + "".join(_examples(rule)))


def _put(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _row(rule: Rule) -> str:
    summary = rule.summary.replace("|", r"\|")
    return f"| [{rule.code}]({rule.code}.md) | {rule.name} | {rule.severity} | {summary} |\n"


def _contents(rules: Any) -> Iterator[str]:
    yield "\n```{toctree}\n:hidden:\n\n"
    yield from (f"{rule.code}\n" for rule in rules)
    yield "```\n"


def _examples(rule: Rule) -> Iterator[str]:
    """Programs that it finds, and what becomes of them; they are tests of finallayer's."""
    yield "\n## In programs\n"
    for example in bad_examples(rule)[:MOST_EXAMPLES]:
        program = example.before.strip("\n")
        yield f"\n```python\n{program}\n```\n" if example.after is None else f"\n```diff\n{_as_diff(example)}\n```\n"
        address = f"../playground.html#name=example.py&amp;text={quote(program, safe='')}"
        yield f'\n<a href="{address}">Open it in the playground</a>\n'


def _as_diff(example: Example) -> str:
    """The whole program, with what goes and what comes."""
    old, new = ((text or "").strip("\n").splitlines() for text in (example.before, example.after))
    return "\n".join(line for line in ndiff(old, new) if not line.startswith("?"))
