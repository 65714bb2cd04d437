"""The process that a user's program runs in: its job is a file of JSON, whose name the environment says, and so is its
answer.

The job: ``script``, ``arguments``, ``seed``, ``path`` (where modules are looked for), ``answer`` (the file to write).
The answer: ``of`` (what its parts are, epochs or windows of steps), ``epochs`` (their measurements), ``audit`` (of the
first loss), ``notes``, ``versions``, ``files`` (the modules that it loaded), ``error`` (its last line, or null).
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from finallayer.running.ledger import Ledger

JOB = "FINALLAYER_JOB"
#: Distributions whose versions are told, where the program has loaded them.
_TOLD = {
    **{name: name for name in "numpy torch keras jax flax optax lightning transformers".split()},
    "tensorflow": "tensorflow",
    "pytorch_lightning": "pytorch-lightning",
    "sklearn": "scikit-learn",
}


def main() -> None:
    job = json.loads(Path(os.environ.pop(JOB)).read_text())
    sys.path[:] = job["path"]
    _end_with_parent()
    answer = run(job)
    sys.stdout.flush()
    beside = Path(job["answer"] + ".part")
    beside.write_text(json.dumps(answer, allow_nan=False))
    beside.replace(job["answer"])


def run(job: Mapping[str, Any]) -> dict[str, Any]:
    """Execute the program, and tell what its training showed."""
    from finallayer.auditing.script import execute
    from finallayer.running.measuring import measured
    from finallayer.running.seeding import seeded

    ledger = Ledger()
    with seeded(job["seed"]), measured(ledger):
        error = execute(Path(job["script"]), job["arguments"])
        if "jax" in sys.modules:  # what runs beside the program has to end before it is told
            sys.modules["jax"].effects_barrier()
    if not ledger.began and error is None:
        ledger.note("no step of its training was seen, as in loops of TensorFlow's own, or in other processes")
    of, rows = ledger.rows()
    return {
        "error": error,
        "of": of,
        "epochs": rows,
        "audit": ledger.audit,
        "notes": list(ledger.notes),
        "versions": _versions(),
        "files": sorted({file for m in list(sys.modules.values()) if (file := _file(m))}),
    }


def _end_with_parent() -> None:
    """Have this process end when nobody waits for its answer any more."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _file(module: Any) -> str:
    file = getattr(module, "__file__", None)
    return file if isinstance(file, str) else ""


def _versions() -> dict[str, str]:
    found = {}
    for module, distribution in _TOLD.items():
        if module in sys.modules:
            with suppress(metadata.PackageNotFoundError):
                found[distribution] = metadata.version(distribution)
    return found
