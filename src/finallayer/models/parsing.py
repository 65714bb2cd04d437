"""What stands in a file, from bytes: JSON, a protobuf message, a number. What can't be parsed is one line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeVar

from finallayer.models.refusals import NotRead

if TYPE_CHECKING:
    from typing import Any

    from google.protobuf.message import Message

    M = TypeVar("M", bound=Message)

#: The largest message that protobuf itself reads.
MOST_MESSAGE = 2**31 - 1
#: A constant of more numbers than this is no axis, no bound and no shape of ours.
FEW = 16


def json_in(data: bytes, name: str) -> Any:
    """The JSON in a file, or a member, of this name. Raises :class:`NotRead`."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        reason = "too deeply nested" if isinstance(error, RecursionError) else str(error).partition(":")[0]
        raise NotRead(f"{name} is no JSON ({reason})") from None


def parsed_into(message: M, data: bytes, otherwise: str) -> M:
    """A message with what the bytes say; ``otherwise``: what the file is where they say nothing."""
    from google.protobuf.message import DecodeError

    try:
        message.ParseFromString(data)
    except (DecodeError, RecursionError, ValueError):
        raise NotRead(f"{otherwise}: its protobuf can't be parsed") from None
    return message


def as_written(number: bool | int | float) -> bool | int | float:
    """A constant as the program has written it: 1e-08, not the 9.99999993922529e-09 that 32 bits make of it."""
    return float(f"{number:.7g}") if isinstance(number, float) else number
