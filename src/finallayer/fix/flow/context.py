"""What fixers ask about the program around a finding."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar, cast

from finallayer.expr import Origin
from finallayer.findings import Sighting
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.foreseen import Foreseen
from finallayer.fix.flow.head import Head, Output
from finallayer.fix.flow.readers import Readers
from finallayer.fix.text.syntax import Syntax
from finallayer.rules.judging import Judged, judge
from finallayer.source import Project, Uses, sightings
from finallayer.source.files import SourceFile, Unreadable
from finallayer.source.reading import read

T = TypeVar("T")
#: As many other programs are analysed for one fix, and kept at hand, each with all that its expressions stood for.
MOST_PROGRAMS = 24


@dataclass(eq=False)
class Program:
    """What an analysis that starts in one file came to: what every expression stood for, and what it judged."""

    path: str
    modules: dict[str, AnalysedModule]
    uses: Uses
    sightings: list[Sighting]

    @cached_property
    def judged(self) -> list[Judged]:
        """What the rules find in it."""
        return list(judge(self.sightings))


@dataclass
class Context:
    """The program that starts in one file: analysed once more when a fixer asks, and shared by the file's findings."""

    project: Project = field(default_factory=Project)  # the files, as they are at hand
    foreseen: Foreseen = field(default_factory=Foreseen)  # what is known of fixes by whoever makes them
    _file: SourceFile | None = None
    _program: Program | None = None
    _syntax: dict[str, Syntax | None] = field(default_factory=dict)
    _others: dict[str, Program | None] = field(default_factory=dict)
    _kept: dict[Hashable, object] = field(default_factory=dict)
    _names: dict[tuple[str, ast.AST, str], str] = field(default_factory=dict)

    def syntax(self, path: str) -> Syntax | None:
        """The syntax of one file, over the tree that analyses of it share; None where it can't be read."""
        if path not in self._syntax:
            file = self.project.file(Path(path)) or _read(path)
            self._syntax[path] = Syntax(file) if file is not None else None
        return self._syntax[path]

    def adopt(self, file: SourceFile, content: str = "") -> None:
        """Take in the file whose findings are to be fixed, on disk or not; ``content``: what stands for it.

        The programs at hand are about the tree that was parsed before: it stays while the text does, or they go.
        """
        known = self.project.known(file.path)
        if known is None or known != file:
            self._others = {p: o for p, o in self._others.items() if o is None or file.path not in o.modules}
            known = file
        self.project.adopt(known, content)
        syntax = self._syntax.get(file.path)
        if syntax is None or syntax.file is not known:
            self._syntax[file.path] = Syntax(known)
        self._file, self._program = known, None
        self._kept.clear()

    def kept(self, question: Hashable) -> object:
        """What was found out before of the program at hand, and is asked for again; None where nothing was."""
        return self._kept.get(question)

    def keep(self, question: Hashable, answer: T) -> T:
        """Keep what was found out of the program at hand."""
        self._kept[question] = answer
        return answer

    def answer(self, question: Hashable, find_out: Callable[[], T]) -> T:
        """What is found out of the program at hand, once."""
        if question not in self._kept:
            self._kept[question] = find_out()
        return cast(T, self._kept[question])

    def program(self) -> Program:
        """The program at hand: analysed once more, with everything remembered."""
        if self._program is None:
            uses, path = Uses(), self._file.path if self._file else ""
            seen = sightings(self._file, self.project, uses) if self._file else []
            self._program = Program(path, self._modules_of(uses), uses, seen)
        return self._program

    def modules(self) -> dict[str, AnalysedModule]:
        """Every file that the program which starts in the file at hand runs through, by path."""
        return self.program().modules

    def at(self, program: Program) -> Context:
        """The same files, with another program at hand."""
        if program is self.program():
            return self
        known = self.kept(program)
        if isinstance(known, Context):
            return known
        syntax = self.syntax(program.path)
        file = syntax.file if syntax is not None else None
        return self.keep(
            program, Context(self.project, self.foreseen, file, program, self._syntax, self._others, _names=self._names)
        )

    def other_program(self, path: str) -> Program | None:
        """The program that starts in another file; None where that can't be read."""
        if path not in self._others:
            while len(self._others) >= MOST_PROGRAMS:
                del self._others[next(iter(self._others))]
            self._others[path] = self._analysed(path)
        return self._others[path]

    def programs_through(self, paths: Collection[str]) -> list[Program]:
        """The program at hand, and those of the others at hand that run through one of these files."""
        others = (p for p in self._others.values() if p is not None and not p.modules.keys().isdisjoint(paths))
        return [self.program(), *others]

    def _analysed(self, path: str) -> Program | None:
        syntax, uses = self.syntax(path), Uses()
        try:
            seen = sightings(syntax.file, self.project, uses) if syntax is not None else None
        except Unreadable:
            return None
        return Program(path, self._modules_of(uses), uses, seen) if seen is not None else None

    def _modules_of(self, uses: Uses) -> dict[str, AnalysedModule]:
        syntaxes = {path: self.syntax(path) for path in uses.values}
        return {path: AnalysedModule(syntax, uses) for path, syntax in syntaxes.items() if syntax is not None}

    def module_at(self, origin: Origin | None) -> AnalysedModule | None:
        """The file of that program in which a place is."""
        return self.modules().get(origin.path) if origin is not None else None

    def uses(self) -> Uses:
        """What every expression of that program stood for."""
        return self.program().uses

    def output(self, head: Head) -> Output:
        """What is a head's output in that program."""
        known = self.kept(head)
        return known if isinstance(known, Output) else self.keep(head, Output(head, self.modules(), self.uses()))

    def readers(self, head: Head, handled: frozenset[ast.expr] = frozenset(), at_calls: bool = False) -> Readers:
        """All that reads a head's output in that program, but for what the fix rewrites anyway."""
        question = head, handled, at_calls, self.uses().elsewhere
        known = self.kept(question)
        return (
            known
            if isinstance(known, Readers)
            else self.keep(question, Readers(head, self.modules(), self.uses(), handled, at_calls))
        )

    def sightings(self) -> list[Sighting]:
        """Every judged operation of the program that starts in the file at hand, in whichever file."""
        return self.program().sightings

    def logits_name(self, syntax: Syntax, probabilities: ast.expr, place: ast.expr | None = None) -> str:
        """The name of the logits that go with a variable of probabilities: the same one whenever it is asked for.

        ``logits`` goes to the first variable of a function that asks; the next is told apart by its own name.
        ``place``: where the logits are named, if not beside the probabilities in the same object.
        """
        path, place = syntax.text(probabilities), place or probabilities
        taken = self._taken(syntax, place)
        wanted = "logits" if "logits" not in taken else f"{path.rpartition('.')[2]}_logits"
        return self.name(syntax, place, path, wanted)

    def name(self, syntax: Syntax, place: ast.expr, purpose: str, wanted: str) -> str:
        """A name for something at a place, the wanted one if it is free: the same whenever it is asked for."""
        key = (syntax.file.path, syntax.scope(place), purpose)
        if key not in self._names:
            scope = None if isinstance(place, ast.Attribute) else syntax.scope(place)
            self._names[key] = syntax.fresh_name(wanted, self._taken(syntax, place), scope)
        return self._names[key]

    def _taken(self, syntax: Syntax, place: ast.expr) -> set[str]:
        """The names that were given already where a place can see them."""
        apart = syntax.outermost(syntax.scope(place))
        return {
            name
            for (file, scope, _), name in self._names.items()
            if file == syntax.file.path and (syntax.outermost(scope) is apart or isinstance(place, ast.Attribute))
        }


def _read(path: str) -> SourceFile | None:
    try:
        return read(path)
    except Unreadable:
        return None
