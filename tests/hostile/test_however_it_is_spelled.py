"""What a file says is read however it is spelled: named, in a folder or from standard input, it gives the same."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from finallayer.check import run
from finallayer.check.code import code_of
from finallayer.check.config import find
from finallayer.cli import main
from finallayer.rules import all_rules
from finallayer.source.imported import asked_for_any, puts_names_together

from ..check.programs import DOUBLE, MODEL, TRAIN

RULES = all_rules()
PARTS = f"{MODEL}\nnet = Net()\ncriterion = nn.CrossEntropyLoss()\n"
STEP = "\n\ndef step(x, y):\n    return criterion(net(x), y)\n"
USES = f"from parts import criterion, net\n{STEP}"
ASKED = f"criterion, net = parts.criterion, parts.net\n{STEP}"
WIDE = str.maketrans({c: chr(ord(c) + 0xFEE0) for c in "abcdefghijklmnopqrstuvwxyz"})


def wide(text: str, *words: str) -> str:
    """A text with some words of it in full-width letters."""
    for word in words:
        text = text.replace(word, word[0] + word[1:].translate(WIDE))
    return text


def notebook(source: str | list[str]) -> bytes:
    cell: dict[str, object] = {"cell_type": "code", "metadata": {}, "outputs": [], "source": source}
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def escaped(source: str) -> bytes:
    """A notebook whose letters are all written as escapes."""
    at, _, rest = notebook("@").decode().partition("@")
    letters = "".join(f"\\u{ord(c):04x}" for c in source)
    return f"{at}{letters}{rest}".encode()


#: A double softmax each: the name of its file, and the bytes. `parts` is the model and its loss.
SPELLED: dict[str, tuple[str, bytes]] = {
    "plain": ("train.py", USES.encode()),
    "ends of lines of old Macintoshes": ("train.py", b"# a comment\r" + DOUBLE.replace("\n", "\r").encode()),
    "Latin-1": ("train.py", f"# coding: latin-1\n{USES.replace('parts', 'pàrts')}".encode("latin-1")),
    "Cyrillic": ("train.py", f"# coding: cp1251\n{USES.replace('parts', 'части')}".encode("cp1251")),
    "an encoding that is told late": ("train.py", f"#{'-' * 300}\n# coding: utf_7\n{DOUBLE}".encode()),
    "full-width operations": ("train.py", wide(DOUBLE, "softmax", "cross_entropy").encode()),
    "a full-width framework": ("train.py", wide(DOUBLE, "torch", "softmax", "entropy").encode()),
    "a full-width import": ("train.py", wide(USES, "parts").encode()),
    "an accent on its own": ("train.py", USES.replace("parts", "pa\u0301rts").encode()),
    "a name that is put together": (
        "train.py",
        DOUBLE.replace("torch.softmax(", "getattr(torch, 'soft' + 'max')(")
        .replace("F.cross_entropy", "getattr(F, 'cross_en' 'tropy')")
        .encode(),
    ),
    "a framework that is put together": (
        "train.py",
        DOUBLE.replace(
            "import torch\nimport torch.nn.functional as F", "T = __import__('tor' + 'ch')\nF = T.nn.functional"
        )
        .replace("torch.softmax", "T.softmax")
        .encode(),
    ),
    "a module that is put together": (
        "train.py",
        f"from importlib import import_module\nN = 'par' + 'ts'\nparts = import_module(N)\n{ASKED}".encode(),
    ),
    "a module by another name of the function": (
        "train.py",
        f"from importlib import import_module as find\nparts = find('par' 'ts')\n{ASKED}".encode(),
    ),
    "a name in brackets, as a long text": (
        "train.py",
        DOUBLE.replace("torch.softmax(", 'getattr(torch,\n"""softmax"""\n)(')
        .replace("F.cross_entropy", 'getattr(F,\n"""cross_entropy"""\n)')
        .encode(),
    ),
    "a program that is run as a text": (
        "train.py",
        f"parts = eval('__imp' + 'ort__(\"parts\")')\n{ASKED}".encode(),
    ),
    "a notebook's magic that is put together": (
        "train.ipynb",
        notebook(f"get_ipython().run_line_magic('r' 'un', 'parts')\n{STEP}"),
    ),
    "a notebook's cell in a cell": (
        "train.ipynb",
        notebook(f"get_ipython().run_cell_magic('time', '', 'from parts imp' 'ort *')\n{STEP}"),
    ),
    "a notebook of escapes": ("train.ipynb", escaped(USES)),
    "a notebook of escapes, in itself": ("train.ipynb", escaped(DOUBLE)),
    "a notebook whose words are in two": (
        "train.ipynb",
        notebook(["from parts imp", "ort criterion, net\n", *STEP.splitlines(True)]),
    ),
    "a notebook of letters": ("train.ipynb", notebook(list(DOUBLE))),
    "a notebook in full-width letters": ("train.ipynb", notebook(wide(DOUBLE, "torch", "softmax", "entropy"))),
    "a notebook in mathematical letters": ("train.ipynb", notebook(DOUBLE.replace("softmax", "𝐬oftmax"))),
}


@pytest.mark.parametrize("spelled", SPELLED)
def test_a_file_gives_the_same_named_in_a_folder_and_from_standard_input(tmp_path: Path, spelled: str) -> None:
    name, data = SPELLED[spelled]
    (tmp_path / name).write_bytes(data)
    for parts in ("parts", "pàrts", "части", "pa\u0301rts".replace("a\u0301", "á")):
        (tmp_path / f"{parts}.py").write_text(PARTS)
    given = []
    for paths, stdin in (([tmp_path / name], None), ([tmp_path], None), ([], (str(tmp_path / name), data))):
        outcome = run.check(paths, find([tmp_path], RULES), RULES, stdin=stdin, use_cache=False, jobs=1)
        given.append([(f.rule.code, f.origin.line) for f in outcome.findings])
    assert given[0] == given[1] == given[2] and [code for code, _ in given[0]] == ["FL101"]


#: Programs of which only a closer look says that something is left of them without comments and docstrings.
STRINGS = {
    "a comment behind a carriage return": b"# none\rloss = softmax\r",
    "a text in brackets": b'f(\n"""softmax"""\n)\n',
    "a text that a line goes on with": b'f = \\\n"""softmax"""\n',
    "quotes in a field": b"x = f\"{d[\"'''\"]}\"\na = '''\n'''\nsoftmax\n'''\nx'''\n",
    "quotes in a format": b'x = f"}} {x:{"#"}}"; softmax()\n',
    "a field that stands alone": b'f"""{softmax(x)}"""\n',
    "a line that ends within a text": b"x = 'a\\\r\nb'; y = '#'; softmax\r\n",
}


@pytest.mark.parametrize("text", STRINGS)
def test_only_what_is_surely_a_comment_or_a_docstring_is_left_out(text: str) -> None:
    assert b"softmax" in code_of("a.py", STRINGS[text])


def test_comments_and_docstrings_are_left_out() -> None:
    program = (
        b'"""softmax"""\n# softmax\r\ndef f(a):  # softmax\r    """softmax"""\n    x = f"{a}"\n    """softmax"""\n'
    )
    program += b"'''softmax'''\n"
    assert b"softmax" not in code_of("a.py", program)


ANY = {
    'import_module("a")': [],
    "from importlib import import_module\n": [],
    "from importlib import reload, import_module\n": [],
    "def import_module(x): pass": [],
    "import_module(x)": [""],
    'import_module("mo" + "del")': [""],
    'import_module("a.b." + x)': ["a.b"],
    'import_module(f"models.{x}")': ["models"],
    "f = importlib.import_module\n": [""],
    "from importlib import import_module as im\nim(x)": [""],
    'runpy.run_path("a.py")': [],
    "runpy.run_path(x)": [""],
    "\\nimport_module(x)": [""],
    "get_ipython().run_line_magic('matplotlib', 'inline')": [],
    "get_ipython().run_cell_magic('time', '', 'x = 1\\nfrom a import b\\n')": [],
    "get_ipython().run_line_magic('r' 'un', 'a')": [""],
    "get_ipython().run_line_magic('r\\x75n', 'a')": [""],
    "get_ipython().magic(line)": [""],
}


@pytest.mark.parametrize("asking", ANY)
def test_a_file_that_may_import_anything_is_known_as_such(asking: str) -> None:
    assert list(asked_for_any(asking.encode())) == ANY[asking]


@pytest.mark.parametrize(
    ("text", "together"),
    [
        ('getattr(x, "a")', False),
        ("getattr(x, name)", True),
        ('getattr(x, "a" + "b")', True),
        ('globals()["Net"]', False),
        ("globals()[name]", True),
        ('x.__dict__["a"]', False),
        ("g = getattr", True),
        ("model.eval()", False),
        ("eval(text)", True),
    ],
)
def test_a_file_that_puts_names_together_is_known_as_such(text: str, together: bool) -> None:
    assert puts_names_together(text.encode()) == together


READS = "\nn = Net()\n\n\ndef decide(x):\n    return n(x)[0, 1] > 0.5\n"
#: Programs beside the one that is fixed which read the model's output, and of which no analysis can be sure.
READERS: dict[str, tuple[str, bytes]] = {
    "a module that is put together": ("infer.py", f"N = 'mo' + 'del'\nNet = __import__(N).Net\n{READS}".encode()),
    "a module that is a setting": (
        "infer.py",
        f"import importlib, sys\nNet = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])\n{READS}".encode(),
    ),
    "a file that is run by name": (
        "infer.py",
        f"import runpy\nNet = runpy.run_module('model')['Net']\n{READS}".encode(),
    ),
    "a file that is run by a name": (
        "infer.py",
        f"import runpy, sys\nNet = runpy.run_path(sys.argv[1])[sys.argv[2]]\n{READS}".encode(),
    ),
    "a program that can't be decoded": ("infer.py", f"from model import Net\n{READS}# \xff".encode("latin-1")),
    "a program that isn't Python 3": ("infer.py", f"from model import Net\n{READS}print 1".encode()),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_fix_that_such_a_program_may_read_is_not_safe(tmp_path: Path, reader: str) -> None:
    name, data = READERS[reader]
    (tmp_path / name).write_bytes(data)
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "pyproject.toml").touch()
    outcome = run.check([tmp_path / "train.py"], find([tmp_path], RULES), RULES, use_cache=False, jobs=1, fixes=True)
    fixes = [f.fix for f in outcome.findings]
    assert [fix is not None and not fix.safe and name in fix.note for fix in fixes] == [True]


READ: dict[str, tuple[str, bytes]] = {
    "in Latin-1": ("infer.py", f"# coding: latin-1\nfrom modèle import Net\n{READS}".encode("latin-1")),
    "in full-width letters": ("infer.py", wide(f"from modèle import Net\n{READS}", "Net").encode()),
    "in a notebook's two texts": ("infer.ipynb", notebook(["from modèle imp", "ort Net\n", *READS.splitlines(True)])),
    "in a notebook's escapes": ("infer.ipynb", escaped(f"from modèle import Net\n{READS}")),
    "in a window's program": ("infer.pyw", f"from modèle import Net\n{READS}".encode()),
    "in a script": ("infer", f"#!/usr/bin/env python3\nfrom modèle import Net\n{READS}".encode()),
}


@pytest.mark.parametrize("reader", READ)
def test_a_reader_is_changed_along_however_it_is_written(tmp_path: Path, reader: str) -> None:
    name, data = READ[reader]
    (tmp_path / name).write_bytes(data)
    (tmp_path / name).chmod(0o755)
    (tmp_path / "modèle.py").write_text(MODEL)
    (tmp_path / "train.py").write_text(TRAIN.replace("model", "modèle"))
    (tmp_path / "pyproject.toml").touch()
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert CliRunner().invoke(main, ["fix", "train.py"]).exit_code == 0
    finally:
        os.chdir(before)
    fixed = (tmp_path / name).read_bytes()
    assert b"softmax" in fixed and b"softmax" not in (tmp_path / "modèle.py").read_bytes()
