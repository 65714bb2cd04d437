"""The kernel for 64-bit ARM, cross-compiled and run under qemu, behind the functions of the loaded library.

The memory that the argument structs point to is copied there and back (see ``emulated.cpp``), so that every test of the
C ABI runs on an instruction set that this machine doesn't have.
"""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from finallayer import kernels
from finallayer.kernels import build

COMPILER, EMULATOR = "aarch64-linux-gnu-g++", "qemu-aarch64"  # Debian: g++-aarch64-linux-gnu, qemu-user
ITEM = {kernels.FLOAT32: 4, kernels.BFLOAT16: 2, kernels.FLOAT16: 2, kernels.FLOAT64: 8}
MOST_BYTES = 1 << 28  # that are copied for a call

XENT = (
    "logits targets class_weight row_weight row_upstream loss reduced grad upstream threads rows inner classes dtype "
    "logits_outer logits_inner logits_class kind target_dtype targets_outer targets_inner targets_class ignore "
    "class_weight_dtype row_weight_dtype row_upstream_dtype smoothing z_loss softcap temperature reduction "
    "lse_upstream loss_dtype lse grad_outer grad_inner grad_class correct bad_row"
).split()
BCE = (
    "logits targets weight pos_weight element_upstream loss reduced grad upstream threads count dtype target_dtype "
    "weight_dtype weight_period pos_weight_dtype pos_weight_period element_upstream_dtype reduction loss_dtype"
).split()


Arguments = ctypes.Array[ctypes.c_char]


class Span(NamedTuple):
    """The bytes that a pointer member gives access to."""

    member: str
    begin: int
    end: int


def is_available() -> bool:
    return shutil.which(COMPILER) is not None and shutil.which(EMULATOR) is not None


def compiled(folder: Path) -> Path:
    """The program, compiled into a folder unless it is there."""
    program = folder / "emulated"
    if not program.exists():
        sources = [Path(__file__).with_suffix(".cpp"), build.HERE / "finallayer_kernels.cpp"]
        flags = ["-std=c++17", "-O2", "-static", "-ffp-contract=fast", "-Wno-psabi", "-pthread", f"-I{build.HERE}"]
        subprocess.run([COMPILER, *flags, *map(str, sources), "-o", str(program)], check=True)
    return program


