"""Reading a source file: decoding, one clear line for what isn't Python 3, and places in characters."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finallayer.source.files import MOST_CHARACTERS, SourceFile, Unreadable, parse
from finallayer.source.reading import decode, read


def why(data: bytes) -> str:
    with pytest.raises(Unreadable) as caught:
        read("a.py", data).tree  # noqa: B018 (parsing is what raises)
    message = str(caught.value)
    assert message and "\n" not in message
    return message


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"x = 1\r\ny = 2\r\n", "x = 1\ny = 2\n"),
        (b"x = 1\ry = 2", "x = 1\ny = 2"),
        (b"\xef\xbb\xbfx = 1\n", "x = 1\n"),
        ("# -*- coding: latin-1 -*-\ns = 'é'\n".encode("latin-1"), "# -*- coding: latin-1 -*-\ns = 'é'\n"),
        ("s = 'é'\n".encode(), "s = 'é'\n"),
        (b"", ""),
    ],
    ids=["CRLF", "CR", "byte order mark", "cookie", "UTF-8", "empty"],
)
def test_text_is_decoded_as_python_would(data: bytes, text: str) -> None:
    assert decode(data) == text
    assert isinstance(read("a.py", data).tree, ast.Module)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"print 'loss'\n", "Python 2, not Python 3 (line 1)"),
        (b"x = 1\ntry:\n    f()\nexcept E, e:\n    pass\n", "Python 2, not Python 3 (line 4)"),
        (b"if a <> b:\n    pass\n", "Python 2, not Python 3 (line 1)"),
        (b"exec 'x'\n", "Python 2, not Python 3 (line 1)"),
        (b"def f(:\n", "not Python 3: invalid syntax (line 1)"),
        (b"x = (1,\n", "not Python 3: '(' was never closed (line 1)"),
        (b"x = 1\0\n", "null bytes"),
        (b"x = '\xff'\n", "can't be decoded: invalid or missing encoding declaration"),
        (b"x = 1\ny = 2\nz = '\xff'\n", "can't be decoded: not utf-8 (line 3)"),
        (b"# coding: nonsense\n", "unknown encoding: nonsense"),
        (b"\xef\xbb\xbf# coding: latin-1\n", "can't be decoded"),
        (b"# coding: hex\n", "can't be decoded"),
        (b"(" * 5000 + b")" * 5000, "nested"),
        (b"x = " + b"-" * 100_000 + b"1", "nested too deeply"),
        (b"x = " + b"1+" * 100_000 + b"1", "nested too deeply"),
        (b"x = " + b"9" * 10_000, "not Python"),
        (b"#" * (MOST_CHARACTERS + 1), "too long to be read"),
    ],
)
def test_what_is_not_python_3_gets_one_line_that_says_so(data: bytes, says: str) -> None:
    assert says in why(data)


def test_a_file_that_can_not_be_opened_gets_one_line(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="can't be read: No such file or directory"):
        read(tmp_path / "absent.py")
    with pytest.raises(Unreadable, match="can't be read: Is a directory"):
        read(tmp_path)


def test_reading_shows_no_warnings_of_the_users_code(recwarn: pytest.WarningsRecorder) -> None:
    parse("x = '\\d'\nassert (1, 'always')\ny = 1 is 1\n")
    assert not recwarn.list


def test_columns_are_in_characters() -> None:
    file = SourceFile("a.py", "s = 'héé', f(x)\n")
    call = next(n for n in ast.walk(file.tree) if isinstance(n, ast.Call))
    origin = file.origin(call)
    assert file.text[origin.column : origin.end_column] == "f(x)"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8), min_size=1, max_size=4))
def test_every_place_cuts_out_its_own_text(strings: list[str]) -> None:
    file = SourceFile("a.py", "\n".join(f"f({s!r}, g(x))" for s in strings))
    calls = [n for n in ast.walk(file.tree) if isinstance(n, ast.Call) and ast.unparse(n) == "g(x)"]
    assert len(calls) == len(strings)
    for call in calls:
        origin = file.origin(call)
        assert file.lines[origin.line - 1][origin.column : origin.end_column] == "g(x)"


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_in_one_line(data: bytes) -> None:
    try:
        file = read("a.py", data)
        assert isinstance(file.tree, ast.Module)
    except Unreadable as error:
        assert str(error) and "\n" not in str(error)
    else:
        assert file.lines == file.text.split("\n")
