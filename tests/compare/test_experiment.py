"""A run as a whole, with stand-ins for the frameworks: nothing finished is ever lost, whatever the children do."""

from __future__ import annotations

import io
import json
import re
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from finallayer.compare import children, folder
from finallayer.compare.backends import parse_backends
from finallayer.compare.compare_error import BadInputError
from finallayer.compare.dataset import split
from finallayer.compare.experiment import Experiment, prepare, run
from finallayer.compare.folder import set_aside
from finallayer.compare.grid import Cell
from finallayer.compare.page import make_page
from finallayer.compare.progress import Bars, Lines
from finallayer.compare.results import Results, Settings
from finallayer.compare.sources import load

from .synthetic import JAX_RAW

Start = Callable[..., tuple[Experiment, Results]]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """An experiment on two stand-in backends, prepared; ``how`` tells the stand-ins to misbehave."""
    digits = load("digits")
    dataset = split("digits", digits.x_train[:50], digits.y_train[:50], 10, 0.0, 255.0)
    monkeypatch.setattr(children, "WORKER", f"{__package__}.stub_worker")

    def prepared(how: dict[str, str] | None = None, go_on: bool = False, **changes: Any) -> tuple[Experiment, Results]:
        monkeypatch.setenv("STUB", json.dumps(how or {}))
        backends = parse_backends(["jax", "torch"])
        chosen: dict[str, Any] = {
            "data": "digits",
            "epochs": 2,
            "batch_size": 32,
            "seeds": 2,
            "backends": [backend.name for backend in backends],
            "precisions": ["float32"],
            "inputs": ["raw"],
            "heads": ["softmax", "double-softmax", "logits"],
        }
        experiment = Experiment(Settings(**chosen | changes), backends, dataset, tmp_path / "out", jobs=2)
        return experiment, prepare(experiment, go_on, [])

    return prepared


class NoCalendar(datetime):
    """Some file systems keep times past the year 9999."""

    @classmethod
    def fromtimestamp(cls, timestamp: float, tz: Any = None) -> datetime:  # type: ignore[override]
        raise ValueError(f"year {timestamp} is out of range")


def lines() -> tuple[Lines, io.StringIO]:
    out = io.StringIO()
    return Lines(Console(file=out, width=300)), out


def on_disk(experiment: Experiment) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((experiment.folder / "results.json").read_text())
    return content


def test_a_run_that_goes_well(start: Start) -> None:
    experiment, results = start()
    display, out = lines()
    assert run(experiment, results, display)
    content = on_disk(experiment)
    assert len(content["cells"]) == 3 * 2 + 2 * 2 and content["missing"] == []
    assert len(content["gradients"]["curves"]) == 3 + 2
    assert content["verdict"]["answer"].startswith("Undecided: in 1 of 1 setting accuracy differs")
    said = out.getvalue()
    assert "10 runs on Keras on JAX, plain PyTorch" in said
    assert re.search(r"\[10/10\] .*: float32 raw .* seed 1: \d\d\.0 % in 0.1 s, about 0:00 left", said)


def test_a_killed_child_costs_its_unfinished_cells_only(start: Start) -> None:
    experiment, results = start({"keras-jax": "die"})
    display, out = lines()
    assert run(experiment, results, display)
    content = on_disk(experiment)
    assert {cell["backend"] for cell in content["missing"]} == {"keras-jax"}
    assert len(content["missing"]) == 5 and len(content["cells"]) == 1 + 4
    assert {cell["reason"] for cell in content["missing"]} == {"its process was killed by signal 9"}
    assert "killed by signal 9" in out.getvalue()
    page = make_page(results)
    assert "5 of 10 runs are missing" in page and "its process was killed by signal 9" in page


def test_a_resumed_run_does_only_what_is_missing(start: Start) -> None:
    experiment, results = start({"keras-jax": "die"})
    run(experiment, results, lines()[0])
    before = on_disk(experiment)
    experiment, results = start(go_on=True)
    display, out = lines()
    assert run(experiment, results, display)
    after = on_disk(experiment)
    assert "5 runs on Keras on JAX" in out.getvalue()
    assert after["missing"] == [] and len(after["cells"]) == 10
    assert [cell for cell in after["cells"] if cell in before["cells"]] == before["cells"]
    assert after["created"] == before["created"]


