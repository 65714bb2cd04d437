"""How one framework spells what a fix of a head writes."""

from __future__ import annotations

import ast
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from finallayer.expr import Node
from finallayer.findings import Edit
from finallayer.fix.fixers.removal import Removal
from finallayer.fix.flow.analysed import AnalysedModule
from finallayer.fix.flow.readers import Reader

Edits = tuple[Edit, ...]


class CompiledOutput(NamedTuple):
    """One output of a compiled model: its layer's name, the metrics that read it, and its units, where it says."""

    layer: object
    metrics: tuple[str, ...]
    units: int | None


class Dialect(ABC):
    """How one framework spells what a fix writes. Every method gives None where it can't say it surely."""

    frameworks: ClassVar[frozenset[str]]

    @staticmethod
    def of(framework: str) -> Dialect | None:
        """The dialect of a framework's code, where there is one: they stand in the files beside this one."""
        return next((dialect() for dialect in Dialect.__subclasses__() if framework in dialect.frameworks), None)

    @abstractmethod
    def on_logits(self, module: AnalysedModule, loss: Node) -> Edits | None:
        """The edits that make a loss on probabilities take logits."""

    def of_one_class(self, _module: AnalysedModule, _loss: Node) -> Edits | None:
        """The edits that put a loss for one class of several, on logits, in the place of a binary one."""
        return None

    @abstractmethod
    def restored(self, reader: Reader, removal: Removal, made: Node) -> Edits | None:
        """The edits that put the softmax back around an expression that reads probabilities."""

    def predicting(self, _calls: Sequence[Reader], _made: Node) -> Edits | None:
        """The edits that have calls of ``predict`` in one file give probabilities again."""
        return None

    def compiled(self, _module: AnalysedModule, _call: ast.Call, _head: str, _output: CompiledOutput) -> Edits | None:
        """The edits that have the metrics that a model is compiled with read logits."""
        return ()
