"""Options that verbs share: lists of rules on the command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    Rules = click.ParamType[tuple[str, ...]]
else:
    Rules = click.ParamType  # takes no type argument before click 8.4


STDIN_ALONE = "'-' (standard input) is fixed alone, without other files."


class Several(Rules):
    """Values separated by commas."""

    name = "RULE,.."

    def convert(self, value: str, _param: click.Parameter | None, _ctx: click.Context | None) -> tuple[str, ...]:
        return tuple(part.strip() for part in value.split(",") if part.strip())


def flat(groups: Iterable[Iterable[str]]) -> list[str]:
    """The values of an option that was given several times, in one list."""
    return [item for group in groups for item in group]
