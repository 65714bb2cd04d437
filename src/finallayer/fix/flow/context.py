"""What fixers ask about the program around a finding."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path

from finallayer.expr import Origin
from finallayer.findings import Sighting
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.text.syntax import Syntax
from finallayer.source import Project, Uses, sightings
from finallayer.source.files import SourceFile, Unreadable
from finallayer.source.reading import read


@dataclass
class Context:
    """The program that starts in one file: analysed once more when a fixer asks, and shared by the file's findings."""

    project: Project = field(default_factory=Project)  # the files, as they are at hand
    _file: SourceFile | None = None
    _observed: tuple[Uses, list[Sighting]] | None = None
    _syntax: dict[str, Syntax | None] = field(default_factory=dict)
    _names: dict[tuple[str, ast.AST, str], str] = field(default_factory=dict)

    def syntax(self, path: str) -> Syntax | None:
        """The syntax of one file, over the tree that analyses of it share; None where it can't be read."""
        if path not in self._syntax:
            file = self.project.file(Path(path)) or _read(path)
            self._syntax[path] = Syntax(file) if file is not None else None
        return self._syntax[path]

    def adopt(self, file: SourceFile) -> None:
        """Take in the file whose findings are to be fixed, on disk or not."""
        self.project.adopt(file)
        self._syntax[file.path] = Syntax(file)
        self._file, self._observed = file, None

    @property
    def entry(self) -> SourceFile | None:
        """The file in which the program starts."""
        return self._file

    def _observe(self) -> tuple[Uses, list[Sighting]]:
        """The file analysed once more, with everything remembered: only fixes of heads need that."""
        if self._observed is None:
            uses = Uses()
            self._observed = (uses, sightings(self._file, self.project, uses) if self._file else [])
        return self._observed

    def modules(self) -> dict[str, AnalysedModule]:
        """Every file that the program which starts in the file at hand runs through, by path."""
        uses = self.uses()
        syntaxes = {path: self.syntax(path) for path in uses.values}
        return {path: AnalysedModule(syntax, uses) for path, syntax in syntaxes.items() if syntax is not None}

    def module_at(self, origin: Origin | None) -> AnalysedModule | None:
        """The file of that program in which a place is."""
        return self.modules().get(origin.path) if origin is not None else None

    def uses(self) -> Uses:
        """What every expression of that program stood for."""
        return self._observe()[0]

    def sightings(self) -> list[Sighting]:
        """Every judged operation of the program that starts in the file at hand, in whichever file."""
        return self._observe()[1]

    def logits_name(self, syntax: Syntax, probabilities: ast.expr) -> str:
        """The name of the logits that go with a variable of probabilities: the same one whenever it is asked for.

        ``logits`` goes to the first variable that asks; the next is told apart by its own name.
        """
        path = syntax.text(probabilities)
        key = (syntax.file.path, syntax.scope(probabilities), path)
        if key not in self._names:
            taken = {name for (file, _, _), name in self._names.items() if file == syntax.file.path}
            wanted = "logits" if "logits" not in taken else f"{path.rpartition('.')[2]}_logits"
            self._names[key] = syntax.fresh_name(wanted, taken)
        return self._names[key]


def _read(path: str) -> SourceFile | None:
    try:
        return read(path)
    except Unreadable:
        return None
