"""One cell of a trial: an arm with a seed, run in a process and a folder of its own, and told as JSON.

``run_cell`` is what engines hand to wherever cells run: it takes and gives what JSON has, and needs nothing of the
process that asked for it but the arms' folders.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finallayer.processes import command

PROCESS = "finallayer.running.bootstrap"
JOB = "FINALLAYER_JOB"
#: What of a run's output is kept, and what of it is looked through for a metric, in characters.
KEPT, MOST_OUTPUT = 20_000, 100_000_000
STOP_SECONDS = 3.0
NOT_FINITE = "the metric of a run ended as no finite number, so its seed is not compared"


@dataclass(frozen=True)
class Job:
    """What a cell needs: its arm's folder and script, where in it the program runs, and with what.

    ``original``: the user's own folder, whose place the copy takes. ``changed``: the files of the arm that aren't as
    they are there. ``threads``: for each process, or None for as many as its frameworks like.
    """

    arm: str
    seed: int
    tree: str
    script: str
    arguments: list[str]
    original: str
    changed: list[str]
    metric: str | None
    threads: int | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def run_cell(told: Mapping[str, Any]) -> dict[str, Any]:
    """Run a cell; what its training showed, its metric's values, the end of its output, and the error if it failed."""
    job = Job(**told)
    if not Path(job.tree).is_dir():
        return {"error": f"its folder {job.tree} isn't there on this machine; expected a file system that all share"}
    with tempfile.TemporaryDirectory(prefix="finallayer-", ignore_cleanup_errors=True) as scratch:
        place = Path(scratch) / "work"
        shutil.copytree(job.tree, place, symlinks=True)
        began = time.monotonic()
        code, output = _executed(job, Path(scratch), place)
        seconds = time.monotonic() - began
        answer = _answer(Path(scratch) / "answer.json", code, output)
    if answer["error"] is None:
        answer["error"] = _loaded_from_elsewhere(job, answer)
    answer.pop("files", None)
    values = list(_values(job.metric, output)) if job.metric is not None else []
    if values and values[-1] is None:
        answer["notes"] = [*answer.get("notes", ()), NOT_FINITE]
    return answer | {"seconds": round(seconds, 2), "metric": values, "output": output[-KEPT:]}


def begin_cells() -> None:
    """Let cells of this process start programs."""
    _ENDED.clear()


def stop_cells() -> None:
    """End the programs that cells of this process are running, and let none be started any more."""
    with _STARTING:
        _ENDED.set()
    for process in list(_RUNNING):
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    for process in list(_RUNNING):
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)


_RUNNING: set[subprocess.Popen[bytes]] = set()
_STARTING, _ENDED = threading.Lock(), threading.Event()


def _executed(job: Job, scratch: Path, place: Path) -> tuple[int, str]:
    """Run the program; its exit code, and what it wrote."""
    asked = {
        "script": str(place / job.script),
        "arguments": job.arguments,
        "seed": job.seed,
        "path": [_moved(entry, job.original, place) for entry in sys.path if _is_searched(entry)],
        "answer": str(scratch / "answer.json"),
    }
    (scratch / "job.json").write_text(json.dumps(asked))
    log = scratch / "output"
    with log.open("wb") as out:
        with _STARTING:
            if _ENDED.is_set():
                raise RuntimeError("no cell is started any more")
            process = subprocess.Popen(
                command(PROCESS),
                cwd=place,
                env=_environment(job, scratch, place),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is ours to handle
            )
            _RUNNING.add(process)
        try:
            code = process.wait()
        finally:
            _RUNNING.discard(process)
    with log.open(encoding="utf-8", errors="replace") as file:
        return code, file.read(MOST_OUTPUT)


def _environment(job: Job, scratch: Path, place: Path) -> dict[str, str]:
    """As ours is, with modules looked for in the copy, pictures that nobody has to close, and threads that fit."""
    given = dict(os.environ)
    if "PYTHONPATH" in given:
        entries = given["PYTHONPATH"].split(os.pathsep)
        given["PYTHONPATH"] = os.pathsep.join(_moved(entry, job.original, place) for entry in entries)
    given |= {JOB: str(scratch / "job.json"), "PYTHONHASHSEED": str(job.seed), "MPLBACKEND": "Agg"}
    threads = {} if job.threads is None else dict.fromkeys(_THREADS, str(job.threads))
    return {"WANDB_MODE": "offline", "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONUNBUFFERED": "1"} | threads | given


_THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def _is_searched(entry: str) -> bool:
    """Whether a program that is run as ``python script`` looks for modules there: not where we happen to be."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return entry in given or (entry != "" and os.path.realpath(entry) != os.path.realpath(os.curdir))


def _moved(entry: str, original: str, place: Path) -> str:
    """A folder of the search path, in the copy where it lies in what was copied."""
    whole = os.path.realpath(entry)
    if entry and (whole == original or whole.startswith(original + os.sep)):
        moved = place / os.path.relpath(whole, original)
        if moved.is_dir() and not moved.is_symlink():
            return str(moved)
    return entry


def _answer(file: Path, code: int, output: str) -> dict[str, Any]:
    """What the process answered, or why it couldn't."""
    with suppress(OSError, ValueError):
        answer: dict[str, Any] = json.loads(file.read_text())
        return answer
    last = next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "")
    ended = f"it was killed by signal {-code}" if code < 0 else f"it ended with code {code}"
    return {"error": f"{ended}: {last}" if last else ended}


def _loaded_from_elsewhere(job: Job, answer: Mapping[str, Any]) -> str | None:
    """Where a changed module took no part, since the original was imported in its place."""
    changed = {os.path.join(job.original, path) for path in job.changed}  # noqa: PTH118
    loaded = sorted(changed.intersection(map(os.path.realpath, answer.get("files", ()))))
    if not loaded:
        return None
    return f"it imported {loaded[0]} itself, not the arm's copy; expected a program that imports from where it lies"


def _values(pattern: str, output: str) -> Iterator[float | None]:
    """The numbers that a pattern finds in the output, its last group, or all of it; None of what isn't finite."""
    for match in re.finditer(pattern, output.replace("\r", "\n"), re.M):
        found = match.group(match.lastindex or 0)
        with suppress(ValueError):
            value = float(found.strip().rstrip("%").replace(",", ""))
            yield value if math.isfinite(value) else None


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
