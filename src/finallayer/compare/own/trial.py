"""A trial from its program to the report: both arms with every seed, whatever happens in between."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, Executor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from finallayer.compare.compare_error import BadInputError
from finallayer.compare.endings import COMPLETE, INCOMPLETE, INTERRUPTED, NOT_RUN_YET, cut_short
from finallayer.compare.folder import TABLE, alone_in, set_aside
from finallayer.compare.own import engines
from finallayer.compare.own.answer import EVALUATED, METRIC, TRAINED, conclude, final, named, shown
from finallayer.compare.own.arms import ARMS, Program
from finallayer.compare.own.cell import Job, run_cell
from finallayer.compare.own.folder_copy import copy_folder
from finallayer.compare.own.measured import Outcome, Place, load
from finallayer.compare.own.own_page import write_page
from finallayer.compare.phrases import printable
from finallayer.compare.report_folder import table
from finallayer.compare.results import environment, write_atomically
from finallayer.processes import processors

#: Within the report folder: the arms' programs, what each run wrote, and what Slurm writes.
TREES, LOGS, SUBMITTED = "arms", "output", "slurm"
#: Where there is a graphics card, one run at a time has it.
_CARDS = ("/dev/nvidia0", "/dev/kfd")


@dataclass(frozen=True)
class Plan:
    """What is asked for beside the program."""

    seeds: int
    metric: str | None
    lower_is_better: bool
    engine: str
    jobs: int | None
    out: Path
    resume: bool
    command: str = ""

    def check(self) -> None:
        """Raises ``BadInputError`` for what can't be meant."""
        engines.parse_engine(self.engine)
        if self.metric is not None:
            try:
                re.compile(self.metric)
            except re.error as error:
                raise BadInputError(f"--metric: {self.metric!r} is no regular expression ({error})") from None


def compare_program(program: Program, plan: Plan) -> int:
    """Run both arms with every seed, write the report, and tell the verdict; the exit code.

    Raises ``BadInputError`` where that can't begin.
    """
    log = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)
    with alone_in(plan.out):
        outcome = _begun(program, plan)
        finished = _Trial(program, plan, outcome, log).run()
        page = write_page(outcome, plan.out)
        write_atomically(plan.out / TABLE, as_csv(outcome))
    tell(outcome, page, plan.out)
    if not finished:
        return INTERRUPTED
    return INCOMPLETE if outcome.missing else COMPLETE


def _begun(program: Program, plan: Plan) -> Outcome:
    """The outcome to fill, a new one or an earlier one's, with the arms' folders made."""
    new, trees = plan.out / f"{TREES}.new", plan.out / TREES
    shutil.rmtree(new, ignore_errors=True)
    try:
        for arm in ARMS:
            _build(program, arm, new / arm, plan.out)
        asked = {name: getattr(plan, name) for name in ("seeds", "metric", "lower_is_better", "engine")}
        settings = {**program.describe(), **asked, "digest": _digest(program, new)}
        outcome = Outcome(settings, environment({}), plan.command)
        if plan.resume:
            outcome.cells = load(plan.out, settings)
        else:
            set_aside(plan.out)
        shutil.rmtree(trees, ignore_errors=True)
        new.rename(trees)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return outcome


def _build(program: Program, arm: str, tree: Path, out: Path) -> None:
    """An arm's folder."""
    copy_folder(program.root, tree, out)
    for path, data in program.changed[arm].items():
        file = tree / path
        if file.is_symlink():
            file.unlink()
        file.write_bytes(data)


def _digest(program: Program, trees: Path) -> str:
    """What stands for both programs, with all their modules: runs of others aren't comparable."""
    told = hashlib.sha256(json.dumps([dict(program.scripts), list(program.arguments)]).encode())
    for arm in ARMS:
        for file in sorted((trees / arm).rglob("*.py")):
            told.update(str(file.relative_to(trees)).encode(errors="surrogateescape") + file.read_bytes())
    return told.hexdigest()


