"""Feeds damaged inputs to whatever reads them: each is read, or refused in one line, within seconds.

    python benchmarks/fuzz_hostile.py [--cases 50000] [--seed 0] [--slow 2.0]

A case takes a whole notebook, archive of arrays, idx file, results.json or pyproject.toml, and deletes, doubles, swaps
or replaces some of its bytes. What raises anything else than its one error, and what takes longer than ``--slow``
seconds, is printed with the seed that makes it again (``--seed N --cases 1``). Exit code 1 where there was any.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from finallayer.check.check_error import CheckError
from finallayer.check.config import find
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
        Kind("pyproject.toml", settings.encode(), lambda path: find([path.parent], RULES)),
    ]


def _damaged(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((0, 1, 1, 2, 8, 64)))
        piece = rng.choice((b"", rng.choice(PIECES), rng.randbytes(rng.randint(1, 4)), data[start:end] * 2))
        data = data[:start] + piece + data[end:]
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slow", type=float, default=2.0, help="processor seconds that are too many for one case")
    options = parser.parse_args()
    kinds = _kinds()
    faults, taken, worst = 0, 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seed, options.seed + options.cases):
            rng = random.Random(seed)
            kind = kinds[seed % len(kinds)]
            path = Path(folder) / kind.name
            path.write_bytes(_damaged(kind.whole, rng))
            began = time.process_time()
            try:
                kind.take(path)
                taken += 1
            except (Unreadable, CheckError, BadInputError) as error:
                problem = "" if str(error) and "\n" not in str(error) else f"not one line: {error!r}"
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                problem = ""
            seconds = time.process_time() - began
            worst = max(worst, seconds)
            problem = problem or (f"{seconds:.1f} s" if seconds > options.slow else "")
            if problem:
                faults += 1
                print(f"seed {seed}: {kind.name}: {problem[:300]}")
            path.unlink()
    print(f"{options.cases} cases: {faults} faults, {taken} read, the others refused; the slowest took {worst:.2f} s")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
