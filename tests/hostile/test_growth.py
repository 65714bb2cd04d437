"""What is twice as long takes twice as long: no pattern, and no scan, explodes."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from finallayer.check import chunk, config, glance
from finallayer.check.code import code_of
from finallayer.check.ignore import Patterns, _compiled, parse
from finallayer.check.judge import analyse
from finallayer.source import Project, notebook
from finallayer.source.files import Unreadable
from finallayer.source.imported import (
    asked_by_text,
    asked_for_any,
    attributes,
    imported,
    puts_names_together,
    run_by_text,
    runs_a_text,
)
from finallayer.source.plain import plain

pytestmark = pytest.mark.timeout(60)

#: For twice as much, at most so many times as long, beside what a clock is off by.
MOST, NOISE_SECONDS = 2.3, 0.02
TORCH = b"import torch\nfrom torch import nn\n"

Generator = Callable[[int], bytes]


def ignored(pattern: str, path: str) -> None:
    Patterns("/", [pattern]).verdict("/" + path)


def imports(data: bytes) -> None:
    for scan in (imported, asked_by_text, run_by_text, attributes):
        list(scan(data))
    list(asked_for_any(data))
    puts_names_together(data)
    runs_a_text(data)
    plain("a.py", data)
    plain("a.ipynb", data)
    glance._says_an_operation(data)
    code_of("a.py", data)


def cell(data: bytes) -> None:
    with suppress(Unreadable):
        notebook.read("a.ipynb", json.dumps({"cells": [{"cell_type": "code", "source": data.decode()}]}).encode())


def program(data: bytes) -> None:
    analyse("/absent/a.py", Project(), data)


def lines(line: str, start: bytes = b"") -> Generator:
    """A program of so many lines, each with its number."""
    return lambda n: TORCH + start + b"".join(line.format(i=i, j=i + 1).encode() for i in range(n))


#: What reads it -> what is read, of a size; and the size to begin with.
READ: dict[str, tuple[Callable[[bytes], None], Generator, int]] = {
    "brackets that are never closed": (imports, lambda n: b"from a import(" * n, 2000),
    "brackets that are closed at the end": (imports, lambda n: b"from a import(" * n + b")", 2000),
    "comments in brackets": (imports, lambda n: b"from a import(#\n" * n, 2000),
    "one long line": (imports, lambda n: b"from a import b \\\n" * n, 2000),
    "texts of a list": (imports, lambda n: b'"a", ' * n, 8_000),
    "texts of spaces": (imports, lambda n: b'"' + b" " * n + b'"' + b" " * n + b",", 8_000),
    "escapes": (imports, lambda n: b"\\u0041" * n, 8_000),
    "letters of the full width": (imports, lambda n: "ａ".encode() * n, 8_000),
    "a word, and one letter": (imports, lambda n: b"a" * n + "é".encode(), 8_000),
    "a function that is asked": (imports, lambda n: b"getattr(" * n, 4_000),
    "texts that are run": (imports, lambda n: b"eval('a', " * n, 4_000),
    "texts of a magic": (imports, lambda n: b"magic(" + b"'a', " * n, 4_000),
    "functions that are asked": (imports, lambda n: b"import_module as a" * n, 4_000),
    "fields of f-strings": (imports, lambda n: b'f"{a}" ' * n, 4_000),
    "long texts that stand alone": (imports, lambda n: b'"""a"""\n(' * n, 4_000),
    "long texts that never end": (imports, lambda n: b'"""' + b"'''a\n" * n, 4_000),
    "from and from": (imports, lambda n: b"from " * n + b"import a", 8_000),
    "spaces": (imports, lambda n: b" " * n + b"import" + b" " * n + b"a" + b" " * n + b"as", 8_000),
    "joined lines": (imports, lambda n: b"\\\n" * n + b"import a", 5_000),
    "names": (imports, lambda n: b"from a import " + b"b as c, " * n, 5_000),
    "packages in packages": (imports, lambda n: b"import " + b"a." * n + b"b", 8_000),
    "levels": (imports, lambda n: b"from " + b"." * n + b"b import c", 8_000),
    "dots": (imports, lambda n: b"." + b"\\n" * n + b". " * n, 8_000),
    "folders that are run": (imports, lambda n: b'exec("' + b"../" * n, 8_000),
    "options of a run": (imports, lambda n: b"%run " + b"-a " * n + b"$", 8_000),
    "an assignment": (cell, lambda n: b"!ls\nx " + b" " * n + b"y\n", 8_000),
    "an assignment of a shell": (cell, lambda n: b"x = " + b" " * n + b"!ls\n", 8_000),
    "a question": (cell, lambda n: b"!ls\nx" + b" " * n + b"?" + b" " * n + b"y\n", 8_000),
    "options of a magic": (cell, lambda n: b"%time " + b"-a 1 " * n + b"\n", 5_000),
    "prompts": (cell, lambda n: b">>> x\n" * n, 500),
    "magics": (cell, lambda n: b"%time x = 1\n" * n, 300),
    "quotes": (cell, lambda n: b"!ls\n" + b'"""' * n, 1_000),
    "statements": (program, lines("x{i} = torch.exp(z)\n"), 60),
    "layers": (program, lines("x{i} = nn.Linear(1, 1)\n"), 60),
    "one name": (program, lines("x = torch.exp(x)\n", b"x = z\n"), 60),
    "functions": (program, lines("def f{i}(x):\n    return torch.log(torch.softmax(x, 1))\n"), 40),
    "conditions": (program, lines("if a{i}:\n    x = torch.exp(x)\n", b"x = z\n"), 40),
    "a list of numbers": (program, lambda n: TORCH + b"x = [" + b"1, " * n + b"]\n", 5_000),
    "imports of nothing": (program, lines("import a{i}\n"), 60),
    "classes in a line": (program, lines("class C{j}(C{i}):\n    pass\n", b"class C0(nn.Module):\n    pass\n"), 500),
}
#: A pattern, and a path that it nearly matches, of a size.
MATCHED: dict[str, Callable[[int], tuple[str, str]]] = {
    "a name": lambda n: ("*a*a*a*a*a*b", "a" * 100 * n),
    "stars": lambda n: ("*a" * n + "*b", "a" * 2 * n),
    "stars and marks": lambda n: ("?*" * n + "b", "a" * 2 * n),
    "folders": lambda n: ("**/a/" * n + "b", "a/" * 3 * n + "c"),
    "folders of two": lambda n: ("**/a/*b/" * n + "c", "a/ab/" * 2 * n + "d"),
}


