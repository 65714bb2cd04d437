"""Edge semantics of the C ABI: ignored rows, masks, NaN, empty input, targets out of range, memory it may not touch."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from finallayer import kernels

from .emulated import BCE, XENT
from .kernel_rows import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    Terms,
    call,
    hard_rows,
    options,
    packed,
    truth,
    worst,
)

TASKS = Path("/proc/self/task")  # a folder a thread
ALL_DTYPES = pytest.mark.parametrize("dtype", [FLOAT32, BFLOAT16, FLOAT16], ids=str)


@pytest.mark.parametrize("ignore_index", [-100, 0, 6, 2**40])
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
def test_ignored_rows_count_nothing(lib: ctypes.CDLL, ignore_index: int, index_dtype: type) -> None:
    z, target = hard_rows(np.random.default_rng(0), 60, 7, FLOAT32)
    if abs(ignore_index) < 2**31:
        target[::3] = ignore_index
    terms = Terms("mean", ignore_index=ignore_index)
    got, exact = call(lib, z, target.astype(index_dtype), terms), truth(z, target, terms)
    assert max(worst(got, exact).values()) <= 1
    ignored = target == ignore_index
    assert not got.grad[ignored].any() and not got.loss[ignored].any() and not got.correct[ignored].any()


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_all_ignored_is_zero(lib: ctypes.CDLL, reduction: str) -> None:
    got = call(lib, np.ones((4, 5), "f4"), np.full(4, -100), Terms(reduction))
    assert got.reduced == 0 and not got.loss.any() and not got.grad.any()


@ALL_DTYPES
@pytest.mark.parametrize("shape", [(0, 5), (0, 0)])
def test_no_rows(lib: ctypes.CDLL, shape: tuple[int, int], dtype: np.dtype) -> None:
    assert call(lib, np.zeros(shape, dtype), np.zeros(0, np.int64), Terms("mean")).reduced == 0


@ALL_DTYPES
def test_masked_classes_have_gradient_zero(lib: ctypes.CDLL, dtype: np.dtype) -> None:
    z = np.random.default_rng(0).normal(0, 1, (20, 2050)).astype(dtype)
    z[:, 5:1900] = -np.inf  # a whole block among them
    target = np.full(20, 3)
    got = call(lib, z, target)
    assert max(worst(got, truth(z, target)).values()) <= 1
    assert not got.grad[:, 5:1900].any()


def test_a_masked_class_stays_zero_under_any_upstream(lib: ctypes.CDLL) -> None:
    got = call(lib, np.array([[1, -np.inf, 2, 0]], "f4"), np.array([0]), Terms(upstream=1e30))
    assert got.grad[0, 1] == 0


@pytest.mark.parametrize("classes", [10, 40, 600])
def test_the_only_unmasked_class_is_certain(lib: ctypes.CDLL, classes: int) -> None:
    z = np.full((1, classes), -np.inf, "f4")
    z[0, 7] = 5
    for lse in (False, True):
        got = call(lib, z, np.array([7]), lse=lse)
        assert got.loss[0] == 0 and not got.grad.any() and got.correct[0]
    assert got.lse[0] == 5


@pytest.mark.parametrize("classes", [4, 40, 600])
def test_a_masked_target_costs_infinity_and_the_rest_stays_finite(lib: ctypes.CDLL, classes: int) -> None:
    z = np.full((1, classes), -np.inf, "f4")
    z[0, :4] = [0, 1, -np.inf, 2]
    got = call(lib, z, np.array([2]))
    assert got.loss[0] == np.inf
    np.testing.assert_allclose(got.grad[0, :4], [0.09003057, 0.24472847, -1, 0.66524096], rtol=1e-6)


@ALL_DTYPES
@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("classes", "column"), [(10, 9), (41, 0), (41, 9), (41, 40), (1501, 0), (1501, 9), (1501, 1500)]
)
def test_nan_stays_in_its_row(lib: ctypes.CDLL, poison: float, classes: int, column: int, dtype: np.dtype) -> None:
    z = np.random.default_rng(0).normal(0, 1, (4, classes)).astype(dtype)
    target = np.array([0, 9, 3, 4])
    z[1, column] = poison
    got, clean = call(lib, z, target), truth(z[[0, 2, 3]], target[[0, 2, 3]])
    assert np.isnan(got.loss[1]) and np.isnan(got.grad[1].astype("f4")).all()
    assert (
        worst(
            got._replace(loss=got.loss[[0, 2, 3]], grad=got.grad[[0, 2, 3]], reduced=np.float32(clean.reduced)), clean
        )["grad"]
        <= 1
    )


def test_a_nan_with_a_payload_is_a_nan(lib: ctypes.CDLL) -> None:
    z = np.zeros((1, 20), "f4")
    z.view(np.uint32)[0, 7] = 0x7FC00123
    assert np.isnan(call(lib, z, np.array([0])).grad).all()


@pytest.mark.parametrize("classes", [5, 40, 600])
def test_every_class_masked_is_undefined(lib: ctypes.CDLL, classes: int) -> None:
    assert np.isnan(call(lib, np.full((1, classes), -np.inf, "f4"), np.array([2])).loss[0])


@pytest.mark.parametrize("bad", [5, -1, 2**40, -(2**62)])
def test_a_target_out_of_range_is_named_and_nothing_is_written(lib: ctypes.CDLL, bad: int) -> None:
    grad = np.full((3, 5), 7, "f4")
    with pytest.raises(IndexError) as error:
        call(lib, np.zeros((3, 5), "f4"), np.array([0, 1, bad]), grad=grad)
    assert error.value.args == (2,)
    assert (grad == 7).all()


@ALL_DTYPES
def test_the_gradient_may_overwrite_the_logits(lib: ctypes.CDLL, dtype: np.dtype) -> None:
    z, target = hard_rows(np.random.default_rng(0), 30, 3000, dtype)
    exact = truth(z, target)
    assert worst(call(lib, z, target, grad=z), exact)["grad"] <= 1


@ALL_DTYPES
@pytest.mark.parametrize("shift", [1, 3])
def test_misaligned_rows(lib: ctypes.CDLL, dtype: np.dtype, shift: int) -> None:
    """Rows that start at any byte, as in a memory-mapped file, large enough for the streaming path."""
    z, target = hard_rows(np.random.default_rng(0), 1100, 1001, dtype)

    def misaligned() -> np.ndarray:
        room = np.zeros(z.nbytes + 64, np.uint8)
        return room[shift : shift + z.nbytes].view(np.uint8)

    source, sink = misaligned(), misaligned()
    source[:] = z.view(np.uint8).reshape(-1)
    got = call(
        lib,
        np.ndarray(z.shape, z.dtype, buffer=source.data),
        target,
        grad=np.ndarray(z.shape, z.dtype, buffer=sink.data),
    )
    assert max(worst(got, truth(z, target)).values()) <= 1


@ALL_DTYPES
def test_rows_apart_and_backwards(lib: ctypes.CDLL, dtype: np.dtype) -> None:
    z, target = hard_rows(np.random.default_rng(0), 20, 50, dtype)
    wide = np.zeros((20, 90), dtype)
    wide[:, 7:57] = z
    grad = np.full((20, 70), 7, dtype)
    got = call(lib, wide[:, 7:57], target, grad=grad[:, 10:60])
    assert worst(got, truth(z, target))["grad"] <= 1
    assert (grad[:, :10] == 7).all() and (grad[:, 60:] == 7).all()
    assert worst(call(lib, z[::-1], target[::-1].copy()), truth(z[::-1], target[::-1]))["grad"] <= 1


class Guarded:
    """Memory that ends (or begins) at a page that cannot be touched: one element too far is a crash."""

    def __init__(self, size: int, at_end: bool) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        page = mmap.PAGESIZE
        body = -(-size // page) * page
        start = libc.mmap(None, body + 2 * page, 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        assert libc.mprotect(start, page, 0) == 0 and libc.mprotect(start + page + body, page, 0) == 0
        self.address = start + page + (body - size if at_end else 0)

    def array(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        size = int(np.prod(shape)) * dtype.itemsize
        return np.frombuffer((ctypes.c_char * size).from_address(self.address), dtype).reshape(shape)


@pytest.mark.skipif(os.name != "posix", reason="guard pages are made with mmap")
@ALL_DTYPES
@pytest.mark.parametrize("at_end", [True, False], ids=["end", "begin"])
@pytest.mark.parametrize("classes", [1, 7, 14, 16, 31, 67, 500, 1023, 1027])
def test_nothing_outside_is_touched(lib: ctypes.CDLL, classes: int, at_end: bool, dtype: np.dtype) -> None:
    z, target = hard_rows(np.random.default_rng(0), 5, classes, dtype)
    source = Guarded(z.nbytes, at_end).array(z.shape, dtype)
    sink = Guarded(z.nbytes, at_end).array(z.shape, dtype)
    labels = Guarded(target.nbytes, at_end).array(target.shape, target.dtype)
    source[:], labels[:] = z, target
    assert max(worst(call(lib, source, labels, grad=sink), truth(z, target)).values()) <= 1


@pytest.mark.skipif(os.name != "posix", reason="reserves address space with mmap")
def test_offsets_beyond_two_to_the_31_elements(lib: ctypes.CDLL) -> None:
    """Rows 2^31 + 5 elements apart in reserved address space: only the pages of the three rows exist."""
    stride, classes = 2**31 + 5, 33
    room = mmap.mmap(-1, 4 * (2 * stride + classes), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
    far = np.ndarray((3, classes), "f4", buffer=room, strides=(4 * stride, 4))
    z, target = hard_rows(np.random.default_rng(0), 3, classes, FLOAT32)
    far[:] = z
    exact = truth(z, target)
    assert max(worst(call(lib, far, target, grad=far), exact).values()) <= 1


@pytest.mark.parametrize("classes", [10, 100, 999])
def test_threads_change_nothing(lib: ctypes.CDLL, classes: int) -> None:
    z, target = hard_rows(np.random.default_rng(0), 699_999 // classes, classes, FLOAT32)
    alone = call(lib, z, target, Terms("mean"), threads=1)
    for threads in (2, 3, 0):
        together = call(lib, z, target, Terms("mean"), threads=threads)
        assert together.reduced == alone.reduced and (together.grad == alone.grad).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is POSIX")
def test_a_fork_may_follow_and_call_again(lib: ctypes.CDLL) -> None:
    z, target = hard_rows(np.random.default_rng(0), 700, 999, FLOAT32)
    before = call(lib, z, target, threads=2)
    child = os.fork()
    if child == 0:
        same = bool((call(lib, z, target, threads=2).grad == before.grad).all())
        os._exit(0 if same else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not TASKS.is_dir(), reason="counts threads as Linux does")
def test_threads_are_kept_from_call_to_call(kernel: ctypes.CDLL) -> None:
    z, target = hard_rows(np.random.default_rng(0), 700, 999, FLOAT32)
    call(kernel, z, target, threads=3)
    before = set(TASKS.iterdir())
    for _ in range(10):
        call(kernel, z, target, threads=3)
    assert set(TASKS.iterdir()) == before


def test_calls_may_meet(kernel: ctypes.CDLL) -> None:
    z, target = hard_rows(np.random.default_rng(0), 700, 999, FLOAT32)
    alone = call(kernel, z, target, threads=1)
    with ThreadPoolExecutor(4) as callers:
        together = list(callers.map(lambda _: call(kernel, z, target, threads=3), range(24)))
    assert all((t.grad == alone.grad).all() and (t.loss == alone.loss).all() for t in together)


TEAM = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)


def test_work_is_done_by_the_team_that_was_named(kernel: ctypes.CDLL) -> None:
    z, target = hard_rows(np.random.default_rng(0), 700, 999, FLOAT32)
    alone, asked = call(kernel, z, target, threads=1), []

    def run(work: int, context: int, threads: int, flags: int) -> None:
        asked.append((threads, flags))
        for _ in range(threads):
            ctypes.CFUNCTYPE(None, ctypes.c_void_p)(work)(context)

    team = TEAM(run)
    kernel.fl_work_with(ctypes.cast(team, ctypes.c_void_p))
    try:
        by_team = call(kernel, z, target, threads=3)
        assert asked == [(3, 0)]
        call(kernel, z[:1], target[:1], threads=3)  # too little for two
        call(kernel, z, target, threads=0)  # of ours
        child = os.fork() if hasattr(os, "fork") else None
        if child == 0:  # a team's threads are not in a child
            call(kernel, z, target, threads=3)
            os._exit(len(asked))
        assert child is None or os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    finally:
        kernel.fl_work_with(None)
    assert asked == [(3, 0)] and (by_team.grad == alone.grad).all()


@ALL_DTYPES
@pytest.mark.parametrize("lies", ["along classes", "along rows", "pixels"])
def test_a_row_gives_the_same_beside_any_other(lib: ctypes.CDLL, dtype: np.dtype, lies: str) -> None:
    """Rows that need another way (NaN, infinite, masked, far off) take no neighbour with them."""
    z, target = hard_rows(np.random.default_rng(0), 128, 10, dtype)
    odd = z.copy()
    odd[3], odd[4, 2], odd[5, :9], odd[64:70] = np.nan, np.inf, -np.inf, np.arange(600, 640, 4)
    usual = np.array([r for r in range(128) if r not in {3, 4, 5, *range(64, 70)}])

    def lying(rows: np.ndarray) -> np.ndarray:
        if lies == "along classes":
            return rows
        return np.asfortranarray(rows) if lies == "along rows" else np.ascontiguousarray(rows.T)[None]

    def rowwise(grad: np.ndarray) -> np.ndarray:
        return grad[0].T if lies == "pixels" else grad

    alone, beside = call(lib, lying(z), target), call(lib, lying(odd), target)
    assert (alone.loss[usual] == beside.loss[usual]).all()
    assert (rowwise(alone.grad)[usual] == rowwise(beside.grad)[usual]).all()
    in_place = lying(odd.copy())
    over = call(lib, in_place, target, grad=in_place)
    np.testing.assert_array_equal(over.grad.astype("f4"), beside.grad.astype("f4"))
    finite = np.array([*usual, *range(64, 70)])
    np.testing.assert_allclose(beside.loss[finite], truth(odd[finite], target[finite]).loss, rtol=2**-22)
    assert np.isnan(beside.loss[3:5]).all() and np.isnan(rowwise(beside.grad)[3:5].astype("f4")).all()


def test_buffers_come_back_from_the_pool(kernel: ctypes.CDLL) -> None:
    kernel.fl_buffer_acquire.restype, kernel.fl_buffer_acquire.argtypes = ctypes.c_void_p, [ctypes.c_int64]
    kernel.fl_buffer_release.argtypes = [ctypes.c_void_p]
    first = kernel.fl_buffer_acquire(5 << 20)
    second = kernel.fl_buffer_acquire(5 << 20)
    assert first != second and first % 64 == 0
    kernel.fl_buffer_release(first)
    assert kernel.fl_buffer_acquire(5 << 20) == first
    kernel.fl_buffer_release(first)
    kernel.fl_buffer_release(second)
    kernel.fl_buffer_trim()


#: Threads that are at the pool all the time, and children of theirs that go there once. (In a process of its own: to
#: fork one that has loaded frameworks takes long.)
FORKING = """
import ctypes, os, signal, sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event

