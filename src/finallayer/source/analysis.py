"""One analysis: a file's program run on abstract values, then whatever of it nothing has called."""

from __future__ import annotations

from contextlib import nullcontext

from finallayer.findings import Sighting
from finallayer.source import builtins, constructs, expressions, foreign, methods, statements
from finallayer.source.files import SourceFile
from finallayer.source.interpreter import Interpreter, OutOfBudget
from finallayer.source.project import Project
from finallayer.source.turned_over import open_flags
from finallayer.source.uncalled import run_uncalled
from finallayer.source.uses import Uses
from finallayer.source.values import Module, telling_places_apart

#: The modules whose functions fill the interpreter's tables when they are imported.
HANDLERS = (builtins, constructs, expressions, foreign, methods, statements)


def sightings(file: SourceFile, project: Project, uses: Uses | None = None) -> list[Sighting]:
    """Every judged operation that the file's program meets, in the order met. Raises Unreadable for a broken file.

    ``uses``: filled, where it is given, with what every expression stood for.
    """
    run = Interpreter(project, uses)
    module = run.entry = run.modules[file.path] = Module(file)
    try:
        with nullcontext() if uses is None else telling_places_apart(uses.made_of):
            run.load(module)
            open_flags(run, module)
            run_uncalled(run, module)
    except (OutOfBudget, RecursionError):
        if uses is not None:  # what was seen until then stands
            uses.complete = False
    finally:
        run.trail.undo()
    return run.recorder.sightings()
