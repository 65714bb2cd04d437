"""results.json of a trial: every measurement of every arm and seed, written whole after each cell, and read to go on.

Layout (schema version 1 of kind ``own program``)::

    kind, schema_version, finallayer, created, updated, command
    settings     script, against, arguments, mended, diff, seeds, metric, lower_is_better, engine, digest
    environment  python, platform, machine, cpus
    arms         as-is and fixed, each: measurements (a seed and epoch each: of, steps, samples, train_accuracy,
                 silenced, ..., logged), runs (a seed each: seconds, metric, audit, notes, versions)
    missing      one object a cell that didn't run to its end: arm, seed, reason
    verdict      answer, sentences, metric, difference, table
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finallayer.compare.compare_error import BadInputError
from finallayer.compare.folder import MEASUREMENTS
from finallayer.compare.own.arms import ARMS
from finallayer.compare.results import now, read_measurements, stamped, write_measurements
from finallayer.compare.shape import Shape, is_count, is_number_or_none, is_object, is_text, misfit

KIND, VERSION = "own program", 1
#: arm, seed
Place = tuple[str, int]

_ARM = {
    "measurements": [{"seed": is_count, "epoch": is_count}],
    "runs": [{"seed": is_count, "seconds": is_number_or_none, "metric": [is_number_or_none], "of": is_text}],
}
SHAPE: Shape = {
    "settings": {"digest": is_text},
    "environment": is_object,
    "created": is_text,
    "arms": dict.fromkeys(ARMS, _ARM),
}
#: What of a cell's answer is its run's; the rest are the epochs.
_OF_RUN = ("seconds", "metric", "of", "audit", "notes", "versions")


@dataclass
class Outcome:
    """What a trial has come to so far; ``cells``: what each cell answered."""

    settings: dict[str, Any]
    environment: dict[str, Any]
    command: str = ""
    created: str = field(default_factory=now)
    cells: dict[Place, dict[str, Any]] = field(default_factory=dict)
    missing: dict[Place, str] = field(default_factory=dict)
    verdict: dict[str, Any] = field(default_factory=dict)

    def of(self, arm: str) -> dict[int, dict[str, Any]]:
        """What the seeds of an arm answered."""
        return {seed: cell for (one, seed), cell in sorted(self.cells.items()) if one == arm}

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "kind": KIND,
            "schema_version": VERSION,
            **stamped(self.created, self.command),
            "settings": self.settings,
            "environment": self.environment,
            "arms": {arm: self._arm(arm) for arm in ARMS},
            "missing": [{"arm": arm, "seed": seed, "reason": why} for (arm, seed), why in self.missing.items()],
            "verdict": self.verdict,
        }

    def _arm(self, arm: str) -> dict[str, Any]:
        cells = self.of(arm)
        return {
            "measurements": [{"seed": seed, **row} for seed, cell in cells.items() for row in cell["epochs"]],
            "runs": [{"seed": seed, **{name: cell[name] for name in _OF_RUN}} for seed, cell in cells.items()],
        }

    def save(self, folder: Path) -> None:
        """Write it into the report folder."""
        write_measurements(folder, self.as_dict())


def load(folder: Path, settings: Mapping[str, Any]) -> dict[Place, dict[str, Any]]:
    """The cells of an earlier trial to go on with. Raises ``BadInputError`` where they can't be compared with ours."""
    path = folder / MEASUREMENTS
    content = read_measurements(path)
    kind = (content.get("kind"), content.get("schema_version")) if isinstance(content, dict) else (None, None)
    if kind != (KIND, VERSION):
        raise BadInputError(f"--resume: {path} is no trial of a program; expected another --out, or no --resume")
    if (wrong := misfit(content, SHAPE)) is not None:
        raise BadInputError(f"--resume: {path} lacks a part of its schema version {VERSION} ({wrong})")
    for name, said in (("digest", "the program, its fix or its arguments"), ("metric", "--metric")):
        if content["settings"].get(name) != settings[name]:
            raise BadInputError(f"--resume: {path} was measured with other values of {said}; expected another --out")
    return dict(_cells(content))


def _cells(content: Mapping[str, Any]) -> Iterator[tuple[Place, dict[str, Any]]]:
    for arm in ARMS:
        rows: dict[int, list[dict[str, Any]]] = {}
        for row in content["arms"][arm]["measurements"]:
            rows.setdefault(row["seed"], []).append({name: value for name, value in row.items() if name != "seed"})
        for run in content["arms"][arm]["runs"]:
            yield (
                (arm, run["seed"]),
                {**{name: run.get(name) for name in _OF_RUN}, "epochs": rows.get(run["seed"], [])},
            )
