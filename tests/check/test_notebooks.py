"""Reading a notebook: its cells as one module, with every line and column where the reader sees it."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finallayer.expr import Origin
from finallayer.source.files import SourceFile, Unreadable
from finallayer.source.notebook import plain_python
from finallayer.source.reading import read


def code(source: str | list[str]) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "outputs": [], "metadata": {}}


def markdown(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": source}


def book(*cells: dict[str, Any], **more: Any) -> SourceFile:
    return read("book.ipynb", json.dumps({"cells": cells, "nbformat": 4, **more}).encode())


def test_code_cells_are_one_module_in_order() -> None:
    file = book(markdown("# title"), code("import torch\n"), code(["x = 1\n", "y = 2"]), code("z = x + y"))
    assert [ast.unparse(s) for s in file.tree.body] == ["import torch", "x = 1", "y = 2", "z = x + y"]
    assert not file.notes


def test_a_place_is_given_by_the_cell_among_all_cells_and_the_line_within_it() -> None:
    file = book(markdown("a"), code("x = 1\ny = 2"), markdown("b"), code("\nloss = f(\n    y)"))
    call = next(n for n in ast.walk(file.tree) if isinstance(n, ast.Call))
    place = file.in_cell(file.origin(call))
    assert (place.cell, place.line, place.column, place.end_line) == (3, 2, 7, 3)
    assert file.in_module(place) == file.origin(call)
    assert file.in_cell(place) == place  # once is enough


def test_its_reader_counts_the_code_cells_that_hold_something() -> None:
    """As Jupyter numbers them when all are run."""
    file = book(code("x = 1"), markdown("b"), code(" \n"), code("y = 2\nz = 3"), code(""))
    place = file.in_cell(file.origin(file.tree.body[2]))
    assert (place.cell, place.code_cell, place.line) == (3, 2, 2)
    assert file.shown_line(file.origin(file.tree.body[2])) == "line 2 of cell 2"
    named = Origin("book.ipynb", 2, end_line=2, code_cell=2)  # as a command line names it
    assert file.in_module(named).line == file.tree.body[2].lineno


def test_a_plain_file_has_no_cells() -> None:
    origin = Origin("a.py", 3, 0, 3, 4)
    assert SourceFile("a.py", "\n\nx = 1").in_cell(origin) == origin


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("%matplotlib inline\nx = 1", "pass\nx = 1"),
        ("!pip install torch \\\n  numpy\nx = 1", "pass\n\nx = 1"),
        ("if colab:\n    !pip install x\ny = 1", "if colab:\n    pass\ny = 1"),
        ("model?\nmodel.fit??\n?model\nx = 1", "pass\npass\npass\nx = 1"),
        ("files = !ls\nx, y = %config a\nz = 1", "pass\npass\nz = 1"),
        ("%%bash\nls\necho", "\n\n"),
        ("%%html\n<b>", "\n"),
        ("\n%%time\nx = 1", "\n\nx = 1"),
        ("%%capture out\n!ls\nx = 1", "\npass\nx = 1"),
        ("%time h = model.fit(x)", "0;    h = model.fit(x)"),
        ("%timeit -n 3 -r 2 f(x)", "0;                f(x)"),
        ("%time for i in x: pass", "pass"),
        ("%time", "pass"),
        ("%run -i a/b.py", "get_ipython().run_line_magic('run', '-i a/b.py')"),
        ("if x:\n    %run a.py", "if x:\n    pass"),
        (">>> x = 1\n>>> if x:\n...     y = 2\n>>>", "    x = 1\n    if x:\n        y = 2\n   "),
        ("In [1]: x = 1\n   ...: y = 2", "        x = 1\n        y = 2"),
        ("x = [1]\nx[\n... ]", "x = [1]\nx[\n... ]"),
        ("a = (b\n  % c)", "a = (b\n  % c)"),
        ("s = '''\n%not magic\n!not shell\nwhy?\n'''", "s = '''\n%not magic\n!not shell\nwhy?\n'''"),
        ("s = '''\n%kept\n'''\n%gone", "s = '''\n%kept\n'''\npass"),
        ("a = b \\\n  % c\n%gone", "a = b \\\n  % c\npass"),
        ("x = 'why?'\n%gone", "x = 'why?'\npass"),
        ("x = 1  # why?\n%gone", "x = 1  # why?\npass"),
        ("f(\n  '(', # (\n  '''(''')\n%gone", "f(\n  '(', # (\n  '''(''')\npass"),
    ],
)
def test_what_only_ipython_understands_is_blanked(source: str, kept: str) -> None:
    assert plain_python(source) == kept
    ast.parse(f"if True:\n{kept}" if kept[:1] == " " else kept)


_LINES = st.sampled_from(
    [
        *("%matplotlib inline", "!ls", "x?", "?x", "y = !ls", "%time z = 1", "    !ls", "%%time", "%%bash", "% \\"),
        *("x = 1", "f(a,", "  b)", "'''", '"""', "# %x?", "s = 'a?'", "if x:", "    y = 2", "\\", "", "é = '%'", "("),
    ]
)