@pytest.fixture(autouse=True)
def without_collection() -> Iterator[None]:
    """As files are analysed: a look for garbage would take as long as all that other tests have left."""
    gc.disable()
    yield
    gc.enable()


def must_grow_with(act: Callable[[int], Callable[[], object]], size: int) -> None:
    """Each doubling takes little more than twice as long, of the best of several tries."""
    for _ in range(4):
        took = [_seconds(act(size * times)) for times in (1, 2, 4)]
        if took[1] <= MOST * took[0] + NOISE_SECONDS and took[2] <= MOST * took[1] + NOISE_SECONDS:
            return
    raise AssertionError(f"{took} seconds")


def _seconds(act: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(2):
        began = time.process_time()
        act()
        best = min(best, time.process_time() - began)
    return best


@pytest.mark.parametrize("what", READ)
def test_what_is_read_grows_as_it_is_long(what: str) -> None:
    read, generate, size = READ[what]

    def act(n: int) -> Callable[[], object]:
        data = generate(n)
        return lambda: read(data)

    must_grow_with(act, size)


#: Lines of a .gitignore, or an exclude; each line long, or many of them.
PATTERNS: dict[str, tuple[Callable[[int], list[str]], int]] = {
    "brackets that are never closed": (lambda n: ["[" * n], 4000),
    "brackets of which one is closed": (lambda n: ["[" * n + "]"], 4000),
    "classes": (lambda n: ["[a-z]*" * n], 200),
    "spaces within": (lambda n: ["a" + " " * n + "b"], 4000),
    "backslashes": (lambda n: ["\\" * n + " "], 4000),
    "very many": (lambda n: [f"z{i}*x" for i in range(n)], 4000),
    "very many of names": (lambda n: [f"z{i}/" for i in range(n)], 4000),
}


@pytest.mark.parametrize("unit", [b"'1e9a", b"a.", b"a .", b". ", b'"a".'], ids=repr)
def test_settings_grow_as_they_are_long(unit: bytes) -> None:
    def act(n: int) -> Callable[[], object]:
        return lambda: config._LONG_KEY.search(b"x = [" + unit * n)

    must_grow_with(act, 4000)


@pytest.mark.parametrize("what", PATTERNS)
def test_patterns_grow_as_they_are_long(what: str) -> None:
    generate, size = PATTERNS[what]

    def act(n: int) -> Callable[[], object]:
        lines = generate(n)

        def judged() -> None:
            parse.cache_clear()
            _compiled.cache_clear()
            Patterns("/", lines).covers("/some/path/[[[[[/z5bx.py")

        return judged

    must_grow_with(act, size)


@pytest.mark.parametrize("what", MATCHED)
def test_what_is_matched_grows_as_it_is_long(what: str) -> None:
    def act(n: int) -> Callable[[], object]:
        pattern, path = MATCHED[what](n)
        return lambda: ignored(pattern, path)

    must_grow_with(act, 50)


def test_what_imports_one_module_grows_as_there_is_of_it(tmp_path: Path) -> None:
    hub = TORCH + b"net = nn.Linear(2, 3)\ndef loss(z, y):\n    return nn.functional.nll_loss(z, y)\n"
    importer = "from hub import net, loss\ndef step(x, y):\n    return loss(net(x), y + {i})\n"

    def act(n: int) -> Callable[[], object]:
        folder = tmp_path / str(n)
        folder.mkdir(exist_ok=True)
        (folder / "hub.py").write_bytes(hub)
        for i in range(n):
            (folder / f"m{i}.py").write_text(importer.format(i=i))
        paths = sorted(map(str, folder.iterdir()))
        return lambda: chunk.analyse_chunk(paths, fixes=False)

    must_grow_with(act, 60)