def test_a_resumed_run_may_have_nothing_to_do(start: Start) -> None:
    experiment, results = start()
    run(experiment, results, lines()[0])
    experiment, results = start(go_on=True)
    assert run(experiment, results, lines()[0])
    assert len(on_disk(experiment)["cells"]) == 10


def test_a_failed_cell_does_not_stop_the_others(start: Start) -> None:
    experiment, results = start({"keras-jax": "fail"})
    display, out = lines()
    assert run(experiment, results, display)
    (missing,) = on_disk(experiment)["missing"]
    assert (missing["head"], missing["seed"], missing["reason"]) == ("softmax", 0, "ValueError: no such luck")
    assert "Keras on JAX, float32, raw, softmax, seed 0 failed: ValueError: no such luck" in out.getvalue()


def test_a_child_that_cannot_start_says_why(start: Start) -> None:
    experiment, results = start({"torch": "crash"})
    run(experiment, results, lines()[0])
    reasons = {cell["reason"] for cell in on_disk(experiment)["missing"]}
    assert reasons == {"its process ended with code 1: ImportError: libframework.so is missing"}


def test_ctrl_c_keeps_what_is_finished_and_ends_the_children(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment, results = start({"keras-jax": "hang", "torch": "hang"})
    started: list[subprocess.Popen[str]] = []
    real = subprocess.Popen

    def spy(*args: Any, **options: Any) -> subprocess.Popen[str]:
        started.append(real(*args, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", spy)

    class Impatient(Lines):
        def cell(self, cell: Cell, seconds: float, val_accuracy: float) -> None:
            super().cell(cell, seconds, val_accuracy)
            if self._done == 2:
                raise KeyboardInterrupt

    assert not run(experiment, results, Impatient(Console(file=io.StringIO())))
    content = on_disk(experiment)
    assert len(content["cells"]) == 2
    assert len(content["missing"]) == 8 and {cell["reason"] for cell in content["missing"]} == {"interrupted"}
    assert len(started) == 2 and all(process.poll() is not None for process in started)
    assert "8 of 10 runs are missing" in make_page(results)


def test_results_are_on_disk_after_every_cell(start: Start) -> None:
    experiment, results = start()
    seen: list[int] = []

    class Watching(Lines):
        def cell(self, cell: Cell, seconds: float, val_accuracy: float) -> None:
            content = on_disk(experiment)
            seen.append(len(content["cells"]))
            assert len(content["cells"]) + len(content["missing"]) == 10

    run(experiment, results, Watching(Console(file=io.StringIO())))
    assert seen == list(range(1, 11))


def test_an_earlier_run_that_is_not_gone_on_with_is_set_aside(start: Start) -> None:
    experiment, results = start()
    run(experiment, results, lines()[0])
    before = on_disk(experiment)
    start()
    (place,) = (experiment.folder / "earlier").iterdir()
    assert json.loads((place / "results.json").read_text()) == before
    start()
    assert list((experiment.folder / "earlier").iterdir()) == [place], "a run that has measured nothing is no report"


def test_a_report_of_a_time_that_no_calendar_has_is_set_aside_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "results.json").write_text("{}")
    monkeypatch.setattr(folder, "datetime", NoCalendar)
    set_aside(tmp_path)
    assert [path.parent.name for path in tmp_path.rglob("results.json")] == ["undated"]


def test_a_folder_that_cannot_be_written_is_named_before_anything_runs(start: Start, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file where the folder should be")
    with pytest.raises(BadInputError, match=r"--out: cannot write into .*out.*; expected a writable folder"):
        start()


def test_bars_show_the_cell_the_accuracy_and_the_time_left() -> None:
    out = io.StringIO()
    bars = Bars(Console(file=out, force_terminal=True, width=140, color_system=None))
    cells = [Cell(JAX_RAW.backend, JAX_RAW.precision, JAX_RAW.inputs, "softmax", seed) for seed in range(3)]
    bars.begin({"keras-jax": cells})
    bars.stage("keras-jax", "importing its framework")
    bars.epoch(cells[0], 2, 5, 0.456)
    bars.cell(cells[0], 1.0, 0.456)
    bars.time_left(63.0, 75.0)
    bars.end()
    shown = out.getvalue()
    assert "Keras on JAX" in shown and "1/3" in shown
    assert "epoch 2/5  45.6 %  softmax raw float32 seed 0" in shown
    assert "1:03 elapsed, about 1:15 left" in shown
