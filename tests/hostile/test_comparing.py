"""What ``compare`` reads and starts: damaged results, archives that explode, a second run, a parent that is killed."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import finallayer

pytest.importorskip("filelock")
pytest.importorskip("jinja2")

import matplotlib
import numpy as np

from finallayer.compare import report_folder
from finallayer.compare.compare_error import BadInputError
from finallayer.compare.figures import heat_map
from finallayer.compare.folder import alone_in
from finallayer.compare.idx import read_idx
from finallayer.compare.npz import MOST_BYTES
from finallayer.compare.results import load
from finallayer.compare.session import tell
from finallayer.compare.sources import load as load_data

from ..compare.synthetic import results_of, silenced_and_rescued


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(BadInputError) as caught:
        act()
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    return message


# results.json


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("whole")
    results_of(*silenced_and_rescued()).save(folder)
    content: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return content


def places(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each part of a document, one item of each list."""
    if way:
        yield way
    inner = value.items() if isinstance(value, dict) else list(enumerate(value))[:1] if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*way, key))


#: What may stand there instead.
WRONG: tuple[Any, ...] = (None, [], {}, "x", 7, -1, True, [[]], 1e999)
#: Parts that are written only, and computed anew.
WRITTEN_ONLY = {"finallayer", "updated", "missing", "not_installed", "summary", "verdict"}


def test_whatever_stands_in_place_of_a_part_is_one_line_or_harmless(whole: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    ways = [way for way in places(whole) if way[0] not in WRITTEN_ONLY]
    assert len(ways) > 50
    for way in ways:
        for wrong in WRONG:
            damaged = json.loads(json.dumps(whole))
            owner = damaged
            for key in way[:-1]:
                owner = owner[key]
            owner[way[-1]] = wrong
            path.write_text(json.dumps(damaged))
            try:
                results = load(path)
            except BadInputError as error:
                assert "\n" not in str(error)
            else:
                from finallayer.compare.experiment import conclude

                conclude(results)
                results.save(tmp_path)


@pytest.mark.parametrize("cut", [0, 1, 100, 1000, -3])
def test_results_that_end_early_are_one_line(whole: dict[str, Any], tmp_path: Path, cut: int) -> None:
    (tmp_path / "results.json").write_text(json.dumps(whole)[:cut])
    assert "cannot be read as results" in refused(lambda: load(tmp_path / "results.json"))


@pytest.mark.parametrize("part", ["data", "environment", "timing", "gradients"])
def test_a_text_that_a_terminal_obeys_is_refused(whole: dict[str, Any], tmp_path: Path, part: str) -> None:
    for text in ("\0", "\x1b[2J", "a\n::error::b", "\x9b"):
        damaged = json.loads(json.dumps(whole))
        damaged[part]["versions" if part == "environment" else "more"] = {"torch": [{text: 1}]}
        (tmp_path / "results.json").write_text(json.dumps(damaged))
        assert "control character" in refused(lambda: load(tmp_path / "results.json"))


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, "\ufeff{}", "null", "\udcff", '{"schema_version": 1}'])
def test_results_that_are_none_are_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_bytes(text.encode(errors="surrogateescape"))
    refused(lambda: load(tmp_path / "results.json"))


def test_results_that_are_no_file_are_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "results.json")
    assert "not a regular file" in refused(lambda: load(tmp_path / "results.json"))


# Data


def npy(shape: tuple[int, ...], data: bytes = b"", dtype: str = "<f8") -> bytes:
    """An .npy file that says it holds an array of a shape."""
    header = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def archive(folder: Path, /, **members: bytes) -> str:
    path = folder / "data.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return str(path)


Y = npy((20,), np.arange(20, dtype="<f8").tobytes())
ARRAYS: dict[str, tuple[bytes, bytes, str]] = {
    "of 29 TiB": (npy((1 << 42, 1)), Y, "takes 35,184,372,088,832 bytes; the most is "),
    "of a shape that no number holds": (npy((1 << 62, 1 << 62)), Y, "the most is "),
    "of less than nothing": (npy((-20, 4)), Y, ""),
    "that is cut off": (npy((20, 4), b"\0" * 64), Y, "cut off"),
    "of nothing": (npy((50, 0)), npy((50,), b"\0" * 400), "holds nothing"),
    "of objects": (npy((20, 4), b"\0" * 640, "|O"), Y, ""),
    "of texts": (npy((20, 4), b"\0" * 320, "|S4"), Y, "expected numbers"),
    "of a type that is none": (npy((20, 4), b"\0" * 640, "<f9"), Y, ""),
    "that isn't one": (b"not an array", Y, "not a readable .npz"),
    "with a header of brackets": (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, Y, "not a readable .npz"),
    "of a version that is none": (b"\x93NUMPY\x09\x00" + Y[8:], Y, "not a readable .npz"),
    "of numbers that are too large": (npy((20, 1), np.linspace(0, 1e300, 20).tobytes()), Y, "expected numbers up to"),
    "of numbers that are none": (npy((20, 1), np.full(20, np.nan).tobytes()), Y, "NaN"),
}


