"""Generated programs and projects, fixed and run before and after: how many fixes are wrong (none may be).

KERAS_BACKEND=torch python benchmarks/fix_generated.py {torch,keras,jax} [--programs N] [--seed S] [--plain]
KERAS_BACKEND=torch python benchmarks/fix_generated.py {torch,keras,jax,tf1}-projects [--programs N] [--seed S]
python benchmarks/fix_generated.py all [--programs N] [--seed S] [--minutes M]: every generator in its turn
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.fix.generated import playing, running
from tests.fix.generated.layout import laid_out
from tests.fix.generated.programs import GENERATORS, PROJECTS
from tests.fix.generated.repairing import repaired_project
from tests.fix.workbench import repaired

#: What `all` is made of: a generator, the backend of Keras, and its part of the programs.
PARTS = (
    *(("torch", "torch", 0.35), ("keras", "torch", 0.15), ("keras", "jax", 0.1), ("jax", "torch", 0.15)),
    *(("torch-projects", "torch", 0.1), ("keras-projects", "torch", 0.05), ("keras-projects", "jax", 0.05)),
    *(("jax-projects", "torch", 0.03), ("tf1-projects", "torch", 0.02)),
)


class Outcome(NamedTuple):
    """Of one program: its kind, its text, what became of it, and why that is wrong."""

    kind: str
    before: str
    after: str  # empty without a safe fix
    why: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("generator", choices=["all", *GENERATORS, *(f"{name}-projects" for name in PROJECTS)])
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so many, with fewer programs")
    parser.add_argument("--plain", action="store_true", help="leave the programs' layout alone")
    parser.add_argument("--show-refused", type=int, default=0, metavar="N", help="print N programs without a safe fix")
    given = parser.parse_args()
    if given.generator == "all":
        sys.exit(of_all(given.programs, given.seed, given.minutes) > 0)
    os.environ.setdefault("KERAS_BACKEND", "torch")
    ends = time.monotonic() + 60 * given.minutes
    counts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for i in range(given.programs):
            if time.monotonic() > ends:
                break
            if i and i % 100 == 0:
                print(f"{i} programs: {dict(counts)}", flush=True)
            draw = random.Random(given.seed * 1_000_000 + i)
            framework, _, projects = given.generator.partition("-")
            if projects:
                outcome = of_project(framework, draw, Path(folder) / str(i))
            else:
                outcome = of_program(framework, draw, Path(folder) / "program.py", given.plain)
            end = "wrong" if outcome.why else "right" if outcome.after else "without a safe fix"
            counts[end] += 1
            kinds[f"{outcome.kind}: {end}"] += 1
            if outcome.why or (not outcome.after and counts[end] <= given.show_refused):
                print(
                    f"--- {i}: {outcome.kind}: {outcome.why}\n{outcome.before}\n--- after\n{outcome.after}", flush=True
                )
    for kind, number in sorted(kinds.items()):
        print(f"{number:5} {kind}")
    print(dict(counts), flush=True)
    sys.exit(counts["wrong"] > 0)


def of_all(programs: int, seed: int, minutes: float) -> int:
    """Run a part of the programs by each generator, in a process of its own, and say what all come to."""
    total: Counter[str] = Counter()
    begun = time.monotonic()
    for i, (generator, backend, part) in enumerate(PARTS):
        left = max(0.0, minutes - (time.monotonic() - begun) / 60) * part / sum(share for *_, share in PARTS[i:])
        told = [f"--programs={round(programs * part)}", f"--seed={seed}", f"--minutes={left}"]
        run = subprocess.Popen(
            [sys.executable, __file__, generator, *told],
            env={**os.environ, "KERAS_BACKEND": backend},
            stdout=subprocess.PIPE,
            text=True,
        )
        last = ""
        for last in run.stdout or ():
            print(last, end="", flush=True)
        counts = ast.literal_eval(last) if last.startswith("{") else {"wrong": 1}  # it ended before its end
        total.update(counts)
        print(f"{generator}, Keras on {backend}: {counts}", flush=True)
    print(f"{total.total()} programs: {dict(total)}", flush=True)
    return total["wrong"]


def of_program(framework: str, draw: random.Random, path: Path, plain: bool) -> Outcome:
    """One program in one file."""
    program = GENERATORS[framework](draw)
    data = program.text.encode() if plain else laid_out(program.text, draw)
    path.write_bytes(data)
    changed = repaired(path).changed
    after = changed[0][1] if changed else b""
    return Outcome(
        "program", data.decode(), after.decode(), _why(lambda: running.difference(program, after)) if after else ""
    )


def of_project(framework: str, draw: random.Random, folder: Path) -> Outcome:
    """One project of some files."""
    project = PROJECTS[framework](draw)
    before = _text(project.files)
    mended = repaired_project(project, folder)
    if mended.after is None:
        return Outcome(project.kind.split(":")[0], before, "")
    after = mended.after
    why = mended.why or _why(lambda: playing.difference(project, after))
    changed = {path: text for path, text in after.items() if text != project.files[path]}
    return Outcome(project.kind if why else project.kind.split(":")[0], before, _text(changed), why)


def _text(files: dict[str, str]) -> str:
    return "\n".join(f"##### {path}\n{text}" for path, text in files.items())


def _why(compare: Callable[[], str]) -> str:
    try:
        return compare()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