class _Trial:
    def __init__(self, program: Program, plan: Plan, outcome: Outcome, log: Console) -> None:
        self._program, self._plan, self._outcome, self._log = program, plan, outcome, log
        wanted = [(arm, seed) for seed in range(plan.seeds) for arm in ARMS]
        outcome.cells = {place: outcome.cells[place] for place in wanted if place in outcome.cells}
        outcome.missing = {place: NOT_RUN_YET for place in wanted if place not in outcome.cells}
        self._count, self._done = len(outcome.missing), 0

    def run(self) -> bool:
        """Run what is missing; False if Ctrl-C cut it short. The results are on disk in either case."""
        outcome, plan = self._outcome, self._plan
        outcome.save(plan.out)
        try:
            jobs = plan.jobs or max(1, min(_jobs(), self._count))
            with engines.executor(plan.engine, jobs, plan.out / SUBMITTED) as pool:
                for place, answer in self._answers(pool, jobs):
                    self._take(place, answer)
            return True
        except KeyboardInterrupt:
            outcome.missing = cut_short(outcome.missing)
            return False
        finally:
            outcome.verdict = conclude(outcome)
            outcome.save(plan.out)

    def _answers(self, pool: Executor, jobs: int) -> Iterator[tuple[Place, dict[str, Any]]]:
        asked = {pool.submit(run_cell, self._job(place, jobs).as_dict()): place for place in self._outcome.missing}
        for future in as_completed(asked):
            try:
                yield asked[future], future.result()
            except (Exception, CancelledError) as error:  # of the engine's: a worker that was lost, say
                yield asked[future], {"error": f"its process was lost: {_sentence(error)}"}

    def _job(self, place: Place, jobs: int) -> Job:
        arm, seed = place
        program = self._program
        return Job(
            arm=arm,
            seed=seed,
            tree=str((self._plan.out / TREES / arm).resolve()),
            script=program.scripts[arm],
            arguments=list(program.arguments),
            original=str(program.root),
            changed=list(program.changed[arm]),
            metric=self._plan.metric,
            threads=max(1, processors() // jobs) if self._plan.engine == engines.LOCAL else None,
        )

    def _take(self, place: Place, answer: dict[str, Any]) -> None:
        arm, seed = place
        self._done += 1
        self._keep_output(place, answer.pop("output", ""))
        told = f"[{self._done}/{self._count}] {arm}, seed {seed}"
        error = answer.pop("error")
        error = None if error is None else printable(error)  # it may be anything that the program says
        if error is None:
            self._outcome.cells[place] = answer
            del self._outcome.missing[place]
            self._log.print(f"{told}: {_last(answer)} in {answer['seconds']:.0f} s")
        else:
            self._outcome.missing[place] = error
            self._log.print(f"{told} failed: {error}")
        self._outcome.save(self._plan.out)

    def _keep_output(self, place: Place, output: str) -> None:
        logs = self._plan.out / LOGS
        logs.mkdir(exist_ok=True)
        write_atomically(logs / f"{place[0]}-{place[1]}.txt", output)


def _sentence(error: BaseException) -> str:
    """The first sentence of an error of the engine's, which may be a long story."""
    text = " ".join(str(error).split())
    return text.partition(". ")[0] if text else type(error).__name__


def _jobs() -> int:
    return 1 if any(Path(card).exists() for card in _CARDS) else processors()


def _last(answer: Mapping[str, Any]) -> str:
    for name in (METRIC, EVALUATED, TRAINED):
        if (value := final(answer, name)) is not None:
            return f"{named(name)} {shown(name, value)}"
    return "done"


def as_csv(outcome: Outcome) -> str:
    """Every measurement of every epoch, a line each."""
    lines = []
    for arm in ARMS:
        for seed, cell in outcome.of(arm).items():
            for row in cell["epochs"]:
                logged = {f"logged {name}": value for name, value in row.get("logged", {}).items()}
                lines.append({"arm": arm, "seed": seed, **{k: v for k, v in row.items() if k != "logged"}, **logged})
    return table(lines)


def tell(outcome: Outcome, page: Path, out: Path) -> None:
    """The verdict, and what is missing, on standard output."""
    console = Console(markup=False, highlight=False)
    console.print(printable(outcome.verdict["answer"]), style="bold")  # names in it are the program's
    for sentence in outcome.verdict["sentences"]:
        console.print(printable(f"- {sentence}"))
    for (arm, seed), reason in outcome.missing.items():
        console.print(f"missing: {arm}, seed {seed}: {reason}", style="yellow", soft_wrap=True)
    if outcome.missing:
        console.print(f"What each run wrote is in {printable(str(out / LOGS))}; --resume goes on.", soft_wrap=True)
    console.print(f"Report: {printable(str(page))}", soft_wrap=True)
