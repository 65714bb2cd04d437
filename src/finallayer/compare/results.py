"""results.json: every measurement of a run, written whole after each cell, and read back to go on.

Layout (schema version 2)::

    schema_version, finallayer, created, updated, command
    settings     data, epochs, batch_size, seeds, backends, precisions, inputs, heads
    data         name, sizes, range, sha256
    environment  python, platform, cpus, versions of the distributions of each backend
    cells        one object a cell: backend, precision, inputs, head, seed, seconds, epochs: [measure.Epoch]
    missing      one object a requested cell that did not run: the cell and the reason
    not_installed  one object a backend: name, modules, install command
    gradients    margins, reference, curves: [{backend, precision, head, gradient: [...], safe_margin, overflows_from}]
    summary      one object a setting and head: accuracies over seeds, paired difference against the logits head
    overall      one object a head: the difference over all settings
    verdict      {answer, sentences}
    timing       seconds, estimates: [{elapsed, left}]
"""

from __future__ import annotations

import json
import math
import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from finallayer import __version__
from finallayer.compare.compare_error import BadInputError
from finallayer.compare.folder import MEASUREMENTS
from finallayer.compare.grid import Cell, order
from finallayer.compare.shape import RESULTS, hidden, misfit, unfinished
from finallayer.compare.statistics import Summary, summarize
from finallayer.disk import contents
from finallayer.processes import processors

SCHEMA_VERSION = 2
#: No run has measured as much.
MOST_BYTES = 500_000_000


@dataclass(frozen=True)
class Settings:
    """What the user asked for."""

    data: str
    epochs: int
    batch_size: int
    seeds: int
    backends: list[str]
    precisions: list[str]
    inputs: list[str]
    heads: list[str]


@dataclass
class Results:
    """All that is known so far about a run; ``save`` may be called at any moment."""

    settings: Settings
    data: dict[str, Any]
    environment: dict[str, Any]
    command: str = ""
    created: str = field(default_factory=lambda: now())
    cells: dict[Cell, dict[str, Any]] = field(default_factory=dict)
    missing: dict[Cell, str] = field(default_factory=dict)
    not_installed: list[dict[str, Any]] = field(default_factory=list)
    gradients: dict[str, Any] = field(default_factory=dict)
    summary: list[dict[str, Any]] = field(default_factory=list)
    overall: list[dict[str, Any]] = field(default_factory=list)
    verdict: dict[str, Any] = field(default_factory=dict)
    timing: dict[str, Any] = field(default_factory=lambda: {"seconds": 0.0, "estimates": []})

    def as_dict(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            **stamped(self.created, self.command),
            "settings": asdict(self.settings),
            "data": self.data,
            "environment": self.environment,
            "cells": [cell.as_dict() | run for cell, run in self.cells.items()],
            "missing": [cell.as_dict() | {"reason": reason} for cell, reason in self.missing.items()],
            "not_installed": self.not_installed,
            "gradients": self.gradients,
            "summary": self.summary,
            "overall": self.overall,
            "verdict": self.verdict,
            "timing": self.timing,
        }

    def summarized(self) -> Summary:
        """What the cells so far amount to."""
        return summarize(self.cells, self.data["val_samples"])

    def save(self, folder: Path) -> None:
        write_measurements(folder, self.as_dict())


def load(path: Path) -> Results:
    """Read a results file to go on from; ``BadInputError`` says why it cannot be."""
    content = read_measurements(path)
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise BadInputError(
            f"--resume: {path} has schema version {version}; expected {SCHEMA_VERSION} "
            f"(written by another finallayer: start anew with another --out)"
        )
    wrong = misfit(content, RESULTS) or unfinished(content) or hidden(content)
    if wrong is not None:
        raise BadInputError(f"--resume: {path} lacks a part of its schema version {version} ({wrong})")
    try:
        results = Results(
            settings=Settings(**content["settings"]),
            data=content["data"],
            environment=content["environment"],
            created=content["created"],
            cells={_cell(entry): {key: entry[key] for key in ("seconds", "epochs")} for entry in content["cells"]},
            gradients=content["gradients"],
            timing=content["timing"],
        )
    except (KeyError, TypeError) as error:
        raise BadInputError(f"--resume: {path} lacks a part of its schema version {version} ({error})") from error
    _refuse_strangers(results, path)
    return results


def stamped(created: str, command: str) -> dict[str, Any]:
    """What results say of their making: by which finallayer, when, and who asked for it."""
    return {"finallayer": __version__, "created": created, "updated": now(), "command": command}


def write_measurements(folder: Path, content: Mapping[str, Any]) -> None:
    """Write a results file into its report folder."""
    write_atomically(folder / MEASUREMENTS, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_measurements(path: Path) -> Any:
    """What a results file holds, of whatever shape; ``BadInputError`` says why it cannot be read."""
    try:
        return json.loads(contents(path, MOST_BYTES).decode(), parse_float=_finite, parse_constant=_finite)
    except FileNotFoundError as error:
        raise BadInputError(f"--resume: {path} not found; expected the results of an earlier run") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BadInputError(f"--resume: {path} cannot be read as results ({error})") from error


def _finite(text: str) -> float:
    """A number that JSON has; Python's reader takes others, too, and calls what is too large infinite."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is no finite number")
    return value


def _refuse_strangers(results: Results, path: Path) -> None:
    """A cell of a head, backend or input that we don't have has no place in tables: said before hours of training."""
    for cell in results.cells:
        try:
            order(cell)
        except ValueError as error:
            raise BadInputError(
                f"--resume: {path} holds a run that this finallayer does not know ({error}: {cell}); "
                f"expected another --out"
            ) from error


def resume(path: Path, settings: Settings, data: dict[str, Any], environment: dict[str, Any]) -> Results:
    """The earlier results under the new settings: what may not differ is what would make cells incomparable."""
    results = load(path)
    for name, before, now in (
        ("--data", results.data["sha256"], data["sha256"]),
        ("--epochs", results.settings.epochs, settings.epochs),
        ("--batch-size", results.settings.batch_size, settings.batch_size),
    ):
        if before != now:
            raise BadInputError(
                f"{name}: {path} was measured with another value ({_short(before)}, now {_short(now)}); "
                f"expected the same, or another --out"
            )
    results.settings, results.data = settings, data
    results.environment = {**environment, "versions": results.environment["versions"] | environment["versions"]}
    return results


def environment(versions: dict[str, dict[str, str]]) -> dict[str, Any]:
    """What the results depend on beyond the settings; ``versions`` by backend."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpus": processors(),
        "versions": versions,
    }


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write beside the file and rename over it, so that a reader or a crash never meets half of it."""
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content  # names that aren't UTF-8
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _cell(entry: dict[str, Any]) -> Cell:
    return Cell(entry["backend"], entry["precision"], entry["inputs"], entry["head"], entry["seed"])


def _short(value: Any) -> str:
    return str(value)[:12]


def now() -> str:
    """The time, as results have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
