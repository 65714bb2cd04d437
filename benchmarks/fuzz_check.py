"""Checks broken and rearranged versions of real files: no crash, no hang, whatever a file holds.

    python benchmarks/fuzz_check.py FOLDER [--cases 2000] [--seed 0] [--slow 2.0]

A case takes a Python file of the folder and deletes, doubles, swaps or replaces some lines, tokens or characters. What
the checker could not analyse by its own fault, and what took longer than ``--slow`` seconds, is printed with the seed
that makes it again (``--seed N --cases 1``). Exit code 1 where there was any.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from collections.abc import Callable
from keyword import iskeyword
from pathlib import Path

from finallayer.check.judge import analyse
from finallayer.source import Project
from finallayer.source.files import Unreadable, parse

#: How often a version that is still Python is looked for; what isn't tests the reading only.
TRIES = 8

_TOKEN = re.compile(r"\w+|[^\w\s]|\s+")


def main() -> None:
    options = _options()
    files = sorted(f for f in options.folder.rglob("*.py") if f.is_file())
    if not files:
        sys.exit(f"{options.folder}: no Python files")
    crashes = slow = unreadable = 0
    worst = 0.0
    for seed in range(options.seed, options.seed + options.cases):
        file, text = mutated(files, random.Random(seed))
        start = time.process_time()
        analysis = analyse(str(file), Project(), text.encode(errors="surrogateescape"))
        seconds = time.process_time() - start
        worst = max(worst, seconds)
        faults = [note for note in analysis.notes if "please report this" in note]
        unreadable += bool(analysis.notes) and not faults
        for note in faults:
            print(f"seed {seed}: {file}: {note}")
        if seconds > options.slow:
            print(f"seed {seed}: {file}: {seconds:.1f} s")
        crashes += bool(faults)
        slow += seconds > options.slow
    print(f"{options.cases} cases of {len(files)} files: {crashes} crashes, {slow} slower than {options.slow} s,")
    print(f"{unreadable} no longer Python; the slowest took {worst:.2f} s")
    sys.exit(1 if crashes or slow else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slow", type=float, default=2.0, help="processor seconds that are too many for one file")
    return parser.parse_args()


def mutated(files: list[Path], rng: random.Random) -> tuple[Path, str]:
    """One of the files and a version of its text with a few pieces of one size moved about."""
    file = rng.choice(files)
    text = file.read_bytes().decode(errors="replace")
    for _ in range(TRIES):
        pieces = rng.choice(SIZES)(text)
        for _ in range(rng.randint(1, 4)):
            if pieces:
                rng.choice(CHANGES)(pieces, rng)
        if _is_python("".join(pieces)):
            break
    return file, "".join(pieces)


def _is_python(text: str) -> bool:
    try:
        parse(text)
    except Unreadable:
        return False
    return True


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text)


def _delete(pieces: list[str], rng: random.Random) -> None:
    del pieces[rng.randrange(len(pieces))]


def _double(pieces: list[str], rng: random.Random) -> None:
    at = rng.randrange(len(pieces))
    pieces.insert(at, pieces[at])


def _swap(pieces: list[str], rng: random.Random) -> None:
    a, b = rng.randrange(len(pieces)), rng.randrange(len(pieces))
    pieces[a], pieces[b] = pieces[b], pieces[a]


def _copy(pieces: list[str], rng: random.Random) -> None:
    pieces[rng.randrange(len(pieces))] = rng.choice(pieces)


def _rename(pieces: list[str], rng: random.Random) -> None:
    """A name in place of another: a call of what isn't a function, a layer for a tensor, a module for a number."""
    names = [i for i, piece in enumerate(pieces) if piece.isidentifier() and not iskeyword(piece)]
    if names:
        pieces[rng.choice(names)] = pieces[rng.choice(names)]


SIZES: tuple[Callable[[str], list[str]], ...] = (_lines, _tokens, _tokens, list)
CHANGES: tuple[Callable[[list[str], random.Random], None], ...] = (_delete, _double, _swap, _copy, _rename)


if __name__ == "__main__":
    main()
