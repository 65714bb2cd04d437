"""Why a file can't be parsed: it is of another Python, and which."""

from __future__ import annotations

import sys

import pytest

from finallayer.source.files import Unreadable, parse
from finallayer.source.versions import written_for


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("print 'x'", "Python 2,"),
        ("except OSError, e:", "Python 2,"),
        ("except OSError, ValueError:", "Python 3.14 or newer"),
        ("except errors.A, B, C:", "Python 3.14 or newer"),
        ("s = t'{x}'", "Python 3.14 or newer"),
        ("def first[T](x: T) -> T:", "Python 3.12 or newer"),
        ("type Pair[T] = tuple[T, T]", "Python 3.12 or newer"),
        ("print(f'{', '.join(x)}')", "Python 3.12 or newer"),
        ("print(f'{{}} {d['a']!r:>8}')", "Python 3.12 or newer"),
        ("x = x.cuda(async=True)", "Python before 3.7"),
        ("print(f'{')", ""),
        ("print(f'{a b}' '')", ""),
        ("def f(:", ""),
        ("x = 'type a = 1", ""),
    ],
)
def test_the_python_that_a_line_is_of(line: str, says: str) -> None:
    version = written_for("invalid syntax", line)
    if "newer" in says and sys.version_info >= tuple(map(int, says.split()[1].split("."))):
        return
    assert version.startswith(says) and bool(version) == bool(says)


def test_a_file_that_can_t_be_parsed_says_so() -> None:
    with pytest.raises(Unreadable, match=r"Python before 3\.7 .*line 2"):
        parse("y = 1\nx = y.cuda(async=True)\n")
