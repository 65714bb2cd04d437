"""Feeds damaged inputs to whatever reads them: each is read, or refused in one line, within seconds.

    python benchmarks/fuzz_hostile.py [--cases 50000] [--seed 0] [--slow 2.0]

A case takes a whole notebook, archive of arrays, idx file, results.json, pyproject.toml or .gitignore, and deletes,
doubles, swaps or replaces some of its bytes; or says the same some thousand times, and twice as often, which may take
twice as long; or spells a program in another way (encodings, full-width letters, names that are put together, a
notebook's escapes and lists), which must give the same named, in a folder and from standard input; or lays a tree of
folders, links, pipes, devices and damaged files around a program, which must be checked and fixed whatever lies beside
it, with nothing written outside of it. What raises anything else than its one error, what is lost, and what takes
longer than ``--slow`` seconds, is printed with the seed that makes it again (``--seed N --cases 1``). Exit code 1
where there was any.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from click.testing import CliRunner

from finallayer.check import run
from finallayer.check.check_error import CheckError
from finallayer.check.config import find
from finallayer.check.ignore import Patterns
from finallayer.cli import main as finallayer
from finallayer.compare.compare_error import BadInputError
from finallayer.compare.idx import read_idx
from finallayer.compare.npz import read_npz
from finallayer.compare.results import Results, Settings, environment, load
from finallayer.fix.text.documents import Document
from finallayer.rules import all_rules
from finallayer.source.files import Unreadable
from finallayer.source.imported import imported
from finallayer.source.reading import read

RULES = all_rules()
REFUSALS = (Unreadable, CheckError, BadInputError)
#: Pieces that mean something somewhere.
PIECES = [
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b"\\",
    b"\\ud800",
    b"null",
    b"1e999",
    b"NaN",
    b"9" * 5000,
    b"\0",
    b"\xff",
    b"\n",
]
PIECES += [b"import ", b"from ", b"(", b"%run ", b"cells", b"source", b"-1", b"\xef\xbb\xbf", b"=", b"'", b"#"]


class Kind(NamedTuple):
    """A kind of input: its file's name, whole bytes, and what reads it, which raises one of its errors or nothing."""

    name: str
    whole: bytes
    take: Callable[[Path], object]


def _source(path: Path) -> None:
    data = path.read_bytes()
    list(imported(data))
    file = read(path)
    _ = file.tree
    if Document(path, data).edited([]) != data:  # what is read and not changed stays, byte for byte
        raise AssertionError("not the same bytes")


def _ignored(path: Path) -> None:
    patterns = Patterns("/", path.read_bytes().decode(errors="replace").splitlines())
    for name in ("/a.py", "/a/b/c/xe ", "/build/a.ipynb"):
        patterns.covers(name)


def _kinds() -> list[Kind]:
    program = "import torch\nfrom model import (Net,  # x\n  Other)\n%time x = 1\n!ls\n"
    program += "loss = torch.log(torch.softmax(z, 1))\n"
    sources = (program, program.split("\n"), "")
    cells = [dict[str, object](cell_type="code", metadata={}, outputs=[], source=source) for source in sources]
    arrays = io.BytesIO()
    np.savez(arrays, x=np.arange(80.0).reshape(20, 4), y=np.arange(20) % 4)
    images = struct.pack(">BBBB3I", 0, 0, 8, 3, 4, 3, 2) + bytes(24)
    results = Results(
        Settings("digits", 1, 32, 1, ["torch"], ["float32"], ["raw"], ["logits"]), {"sha256": "0"}, environment({})
    )
    results.gradients = {"curves": []}
    settings = '[tool.finallayer]\nselect = ["FL1"]\nseverity = "error"\nper-file-ignores = { "a/*" = ["FL2"] }\n'
    return [
        Kind("a.ipynb", json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}).encode(), _source),
        Kind("a.py", program.replace("%", "# ").replace("!", "# ").encode(), _source),
        Kind("a.npz", arrays.getvalue(), lambda path: read_npz(path, ("x", "y"))),
        Kind("images", images, lambda path: read_idx(path, 3)),
        Kind("results.json", json.dumps(results.as_dict()).encode(), load),
        Kind(".gitignore", b"build/\n!*.py\n/a/**/[!b-d]?e\\ \n*.ipynb  \n", _ignored),
        Kind("pyproject.toml", settings.encode(), lambda path: find([path.parent], RULES)),
    ]


