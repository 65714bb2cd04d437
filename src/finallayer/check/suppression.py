"""Comments that keep findings quiet: ``# finallayer: ignore[FL101]``, ``... ignore`` and ``... ignore-file``.

Comments are found by tokenizing, so the same words in a string mean nothing. A comment speaks for the whole statement
that it stands in, wherever in a statement of several lines it is.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from finallayer.check.selection import matching, unknown_rule
from finallayer.rules.base import Rule

_MARK = "finallayer:"
COMMENT = re.compile(r"#\s*finallayer:\s*(?P<verb>ignore(?:-file)?)(?![\w-])(?:\s*\[(?P<codes>[^\]]*)\])?", re.I)
_ANY = re.compile(r"#\s*finallayer:\s*(?P<rest>.*)", re.I)


class Span(NamedTuple):
    """Lines of a module, first and last, and the codes that are quiet there."""

    first: int
    last: int
    codes: frozenset[str]


@dataclass(frozen=True)
class Suppressions:
    """What a file's own comments keep quiet, and one line for each comment that says what can't be meant."""

    file: frozenset[str] = frozenset()
    spans: tuple[Span, ...] = ()
    notes: tuple[tuple[int, str], ...] = ()  # (line, what is wrong)

    def covers(self, code: str, first: int, last: int) -> bool:
        """Whether a finding on these lines of the module is kept quiet."""
        return code in self.file or any(code in s.codes and s.first <= last and first <= s.last for s in self.spans)


NONE = Suppressions()


def read(text: str, rules: Mapping[str, Rule]) -> Suppressions:
    """The suppressions of a module's text. Text that can't be tokenized has those up to the place where it breaks."""
    if _MARK not in text.lower():
        return NONE
    whole: frozenset[str] = frozenset()
    spans: list[Span] = []
    notes: list[tuple[int, str]] = []
    for first, last, line, comment in ((s.first, s.last, c[0], c[2]) for s in statements(text) for c in s.comments):
        got = COMMENT.search(comment)
        if got is None:
            if strange := _ANY.search(comment):
                notes.append(
                    (line, f"unknown comment {strange['rest'].strip()!r}; known are ignore[CODE] and ignore-file")
                )
            continue
        quiet = _meant(got["codes"], rules, line, notes)
        if got["verb"].lower() == "ignore-file":
            whole |= quiet
        else:
            spans.append(Span(first, last, quiet))
    return Suppressions(whole, tuple(spans), tuple(notes))


def _meant(listed: str | None, rules: Mapping[str, Rule], line: int, notes: list[tuple[int, str]]) -> frozenset[str]:
    if listed is None:
        return frozenset(rules)
    quiet: frozenset[str] = frozenset()
    for selector in re.split(r"[\s,]+", listed.strip()):
        meant = matching(selector, rules)
        if not meant:
            notes.append((line, unknown_rule(selector, rules) if selector else "no rule between the brackets"))
        quiet |= meant
    return quiet


class Statement(NamedTuple):
    """The lines of a statement, first and last, and the comments in it: line, column, text."""

    first: int
    last: int
    comments: tuple[tuple[int, int, str], ...]


def statements(text: str) -> Iterator[Statement]:
    """The statements of a module; a comment between two is one by itself. Where the text breaks, they end."""
    comments: list[tuple[int, int, str]] = []
    first = 0  # of the statement that is being read; 0 between statements
    last = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            last = token.end[0]
            if token.type == tokenize.COMMENT and not first:
                yield Statement(last, last, ((*token.start, token.string),))
            elif token.type == tokenize.COMMENT:
                comments.append((*token.start, token.string))
            elif token.type == tokenize.NEWLINE and first:
                yield Statement(first, token.start[0], tuple(comments))
                comments, first = [], 0
            elif token.type not in _BETWEEN and not first:
                first = token.start[0]
    except (tokenize.TokenError, SyntaxError, ValueError):
        pass
    if first:
        yield Statement(first, last, tuple(comments))


_BETWEEN = frozenset(
    {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER}
)
