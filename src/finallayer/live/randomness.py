"""The generators of random numbers that no framework owns."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def plain_generators() -> Iterator[None]:
    """Around a run, after which Python's generator and NumPy's are as they were."""
    numpy = sys.modules.get("numpy")
    plain = random.getstate()
    arrays = numpy.random.get_state() if numpy is not None else None
    try:
        yield
    finally:
        random.setstate(plain)
        if numpy is not None and arrays is not None:
            numpy.random.set_state(arrays)
