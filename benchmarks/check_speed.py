"""Milliseconds a file: ``finallayer check`` against ``ast.parse`` alone, ruff, TorchFix and torch-preflight.

    python benchmarks/check_speed.py FOLDER [--rounds 3] [--peers .venv-peers/bin]

Every contender checks the same files with two processes at most. Rounds alternate between contenders, so that a busy
machine slows all alike; the median round counts. Besides the time on the clock there is that of the processors, which
a busy machine doesn't lengthen by waiting. finallayer runs cold (``--no-cache``) and, apart, on a warm cache. A
contender that is not installed is named and left out. TorchFix (``pip install torchfix==0.7.0 torch-preflight``) brings
its libraries along and is best kept in an environment of its own: ``--peers`` is where its commands lie.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

JOBS = 2
#: Plain parsing, spread over processes as a checker would: what no tool that reads syntax can beat by much.
PARSE = """
import ast, sys, warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
warnings.simplefilter("ignore")
def parse(path):
    try:
        ast.parse(Path(path).read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
if __name__ == "__main__":
    jobs, folder = sys.argv[1:]
    files = [str(f) for f in sorted(Path(folder).rglob("*.py"))]
    with ProcessPoolExecutor(int(jobs)) as pool:
        list(pool.map(parse, files, chunksize=16))
"""


class Times(NamedTuple):
    """Seconds of a round: on the clock, and of all its processes on the processors."""

    clock: float
    processor: float


class Contender(NamedTuple):
    """A checker: its name with the version, and the command that checks a folder."""

    name: str
    command: Sequence[str]


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        files, lines = _copied(options.folder, corpus)
        print(f"{files} Python files, {lines:,} lines, {JOBS} processes, Python {sys.version.split()[0]}")
        contenders = list(_contenders(options, Path(folder)))
        for contender in contenders[:2]:  # compiles what was just installed, and fills the cache
            _timed(contender.command, corpus)
        rounds: dict[str, list[Times]] = {c.name: [] for c in contenders}
        for _ in range(options.rounds):
            for contender in contenders:
                rounds[contender.name].append(_timed(contender.command, corpus))
    medians = {name: Times(*map(statistics.median, zip(*times, strict=True))) for name, times in rounds.items()}
    ours = next(iter(medians.values()))
    print(f"{'':34}{'ms a file':>10}{'of ours':>9}{'processor':>11}{'of ours':>9}")
    for name, median in medians.items():
        clock, processor = (1000 * seconds / files for seconds in median)
        ratios = median.clock / ours.clock, median.processor / ours.processor
        print(f"{name:34}{clock:10.2f}{ratios[0]:9.2f}{processor:11.2f}{ratios[1]:9.2f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a folder of Python files, such as clones of training repositories")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, help="a folder of commands that are looked for there first")
    options = parser.parse_args()
    if not options.folder.is_dir():
        parser.error(f"{options.folder}: no such folder")
    return options


def _copied(source: Path, corpus: Path) -> tuple[int, int]:
    """Copy the Python files alone, so that no contender reads settings; how many files and lines there are."""
    files = lines = 0
    for file in sorted(source.rglob("*.py")):
        if file.is_file():
            target = corpus / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data := file.read_bytes())
            files, lines = files + 1, lines + data.count(b"\n")
    if not files:
        sys.exit(f"{source}: no Python files")
    return files, lines


def _contenders(options: argparse.Namespace, scratch: Path) -> Iterator[Contender]:
    check = [sys.executable, "-m", "finallayer", "check", "--exit-zero", "-j", str(JOBS)]
    script = scratch / "parse.py"
    script.write_text(PARSE)
    yield Contender("finallayer, cold", [*check, "--no-cache"])
    yield Contender("finallayer, warm cache", check)
    yield Contender("ast.parse", [sys.executable, str(script), str(JOBS)])
    for name, command, arguments in (
        ("ruff", "ruff", ["check", "--exit-zero", "--no-cache", "--quiet"]),
        ("TorchFix", "torchfix", ["--select", "ALL", "-j", str(JOBS)]),
        ("torch-preflight", "torch-preflight", ["check", "-j", str(JOBS)]),
    ):
        found = shutil.which(command, path=options.peers) or shutil.which(command)
        if found is None:
            print(f"{name} is not installed ({command})")
            continue
        said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout.split()
        yield Contender(f"{name} {said[-1] if said else ''}", [found, *arguments])


def _timed(command: Sequence[str], corpus: Path) -> Times:
    environment = {**os.environ, "RAYON_NUM_THREADS": str(JOBS)}  # ruff's own processes
    start, before = time.perf_counter(), _processor()
    subprocess.run(
        [*command, str(corpus)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, check=False
    )
    return Times(time.perf_counter() - start, _processor() - before)


def _processor() -> float:
    """Seconds that the processes started from here have spent on the processors."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
