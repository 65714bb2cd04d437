"""Generated programs and projects, fixed and run before and after: how many fixes are wrong (none may be).

KERAS_BACKEND=torch python benchmarks/fix_generated.py {torch,keras,jax} [--programs N] [--seed S] [--plain]
KERAS_BACKEND=torch python benchmarks/fix_generated.py {torch,keras,jax,tf1}-projects [--programs N] [--seed S]
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
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


class Outcome(NamedTuple):
    """Of one program: its kind, its text, what became of it, and why that is wrong."""

    kind: str
    before: str
    after: str  # empty without a safe fix
    why: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("generator", choices=[*GENERATORS, *(f"{name}-projects" for name in PROJECTS)])
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="leave the programs' layout alone")
    parser.add_argument("--show-refused", type=int, default=0, metavar="N", help="print N programs without a safe fix")
    given = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "torch")
    counts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for i in range(given.programs):
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