def _damaged(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((0, 1, 1, 2, 8, 64)))
        piece = rng.choice((b"", rng.choice(PIECES), rng.randbytes(rng.randint(1, 4)), data[start:end] * 2))
        data = data[:start] + piece + data[end:]
    return data


# The same, over and over

#: For twice as much, at most so many times as long, beside what a clock is off by on a busy machine.
MOST, NOISE_SECONDS = 2.3, 0.05


def _growth(path: Path, kind: Kind, rng: random.Random) -> None:
    """Say the same twice as often; raise where that takes more than twice as long, three times in a row."""
    unit = b"".join(rng.choice(PIECES[:10] + PIECES[11:]) for _ in range(rng.randint(1, 3)))
    at, times = rng.randrange(len(kind.whole) + 1), rng.randint(200, 4000)

    def seconds(count: int) -> float:
        path.write_bytes(kind.whole[:at] + unit * count + kind.whole[at:])
        began = time.process_time()
        with contextlib.suppress(*REFUSALS):
            kind.take(path)
        return time.process_time() - began

    for _ in range(3):
        once, twice = seconds(times), seconds(2 * times)
        if twice <= MOST * once + NOISE_SECONDS:
            return
    raise AssertionError(f"{unit!r} {times} times at {at} takes {once:.2f} s, twice as often {twice:.2f} s")


# Spellings

NAMES_OF_A_LOSS = ("torch", "softmax", "cross_entropy", "functional", "parts", "net")
PARTS = "import torch\nfrom torch import nn\n\nnet = nn.Sequential(nn.Linear(8, 3), nn.Softmax(dim=1))\n"
DOUBLE = """from parts import net
import torch.nn.functional as F
import torch


def step(x, y):
    return F.cross_entropy(torch.softmax(net(x), dim=1), y)
"""
ENCODINGS = ("utf-8", "utf-8-sig", "latin-1", "cp1251", "utf-7", "shift_jis", "koi8-r")


def _wide(word: str, rng: random.Random) -> str:
    """A name in letters that Python takes for its own."""
    letters = [chr(ord(c) + 0xFEE0) if c.isalpha() and rng.random() < 0.5 else c for c in word]
    return "".join(letters)


def _respelled(rng: random.Random) -> str:
    """The program in another spelling."""
    program = DOUBLE
    for word in rng.sample(NAMES_OF_A_LOSS, rng.randint(0, 3)):
        program = program.replace(word, _wide(word, rng))
    if "torch.softmax" in program and rng.random() < 0.4:
        at = rng.randint(1, 6)
        text = rng.choice(
            ("{a!r} + {b!r}", "{a!r} {b!r}", "\n{a!r}\n{b!r}\n", '\n"""{a}{b}"""\n', "''.join([{a!r}, {b!r}])")
        )
        program = program.replace("torch.softmax", f"getattr(torch, {text.format(a='softmax'[:at], b='softmax'[at:])})")
    if "from parts import net" in program and rng.random() < 0.4:
        how = rng.choice(
            ("importlib.import_module('par' + 'ts')", "__import__('par' 'ts')", "importlib.import_module(N)")
        )
        program = program.replace("from parts import net", f"import importlib\nN = 'parts'\nnet = {how}.net")
    comment = rng.choice(("", "# softmax\n", '"""A text.\n"""\n', "# '''\n", "x = f'{1}' # a\n", "'''a'''\n"))
    ends = rng.choice(("\n", "\n", "\r\n", "\r"))
    return (comment + program).replace("\n", ends)


