"""The run as it goes on: bars in a terminal, a plain line a cell anywhere else."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Column

from finallayer.compare.backends import BY_NAME
from finallayer.compare.experiment import Display
from finallayer.compare.grid import Cell
from finallayer.compare.phrases import clock, percent


def make_display(console: Console) -> Display:
    return Bars(console) if console.is_terminal else Lines(console)


def left_text(left: float | None) -> str:
    return "estimating the time left" if left is None else f"about {clock(left)} left"


class Lines:
    """A line a finished cell."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._total = self._done = 0
        self._left: float | None = None

    def begin(self, queues: dict[str, list[Cell]]) -> None:
        self._total = sum(map(len, queues.values()))
        self._width = len(str(self._total))
        titles = ", ".join(BY_NAME[name].title for name in queues)
        self.note(f"{self._total} runs on {titles}" if self._total else "nothing left to run")

    def note(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def stage(self, backend: str, words: str) -> None:
        pass

    def epoch(self, cell: Cell, number: int, epochs: int, val_accuracy: float) -> None:
        pass

    def cell(self, cell: Cell, seconds: float, val_accuracy: float) -> None:
        self._done += 1
        self.note(
            f"[{self._done:{self._width}}/{self._total}] {BY_NAME[cell.backend].title}: {cell.precision} {cell.inputs} "
            f"{cell.head} seed {cell.seed}: {percent(val_accuracy)} % in {seconds:.1f} s, {left_text(self._left)}"
        )

    def time_left(self, _elapsed: float, left: float | None) -> None:
        self._left = left

    def end(self) -> None:
        pass


class Bars:
    """A bar a backend with the cell it is at, and one for the whole with the time left."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}", style="dim", table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}

    def begin(self, queues: dict[str, list[Cell]]) -> None:
        for backend, cells in queues.items():
            self._tasks[backend] = self._progress.add_task(BY_NAME[backend].title, total=len(cells), status="waiting")
        total = sum(map(len, queues.values()))
        self._all = self._progress.add_task("[bold]all runs", total=total, status="starting")
        self._progress.start()

    def note(self, line: str) -> None:
        self._progress.console.print(line, highlight=False, markup=False)

    def stage(self, backend: str, words: str) -> None:
        self._progress.update(self._tasks[backend], status=words)

    def epoch(self, cell: Cell, number: int, epochs: int, val_accuracy: float) -> None:
        # What changes first: a narrow terminal cuts off the rest.
        status = (
            f"epoch {number}/{epochs} {percent(val_accuracy):>5} %  "
            f"{cell.head} {cell.inputs} {cell.precision} seed {cell.seed}"
        )
        self._progress.update(self._tasks[cell.backend], status=status)

    def cell(self, cell: Cell, _seconds: float, _val_accuracy: float) -> None:
        self._progress.advance(self._tasks[cell.backend])
        self._progress.advance(self._all)

    def time_left(self, elapsed: float, left: float | None) -> None:
        self._progress.update(self._all, status=f"{clock(elapsed)} elapsed, {left_text(left)}")

    def end(self) -> None:
        self._progress.stop()
