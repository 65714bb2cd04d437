"""The run as a whole: from settings to results on disk, saved after each cell, whatever happens in between."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from finallayer.compare.backends import Backend
from finallayer.compare.children import Event, run_children
from finallayer.compare.cliff import MARGINS, reference
from finallayer.compare.dataset import Dataset
from finallayer.compare.endings import NOT_RUN_YET, cut_short
from finallayer.compare.estimate import Estimator
from finallayer.compare.folder import MEASUREMENTS, make_folder, set_aside
from finallayer.compare.grid import Cell, doses, plan
from finallayer.compare.phrases import clock, setting_name
from finallayer.compare.results import Results, Settings, environment, resume
from finallayer.compare.verdict import give_verdict

ESTIMATE_EVERY = 5.0  # seconds between the estimates that the results keep


class Display(Protocol):
    """Who shows the run while it goes on."""

    def begin(self, queues: dict[str, list[Cell]]) -> None: ...
    def note(self, line: str) -> None: ...
    def stage(self, backend: str, words: str) -> None: ...
    def epoch(self, cell: Cell, number: int, epochs: int, val_accuracy: float) -> None: ...
    def cell(self, cell: Cell, seconds: float, val_accuracy: float) -> None: ...
    def time_left(self, elapsed: float, left: float | None) -> None: ...
    def end(self) -> None: ...


@dataclass(frozen=True)
class Experiment:
    """Everything a run needs, checked: nothing that follows can fail for bad input."""

    settings: Settings
    backends: Sequence[Backend]
    dataset: Dataset
    folder: Path
    jobs: int
    command: str = ""

    def cells(self) -> list[Cell]:
        s = self.settings
        cells = plan(self.backends, s.precisions, s.inputs, s.heads, s.seeds)
        return [*cells, *doses(cells, s.heads)]


def prepare(experiment: Experiment, go_on: bool, not_installed: Sequence[Backend]) -> Results:
    """The results to fill: new ones, or those in the folder. An earlier run that is not gone on with is set aside."""
    path = experiment.folder / MEASUREMENTS
    facts = environment({backend.name: backend.versions() for backend in experiment.backends})
    data = experiment.dataset.describe()
    make_folder(experiment.folder)
    if go_on:
        results = resume(path, experiment.settings, data, facts)
    else:
        set_aside(experiment.folder)
        results = Results(experiment.settings, data, facts)
    results.command = experiment.command
    results.not_installed = [
        {"backend": backend.name, "modules": backend.missing(), "install": backend.install} for backend in not_installed
    ]
    results.missing = {cell: NOT_RUN_YET for cell in experiment.cells() if cell not in results.cells}
    results.gradients.setdefault("curves", [])
    results.gradients |= {"margins": MARGINS.tolist(), "reference": reference()}
    return results


def run(experiment: Experiment, results: Results, display: Display) -> bool:
    """Run what is missing; False if Ctrl-C cut it short. The results are on disk and complete in either case."""
    queues: dict[str, list[Cell]] = {}
    for cell in results.missing:
        queues.setdefault(cell.backend, []).append(cell)
    recorder = Recorder(experiment, results, queues, display)
    display.begin(queues)
    try:
        with tempfile.TemporaryDirectory(prefix="finallayer-") as scratch:
            data = Path(scratch) / "data.npz"
            experiment.dataset.save(data)
            results.save(experiment.folder)
            settings = experiment.settings
            events = run_children(queues, data, settings.epochs, settings.batch_size, experiment.jobs)
            try:
                for event in events:
                    recorder.take(event)
            finally:
                events.close()
        return True
    except KeyboardInterrupt:
        results.missing = cut_short(results.missing)
        return False
    finally:
        display.end()
        results.timing["seconds"] += recorder.elapsed()
        conclude(results)
        results.save(experiment.folder)


def conclude(results: Results) -> None:
    """What follows from the cells so far: the summary and the verdict."""
    summary = results.summarized()
    results.summary = [row.as_dict() for row in summary.rows]
    results.overall = [overall.as_dict() for overall in summary.overall]
    results.verdict = give_verdict(summary, results.gradients["curves"]).as_dict()


class Recorder:
    """Takes the children's events into the results and onto the display."""

    def __init__(
        self, experiment: Experiment, results: Results, queues: dict[str, list[Cell]], display: Display
    ) -> None:
        self._folder, self._epochs = experiment.folder, experiment.settings.epochs
        self._results, self._queues, self._display = results, queues, display
        self._estimator = Estimator(queues, experiment.jobs, self._epochs)
        self._began = time.monotonic()
        self._child_began: dict[str, float] = {}
        self._noted = 0.0

    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def take(self, event: Event) -> None:
        handler = getattr(self, f"_on_{event.kind}", None)
        if handler is not None:
            handler(event.backend, event.fields or {})
        left = self._estimator.left(time.monotonic())
        elapsed = self.elapsed()
        self._display.time_left(elapsed, left)
        if left is not None and elapsed - self._noted >= ESTIMATE_EVERY:
            self._noted = elapsed
            self._results.timing["estimates"].append({"elapsed": round(elapsed, 1), "left": round(left, 1)})

    def _on_started(self, backend: str, _fields: Mapping[str, Any]) -> None:
        self._child_began[backend] = time.monotonic()
        self._display.stage(backend, "importing its framework")

    def _on_ready(self, backend: str, _fields: Mapping[str, Any]) -> None:
        now = time.monotonic()
        self._estimator.ready(backend, now - self._child_began[backend], now)
        self._display.stage(backend, "compiling its first model")

    def _on_epoch(self, backend: str, fields: Mapping[str, Any]) -> None:
        cell = self._queues[backend][fields["cell"]]
        self._estimator.epoch(cell, fields["epoch"], time.monotonic())
        self._display.epoch(cell, fields["epoch"], self._epochs, fields["val_accuracy"])

    def _on_cell(self, backend: str, fields: Mapping[str, Any]) -> None:
        cell = self._queues[backend][fields["cell"]]
        self._estimator.finished(cell, time.monotonic())
        self._results.cells[cell] = {"seconds": round(fields["seconds"], 3), "epochs": fields["epochs"]}
        del self._results.missing[cell]
        self._results.save(self._folder)
        self._display.cell(cell, fields["seconds"], fields["epochs"][-1]["val_accuracy"])

    def _on_failed(self, backend: str, fields: Mapping[str, Any]) -> None:
        cell = self._queues[backend][fields["cell"]]
        self._estimator.finished(cell, time.monotonic())
        self._results.missing[cell] = fields["error"]
        self._results.save(self._folder)
        self._display.note(f"{setting_name(cell.setting)}, {cell.head}, seed {cell.seed} failed: {fields['error']}")

    def _on_gradient(self, _backend: str, fields: Mapping[str, Any]) -> None:
        curve = fields["curve"]
        others = [other for other in self._results.gradients["curves"] if not _same_program(curve, other)]
        self._results.gradients["curves"] = [*others, curve]

    def _on_gone(self, backend: str, fields: Mapping[str, Any]) -> None:
        self._estimator.closed(backend)
        reason = fields["reason"]
        if reason is None:
            self._display.stage(backend, f"done in {clock(time.monotonic() - self._child_began[backend])}")
            return
        self._display.stage(backend, reason)
        for cell in self._queues[backend]:
            if self._results.missing.get(cell) == NOT_RUN_YET:
                self._results.missing[cell] = reason
        self._display.note(f"{backend}: {reason}")


def _same_program(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one[key] == other[key] for key in ("backend", "precision", "head"))
