"""The idx format of MNIST and its relatives, plain or gzipped.

Format: http://yann.lecun.com/exdb/mnist/ (two zero bytes, type, number of dimensions, big-endian sizes, data).
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finallayer.compare.compare_error import BadInputError

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path, dimensions: int) -> NDArray[Any]:
    """The file's array of uint8, with that many dimensions; ``BadInputError`` names what is wrong with the file."""
    content = _content(path)
    magic = bytes((0, 0, _UNSIGNED_BYTE, dimensions))
    if content[:4] != magic:
        raise BadInputError(
            f"{path}: wrong magic number {content[:4].hex() or '(empty file)'}; expected {magic.hex()}, "
            f"an idx file of unsigned bytes with {dimensions} dimension{'s' if dimensions > 1 else ''}"
        )
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise BadInputError(f"{path}: truncated idx header; expected {header} bytes, found {len(content)}")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    expected = int(np.prod(shape, dtype=np.int64))
    if len(content) - header != expected:
        raise BadInputError(
            f"{path}: truncated or overlong idx file; expected {expected} bytes of data for shape {shape}, "
            f"found {len(content) - header}"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _content(path: Path) -> bytes:
    try:
        if path.suffix != ".gz":
            return path.read_bytes()
        with gzip.open(path) as file:
            return file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise BadInputError(f"{path}: truncated or damaged gzip file ({error}); expected a whole .gz") from error
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read ({error.strerror})") from error
