"""What a rule is given and what it gives back: sightings in, matches out, and the findings made of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from finallayer.expr import Node, Origin


class Severity(IntEnum):
    """How bad a finding is: works today (advice), unstable numerics (warning), wrong maths (error)."""

    ADVICE = 1
    WARNING = 2
    ERROR = 3

    def __str__(self) -> str:
        return self.name.lower()


class Sighting(NamedTuple):
    """One operation that a front end met, with what it knew of the place."""

    node: Node
    framework: str = ""  # torch, keras, tensorflow, jax, numpy
    training: bool = True  # False where no gradient is asked for (no_grad, stop_gradient, a metric)
    caller: Origin | None = None  # the call that brought the program into the function that the operation stands in
    compiled: bool = False  # a model was compiled with it: it will be handed batches, if it is trained at all
    by_hand: bool = False  # it stands in a function whose gradient is written by hand
    asked: bool = True  # False where all that is made of it is read as numbers, in sight: no gradient is asked of it
    supposed: bool = False  # what it is handed is one of several alternatives
    instead: tuple[Node, ...] = ()  # what else may be done to the same alternative, in another run


class Related(NamedTuple):
    """A second place that a finding speaks of, such as the softmax that the loss was handed."""

    origin: Origin
    message: str


class Match(NamedTuple):
    """What a rule saw at one node: the message, the expression to evaluate, and the places that belong to it."""

    message: str
    expression: Node | None = None  # the loss whose safe margin the finding states
    related: tuple[Related, ...] = ()
    severity: Severity | None = None  # where it is another than the rule's


@dataclass(frozen=True)
class Edit:
    """One replacement of source text: a range (lines from 1, columns from 0, in characters) and the new text."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    text: str
    cell: int | None = None


@dataclass(frozen=True)
class Fix:
    """Edits that mend a finding. Safe when every reader of what changes is known and handled."""

    safe: bool
    edits: tuple[Edit, ...]
    note: str = ""


class Refusal(NamedTuple):
    """Why a finding has no fix: a clause for its reader."""

    why: str


@dataclass
class Defect:
    """What a finding says is wrong, as a rule names it: its code, its name, how severe it is, and a line about it."""

    code: str
    name: str
    severity: Severity
    summary: str


class Note(NamedTuple):
    """Something to be said of a file besides findings: that it can't be read, or what a comment in it says wrong."""

    path: str
    line: int | None
    text: str


@dataclass(frozen=True)
class Finding:
    """A rule's verdict on one place of the user's program."""

    rule: Defect
    origin: Origin
    message: str
    expression: str
    safe_margin: dict[str, float] | None = None
    related: tuple[Related, ...] = ()
    fix: Fix | None = None
    unfixed: str = ""  # why there is no fix, where one was looked for, or why it was not made
    judged: Severity | None = None  # where it is another than the rule's

    @property
    def severity(self) -> Severity:
        """How bad it is here: as its rule says, or as this place shows."""
        return self.rule.severity if self.judged is None else self.judged