@pytest.mark.parametrize("array", ARRAYS)
def test_an_array_is_refused_in_one_line_and_before_it_takes_memory(tmp_path: Path, array: str) -> None:
    x, y, says = ARRAYS[array]
    assert says in refused(lambda: load_data(archive(tmp_path, x=x, y=y)))


def test_an_archive_that_explodes_is_refused(tmp_path: Path) -> None:
    """A few kilobytes, which say what they are: four gigabytes of zeros; or which lie about it."""
    explosion = npy((MOST_BYTES // 8 + 1, 1), b"\0" * 1_000_000)
    assert "the most is" in refused(lambda: load_data(archive(tmp_path, x=explosion, y=Y)))


def damaged(make: Callable[[bytes], bytes]) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        path = Path(archive(folder, x=npy((20, 4), b"\0" * 640), y=Y))
        path.write_bytes(make(path.read_bytes()))
        return str(path)

    return write


DEFLATED = b"\x14\x00\x00\x00\x08\x00"  # in a header: the version, no flags, the compression

ARCHIVES: dict[str, Callable[[Path], str]] = {
    "that is one array": damaged(lambda _: npy((20, 4), b"\0" * 640)),
    "that is a pickle": damaged(lambda _: b"\x80\x04K\x01."),
    "that is empty": damaged(lambda _: b""),
    "that is cut off": damaged(lambda data: data[:-30]),
    "that is encrypted": damaged(
        lambda data: data.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")
    ),
    "of an unknown compression": damaged(
        lambda data: data.replace(b"\x14\x00\x00\x00\x08\x00", b"\x14\x00\x00\x00\x63\x00")
    ),
    "with a wrong checksum": damaged(lambda data: data[:14] + b"\xff\xff\xff\xff" + data[18:]),
    "with other names": lambda d: archive(d, a=Y, b=Y),
    "with a name of two lines": lambda d: archive(d, **{"a\nb": Y, "y": Y}),
    "with folders": lambda d: archive(d, **{"x.npy/": Y, "y": Y}),
    "that is a folder": lambda d: (d / "data.npz").mkdir() or str(d / "data.npz"),  # type: ignore[func-returns-value]
    "that is a pipe": lambda d: os.mkfifo(d / "data.npz") or str(d / "data.npz"),  # type: ignore[func-returns-value]
    "that isn't there": lambda d: str(d / "absent.npz"),
    "of a long name": lambda d: str(d / ("x" * 300 + ".npz")),
}


@pytest.mark.parametrize("label", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("column", [False, True])
def test_labels_that_are_no_numbers_are_refused(tmp_path: Path, label: float, column: bool) -> None:
    y = np.where(np.arange(20) % 2, label, 1.0)
    np.savez(tmp_path / "data.npz", x=np.arange(80.0).reshape(20, 4), y=y[:, None] if column else y)
    assert "not whole numbers" in refused(lambda: load_data(str(tmp_path / "data.npz")))


@pytest.mark.filterwarnings("error")
def test_samples_that_hardly_differ_are_refused_without_a_warning(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.where(np.arange(80).reshape(20, 4) % 2, 0, 1e-45), y=np.arange(20) % 2)
    assert "expected more than float32 can scale" in refused(lambda: load_data(str(tmp_path / "data.npz")))


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_is_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    refused(lambda: load_data(ARCHIVES[kind](tmp_path)))


@pytest.mark.timeout(30)
@pytest.mark.parametrize("zipped", [False, True])
def test_an_idx_file_is_refused_before_it_takes_memory(tmp_path: Path, zipped: bool) -> None:
    header = struct.pack(">BBBB3I", 0, 0, 8, 3, 60_000, 1_000, 1_000)
    path = tmp_path / f"images{'.gz' * zipped}"
    path.write_bytes(gzip.compress(header + b"\0" * 1000) if zipped else header)
    assert "60,000,000,000 bytes of data" in refused(lambda: read_idx(path, 3))
    header = struct.pack(">BBBB3I", 0, 0, 8, 3, 2, 2, 2)
    more = header + b"\0" * 50_000_000
    path.write_bytes(gzip.compress(more, 1) if zipped else more)
    assert "found more" in refused(lambda: read_idx(path, 3))
    path.unlink()
    os.mkfifo(path)
    assert "not a regular file" in refused(lambda: read_idx(path, 3))


def test_arrays_of_every_writer_are_read(tmp_path: Path) -> None:
    x = np.arange(80, dtype=">i2").reshape(20, 4)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "data.npz", x=np.asfortranarray(x), y=np.arange(20) % 2)
        assert load_data(str(tmp_path / "data.npz")).x_train.sum() > 0
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, x, version=(2, 0))
    assert load_data(archive(tmp_path, x=buffer.getvalue(), y=npy((20,), (np.arange(20.0) % 2).tobytes())))


# Settings of a library that lie in the working folder


def test_settings_of_matplotlib_in_the_working_folder_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "matplotlibrc")  # whoever reads it waits
    imports = "from finallayer.compare.style import as_it_comes\nwith as_it_comes():\n    import matplotlib.figure"
    path = os.pathsep.join([str(Path(finallayer.__file__).parents[1]), *sys.path])
    command = [sys.executable, "-P", "-c", imports]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, timeout=30, check=True)