def _as_file(program: str, rng: random.Random) -> tuple[str, bytes]:
    """Its name and bytes: a program in some encoding, or a notebook."""
    if rng.random() < 0.5:
        encoding = rng.choice(ENCODINGS)
        with contextlib.suppress(UnicodeEncodeError):
            return "train.py", (f"# coding: {encoding}\n" if encoding != "utf-8" else "").encode() + program.encode(
                encoding
            )
        return "train.py", program.encode()
    cuts = sorted(rng.sample(range(len(program)), rng.randint(0, 6)))
    parts = [program[a:b] for a, b in zip([0, *cuts], [*cuts, len(program)], strict=True)]
    source: object = program if rng.random() < 0.3 else parts
    text = json.dumps({"cells": [{"cell_type": "code", "source": source}], "metadata": {}, "nbformat": 4})
    for letter in rng.sample("stpoxm", rng.randint(0, 3)):
        text = text.replace(letter, f"\\u{ord(letter):04x}") if rng.random() < 0.3 else text
    return "train.ipynb", text.encode()


def _spelling(folder: Path, rng: random.Random) -> None:
    """Check a program, however it is spelled: named, in a folder, and from standard input. Raises where they differ."""
    name, data = _as_file(_respelled(rng), rng)
    (folder / name).write_bytes(data)
    (folder / "parts.py").write_text(PARTS)
    config = find([folder], RULES)
    ways: tuple[tuple[list[Path], tuple[str, bytes] | None], ...]
    ways = (([folder / name], None), ([folder], None), ([], (str(folder / name), data)))
    outcomes = [run.check(paths, config, RULES, stdin=stdin, use_cache=False, jobs=1) for paths, stdin in ways]
    found = [
        [(f.rule.code, f.origin.line) for f in o.findings if f.origin.path == str(folder / name)] for o in outcomes
    ]
    if not found[0] == found[1] == found[2]:
        raise AssertionError(f"named, in a folder, from standard input: {found}: {data!r}")


# Trees

UNSTABLE = """import torch
import torch.nn.functional as F


def loss(net, x, y):
    return -(y * torch.log(F.softmax(net(x), dim=1))).sum()
"""
NAMES = (
    "a",
    "b",
    ".git",
    "src",
    "é",
    "x y",
    "-",
    "[a]",
    "*",
    "\udcff",
    "__init__",
    "model",
    "torch",
    ".ipynb_checkpoints",
)
ENDINGS = ("", ".py", ".ipynb", ".yaml", ".pyc", ".PY", ".py.py")
PATTERNS = ("*", "!*", "a/", "/b", "**/a/**", "[", "[!a]*", "\\", "*.ipynb", "a" * 300, "**/" * 9 + "b", "#", "")


def _grow(folder: Path, kinds: list[Kind], rng: random.Random, depth: int = 0) -> None:
    """Lay whatever may lie in a folder."""
    for _ in range(rng.randint(0, 5)):
        place = folder / (rng.choice(NAMES) + rng.choice(ENDINGS))
        if os.path.lexists(place):
            continue
        what = rng.randrange(10)
        if what < 3 and depth < 4:
            place.mkdir()
            _grow(place, kinds, rng, depth + 1)
        elif what == 3:
            place.symlink_to(rng.choice((".", "..", "nowhere", place.name, "/dev/zero", "a", "b.py", "../" * 9)))
        elif what == 4:
            os.mkfifo(place)
        elif what == 5:
            place.write_text(
                "from " + rng.choice(("b", "model", "a.b", ".", "..")) + " import *\nimport a, program\n" + UNSTABLE
            )
        else:
            place.write_bytes(_damaged(rng.choice(kinds).whole, rng))
    if rng.random() < 0.2 and not os.path.lexists(folder / ".gitignore"):
        ignored = [rng.choice(PATTERNS) for _ in range(3)]
        (folder / ".gitignore").write_text("\n".join([*ignored, "!program.py", ""]))


