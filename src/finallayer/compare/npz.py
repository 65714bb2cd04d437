"""Arrays out of an .npz file that may be anybody's: nothing is unpickled, and none is read that is too large.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html (a zip archive of .npy files).
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from finallayer.compare.compare_error import BadInputError
from finallayer.disk import size_of

Array = NDArray[Any]

#: No array of more bytes is read.
MOST_BYTES = 4 << 30
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(path: Path, *choices: Sequence[str]) -> dict[str, Array]:
    """The arrays of the first choice of names that the file has all of, by name. Raises ``BadInputError``, in one line,
    for whatever keeps them from being read.
    """
    expected = ", or ".join(" and ".join(names) for names in choices)
    try:
        size_of(path)  # a pipe would keep us waiting
        with zipfile.ZipFile(path) as archive:
            held = {name.removesuffix(".npy"): name for name in archive.namelist()}
            names = next((names for names in choices if set(names) <= set(held)), None)
            if names is None:
                missing = next(name for name in choices[0] if name not in held)
                found = ", ".join(name if name.isprintable() else repr(name) for name in sorted(held)[:20]) or "nothing"
                raise BadInputError(f"{path}: no array {missing!r}; expected {expected}, found: {found}")
            return {name: _array(archive, held[name], f"{path}: {name}") for name in names}
    except BadInputError:
        raise
    except FileNotFoundError as error:
        raise BadInputError(f"{path}: no such file; expected a .npz with arrays {expected}") from error
    except Exception as error:  # whatever zipfile, its decompressors and NumPy say of a file that is damaged
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:200]
        raise BadInputError(
            f"{path}: not a readable .npz ({reason or type(error).__name__}); expected arrays {expected}"
        ) from error


def _array(archive: zipfile.ZipFile, member: str, name: str) -> Array:
    with archive.open(member) as file:
        size = _size(file)
    held = archive.getinfo(member).file_size
    if size > MOST_BYTES:
        raise BadInputError(f"{name} takes {size:,} bytes; the most is {MOST_BYTES:,}")
    if size > held:
        raise BadInputError(f"{name} is cut off: {size:,} bytes are said to follow, {held:,} are there")
    with archive.open(member) as file:
        array: Array = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _size(file: IO[bytes]) -> int:
    """The bytes that an array takes, as its header says."""
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"format version {version}")
    shape, _, dtype = _HEADERS[version](file)
    return math.prod(shape) * dtype.itemsize
