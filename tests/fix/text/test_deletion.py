"""What goes with a statement that a fix takes away: blank lines that would be left, a comment that would be false."""

from __future__ import annotations

import ast

import pytest

from finallayer.fix.text.deletion import drop_item, false_comments, whole_line
from finallayer.fix.text.edits import apply
from finallayer.fix.text.syntax import Syntax
from finallayer.source.files import SourceFile

#: a function's body, in which `gone()` goes -> what is left
TAKEN = {
    "between blank lines": ("    a()\n\n    gone()\n\n    b()\n", "    a()\n\n    b()\n"),
    "between more of them": ("    a()\n\n\n    gone()\n\n    b()\n", "    a()\n\n\n    b()\n"),
    "beside others": ("    a()\n    gone()\n    b()\n", "    a()\n    b()\n"),
    "after others": ("    a()\n    gone()\n\n    b()\n", "    a()\n\n    b()\n"),
    "the first of a block": ("    gone()\n\n    b()\n", "    b()\n"),
    "with a comment on it alone": (
        "    a()\n\n    # then the softmax\n    gone()\n\n    b()\n",
        "    a()\n\n    b()\n",
    ),
    "with a comment on the next, too": (
        "    a()\n    # the softmax comes first, and b last\n    gone()\n    b()\n",
        "    a()\n    # the softmax comes first, and b last\n    b()\n",
    ),
    "under a comment on something else": (
        "    a()\n    # scores of all rows, as they come\n    gone()\n\n    b()\n",
        "    a()\n    # scores of all rows, as they come\n\n    b()\n",
    ),
    "under its title": ("    a()\n\n    # Activation\n    gone()\n\n    b()\n", "    a()\n\n    b()\n"),
    "under a title of others, too": (
        "    a()\n    # scores\n    gone()\n    b()\n",
        "    a()\n    # scores\n    b()\n",
    ),
    "under code that is no more": (
        "    a()\n    # gone_too()\n    gone()\n\n    b()\n",
        "    a()\n    # gone_too()\n\n    b()\n",
    ),
    "with the comment behind it": ("    a()\n    gone()  # so it is\n    b()\n", "    a()\n    b()\n"),
    "with a comment that goes on below": (
        "    a()\n    gone()  # this one\n            # and that\n    # b\n    b()\n",
        "    a()\n    # b\n    b()\n",
    ),
    "under a longer comment": (
        "    a()\n    # what follows\n    # is a softmax\n    gone()\n\n    b()\n",
        "    a()\n    # what follows\n    # is a softmax\n\n    b()\n",
    ),
}
#: a statement in which a softmax stood, and its comments -> what is left of these
FALSE = {
    "behind it": ("    gone()  # softmax\n    b()\n", "    gone()\n    b()\n"),
    "above it": ("    # the softmax\n    gone()\n    b()\n", "    gone()\n    b()\n"),
    "of something else": ("    # scores\n    gone()  # of x\n    b()\n", "    # scores\n    gone()  # of x\n    b()\n"),
    "that says more": (
        "    # softmax and then the mean of all rows\n    gone()\n    b()\n",
        "    # softmax and then the mean of all rows\n    gone()\n    b()\n",
    ),
}


def _at_gone(body: str) -> tuple[Syntax, ast.stmt]:
    syntax = Syntax(SourceFile("program.py", f"def f():\n{body}\nlast = 1\n"))
    calls = [n for n in syntax.nodes if isinstance(n, ast.Expr) and ast.unparse(n) == "gone()"]
    return syntax, calls[0]


@pytest.mark.parametrize(("before", "after"), TAKEN.values(), ids=TAKEN)
def test_a_statement_leaves_no_traces(before: str, after: str) -> None:
    syntax, gone = _at_gone(before)
    edit = whole_line(syntax, gone)
    assert edit is not None
    assert apply(syntax.file.text, [edit]) == f"def f():\n{after}\nlast = 1\n"


@pytest.mark.parametrize(("before", "after"), FALSE.values(), ids=FALSE)
def test_a_comment_that_would_be_false_goes(before: str, after: str) -> None:
    syntax, gone = _at_gone(before)
    assert apply(syntax.file.text, false_comments(syntax, gone)) == f"def f():\n{after}\nlast = 1\n"


#: a call whose last argument goes -> what is left
ARGUMENTS = {
    "beside others": ("f(a, gone)", "f(a)"),
    "on the one line between the brackets": ("f(a,\n    gone\n)", "f(a)"),
    "with a comma of its own": ("f(a, \n    gone,\n)", "f(a)"),
    "on one of several lines": ("f(\n    a,\n    gone,\n)", "f(\n    a,\n)"),
    "under a comment": ("f(a,  # first\n    gone\n)", "f(a,  # first\n)"),
    "with its own comment": ("f(a,\n    gone  # last\n)", "f(a,\n)"),
    "before a bracket on its line": ("f(a,\n    gone)", "f(a)"),
    "after a line with a comment": ("f(a,\n    b,  # second\n    gone)", "f(a,\n    b,  # second\n)"),
}


@pytest.mark.parametrize(("before", "after"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_an_argument_goes_with_its_line(before: str, after: str) -> None:
    syntax = Syntax(SourceFile("program.py", f"{before}\n"))
    call = next(n for n in syntax.nodes if isinstance(n, ast.Call))
    edit = drop_item(syntax, list(call.args), len(call.args) - 1)
    assert edit is not None
    assert apply(syntax.file.text, [edit]) == f"{after}\n"