kernel = ctypes.CDLL(sys.argv[1])
kernel.fl_buffer_acquire.restype, kernel.fl_buffer_acquire.argtypes = ctypes.c_void_p, [ctypes.c_int64]
kernel.fl_buffer_release.argtypes = [ctypes.c_void_p]
is_over = Event()

def use():
    kernel.fl_buffer_release(kernel.fl_buffer_acquire(1 << 12))

def use_again_and_again():
    while not is_over.is_set():
        use()

with ThreadPoolExecutor(3) as others:
    for _ in range(3):
        others.submit(use_again_and_again)
    statuses = []
    while len(statuses) < 200 and not any(statuses):
        if (child := os.fork()) == 0:
            signal.alarm(10)  # ends it, where it waits for a thread that only its parent has
            use()
            os._exit(0)
        statuses.append(os.waitpid(child, 0)[1])
    is_over.set()
sys.exit(any(statuses))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is POSIX")
def test_a_fork_while_others_are_at_the_pool_may_use_it(kernel: ctypes.CDLL) -> None:
    assert subprocess.run([sys.executable, "-c", FORKING, kernel._name], timeout=120).returncode == 0


@pytest.mark.parametrize("classes", [2**42, 2**57, 2**60])
def test_a_row_too_long_for_any_memory_is_refused(lib: ctypes.CDLL, classes: int) -> None:
    z = np.broadcast_to(np.zeros((1, 1), "f4"), (1, classes))
    arguments = packed(z, np.zeros(1, np.int64), Terms("sum"), {"reduced": np.zeros(1, "f4")})
    assert lib.fl_xent(arguments) == kernels.NO_MEMORY


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("rows", -1), ("inner", 0), ("inner", 2), ("classes", -1), ("dtype", 4), ("dtype", -1), ("logits", 0),
        ("targets", 0), ("kind", 3), ("smoothing", -0.1), ("smoothing", 1.5), ("smoothing", float("nan")),
        ("z_loss", float("inf")), ("softcap", -1.0), ("softcap", float("nan")), ("temperature", 0.0),
        ("temperature", -1.0), ("temperature", float("nan")), ("reduction", 3), ("row_upstream", 64),
        ("loss_dtype", 1), ("loss_dtype", 3), ("target_dtype", 4), ("class_weight_dtype", -1), ("row_weight_dtype", 4),
        ("row_upstream_dtype", 9), ("grad_outer", 0), ("grad_class", 0), ("threads", -1),
    ],
)  # fmt: skip
def test_what_the_header_forbids_is_refused(lib: ctypes.CDLL, member: str, value: float) -> None:
    z, grad = np.zeros((3, 5), "f4"), np.full((3, 5), 7, "f4")
    outputs = {"loss": np.full(3, -1, "f4"), "grad": grad}
    arguments = packed(z, np.array([0, 1, 2]), Terms("sum"), outputs)
    members = dict(zip(XENT, kernels.XENT_ARGS.unpack(arguments.raw[: kernels.XENT_ARGS.size]), strict=True))
    wrong = ctypes.create_string_buffer(kernels.XENT_ARGS.pack(*{**members, member: value}.values()))
    if isinstance(lib, ctypes.CDLL):
        assert lib.fl_xent(wrong) == kernels.BAD_ARGUMENT
        assert (grad == 7).all() and (outputs["loss"] == -1).all()


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("count", -1), ("dtype", 4), ("logits", 0), ("targets", 0), ("weight", 64), ("pos_weight", 64),
        ("reduction", 7), ("element_upstream", 64), ("loss_dtype", 2), ("threads", -1), ("target_dtype", 4),
        ("weight_dtype", 7), ("pos_weight_dtype", -1), ("element_upstream_dtype", 4),
    ],
)  # fmt: skip
def test_what_the_header_forbids_is_refused_for_binary_too(kernel: ctypes.CDLL, member: str, value: int) -> None:
    z, y, loss = np.zeros(4, "f4"), np.zeros(4, "f4"), np.full(4, -1, "f4")
    members = dict.fromkeys(BCE, 0)
    members.update(
        count=4, logits=z.ctypes.data, targets=y.ctypes.data, loss=loss.ctypes.data, reduction=1, upstream=1.0
    )
    members.update(dtype=kernels.FLOAT32, threads=1)
    members[member] = value
    assert kernel.fl_bce(ctypes.create_string_buffer(kernels.BCE_ARGS.pack(*members.values()))) == kernels.BAD_ARGUMENT
    assert (loss == -1).all()