@given(st.lists(_LINES, max_size=12))
def test_no_line_is_added_or_lost_and_kept_code_stays_in_its_columns(lines: list[str]) -> None:
    result = plain_python("\n".join(lines)).split("\n")
    assert len(result) == max(len(lines), 1)
    for before, after in zip(lines, result, strict=False):
        assert after == before or after.strip() in ("", "pass") or before.endswith(after.lstrip("0; "))


@given(st.lists(st.lists(_LINES, max_size=6).map("\n".join), max_size=5))
def test_any_cells_are_read_or_refused_and_each_place_is_found_again(sources: list[str]) -> None:
    try:
        file = book(*(code(s) for s in sources))
    except Unreadable as error:
        assert "\n" not in str(error)
        return
    for node in ast.walk(file.tree):
        if isinstance(node, ast.stmt) and file.lines[node.lineno - 1] != "if True:":  # ours, around an indented cell
            origin = file.origin(node)
            place = file.in_cell(origin)
            assert place.cell is not None and 1 <= place.line <= len(sources[place.cell].split("\n"))
            assert file.in_module(place) == origin


def test_a_cell_that_is_not_python_3_is_left_out_with_a_note() -> None:
    file = book(code("x = 1"), code("print 'x'"), code("def f(:"), code("y = x"))
    assert [ast.unparse(s) for s in file.tree.body] == ["x = 1", "y = x"]
    assert file.notes == ("cell 2 left out: Python 2, not Python 3 (line 1) (and 1 more)",)
    assert file.in_cell(file.origin(file.tree.body[1])).cell == 3


@pytest.mark.parametrize(
    "cell",
    [
        "    y = 2\n    z = y",
        "    y = 2\nz = y",
        "\n  # why\n  y = 2\n  z = y",
        "%%time\n    y = 2\n    !ls\n    z = y",
    ],
)
def test_an_indented_cell_is_what_ipython_makes_of_it(cell: str) -> None:
    file = book(code("x = 1"), code(cell), code("def f(:"), code("    u = x"))
    names = [n for n in ast.walk(file.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    assert {n.id for n in names} == set("xyzu")
    for name in names:
        place = file.in_cell(file.origin(name))
        assert place.cell is not None
        source = ["x = 1", cell, "def f(:", "    u = x"][place.cell].split("\n")
        assert source[place.line - 1][place.column] == name.id


def test_an_indentation_that_is_none_of_ipythons_stays_a_fault() -> None:
    file = book(code("x = 1"), code("    y = 2\n        z = y"))
    assert [ast.unparse(s) for s in file.tree.body] == ["x = 1"]
    assert file.notes[0].startswith("cell 2 left out")


def test_a_bracket_that_one_cell_leaves_open_does_not_reach_the_next() -> None:
    file = book(code("x = (1"), code("y = 2"))
    assert [ast.unparse(s) for s in file.tree.body] == ["y = 2"]


def test_the_old_format_keeps_its_cells_in_worksheets() -> None:
    cells = [{"cell_type": "heading", "source": "a"}, {"cell_type": "code", "input": ["x = 1\n", "y = 2"]}]
    file = read("old.ipynb", json.dumps({"nbformat": 3, "worksheets": [{"cells": cells}]}).encode())
    assert [ast.unparse(s) for s in file.tree.body] == ["x = 1", "y = 2"]
    assert file.in_cell(file.origin(file.tree.body[1]))[1:2] == (2,)


def test_the_notebook_of_another_language_is_an_empty_module() -> None:
    assert not book(code("x <- 1"), metadata={"kernelspec": {"language": "R"}}).tree.body


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"{", "broken JSON"),
        (b"", "broken JSON"),
        (b"[" * 100_000, "broken JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[]", "no list of cells"),
        (b'{"cells": 3}', "no list of cells"),
        (b"{}", "no list of cells"),
        (json.dumps({"cells": [code("print 'x'")]}).encode(), "Python 2"),
    ],
)
def test_what_is_not_a_notebook_gets_one_line_that_says_so(data: bytes, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        read("a.ipynb", data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["cells", "cell_type", "source", "metadata", "input"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(_JSON, st.lists(_JSON, max_size=3))
def test_any_json_is_read_or_refused(anything: Any, cells: list[Any]) -> None:
    for content in (anything, {"cells": cells}, {"worksheets": cells}, {"cells": [], "metadata": anything}):
        try:
            assert isinstance(read("a.ipynb", json.dumps(content).encode()).tree, ast.Module)
        except Unreadable as error:
            assert "\n" not in str(error)
