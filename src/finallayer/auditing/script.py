"""A user's script, run as it is: the first loss of each place at which it asks for a gradient is audited."""

from __future__ import annotations

import os
import runpy
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from finallayer.auditing.judgement import judged
from finallayer.auditing.outcome import Audit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from finallayer.live.observation import Observation


class Enough(BaseException):
    """What was asked for is known: the script ends here."""


@dataclass
class ScriptRun:
    """What a script's losses turned out to be."""

    audits: list[Audit] = field(default_factory=list)
    failed: bool = False  # the script ended with an error, which is on standard error


def run(script: Path, arguments: Sequence[str], go_on: bool, tell: Callable[[Audit], None]) -> ScriptRun:
    """Execute a script with these arguments, and audit its losses; without ``go_on`` it ends at the first."""
    from finallayer.live.minimising import losses_told

    done = ScriptRun()
    process = os.getpid()

    def audited(observation: Observation) -> None:
        if os.getpid() != process:
            return  # what a forked child finds nobody would hear of
        audit = judged(observation).besides(f for before in done.audits for f in before.findings)
        done.audits.append(audit)
        tell(audit)
        if not go_on:
            raise Enough if threading.current_thread() is threading.main_thread() else SystemExit

    with losses_told(audited), suppress(Enough):
        done.failed = execute(script, arguments) is not None
    return done


def execute(script: Path, arguments: Sequence[str]) -> str | None:
    """Execute a script as ``python script arguments`` would; what its error says in a line, None where it ended
    well. The whole error is on standard error."""
    try:
        with _as_if_called(script, arguments):
            runpy.run_path(str(script), run_name="__main__")
    except (KeyboardInterrupt, Enough):
        raise
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
        return None if ended.code in (None, 0) else f"it exited with {ended.code}"
    except BaseException as error:
        _show(script)
        return _line(error)
    return None


def _line(error: BaseException) -> str:
    """The line that says what an error is: behind the place of one of syntax, before any notes, such as JAX's."""
    told = traceback.format_exception_only(error)
    return next(part for part in told if not part.startswith(" ")).splitlines()[0]


def _show(script: Path) -> None:
    """The traceback as Python shows it, from the script on."""
    kind, error, trace = sys.exc_info()
    own = trace
    while own is not None and own.tb_frame.f_code.co_filename != str(script):
        own = own.tb_next
    traceback.print_exception(kind, error, own or trace)


@contextmanager
def _as_if_called(script: Path, arguments: Sequence[str]) -> Iterator[None]:
    """While arguments and search path are those of ``python script arguments``."""
    before = sys.argv, sys.path
    sys.argv = [str(script), *arguments]
    sys.path = [str(script.resolve().parent), *sys.path]
    try:
        yield
    finally:
        sys.argv, sys.path = before
