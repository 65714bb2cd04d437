"""Whatever a file looks like, only what a fix is about changes, to the byte."""

from __future__ import annotations

import ast
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finallayer.findings import Edit
from finallayer.fix.text.documents import ChangedMeanwhileError, Document, write_together
from finallayer.fix.text.edits import ConflictError, apply

from ..workbench import fixed, fixed_bytes, repaired

HEAD = "import torch\nimport torch.nn.functional as F\n\nnet = torch.nn.Linear(3, 3)\n\n"
BEFORE = HEAD + "def loss(x, y):\n    p = F.softmax(net(x), dim=1)\n    return torch.log(p), p  # größer\n"
AFTER = (
    HEAD + "def loss(x, y):\n    logits = net(x)\n    p = F.softmax(logits, dim=1)\n"
    "    return F.log_softmax(logits, dim=1), p  # größer\n"
)

#: how the program is written -> the codec, and what is done to the text
ENCODED = {
    "CRLF": ("utf-8", lambda text: text.replace("\n", "\r\n")),
    "CR": ("utf-8", lambda text: text.replace("\n", "\r")),
    "a byte order mark": ("utf-8-sig", lambda text: text),
    "a byte order mark and CRLF": ("utf-8-sig", lambda text: text.replace("\n", "\r\n")),
    "another encoding": ("latin-1", lambda text: "# -*- coding: latin-1 -*-\n" + text),
    "tabs": ("utf-8", lambda text: text.replace("    ", "\t")),
    "no end of line at the end": ("utf-8", lambda text: text.removesuffix("\n")),
    "blanks at the ends of lines": ("utf-8", lambda text: text.replace("as F\n", "as F  \n")),
    "a form feed": ("utf-8", lambda text: text.replace("\n\ndef", "\n\x0c\ndef")),
    "wide characters before": ("utf-8", lambda text: text.replace("    return ", "    s = '😀é'; return ")),
}


@pytest.mark.parametrize(("codec", "style"), ENCODED.values(), ids=ENCODED)
def test_a_file_keeps_its_encoding_and_line_ends(tmp_path: Path, codec: str, style: object) -> None:
    assert callable(style)
    assert fixed_bytes(tmp_path, style(BEFORE).encode(codec)) == style(AFTER).encode(codec)


