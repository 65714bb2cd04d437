"""The children: one process a backend, a few at a time, and their events in one stream."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from finallayer.compare.backends import BY_NAME
from finallayer.compare.grid import Cell
from finallayer.processes import command

WORKER = "finallayer.compare.worker"
TICK_SECONDS = 0.25
STOP_SECONDS = 3.0


@dataclass(frozen=True)
class Event:
    """Something a child said (see ``worker``), or ``started``, ``gone`` (with a reason or None) or ``tick`` of ours."""

    kind: str
    backend: str = ""
    fields: Mapping[str, Any] | None = None


def run_children(
    queues: Mapping[str, Sequence[Cell]], data: Path, epochs: int, batch_size: int, jobs: int
) -> Generator[Event]:
    """Run each backend's cells in a child of its own and yield what happens, with a ``tick`` when nothing does.

    Closing the generator (Ctrl-C, an error in the consumer) ends the children.
    """
    events: queue.Queue[Event] = queue.Queue()
    waiting = list(queues)
    running: dict[str, subprocess.Popen[str]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                backend = waiting.pop(0)
                job = {
                    "backend": backend,
                    "data": str(data),
                    "cells": [cell.as_dict() for cell in queues[backend]],
                    "epochs": epochs,
                    "batch_size": batch_size,
                }
                running[backend] = _start(backend, job, events)
                yield Event("started", backend)
            try:
                event = events.get(timeout=TICK_SECONDS)
            except queue.Empty:
                event = Event("tick")
            if event.kind == "gone":
                running.pop(event.backend)
            yield event
    finally:
        _stop(running.values())


def _start(backend: str, job: Mapping[str, Any], events: queue.Queue[Event]) -> subprocess.Popen[str]:
    """Start a child with its job on stdin; a thread of ours reads it to the end and then says ``gone``."""
    log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115, closed by _listen
    process = subprocess.Popen(
        command(WORKER),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        encoding="utf-8",
        env=_environment(backend),
        start_new_session=True,  # Ctrl-C is ours to handle
    )
    threading.Thread(target=_listen, args=(backend, process, json.dumps(job), log, events), daemon=True).start()
    return process


def _listen(backend: str, process: subprocess.Popen[str], job: str, log: IO[str], events: queue.Queue[Event]) -> None:
    assert process.stdin is not None and process.stdout is not None
    ended = False
    with log:
        # Its stdin stays open as long as we are there: whatever ends us, the child sees that end, and ends.
        with suppress(BrokenPipeError):  # it died before it read its job: its exit says why
            process.stdin.write(f"{job}\n")
            process.stdin.flush()
        for line in process.stdout:
            fields = json.loads(line)
            kind = fields.pop("event")
            ended = ended or kind == "end"
            events.put(Event(kind, backend, fields))
        code = process.wait()
        with suppress(BrokenPipeError):
            process.stdin.close()
        reason = None if ended and code == 0 else _reason(code, log)
    events.put(Event("gone", backend, {"reason": reason}))


def _reason(code: int, log: IO[str]) -> str:
    """Why a child ended early, in one line: the signal, or the last line it wrote."""
    if code < 0:
        return f"its process was killed by signal {-code}"
    log.seek(0)
    lines = [line.strip() for line in log.read().splitlines() if line.strip()]
    return f"its process ended with code {code}" + (f": {lines[-1]}" if lines else "")


def _environment(backend: str) -> dict[str, str]:
    """The child's environment: its Keras backend, one thread, quiet logs, no grabbing of a whole GPU.

    So small a network gains nothing from a second thread, and on a busy machine it waits for it.
    """
    ours = {
        "KERAS_BACKEND": BY_NAME[backend].keras_backend or "",
        "OMP_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "PYTHONUNBUFFERED": "1",
    }
    return {**os.environ, **ours}


def _stop(running: Iterable[subprocess.Popen[str]]) -> None:
    processes = list(running)
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
