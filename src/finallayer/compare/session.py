"""From the command line's options to a finished report: what ``finallayer compare`` does, step by step."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from finallayer.compare import sources
from finallayer.compare.backends import BACKENDS, Backend, parse_backends
from finallayer.compare.compare_error import BadInputError
from finallayer.compare.endings import COMPLETE, INCOMPLETE, INTERRUPTED
from finallayer.compare.experiment import Experiment, prepare, run
from finallayer.compare.folder import alone_in
from finallayer.compare.grid import INPUTS, PRECISIONS, parse_choices
from finallayer.compare.heads import parse_heads
from finallayer.compare.phrases import printable
from finallayer.compare.progress import make_display
from finallayer.compare.report_folder import write_report
from finallayer.compare.results import Results, Settings
from finallayer.compare.table import summary_table
from finallayer.processes import processors


def compare(
    *,
    data: str,
    data_dir: Path | None,
    backends: list[str] | None,
    precisions: list[str],
    inputs: list[str],
    heads: list[str],
    epochs: int,
    seeds: int,
    batch_size: int,
    jobs: int | None,
    out: Path,
    resume: bool,
    command: str = "",
) -> int:
    """Run the experiment, write the report, print the table and the verdict; the exit code.

    ``command`` is the line that asked for it, for the report to tell.
    Raises ``BadInputError`` where the options or the data do not allow a run.
    """
    wanted = parse_backends(backends) if backends is not None else list(BACKENDS)
    settings = Settings(
        data=data,
        epochs=epochs,
        batch_size=batch_size,
        seeds=seeds,
        backends=[backend.name for backend in wanted],
        precisions=parse_choices("--precisions", precisions, PRECISIONS),
        inputs=parse_choices("--inputs", inputs, INPUTS),
        heads=parse_heads(heads),
    )
    installed = [backend for backend in wanted if not backend.missing()]
    absent = [backend for backend in wanted if backend.missing()]
    if not installed:
        raise BadInputError(f"--backends: none is installed; {_how_to_install(wanted[0])}")
    log = Console(stderr=True)
    for backend in absent:
        log.print(f"left out: {_how_to_install(backend)}", highlight=False, soft_wrap=True)

    dataset = sources.load(data, data_dir)
    experiment = Experiment(settings, installed, dataset, out, jobs or processors(), command)
    with alone_in(out):
        results = prepare(experiment, resume, absent)
        finished = run(experiment, results, make_display(log))
        with log.status("writing the report"):
            page = write_report(results, out)
    tell(results, page)
    if not finished:
        return INTERRUPTED
    return INCOMPLETE if results.missing or (backends and absent) else COMPLETE


def tell(results: Results, page: Path) -> None:
    """The table, the verdict, and what is missing, on stdout."""
    console = Console(markup=False)  # what is told holds names of the user's
    console.print(summary_table(results.summarized().compared))
    console.print(results.verdict["answer"], style="bold", highlight=False)
    for sentence in results.verdict["sentences"]:
        console.print(f"- {sentence}", highlight=False)
    if results.missing:
        reasons = "; ".join(dict.fromkeys(results.missing.values()))
        console.print(f"{len(results.missing)} runs are missing ({reasons}): add --resume to go on.", style="yellow")
    console.print(f"Report: {printable(str(page))}", highlight=False, soft_wrap=True)


def _how_to_install(backend: Backend) -> str:
    return f"{backend.title} ({', '.join(backend.missing())} not installed); install it with: {backend.install}"
