"""What a rule is: a defect with a name, and the function that judges whether a node has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from finallayer.findings import Defect, Match, Sighting

Judge = Callable[[Sighting], Iterator[Match]]


@dataclass
class Rule(Defect):
    """A rule: what it reports, and the function that judges a node."""

    operations: tuple[str, ...] = ()
    judge: Judge = field(default=lambda _: iter(()))

    def on(self, *operations: str) -> Callable[[Judge], Judge]:
        """Register the judge for these operations of the loss expression."""

        def register(judge: Judge) -> Judge:
            self.operations, self.judge = operations, judge
            return judge

        return register
