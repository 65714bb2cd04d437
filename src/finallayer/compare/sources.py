"""Where data sets come from: scikit-learn, idx files in a folder or downloaded once, or the user's own .npz."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finallayer.compare.compare_error import BadInputError
from finallayer.compare.dataset import Dataset, split
from finallayer.compare.idx import read_idx
from finallayer.compare.npz import read_npz

Array = NDArray[Any]

PIXEL_MAX = 255.0
LARGEST = 1e38  # float32, in which the models compute, holds no numbers that are much larger
DIGITS_MAX = 16.0  # scikit-learn stores 17 grey levels


@dataclass(frozen=True)
class IdxFiles:
    """A data set in MNIST's four files: where they are served, and the MD5 of each gzipped file."""

    url: str
    md5: dict[str, str]


IDX_FILES: dict[str, IdxFiles] = {
    "mnist": IdxFiles(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
    "fashion-mnist": IdxFiles(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
}


def load(name: str, data_dir: Path | None = None) -> Dataset:
    """The data set of that name, or of that .npz file; ``BadInputError`` says in one line what is wrong with it."""
    if name in SOURCES:
        return SOURCES[name](name, data_dir)
    if name.endswith(".npz"):
        return _npz(Path(name))
    raise BadInputError(f"--data: unknown data set {name!r}; expected one of: {', '.join(SOURCES)}, or a .npz file")


def _digits(name: str, _data_dir: Path | None) -> Dataset:
    """Scikit-learn's 1,797 digits of 8x8 pixels, their grey levels stretched to the usual 0 to 255."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = (digits.images * (PIXEL_MAX / DIGITS_MAX)).astype(np.float32)
    return split(name, pixels, digits.target.astype(np.int32), 10, 0.0, PIXEL_MAX)


def _idx(name: str, data_dir: Path | None) -> Dataset:
    paths = {
        part: _find(data_dir, part) if data_dir is not None else _download(name, part) for part in IDX_FILES[name].md5
    }
    arrays = {part: read_idx(path, dimensions=3 if "idx3" in part else 1) for part, path in paths.items()}
    for kind in ("train", "t10k"):
        images, labels = f"{kind}-images-idx3-ubyte.gz", f"{kind}-labels-idx1-ubyte.gz"
        _check(arrays[images], arrays[labels], str(paths[images]), str(paths[labels]))
    x_train, y_train, x_val, y_val = arrays.values()
    if x_train.shape[1:] != x_val.shape[1:]:
        raise BadInputError(
            f"{paths['t10k-images-idx3-ubyte.gz']}: images of {x_val.shape[1:]}; "
            f"expected {x_train.shape[1:]} as in the training images"
        )
    classes = int(y_train.max()) + 1
    if y_val.max() >= classes:
        raise BadInputError(
            f"{paths['t10k-labels-idx1-ubyte.gz']}: label {y_val.max()} out of range; "
            f"expected 0 to {classes - 1} as in the training labels"
        )
    return Dataset(name, x_train, y_train.astype(np.int32), x_val, y_val.astype(np.int32), classes, 0.0, PIXEL_MAX)


def _find(folder: Path, part: str) -> Path:
    """The gzipped file or the plain one."""
    for path in (folder / part, folder / part.removesuffix(".gz")):
        if path.is_file():
            return path
    raise BadInputError(f"--data-dir: {folder / part} not found; expected it (or without .gz) in that folder")


def _download(name: str, part: str) -> Path:
    """The file from the user's cache, downloaded there the first time and checked against its MD5."""
    import pooch

    files = IDX_FILES[name]
    try:
        fetched = pooch.retrieve(
            files.url + part,
            known_hash=f"md5:{files.md5[part]}",
            fname=part,
            path=pooch.os_cache("finallayer") / name,
        )
    except Exception as error:  # requests' errors, checksum mismatch, an unwritable cache: all end the same way
        reason = str(error).strip().splitlines()[0]
        raise BadInputError(
            f"--data {name}: could not download {files.url}{part} ({reason}); "
            f"expected a network connection, or the files in a folder given with --data-dir"
        ) from error
    return Path(fetched)


def _npz(path: Path) -> Dataset:
    """The user's own samples: arrays ``x`` (N, ...) and ``y``, split here, or ``x_train``, ``y_train``, ``x_test`` and
    ``y_test``, as Keras keeps its data sets. Labels may be whatever tells classes apart (see ``class_indices``).
    """
    arrays = read_npz(path, ("x", "y"), ("x_train", "y_train", "x_test", "y_test"))
    labels = {name: class_names(y, f"{path}: {name}") for name, y in arrays.items() if name.startswith("y")}
    for name, y in labels.items():
        _check_samples(arrays["x" + name[1:]], y, f"{path}: x{name[1:]}", f"{path}: {name}")
    known = np.unique(labels.get("y_train", next(iter(labels.values()))))
    samples = [x for name, x in arrays.items() if name.startswith("x")]
    low, high = float(min(x.min() for x in samples)), float(max(x.max() for x in samples))
    if max(-low, high) > LARGEST:
        raise BadInputError(f"{path}: samples reach from {low:g} to {high:g}; expected numbers up to {LARGEST:g}")
    if np.float32(low) == np.float32(high):
        raise BadInputError(f"{path}: samples are {low:g} everywhere, in float32; expected some that differ")
    with np.errstate(all="ignore"):
        scale = 1 / np.float32(high - low)
    if not np.isfinite(scale):
        raise BadInputError(f"{path}: samples differ by {high - low:g} at most; expected more than float32 can scale")
    indices = {name: class_indices(y, known, f"{path}: {name}") for name, y in labels.items()}
    if "y" in indices:
        return split(path.stem, arrays["x"], indices["y"], len(known), low, high)
    if arrays["x_train"].shape[1:] != arrays["x_test"].shape[1:]:
        raise BadInputError(
            f"{path}: x_test has samples of {arrays['x_test'].shape[1:]}; "
            f"expected {arrays['x_train'].shape[1:]} as in x_train"
        )
    return Dataset(
        path.stem,
        arrays["x_train"],
        indices["y_train"],
        arrays["x_test"],
        indices["y_test"],
        len(known),
        low,
        high,
    )


def class_names(y: Array, name: str) -> Array:
    """Labels as one value a sample, ``(N,)``: numbers or text, a column of them, or one-hot rows."""
    if y.dtype.kind not in "iufbSU":
        raise BadInputError(f"{name} has dtype {y.dtype}; expected labels: numbers, text, or one-hot rows")
    if y.ndim == 2 and y.shape[1] == 1:
        y = np.asarray(y[:, 0])
    if y.ndim == 2 and y.dtype.kind not in "SU":
        if not np.array_equal(y, y == 1) or not (np.sum(y == 1, axis=1) == 1).all():
            raise BadInputError(f"{name} has shape {y.shape}; expected a single 1 among zeros in each row (one-hot)")
        return np.asarray(np.argmax(y, axis=1))
    if y.ndim != 1:
        raise BadInputError(f"{name} has shape {y.shape}; expected labels of shape (samples,), or one-hot rows")
    if y.dtype.kind == "f" and not (np.isfinite(y).all() and np.array_equal(y, np.floor(y))):
        raise BadInputError(f"{name} holds labels that are not whole numbers; expected a class a sample")
    return y


def class_indices(y: Array, known: Array, name: str) -> Array:
    """Class indices from 0, int32, of labels ``(N,)``, numbered as the sorted ``known`` ones are."""
    places = np.searchsorted(known, y)
    unknown = known[np.minimum(places, len(known) - 1)] != y
    if unknown.any():
        raise BadInputError(
            f"{name} holds label {y[int(np.argmax(unknown))]!s:.40}, which no training sample has; "
            f"expected one of the {len(known)} that y_train holds"
        )
    return np.asarray(places, dtype=np.int32)


def _check(x: Array, y: Array, x_name: str, y_name: str) -> None:
    """The samples and labels of a data set that comes with class indices."""
    if y.ndim != 1:
        raise BadInputError(f"{y_name} has shape {y.shape}; expected integer labels of shape (samples,)")
    _check_samples(x, y, x_name, y_name)
    present = np.unique(y)
    expected = np.arange(len(present))
    if not np.array_equal(present, expected):
        wrong = present[present != expected][0]
        raise BadInputError(
            f"{y_name} holds label {wrong:g}, out of range; expected class indices from 0 without gaps "
            f"({len(present)} different labels: 0 to {len(present) - 1})"
        )


def _check_samples(x: Array, y: Array, x_name: str, y_name: str) -> None:
    """Samples that can be trained on, one a label; ``x_name`` and ``y_name`` say where they came from."""
    if x.ndim < 2 or x.dtype.kind not in "fiub":
        raise BadInputError(
            f"{x_name} has shape {x.shape} and dtype {x.dtype}; expected numbers of shape (samples, ...)"
        )
    if len(x) != len(y):
        raise BadInputError(
            f"{x_name} and {y_name} differ in length: {len(x)} samples, {len(y)} labels; expected one each"
        )
    if x.size == 0:
        raise BadInputError(f"{x_name} has shape {x.shape}, which holds nothing; expected numbers")
    if len(x) < 10:
        raise BadInputError(f"{x_name} holds {len(x)} samples; expected at least 10")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        bad = int(np.argmin(np.isfinite(x).reshape(len(x), -1).all(axis=1)))
        raise BadInputError(f"{x_name} holds NaN or infinity, first in sample {bad}; expected finite numbers")
    if len(np.unique(y)) < 2:
        raise BadInputError(f"{y_name} holds one class only; expected at least 2")


SOURCES: dict[str, Callable[[str, Path | None], Dataset]] = {"digits": _digits, "mnist": _idx, "fashion-mnist": _idx}
