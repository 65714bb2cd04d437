"""Where data comes from, and the one line a user reads when it is not what it should be."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finallayer.compare import sources
from finallayer.compare.compare_error import BadInputError
from finallayer.compare.dataset import Dataset
from finallayer.compare.idx import read_idx

X = np.arange(20 * 4 * 4, dtype=np.uint8).reshape(20, 4, 4)
Y = np.arange(20, dtype=np.uint8) % 5


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The four files of a tiny MNIST."""
    for kind in ("train", "t10k"):
        (tmp_path / f"{kind}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(X)))
        (tmp_path / f"{kind}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(Y)))
    return tmp_path


def error(name: str, data_dir: Path | None = None) -> str:
    with pytest.raises(BadInputError) as caught:
        sources.load(name, data_dir)
    message = str(caught.value)
    assert "\n" not in message
    assert "expected" in message or "cannot be read" in message
    return message


def npz(path: Path, **arrays: Any) -> str:
    np.savez(path / "mine.npz", **arrays)
    return str(path / "mine.npz")


def test_digits_need_no_network_and_are_stretched_to_255() -> None:
    digits = sources.load("digits")
    assert (len(digits.x_train), len(digits.x_val), digits.classes) == (1438, 359, 10)
    assert digits.x_train.max() == 255.0
    raw, _ = digits.inputs("raw")
    scaled, _ = digits.inputs("scaled")
    assert (scaled.min(), scaled.max()) == (0.0, 1.0)
    np.testing.assert_allclose(raw, scaled * 255, rtol=1e-6)


def test_the_split_is_a_partition_and_always_the_same() -> None:
    first, second = sources.load("digits"), sources.load("digits")
    assert first.describe() == second.describe()
    everything = np.concatenate([first.x_train, first.x_val]).reshape(1797, -1)
    from sklearn.datasets import load_digits

    stored = np.sort((load_digits().data * (255 / 16)).sum(axis=1))
    np.testing.assert_allclose(np.sort(everything.sum(axis=1)), stored, rtol=1e-5)


@pytest.mark.parametrize("gzipped", [True, False])
def test_idx_files_are_read_gzipped_or_plain(folder: Path, gzipped: bool) -> None:
    if not gzipped:
        for path in list(folder.iterdir()):
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
    data = sources.load("mnist", folder)
    np.testing.assert_array_equal(data.x_train, X)
    np.testing.assert_array_equal(data.y_val, Y)
    assert data.classes == 5


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    assert "t10k-labels-idx1-ubyte.gz not found" in error("mnist", folder)


def test_a_truncated_gz_is_named(folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    message = error("mnist", folder)
    assert str(path) in message and "truncated or damaged gzip" in message


def test_a_file_that_is_no_gzip_is_named(folder: Path) -> None:
    path = folder / "train-labels-idx1-ubyte.gz"
    path.write_bytes(b"<html>not found</html>")
    assert f"{path}: truncated or damaged gzip" in error("mnist", folder)


def test_a_wrong_magic_number_is_shown_with_the_right_one(folder: Path) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(b"\x00\x00\x0d\x03" + idx(X)[4:]))
    message = error("mnist", folder)
    assert "wrong magic number 00000d03" in message and "expected 00000803" in message


def test_labels_in_place_of_images_have_the_wrong_magic_number(folder: Path) -> None:
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(Y)))
    assert "wrong magic number 00000801" in error("mnist", folder)


@pytest.mark.parametrize("content", [idx(X)[:-1], idx(X) + b"\0", idx(X)[:9]])
def test_an_idx_file_must_hold_what_its_header_says(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=r"truncated"):
        read_idx(path, 3)


def test_images_and_labels_must_be_as_many(folder: Path) -> None:
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(Y[:-3])))
    assert "differ in length: 20 samples, 17 labels" in error("mnist", folder)


def test_validation_labels_must_be_among_the_training_labels(folder: Path) -> None:
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx((np.arange(20) % 6).astype(np.uint8))))
    assert "label 5 out of range; expected 0 to 4" in error("mnist", folder)


def test_an_npz_of_ones_own(tmp_path: Path) -> None:
    x = np.linspace(-3.0, 5.0, 200).reshape(40, 5)
    data = sources.load(npz(tmp_path, x=x, y=np.arange(40) % 3))
    assert (data.name, data.classes, data.low, data.high) == ("mine", 3, -3.0, 5.0)
    assert len(data.x_train) == 32 and len(data.x_val) == 8


@pytest.mark.parametrize(
    "labels",
    [
        Y[:, None],  # a column
        np.eye(5)[Y],  # one-hot
        np.array(["ant", "bee", "cow", "dog", "eel"])[Y],  # names, which sort as their indices do
        np.array([b"ant", b"bee", b"cow", b"dog", b"eel"])[Y],
        np.array([-1, 3, 4, 70, 71])[Y],  # with gaps
        Y.astype(float),
    ],
)
def test_whatever_tells_classes_apart_is_a_label(tmp_path: Path, labels: np.ndarray) -> None:
    data, plain = sources.load(npz(tmp_path, x=X, y=labels)), sources.load(npz(tmp_path, x=X, y=Y))
    assert data.classes == plain.classes == 5
    np.testing.assert_array_equal(data.y_train, plain.y_train)
    np.testing.assert_array_equal(data.y_val, plain.y_val)


