"""The idx format of MNIST and its relatives, plain or gzipped.

Format: http://yann.lecun.com/exdb/mnist/ (two zero bytes, type, number of dimensions, big-endian sizes, data).
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from finallayer.compare.compare_error import BadInputError
from finallayer.disk import size_of

_UNSIGNED_BYTE = 0x08
#: No array of more bytes is read.
MOST_BYTES = 2 << 30


def read_idx(path: Path, dimensions: int) -> NDArray[Any]:
    """The file's array of uint8, with that many dimensions; ``BadInputError`` names what is wrong with the file."""
    try:
        size_of(path)  # a pipe would keep us waiting
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _array(file, path, dimensions)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInputError(f"{path}: truncated or damaged gzip file ({error}); expected a whole .gz") from error
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read ({error.strerror})") from error


def _array(file: BinaryIO | gzip.GzipFile, path: Path, dimensions: int) -> NDArray[Any]:
    """What an open file holds; no more is read than its header says, and nothing where that is too much."""
    size = 4 + 4 * dimensions
    header = file.read(size)
    magic = bytes((0, 0, _UNSIGNED_BYTE, dimensions))
    if header[:4] != magic:
        raise BadInputError(
            f"{path}: wrong magic number {header[:4].hex() or '(empty file)'}; expected {magic.hex()}, "
            f"an idx file of unsigned bytes with {dimensions} dimension{'s' if dimensions > 1 else ''}"
        )
    if len(header) < size:
        raise BadInputError(f"{path}: truncated idx header; expected {size} bytes, found {len(header)}")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    expected = math.prod(shape)
    if expected > MOST_BYTES:
        raise BadInputError(f"{path}: {expected:,} bytes of data for shape {shape}; the most is {MOST_BYTES:,}")
    content = file.read(expected + 1)
    if len(content) != expected:
        found = len(content) if len(content) < expected else "more"
        raise BadInputError(
            f"{path}: truncated or overlong idx file; expected {expected} bytes of data for shape {shape}, "
            f"found {found}"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)
