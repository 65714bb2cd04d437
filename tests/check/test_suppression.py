"""Comments that keep findings quiet, and what they don't."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finallayer.check import suppression
from finallayer.findings import Severity
from finallayer.rules.base import Rule

RULES = {
    code: Rule(code, name, Severity.ERROR, "")
    for code, name in (("FL101", "double-softmax"), ("FL102", "logits-as-probabilities"), ("FL201", "log-of-softmax"))
}


def quiet(text: str, line: int, last: int | None = None) -> set[str]:
    """The codes that are kept quiet for a finding on these lines."""
    comments = suppression.read(text, RULES)
    return {code for code in RULES if comments.covers(code, line, last or line)}


@pytest.mark.parametrize(
    ("comment", "codes"),
    [
        ("# finallayer: ignore[FL101]", {"FL101"}),
        ("# finallayer: ignore[FL101, FL201]", {"FL101", "FL201"}),
        ("# finallayer: ignore[FL101 FL201]", {"FL101", "FL201"}),
        ("# finallayer: ignore [fl101]", {"FL101"}),
        ("#finallayer:ignore[FL1]", {"FL101", "FL102"}),
        ("# finallayer: ignore[double-softmax]", {"FL101"}),
        ("# finallayer: ignore", set(RULES)),
        ("# why: it is a test  # finallayer: ignore[FL201]", {"FL201"}),
        ("# FinalLayer: Ignore", set(RULES)),
        ("# finallayer: ignore[]", set()),
        ("# finallayer: ignored", set()),
        ("# finallayer is ignored", set()),
        ("# noqa", set()),
        ("", set()),
    ],
)
def test_which_codes_a_comment_names(comment: str, codes: set[str]) -> None:
    assert quiet(f"a = 1\nloss = f(x)  {comment}\nb = 2\n", 2) == codes


def test_a_comment_speaks_for_its_own_statement_only() -> None:
    text = "a = f(x)\nb = f(x)  # finallayer: ignore\nc = f(x)\n"
    assert not quiet(text, 1)
    assert quiet(text, 2) == set(RULES)
    assert not quiet(text, 3)


@pytest.mark.parametrize("commented", range(2, 6))
def test_a_comment_on_any_line_of_a_statement_speaks_for_all_of_it(commented: int) -> None:
    lines = ["a = 1", "loss = (", "    f(", "        x,", "    ))", "b = f(y)"]
    lines[commented - 1] += "  # finallayer: ignore[FL101]"
    text = "\n".join(lines)
    assert quiet(text, 3, 5) == {"FL101"}
    assert quiet(text, 2) == {"FL101"}
    assert not quiet(text, 1)
    assert not quiet(text, 6)


def test_a_comment_on_a_block_speaks_for_its_first_line_only() -> None:
    text = "for x in f(y):  # finallayer: ignore\n    g(x)\n"
    assert quiet(text, 1)
    assert not quiet(text, 2)


def test_a_comment_on_a_line_of_its_own_does_not_reach_the_next() -> None:
    assert not quiet("# finallayer: ignore\nloss = f(x)\n", 2)


@pytest.mark.parametrize("line", [1, 3])
def test_a_file_is_kept_quiet_as_a_whole(line: int) -> None:
    lines = ["a = f(x)", "b = f(x)", "c = f(x)"]
    lines[line - 1] += "  # finallayer: ignore-file"
    assert all(quiet("\n".join(lines), n) == set(RULES) for n in (1, 2, 3))
    assert quiet("# finallayer: ignore-file[FL2]\nf(x)", 2) == {"FL201"}


@pytest.mark.parametrize(
    "text",
    [
        "s = '# finallayer: ignore'; f(x)\n",
        '"""\n# finallayer: ignore-file\n"""\n',
        "s = f'{x}# finallayer: ignore'\n",
        "s = '''\\\n# finallayer: ignore'''\n",
    ],
)
def test_the_words_in_a_string_mean_nothing(text: str) -> None:
    assert suppression.read(text, RULES) == suppression.NONE


@pytest.mark.parametrize(
    ("comment", "says"),
    [
        ("# finallayer: ignore[FL999]", "unknown rule 'FL999'"),
        ("# finallayer: ignore[double-sofmax]", "did you mean double-softmax?"),
        ("# finallayer: ignore[FL1011]", "did you mean FL101"),
        ("# finallayer: ignore[]", "no rule between the brackets"),
        ("# finallayer: disable=FL101", "unknown comment 'disable=FL101'"),
    ],
)
def test_a_comment_that_can_not_be_meant_is_noted_with_its_line(comment: str, says: str) -> None:
    ((line, note),) = suppression.read(f"a = 1\nb = 2  {comment}\n", RULES).notes
    assert line == 2
    assert says in note


def test_a_text_that_breaks_off_keeps_the_comments_before() -> None:
    assert quiet("f(x)  # finallayer: ignore[FL101]\ng((\n", 1) == {"FL101"}


_WORDS = st.sampled_from(
    [
        *(
            "# finallayer: ignore",
            "# finallayer: ignore-file",
            "[FL101]",
            "[",
            "]",
            "FL101",
            "(",
            ")",
            "'",
            '"""',
            "\n",
        ),
        *("x = 1", "\\", "  ", "\t", ",", "é", "# "),
    ]
)


@given(st.lists(_WORDS, max_size=20).map("".join))
def test_any_text_is_read(text: str) -> None:
    comments = suppression.read(text, RULES)
    assert all(s.first <= s.last and s.codes <= RULES.keys() for s in comments.spans)


@given(st.lists(st.sampled_from(["a = 1", "b = f(", ")", "# c", "'''", "'"]), max_size=6), st.text("ab# '", max_size=5))
def test_a_last_comment_behind_a_statement_counts_iff_it_is_one(lines: list[str], tail: str) -> None:
    """Against the compiler: a comment is what can hold anything at all and leave the program as it is."""
    program = "\n".join([*lines, f"z = 1{tail}"])
    marked = program + "# finallayer: ignore"
    try:
        same = compile(program, "", "exec").co_code == compile(program + "# ((", "", "exec").co_code
    except (SyntaxError, ValueError):
        return
    if same:
        assert quiet(marked, len(marked.split("\n"))) == set(RULES)