def test_an_npz_that_is_split_already_stays_split(tmp_path: Path) -> None:
    """As Keras keeps its data sets."""
    data = sources.load(npz(tmp_path, x_train=X, y_train=Y, x_test=X[:12] + 1, y_test=Y[:12]))
    np.testing.assert_array_equal(data.x_val, X[:12] + 1)
    assert (len(data.x_train), data.classes, data.high) == (20, 5, float(max(X.max(), X[:12].max() + 1)))


BAD_NPZ: dict[str, dict[str, np.ndarray]] = {
    "differ in length: 20 samples, 19 labels": {"x": X, "y": Y[:-1]},
    "NaN or infinity, first in sample 7": {"x": np.where(np.arange(20)[:, None] == 7, np.nan, 1.0), "y": Y},
    "a single 1 among zeros in each row": {"x": X, "y": np.eye(5)[Y] * 0.9},
    "y_test holds label 9, which no training sample has": {
        "x_train": X,
        "y_train": Y,
        "x_test": X,
        "y_test": np.where(Y == 4, 9, Y),
    },
    "x_test has samples of (2,)": {"x_train": X, "y_train": Y, "x_test": X[:, 0, :2], "y_test": Y},
    "expected x and y, or x_train and y_train and x_test and y_test, found: x_train": {"x_train": X},
    "not whole numbers": {"x": X, "y": Y + 0.5},
    "one class only": {"x": X, "y": Y * 0},
    "no array 'y'": {"x": X},
    "no array 'x'": {"y": Y},
    "x has shape (20,)": {"x": X[:, 0, 0], "y": Y},
    "y has shape (20, 2, 1)": {"x": X, "y": np.zeros((20, 2, 1))},
    "y has dtype datetime64": {"x": X, "y": Y.astype("datetime64[s]")},
    "holds 5 samples": {"x": X[:5], "y": Y[:5]},
    "samples are 3 everywhere, in float32": {"x": X * 0 + 3, "y": Y},
}


@pytest.mark.parametrize("says", BAD_NPZ)
def test_an_npz_that_cannot_be_trained_on_is_refused(tmp_path: Path, says: str) -> None:
    path = npz(tmp_path, **BAD_NPZ[says])
    message = error(path)
    assert says in message and path in message


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    assert "not a readable .npz" in error(npz(tmp_path, x=np.array([{}, 1], dtype=object), y=Y))


def test_a_file_that_is_no_npz_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    path.write_bytes(b"not a zip")
    assert "not a readable .npz" in error(str(path))
    assert "no such file" in error(str(tmp_path / "other.npz"))


def test_an_unknown_name_lists_the_known_ones() -> None:
    message = error("cifar")
    assert all(name in message for name in ("cifar", "digits", "mnist", "fashion-mnist", ".npz"))


def test_a_data_set_survives_its_file(tmp_path: Path) -> None:
    digits = sources.load("digits")
    digits.save(tmp_path / "data.npz")
    assert Dataset.load(tmp_path / "data.npz").describe() == digits.describe()


@pytest.fixture
def server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The tiny MNIST behind HTTP, as the place to download from, and an empty user's cache."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        md5 = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.gz"))}
        parts = {part: md5[part] for part in sources.IDX_FILES["mnist"].md5}
        url = f"http://127.0.0.1:{served.server_address[1]}/"
        monkeypatch.setitem(sources.IDX_FILES, "mnist", sources.IdxFiles(url, parts))
        cache = folder / "cache"
        monkeypatch.setattr("pooch.os_cache", lambda project: cache / project)
        yield cache
        served.shutdown()


def test_files_are_downloaded_once_into_the_cache(server: Path, folder: Path) -> None:
    np.testing.assert_array_equal(sources.load("mnist").x_train, X)
    assert len(list(server.rglob("*.gz"))) == 4
    for path in folder.glob("*.gz"):
        path.unlink()  # nothing left to serve
    np.testing.assert_array_equal(sources.load("mnist").x_train, X)


def test_a_download_with_the_wrong_checksum_is_refused(server: Path, folder: Path) -> None:
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(X + 1)))
    message = error("mnist")
    assert "train-images-idx3-ubyte.gz" in message and "hash" in message
    assert not list(server.rglob("train-images-idx3-ubyte.gz"))


def test_without_a_network_the_way_out_is_named(server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = sources.IdxFiles("http://127.0.0.1:9/", sources.IDX_FILES["mnist"].md5)
    monkeypatch.setitem(sources.IDX_FILES, "mnist", nowhere)
    assert "--data-dir" in error("mnist")


def test_samples_that_float32_cannot_tell_apart_are_refused(tmp_path: Path) -> None:
    """Scaled to 0 to 1 they would be nan."""
    for low, high in ((0.0, 5e-324), (1.0, 1.0 + 1e-12), (0.0, 1e-40)):
        assert (
            "in float32" in (said := error(npz(tmp_path, x=np.where(X.min() < X, high, low), y=Y))) or "scale" in said
        )
