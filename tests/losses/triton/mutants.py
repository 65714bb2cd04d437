"""Plants known mistakes in the GPU kernel, and prints those that go unseen: ``python -m tests.losses.triton.mutants``.

Triton reads a kernel's source where it stands, so each mutant is a copy of the package with one change. It is judged by
checks of `rows.py`.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from . import interpreted, rows  # isort: skip

from finallayer.kernels import triton as package

SOURCE = Path(str(package.__file__)).parent


class Mutant(NamedTuple):
    """What stands once in a module, what takes its place, and the checks that should see it."""

    name: str
    module: str
    old: str
    new: str
    part: str
    in_blocks: bool = False


MUTANTS = (
    Mutant(
        "masked classes count", "exponentials", "tl.where(z <= cut, 0.0, small * power)", "small * power", "margins"
    ),
    Mutant(
        "log2(e) in one piece",
        "exponentials",
        "tl.fma(z, LOG2E_LOW, tl.fma(z, LOG2E, -n))",
        "tl.fma(z, LOG2E, -n)",
        "margins",
    ),
    Mutant("a confident row by subtraction", "exponentials", "q >= -1.0", "q >= 0.0", "margins"),
    Mutant(
        "log(1 + x) as it stands",
        "exponentials",
        "log_one_plus(others * e), tl",
        "tl.log(1.0 + others * e), tl",
        "margins",
    ),
    Mutant("1 - softmax by subtraction", "float_rows", "-(pull * others)", "(pull * anchor_exp - push)", "margins"),
    Mutant(
        "the target is one of the others",
        "float_rows",
        "e = tl.where(c == anchor[:, None], 0.0, ",
        "e = tl.where(c < 0, 0.0, ",
        "margins",
    ),
    Mutant(
        "no shift of huge logits", "float_rows", "x = x - shift[:, None]", "x = x - 0.0 * shift[:, None]", "margins"
    ),
    Mutant(
        "the frame is never guessed again",
        "float_rows",
        "if not (is_good & (top <= guess + ROOM)):",
        "if not is_good:",
        "margins",
        True,
    ),
    Mutant(
        "the target is in the sum",
        "float_rows",
        "if (anchor >= start) & (anchor < start + BLOCK):",
        "if anchor < 0:",
        "margins",
        True,
    ),
    Mutant(
        "what is clamped counts",
        "float_rows",
        "tl.where(others < NOTHING, 0.0, others)",
        "others * 1.0",
        "margins",
        True,
    ),
    Mutant(
        "the target's gradient is forgotten",
        "float_rows",
        "if counts:\n                    tl.store(g_row",
        "if counts & (anchor < 0):\n                    tl.store(g_row",
        "margins",
        True,
    ),
    Mutant(
        "any upstream will do",
        "float_rows",
        "tiles = tl.where(wanted == tl.load(numbers_ptr + 2), 0, tiles)",
        "tiles = tiles * 0",
        "upstreams",
    ),
    Mutant(
        "rows are always taken again",
        "float_rows",
        "tiles = tl.where(wanted == tl.load(numbers_ptr + 2), 0, tiles)",
        "tiles = tiles * 1",
        "upstreams",
    ),
    Mutant("z-loss' slope halved", "wide_rows", "(2.0 * z_loss)", "(1.0 * z_loss)", "float32 options"),
    Mutant("smoothing not spread", "wide_rows", "smoothing / classes", "smoothing", "float32 options"),
    Mutant(
        "the anchor isn't the largest", "wide_rows", "tl.where(highest > top, first, best)", "best", "float32 options"
    ),
    Mutant("no slope of the cap", "exponentials", "slope = 4.0 * tail", "slope = 1.0 + 0.0 * tail", "float32 options"),
    Mutant("the first program sums up", "exponentials", "== tl.num_programs(0) - 1", "== 0", "outputs"),
    Mutant(
        "ignored rows count",
        "reductions",
        "weights = tl.where(counts, weights, 0.0)",
        "weights = weights * 1.0",
        "outputs",
    ),
    Mutant("a class out of range is class 0", "float_rows", "(counts & ~exists)", "(counts & ~counts)", "outputs"),
)


def run_from(folder: Path) -> None:
    """From now on the kernel is what stands in a folder."""
    package.__path__ = [str(folder)]
    for name in [n for n in sys.modules if n.startswith(f"{package.__name__}.")]:
        del sys.modules[name]
        vars(package).pop(name.rpartition(".")[2], None)


def is_noticed(part: str, in_blocks: bool) -> bool:
    if in_blocks:
        interpreted.take_blocks(importlib.import_module(f"{package.__name__}.tiles"))
    return not all(error <= 1.0 for _, error in rows.PARTS[part]())


def main() -> None:
    """Prints JSON: what was noticed, by mutant."""
    noticed: dict[str, bool | str] = {}
    for mutant in MUTANTS:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(shutil.copytree(SOURCE, Path(folder) / "triton"))
            file = copy / f"{mutant.module}.py"
            source = file.read_text("utf-8")
            assert source.count(mutant.old) == 1, f"{mutant.name}: {mutant.old!r} must stand once in {file.name}"
            file.write_text(source.replace(mutant.old, mutant.new), "utf-8")
            run_from(copy)
            try:
                noticed[mutant.name] = is_noticed(mutant.part, mutant.in_blocks)
            except Exception as crash:  # the interpreter's
                noticed[mutant.name] = repr(crash)[:200]
    print(json.dumps(noticed))


if __name__ == "__main__":
    main()