#: what is shown -> (before, after)
LAID_OUT = {
    "a comment in the call": (
        "def loss(x, y):\n    return -torch.log(\n        F.softmax(  # rows\n            net(x), dim=1)).sum()\n",
        "def loss(x, y):\n    # rows\n    return -F.log_softmax(net(x), dim=1).sum()\n",
    ),
    "continuation lines": (
        "def loss(x, y):\n    p = F.softmax(\n        net(x)\n        + net(y),  # both\n        dim=1,\n    )\n"
        "    return y * \\\n        torch.log(p), p\n",
        "def loss(x, y):\n    logits = (net(x)\n        + net(y))\n    p = F.softmax(\n"
        "        logits,  # both\n        dim=1,\n    )\n"
        "    return y * \\\n        F.log_softmax(logits, dim=1), p\n",
    ),
    "a call that is broken for its one argument": (
        "def loss(x, y):\n    p = torch.sigmoid(\n        net(x * y +\n            y - x).sum(1)\n    )\n"
        "    return torch.log(p), p\n",
        "def loss(x, y):\n    logits = net(x * y +\n                 y - x).sum(1)\n    p = torch.sigmoid(logits)\n"
        "    return F.logsigmoid(logits), p\n",
    ),
    "statements on one line": (
        "def loss(x, y):\n    a = 1; p = F.softmax(net(x), dim=1); return torch.log(p), p\n",
        "def loss(x, y):\n"
        "    a = 1; logits = net(x); p = F.softmax(logits, dim=1); return F.log_softmax(logits, dim=1), p\n",
    ),
    "a function on one line": (
        "def loss(x, y): p = F.softmax(net(x), dim=1); return torch.log(p), p\n",
        "def loss(x, y): logits = net(x); p = F.softmax(logits, dim=1); return F.log_softmax(logits, dim=1), p\n",
    ),
    "a decorator": (
        "@torch.compile\ndef loss(x, y):\n    return torch.log(F.softmax(net(x), 1))  # ok\n",
        "@torch.compile\ndef loss(x, y):\n    return F.log_softmax(net(x), 1)  # ok\n",
    ),
    "a lambda": (
        "loss = lambda x, y: -torch.log(F.softmax(net(x), dim=1)).mean()\nl = loss(torch.load('x'), 0)\n",
        "loss = lambda x, y: -F.log_softmax(net(x), dim=1).mean()\nl = loss(torch.load('x'), 0)\n",
    ),
    "odd spaces": (
        "def loss( x,y ) :\n    return torch . log( F . softmax( net(x) ,dim = 1 ) )\n",
        "def loss( x,y ) :\n    return F.log_softmax(net(x), dim=1)\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), LAID_OUT.values(), ids=LAID_OUT)
def test_any_layout(tmp_path: Path, before: str, after: str) -> None:
    assert fixed(tmp_path, HEAD + before) == HEAD + after


def test_an_import_is_added_once_beside_its_like(tmp_path: Path) -> None:
    program = (
        '"""Losses."""\n\nfrom __future__ import annotations\n\n'
        "import jax.numpy as jnp  # arrays\nfrom jax import grad\n"
        "import numpy as np\n\n"
        "def loss(w, x):\n    p = 1 / (1 + jnp.exp(-(x @ w)))\n    return jnp.sum(jnp.log(p) + jnp.log(1 - p)), p\n\n"
        "g = grad(loss)\n"
    )
    new = fixed(tmp_path, program)
    assert new.startswith(program.partition("import numpy")[0] + "import jax\nimport numpy as np\n")
    assert new.count("import jax\n") == 1
    assert "jax.nn.log_sigmoid(logits) + jax.nn.log_sigmoid(-logits)" in new


def notebook(*sources: str | list[str], **style: object) -> str:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Größe\n", "text"]},
        *(
            {
                "cell_type": "code",
                "execution_count": i,
                "metadata": {"x": 1.50},
                "outputs": [{"name": "stdout", "text": ["é\u2028"]}],
                "source": source,
            }
            for i, source in enumerate(sources)
        ),
    ]
    book = {"cells": cells, "metadata": {"kernelspec": {"language": "python"}}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(book, **style)  # type: ignore[arg-type]


STYLES = {
    "as Jupyter writes it": {"indent": 1, "ensure_ascii": False},
    "in one line": {"separators": (",", ":")},
    "with tabs": {"indent": "\t", "ensure_ascii": True},
    "with its keys sorted": {"sort_keys": True, "indent": 2},
}


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("as_lines", [True, False])
def test_a_notebook_keeps_every_byte_but_the_edited_source(
    tmp_path: Path, style: dict[str, object], as_lines: bool
) -> None:
    def cells(*texts: str) -> list[str | list[str]]:
        return [t.splitlines(keepends=True) if as_lines else t for t in texts]

    use = "%matplotlib inline\nl = torch.log(p)  # é"
    before = notebook(*cells(HEAD, "p = F.softmax(net(torch.load('x')), dim=1)\nprint(p)", use), **style) + "\n"
    after = notebook(
        *cells(
            HEAD,
            "logits = net(torch.load('x'))\np = F.softmax(logits, dim=1)\nprint(p)",
            use.replace("torch.log(p)", "F.log_softmax(logits, dim=1)"),
        ),
        **style,
    )
    assert fixed_bytes(tmp_path, before.encode(), "book.ipynb").decode() == after + "\n"


def test_a_notebook_keeps_the_empty_line_that_ends_its_list(tmp_path: Path) -> None:
    before = notebook(["import torch\n", "l = torch.log(torch.softmax(torch.load('x'), 1))\n", ""], indent=1)
    after = before.replace("torch.log(torch.softmax(torch.load('x'), 1))", "torch.log_softmax(torch.load('x'), 1)")
    assert fixed_bytes(tmp_path, before.encode(), "book.ipynb").decode() == after != before


def test_writing_keeps_permissions_and_links(tmp_path: Path) -> None:
    file, link = tmp_path / "real.py", tmp_path / "link.py"
    file.write_text("a = 1\n")
    file.chmod(0o754)
    link.symlink_to(file)
    write_together([(Document.read(link), b"a = 2\n")])
    assert link.is_symlink()
    assert file.read_text() == "a = 2\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o754
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.py", "real.py"]


def test_a_file_that_has_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text(BEFORE)
    ((document, new),) = repaired(file).changed
    file.write_text(BEFORE + "# edited\n")
    with pytest.raises(ChangedMeanwhileError):
        write_together([(document, new)])
    assert file.read_text() == BEFORE + "# edited\n"


# Edits


def edit(line: int, column: int, end_line: int, end_column: int, text: str) -> Edit:
    return Edit("a.py", line, column, end_line, end_column, text)


@given(st.text("ab\n", max_size=30), st.data())
def test_an_edit_changes_its_range_and_nothing_else(text: str, data: st.DataObject) -> None:
    lines = text.split("\n")
    start_line = data.draw(st.integers(1, len(lines)))
    start = data.draw(st.integers(0, len(lines[start_line - 1])))
    end_line = data.draw(st.integers(start_line, len(lines)))
    end = data.draw(st.integers(start if end_line == start_line else 0, len(lines[end_line - 1])))
    before = "\n".join([*lines[: start_line - 1], lines[start_line - 1][:start]])
    after = "\n".join([lines[end_line - 1][end:], *lines[end_line:]])
    assert apply(text, [edit(start_line, start, end_line, end, "NEW")]) == before + "NEW" + after


def test_edits_that_overlap_conflict() -> None:
    with pytest.raises(ConflictError):
        apply("abcdef", [edit(1, 0, 1, 3, "x"), edit(1, 2, 1, 4, "y")])


def test_equal_edits_are_made_once() -> None:
    assert apply("ab", [edit(1, 1, 1, 1, "x"), edit(1, 1, 1, 1, "x")]) == "axb"


# Layouts that nobody thought of

SPACES = st.sampled_from(["", " ", "  ", " \\\n "])
BREAKS = st.sampled_from(["", " ", "\n        ", "  # why\n        ", "\n\n  "])


@settings(max_examples=25)
@given(
    st.lists(SPACES, min_size=3, max_size=3), st.lists(BREAKS, min_size=8, max_size=8), st.sampled_from(["\n", "\r\n"])
)
def test_fuzzed_layouts_parse_and_mean_the_same(
    tmp_path_factory: pytest.TempPathFactory, spaces: list[str], breaks: list[str], end: str
) -> None:
    s, b = spaces, breaks
    program = HEAD + (
        f"def loss(x, y):\n    p{s[0]}={s[1]}F.softmax({b[0]}net({b[1]}x{b[2]}){b[3]},{b[4]}dim{b[5]}=1{b[6]})\n"
        f"    return -(y{s[2]}* torch.log({b[7]}p)), p\n"
    )
    new = fixed_bytes(tmp_path_factory.mktemp("fuzz"), program.replace("\n", end).encode()).decode()
    assert end == "\n" or "\n" not in new.replace("\r\n", "")
    expected = AFTER.replace("return F.log_softmax(logits, dim=1), p", "return -(y * F.log_softmax(logits, dim=1)), p")
    assert ast.dump(ast.parse(new)) == ast.dump(ast.parse(expected))


def test_a_cell_whose_last_line_goes_ends_without_a_line_break_as_before(tmp_path: Path) -> None:
    def book(last: str, loss: str) -> bytes:
        model = ["import keras\n", "model = keras.Sequential()\n", "model.add(keras.layers.Dense(3))" + last]
        cells: list[dict[str, object]] = [
            {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source}
            for source in ("".join(model).splitlines(keepends=True), [f'model.compile("adam", {loss})'])
        ]
        return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()

    before = book('\nmodel.add(keras.layers.Activation("softmax"))', '"categorical_crossentropy"')
    after = book("", "keras.losses.CategoricalCrossentropy(from_logits=True)")
    assert fixed_bytes(tmp_path, before, "book.ipynb") == after
