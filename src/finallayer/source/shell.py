"""IPython's shell: programs that a notebook runs in its own names, and cells that were exported as calls."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from finallayer.source.by_name import standing_at
from finallayer.source.files import Unreadable, parse
from finallayer.source.handlers import BUILTINS
from finallayer.source.interpreter import Interpreter
from finallayer.source.notebook import PYTHON_CELL_MAGICS, STATEMENT_MAGICS, plain_python
from finallayer.source.values import Call, External, Site, Value

#: What ``get_ipython()`` gives.
_SHELL = External("IPython.shell")


def _get_ipython(_run: Interpreter, _call: Call) -> Value:
    return _SHELL


def _texts(call: Call) -> list[str]:
    return [a for a in call.args if isinstance(a, str)]


def _cell_magic(run: Interpreter, call: Call) -> Value:
    """``run_cell_magic("time", "", source)``: what an exported cell is."""
    match _texts(call):
        case [magic, _, source] if magic in PYTHON_CELL_MAGICS:
            _execute(run, source, call.site)
    return None


def _line_magic(run: Interpreter, call: Call) -> Value:
    match _texts(call):
        case ["run", line, *_]:
            _run_file(run, line, call.site)
        case [magic, line, *_] if magic in STATEMENT_MAGICS:
            _execute(run, line, call.site)
    return None


def _magic(run: Interpreter, call: Call) -> Value:
    """``magic("run net.py")``: as one text."""
    for line in _texts(call)[:1]:
        name, _, rest = line.lstrip("%").partition(" ")
        _line_magic(run, call._replace(args=[name, rest]))
    return None


def _cell(run: Interpreter, call: Call) -> Value:
    for source in _texts(call)[:1]:
        _execute(run, source, call.site)
    return None


def _execute(run: Interpreter, source: str, site: Site) -> None:
    """Run statements that stand in a text, every part of them at its place."""
    try:
        body = parse(plain_python(source)).body
    except Unreadable:
        return
    if run.uses is not None:
        run.uses.in_a_text = True
    for statement in body:
        standing_at(statement, site.node)
    run.block(body, site.frame)


def _run_file(run: Interpreter, line: str, site: Site) -> None:
    """``%run net.py``: whatever the program defines is defined here."""
    try:
        words = [word for word in shlex.split(line) if not word.startswith("-")]
    except ValueError:
        return
    if not words:
        return
    named = Path(os.path.normpath(Path(site.frame.module.path).parent / words[0]))  # not resolved: links stay
    path = named if named.suffix in (".py", ".ipynb") else named.with_name(f"{named.name}.py")
    run.project.depend(site.frame.module.path, path)  # even where it isn't there
    names = run.names(path, site.frame) if run.project.file(path) is not None else None
    for name, value in list(names.vars.items()) if names is not None else ():
        if not name.startswith("__"):
            run.bind(site.frame.module.frame, name, value)


BUILTINS |= {
    "get_ipython": _get_ipython,
    "IPython.get_ipython": _get_ipython,
    "IPython.shell.run_cell_magic": _cell_magic,
    "IPython.shell.run_line_magic": _line_magic,
    "IPython.shell.magic": _magic,
    "IPython.shell.run_cell": _cell,
}
