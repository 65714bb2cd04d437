"""Places in code that AutoGraph has made of the user's: the lines that it was made of."""

from __future__ import annotations

import linecache
from functools import cache

from tensorflow.python.util import tf_stack

from finallayer.expr import Origin

_GENERATED = "__autograph_generated_file"


def original(place: Origin) -> Origin:
    """The place itself, or, of generated code, the line that it was made of."""
    if _GENERATED not in place.path:
        return place
    for mapper in reversed(tf_stack._source_mapper_stacks[tf_stack._get_thread_key()]):
        found = mapper.get_effective_source_map().get((place.path, place.line))
        if found is not None:
            return _line(*found[:2])
    return place


@cache
def _line(path: str, number: int) -> Origin:
    text = linecache.getline(path, number).rstrip()
    return Origin(path, number, len(text) - len(text.lstrip()), number, len(text))