def test_a_report_is_drawn_by_no_settings_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = results_of(*silenced_and_rescued())
    settings: list[Any] = [{}, {"text.usetex": True, "axes.labelpad": 50}]
    monkeypatch.setattr(report_folder, "_sheets", lambda results: {"grid": heat_map(results.summarized().compared)})
    monkeypatch.setattr(report_folder, "make_page", lambda _: "")
    pictures = []
    for chosen in settings:
        with matplotlib.rc_context(chosen):
            report_folder.write_report(results, tmp_path)
        pictures.append((tmp_path / "figures" / "grid.svg").read_bytes())
    assert pictures[0] == pictures[1]


def test_a_name_that_is_not_utf_8_or_that_a_terminal_obeys_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    results = results_of(*silenced_and_rescued())
    results.command = "finallayer compare --data \udcff.npz"
    monkeypatch.setattr(report_folder, "_sheets", lambda _: {})
    monkeypatch.setattr(report_folder, "make_page", lambda results: results.command)
    out = tmp_path / "o\udcff\x1b[2J\n::error::"
    out.mkdir()
    tell(results, report_folder.write_report(results, out))
    assert (out / "report.html").read_text() == "finallayer compare --data \\udcff.npz"
    assert "o\\udcff\\x1b[2J\\n::error::" in capfd.readouterr().out


# A second run, and a parent that is killed


def test_a_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    hold = "import sys, time; from pathlib import Path; from finallayer.compare.folder import alone_in\n"
    hold += "with alone_in(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)\n"
    path = os.pathsep.join([str(Path(finallayer.__file__).parents[1]), *sys.path])
    command = [sys.executable, "-c", hold, str(tmp_path / "out")]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path})
    assert first.stdout is not None and first.stdout.readline() == b"held\n"

    def enter() -> None:
        with alone_in(tmp_path / "out"):
            pass

    assert "another run is writing into" in refused(enter)
    first.kill()
    first.wait()
    enter()  # the lock ends with the process, however that ends


@pytest.mark.parametrize("name", ["earlier", "figures"])
@pytest.mark.parametrize("what", ["a link", "a link to nowhere", "a file"])
def test_a_report_is_not_written_through_a_link(tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    inner = tmp_path / "out" / name
    if what == "a file":
        inner.write_text("precious")
    else:
        inner.symlink_to(tmp_path / ("elsewhere" if what == "a link" else "nowhere"))

    def enter() -> None:
        with alone_in(tmp_path / "out"):
            pass

    assert f"{inner} is a link or a file" in refused(enter)


#: A parent whose children train for ever, as far as they know.
PARENT = """
import sys
from pathlib import Path
from finallayer.compare import children
from finallayer.compare.grid import Cell

children.WORKER = "tests.hostile.endless_worker"
cell = Cell("torch", "float32", "raw", "logits", 0)
for event in children.run_children({"torch": [cell]}, Path(sys.argv[1]), 1, 1, 1):
    if event.kind == "ready":
        print(event.fields["pid"], flush=True)
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_children_and_the_scratch_folder_end_with_the_parent(tmp_path: Path, number: int) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "data.npz").write_bytes(b"data")
    path = os.pathsep.join([str(Path(__file__).parents[2]), *(entry for entry in sys.path if entry)])
    parent = subprocess.Popen(
        [sys.executable, "-P", "-c", PARENT, str(scratch / "data.npz")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(number)
    parent.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (_lives(child) or scratch.exists()):
        time.sleep(0.05)
    assert not _lives(child) and not scratch.exists()


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split(") ")[1][0] != "Z"
    except OSError:
        return False