def test_a_missing_struct_is_refused(kernel: ctypes.CDLL) -> None:
    assert kernel.fl_xent(None) == kernel.fl_bce(None) == kernels.BAD_ARGUMENT


@pytest.mark.parametrize("dtype", [FLOAT32, BFLOAT16, FLOAT16, FLOAT64], ids=str)
@pytest.mark.parametrize("soft", [False, True], ids=["index", "distribution"])
@pytest.mark.parametrize("classes", [3, 21, 70, 133])
def test_pixels_and_their_permutations(lib: ctypes.CDLL, classes: int, soft: bool, dtype: np.dtype) -> None:
    """(n, classes, pixels) as it lies, with the classes last in memory, and as a window of something larger."""
    z, target, terms = options(np.random.default_rng(7), (3, classes, 45), dtype, soft, {"label_smoothing": 0.1})
    exact = truth(z, target, terms)
    allowed = 2.0 if dtype == FLOAT64 else 1.0
    room = np.full((3, classes + 4, 60), 7, dtype)
    window = room[:, 2:-2, 9:54]
    last = np.moveaxis(np.ascontiguousarray(np.moveaxis(z, 1, 2)), 2, 1)
    for logits, grad in ((z, None), (last, np.zeros_like(last)), (z, window), (last, window), (z.copy(), "logits")):
        sink = logits if isinstance(grad, str) else grad
        assert max(worst(call(lib, logits, target, terms, grad=sink), exact).values()) <= allowed
    window[:] = 7
    assert (room == 7).all()