def _state(folder: Path, but: Path) -> dict[str, bytes]:
    """What stands in every file of a tree but one."""
    inside = (Path(at) / name for at, _, names in os.walk(folder) for name in names)
    return {os.fsdecode(p): p.read_bytes() for p in inside if p != but and p.is_file() and not p.is_symlink()}


def _tree(folder: Path, kinds: list[Kind], rng: random.Random) -> None:
    """Check a program, and fix it, whatever lies beside it. Raises where it is lost, or anything else changed."""
    outside = folder.parents[1] / "elsewhere" / "outside.py"  # of no package around the tree
    outside.parent.mkdir(exist_ok=True)
    outside.write_text(UNSTABLE)
    program = folder / "program.py"
    program.write_text(UNSTABLE)
    (folder / "linked.py").symlink_to(outside)
    _grow(folder, kinds, rng)
    before = _state(folder, program)
    for verb in (
        ["check", "--no-cache"],
        ["fix", "--at", f"{program}:6"],
        ["fix", "--at", f"{folder / 'linked.py'}:6"],
    ):
        ended = CliRunner().invoke(finallayer, [*verb, str(folder)])
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        if "Traceback" in ended.output:
            raise AssertionError(ended.output)
        if verb[0] == "check" and "program.py:6" not in ended.stdout:
            raise AssertionError(f"the program's finding is lost: {ended.output!r}")
    if "log_softmax" not in program.read_text():
        raise AssertionError(f"the program is not fixed: {ended.output!r}")
    if outside.read_text() != UNSTABLE:
        raise AssertionError("a file outside was changed")
    if _state(folder, program) != before:
        raise AssertionError("another file was changed")


def _problem(seed: int, kinds: list[Kind], folder: Path) -> tuple[str, str, bool]:
    """What a case is of, what went wrong with it, and whether it was read."""
    rng = random.Random(seed)
    index = seed % (len(kinds) + 3)
    kind = kinds[index] if index < len(kinds) else rng.choice(kinds)
    name = kind.name if index < len(kinds) else (f"{kind.name}, grown", "a spelling", "a tree")[index - len(kinds)]
    place = folder / "case"
    place.mkdir()
    try:
        if index < len(kinds):
            (place / kind.name).write_bytes(_damaged(kind.whole, rng))
            kind.take(place / kind.name)
        elif index == len(kinds):
            _growth(place / kind.name, kind, rng)
        elif index == len(kinds) + 1:
            _spelling(place, rng)
        else:
            _tree(place, kinds, rng)
    except REFUSALS as error:
        return name, "" if str(error) and "\n" not in str(error) else f"not one line: {error!r}", False
    except Exception as error:
        return name, f"{type(error).__name__}: {error}", False
    finally:
        shutil.rmtree(place)
    return name, "", True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slow", type=float, default=2.0, help="processor seconds that are too many for one case")
    options = parser.parse_args()
    kinds = _kinds()
    faults, taken, worst = 0, 0, 0.0
    with tempfile.TemporaryDirectory() as around:
        folder = Path(around) / "work"
        folder.mkdir()
        for seed in range(options.seed, options.seed + options.cases):
            began = time.process_time()
            name, problem, was_read = _problem(seed, kinds, folder)
            seconds = time.process_time() - began
            taken, worst = taken + was_read, max(worst, seconds)
            problem = problem or (f"{seconds:.1f} s" if seconds > options.slow else "")
            if problem:
                faults += 1
                print(f"seed {seed}: {name}: {problem[:300]}", flush=True)
    print(f"{options.cases} cases: {faults} faults, {taken} read, the others refused; the slowest took {worst:.2f} s")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
