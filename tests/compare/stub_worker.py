"""Stands in for the real worker: says what a worker says, without a framework, and misbehaves where told to.

``STUB`` in the environment says how, by backend: ``die`` or ``hang`` after a cell, ``fail`` it, ``crash`` at once.
"""

import json
import os
import signal
import sys
import time

from finallayer.compare.grid import Cell

from .synthetic import curve, epoch


def say(event: str, **fields: object) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


def main() -> None:
    job = json.loads(sys.stdin.readline())
    how = json.loads(os.environ["STUB"]).get(job["backend"], "")
    if how == "crash":
        print("Traceback (most recent call last):\nImportError: libframework.so is missing", file=sys.stderr)
        sys.exit(1)
    say("ready")
    cells = [Cell(**cell) for cell in job["cells"]]
    for index, cell in enumerate(cells):
        if index == 1 and how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if index == 1 and how == "hang":
            time.sleep(600)
        if index == 0 and how == "fail":
            say("failed", cell=index, error="ValueError: no such luck")
            continue
        accuracy = {"logits": 0.9}.get(cell.head, 0.5) + 0.01 * cell.seed
        epochs = [epoch(number, accuracy) for number in range(1, job["epochs"] + 1)]
        for row in epochs:
            say("epoch", cell=index, **row)
        if cell.seed == 0:
            say("gradient", curve=curve(cell.setting, cell.head, None))
        say("cell", cell=index, seconds=0.1, epochs=epochs)
    say("end")