class EmulatedKernel:
    """Has ``fl_xent``, ``fl_bce`` and ``fl_scale`` as the library has them."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen([EMULATOR, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.fl_scale = _Scale(self)

    def close(self) -> None:
        self._process.communicate()

    def fl_xent(self, arguments: Arguments) -> int:
        members = dict(zip(XENT, kernels.XENT_ARGS.unpack(arguments.raw[: kernels.XENT_ARGS.size]), strict=True))
        return self._call(0, arguments, XENT, list(_xent_spans(members)))

    def fl_bce(self, arguments: Arguments) -> int:
        members = dict(zip(BCE, kernels.BCE_ARGS.unpack(arguments.raw[: kernels.BCE_ARGS.size]), strict=True))
        return self._call(1, arguments, BCE, list(_bce_spans(members)))

    def scale(self, address: int, count: int, dtype: int, factor: float) -> int:
        arguments = ctypes.create_string_buffer(struct.pack("=qqd", count, dtype, factor))
        return self._call(2, arguments, [], [Span("", address, address + count * ITEM[dtype])])

    def _call(self, function: int, arguments: Arguments, members: list[str], spans: list[Span]) -> int:
        regions = _merged(spans)
        if sum(end - begin for begin, end in regions) > MOST_BYTES:
            pytest.skip("too much memory to copy")
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(struct.pack("=QQ", function, len(arguments)) + arguments.raw + struct.pack("=Q", len(regions)))
        for begin, end in regions:
            stdin.write(struct.pack("=QQ", end - begin, begin % 64) + ctypes.string_at(begin, end - begin))
        pointers = [s for s in spans if s.member]
        stdin.write(struct.pack("=Q", len(pointers)))
        for span in pointers:
            home = next(i for i, (begin, end) in enumerate(regions) if begin <= span.begin and span.end <= end)
            # Not always the span's first byte: strides may be negative.
            pointed = struct.unpack_from("=Q", arguments.raw, 8 * members.index(span.member))[0]
            stdin.write(struct.pack("=QQq", 8 * members.index(span.member), home, pointed - regions[home][0]))
        stdin.flush()
        (status,) = struct.unpack("=q", stdout.read(8))
        answer = stdout.read(len(arguments))
        if function == 0:
            bad_row = slice(kernels.BAD_ROW_OFFSET, kernels.XENT_ARGS.size)
            arguments[bad_row] = answer[bad_row]
        for begin, end in regions:
            ctypes.memmove(begin, stdout.read(end - begin), end - begin)
        return int(status)


class _Scale:
    """Takes the ``argtypes`` that tests give to a ctypes function."""

    argtypes: object = None

    def __init__(self, kernel: EmulatedKernel) -> None:
        self._kernel = kernel

    def __call__(self, address: int, count: int, dtype: int, factor: float, threads: int) -> int:
        return self._kernel.scale(address, count, dtype, factor)


def _merged(spans: list[Span]) -> list[tuple[int, int]]:
    """Spans that overlap as one."""
    regions: list[tuple[int, int]] = []
    for _, begin, end in sorted(spans, key=lambda s: s.begin):
        if regions and begin < regions[-1][1]:
            regions[-1] = (regions[-1][0], max(regions[-1][1], end))
        else:
            regions.append((begin, end))
    return regions


def _strided(members: dict[str, int], name: str, item: int, classes: int) -> Iterator[Span]:
    start, rows, inner = members[name], members["rows"], members["inner"]
    if not start or not rows or not classes or inner < 1:
        return
    reaches = [
        (n - 1) * members[f"{name}_{axis}"] * item
        for axis, n in (("outer", rows // inner), ("inner", inner), ("class", classes))
    ]
    yield Span(name, start + sum(min(r, 0) for r in reaches), start + sum(max(r, 0) for r in reaches) + item)


def _flat(members: dict[str, int], name: str, size: int) -> Iterator[Span]:
    if members[name] and size > 0:
        yield Span(name, members[name], members[name] + size)


def _xent_spans(m: dict[str, int]) -> Iterator[Span]:
    item, real = ITEM[m["dtype"]], 8 if m["dtype"] == kernels.FLOAT64 else 4
    for name in ("logits", "grad"):
        yield from _strided(m, name, item, m["classes"])
    soft = m["kind"] == kernels.DISTRIBUTION
    target = ITEM[m["target_dtype"]] if soft else 4 if m["kind"] == kernels.INDEX32 else 8
    yield from _strided(m, "targets", target, m["classes"] if soft else 1)
    for name, count in (("class_weight", "classes"), ("row_weight", "rows"), ("row_upstream", "rows")):
        yield from _flat(m, name, ITEM[m[f"{name}_dtype"]] * m[count])
    for name in ("lse_upstream", "lse"):
        yield from _flat(m, name, real * m["rows"])
    yield from _flat(m, "loss", ITEM[m["loss_dtype"]] * m["rows"])
    yield from _flat(m, "reduced", ITEM[m["loss_dtype"]])
    yield from _flat(m, "correct", m["rows"])


def _bce_spans(m: dict[str, int]) -> Iterator[Span]:
    for name, dtype in (
        ("logits", "dtype"), ("grad", "dtype"), ("targets", "target_dtype"),
        ("element_upstream", "element_upstream_dtype"),
    ):  # fmt: skip
        yield from _flat(m, name, ITEM[m[dtype]] * m["count"])
    for name in ("weight", "pos_weight"):
        yield from _flat(m, name, ITEM[m[f"{name}_dtype"]] * m[f"{name}_period"])
    yield from _flat(m, "loss", ITEM[m["loss_dtype"]] * m["count"])
    yield from _flat(m, "reduced", ITEM[m["loss_dtype"]])
