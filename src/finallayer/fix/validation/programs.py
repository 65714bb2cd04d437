"""The program before a fix and after it, each as its own analysis shows it, and which expression is which."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from finallayer.expr import Origin
from finallayer.findings import Edit, Sighting
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.context import Context, Program
from finallayer.fix.text.syntax import Syntax
from finallayer.fix.validation.forms import Forms, Known
from finallayer.fix.validation.relocation import Relocated, Span
from finallayer.rules.judging import Judged, judge
from finallayer.source import Project, Uses, sightings
from finallayer.source.values import Value


@dataclass
class Programs:
    """Both runs of a program that starts in one file: as it is, and with the edits made."""

    program: Program  # the old one
    new: Uses
    seen_after: list[Sighting]
    edited: dict[str, Relocated]

    @property
    def modules(self) -> dict[str, AnalysedModule]:
        """The old program's files."""
        return self.program.modules

    @property
    def old(self) -> Uses:
        """What every expression of the old program stood for."""
        return self.program.uses

    @property
    def seen(self) -> list[Sighting]:
        """What the old program judged."""
        return self.program.sightings

    @cached_property
    def judged_after(self) -> list[Judged]:
        """What the rules find in the edited program."""
        return list(judge(self.seen_after))

    def forms(self, known: Known, fused: frozenset[Origin] = frozenset()) -> tuple[Forms, Forms]:
        """The forms of both programs by what is known of the old one, and, ``fused``, of the new one alone."""
        after = known._replace(proven={}, heads={}, fused=fused)
        return self._shared(self.old, known), self._shared(self.new, after)

    def _shared(self, uses: Uses, known: Known) -> Forms:
        alike = (forms for forms in self._forms if forms.made_of is uses.made_of and forms.known == known)
        found = next(alike, None)
        if found is None:
            found = Forms(uses.made_of, known)
            self._forms.append(found)
        return found

    @cached_property
    def _forms(self) -> list[Forms]:
        return []

    def module_after(self, path: str) -> AnalysedModule | None:
        """A file of the edited program."""
        if path not in self._after and path in self.modules:
            file = self.edited.get(path)
            syntax = self.modules[path].syntax if file is None else Syntax(file)
            self._after[path] = AnalysedModule(syntax, self.new)
        return self._after.get(path)

    @cached_property
    def _after(self) -> dict[str, AnalysedModule]:
        return {}

    def modules_after(self) -> list[AnalysedModule]:
        """Every file of the edited program that the old one has, too."""
        return [module for path in self.modules if (module := self.module_after(path)) is not None]

    def counterpart(self, path: str, node: ast.expr) -> ast.expr | None:
        """The expression of the new program in the place of one of the old; None where the fix has rewritten it."""
        file = self.edited.get(path)
        return node if file is None else self._spans(path).get(node)

    def _spans(self, path: str) -> dict[ast.expr, ast.expr]:
        """The expressions of a file with what stands in their places; in one place are several within a format."""
        if path not in self._matched:
            module, file = self.modules[path], self.edited[path]
            old: dict[Span, list[ast.expr]] = {}
            for node in module.syntax.nodes:
                if isinstance(node, ast.expr):
                    old.setdefault(module.syntax.file.origin(node)[1:5], []).append(node)
            found: dict[ast.expr, ast.expr] = {}
            for span, nodes in old.items():
                there = file.counterparts.get(span, [])
                found.update(zip(nodes, there if len(there) == len(nodes) else there[:1], strict=False))
            self._matched[path] = found
        return self._matched[path]

    @cached_property
    def _matched(self) -> dict[str, dict[ast.expr, ast.expr]]:
        return {}

    def before(self, path: str, node: ast.expr) -> list[Value]:
        """What an expression stands for in the old program."""
        return self.old.of(path, node)

    def after(self, path: str, node: ast.expr) -> list[Value]:
        """What stands in its place stands for in the new program."""
        there = self.counterpart(path, node)
        return [] if there is None else self.new.of(path, there)


def edited_programs(context: Context, edits: Iterable[Edit]) -> list[Programs]:
    """What edits make of the program around a finding, and of the others at hand that run the same code.

    Raises Unreadable for what is no program any more.
    """
    by_file: dict[str, list[Edit]] = {}
    for edit in edits:
        by_file.setdefault(edit.path, []).append(edit)
    syntaxes = {path: context.syntax(path) for path in by_file}
    edited = {path: Relocated(s, by_file[path]) for path, s in syntaxes.items() if s is not None}
    project = context.project.copy()
    for file in edited.values():
        project.adopt(file)
    return [_edited(program, project, edited) for program in context.programs_through(edited.keys())]


def _edited(program: Program, project: Project, edited: dict[str, Relocated]) -> Programs:
    uses, old = Uses(), program.modules.get(program.path)
    entry = edited.get(program.path) or (old.syntax.file if old is not None else None)
    seen = sightings(entry, project, uses) if entry is not None else []
    return Programs(program, uses, seen, edited)
