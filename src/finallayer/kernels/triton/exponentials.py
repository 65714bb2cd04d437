"""Exponentials, sums and logarithms of the GPU kernel, whose errors are known.

A row's exponentials are taken in a *frame*: relative to ``2**E``, with E the integer next to the row's maximum times
log2(e). Scaling by a power of two is exact, so no exponential knows the rounding of ``z - max``. They are stored
``2**BIAS`` times as large, so that what is far below the maximum keeps its digits.
"""

import triton
import triton.language as tl

BIAS = tl.constexpr(40)
UNBIASED = tl.constexpr(2.0**-40)
#: what sums to no more than this, so biased, is as good as nothing: all other classes are masked
NOTHING = tl.constexpr(2.0**-100)
LOG2E = tl.constexpr(1.44269502162933349609375)  # a float32
LOG2E_LOW = tl.constexpr(1.925963033500011e-08)
LN2 = tl.constexpr(0.6931471805599453)
#: float32 numbers from here on have no fraction; the lowest bits of such a number are an integer
ROUND = tl.constexpr(12582912.0)
#: up to here logits are reduced as they are; beyond, their maximum is taken from them first, which is exact (Sterbenz)
LARGEST_UNSHIFTED = tl.constexpr(1048576.0)
#: by how much a row may exceed the maximum that its frame was made for
ROOM = tl.constexpr(20.0)


@triton.jit
def as_double(bits):
    """What Python handed over as the bits of a float, since it hands over floats as float32."""
    return bits.to(tl.int64).to(tl.float64, bitcast=True)


@triton.jit
def stepped(c, stride):
    """Where classes stand; None: one after the other."""
    if stride is None:
        return c
    else:
        return c.to(tl.int64) * stride


@triton.jit
def is_last(done_ptr):
    """Whether all other programs are done: what they have stored can be read (past the first-level cache)."""
    tl.debug_barrier()
    return tl.atomic_add(done_ptr, 1, sem="acq_rel", scope="gpu") == tl.num_programs(0) - 1


@triton.jit
def sum_of(partial_ptr, count, BLOCK: tl.constexpr):
    """The sum of what programs have left, in an order of its own."""
    sums = tl.zeros((BLOCK,), tl.float64)
    for start in range(0, count, BLOCK):
        i = start + tl.arange(0, BLOCK)
        sums += tl.load(partial_ptr + i, mask=i < count, other=0.0, cache_modifier=".cg")
    return tl.sum(sums, 0)


@triton.jit
def frame_of(top):
    """The frame's integer, what `exponential` takes (float32), of a maximum up to `LARGEST_UNSHIFTED`."""
    exponent = tl.floor(top * LOG2E + 0.5)
    magic = (ROUND + BIAS) - exponent
    cut = (exponent - (125.0 + BIAS)) * LN2
    return exponent, magic, cut


@triton.jit
def power_of_two(f, CAREFUL: tl.constexpr):
    """``2**f`` for |f| up to a half: to 1 ulp, or as the GPU has it (NVIDIA: 2.1 ulp)."""
    if CAREFUL:
        p = tl.fma(f, 0.00015349114255513996, 0.001340413116849959)
        p = tl.fma(f, tl.fma(f, p, 0.009618490003049374), 0.05550319328904152)
        return tl.fma(f, tl.fma(f, tl.fma(f, p, 0.24022647738456726), 0.6931471824645996), 1.0)
    else:
        return tl.exp2(f)


@triton.jit
def reduced(z, magic, CAREFUL: tl.constexpr):
    """``exp(z)`` as ``2**f * 2**n``, |f| up to a half: the first, and n + BIAS - E in the lowest bits."""
    t = tl.fma(z, LOG2E, magic)
    n = t - magic
    return power_of_two(tl.fma(z, LOG2E_LOW, tl.fma(z, LOG2E, -n)), CAREFUL), t.to(tl.int32, bitcast=True)


@triton.jit
def exponential(z, magic, cut, CAREFUL: tl.constexpr):
    """``2**(BIAS - E) exp(z)``; 0 up to ``cut``, NaN for NaN. Of z up to `ROOM` above the frame's maximum."""
    small, n = reduced(z, magic, CAREFUL)
    power = ((n + 127) << 23).to(tl.float32, bitcast=True)
    return tl.where(z <= cut, 0.0, small * power)


@triton.jit
def clamped_exponential(z, magic, cut, CAREFUL: tl.constexpr):
    """The same in fewer steps: what it is at ``cut`` below that, and a number for NaN."""
    small, n = reduced(tl.maximum(z, cut), magic, CAREFUL)
    return (small.to(tl.int32, bitcast=True) + (n << 23)).to(tl.float32, bitcast=True)


@triton.jit
def halved(x, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Neighbours added up."""
    left, right = tl.split(tl.reshape(x, (ROWS, COLUMNS // 2, 2)))
    return left + right


@triton.jit
def fanned(x, ROWS: tl.constexpr, COLUMNS: tl.constexpr, FAN: tl.constexpr):
    """The sums of FAN (1, 4 or 8) neighbours that one thread holds, pair by pair, in double: (ROWS, COLUMNS / FAN)."""
    if FAN >= 2:
        x = halved(x, ROWS, COLUMNS)
    if FAN >= 4:
        x = halved(x, ROWS, COLUMNS // 2)
    if FAN >= 8:
        x = halved(x, ROWS, COLUMNS // 4)
    return x.to(tl.float64)


@triton.jit
def log_one_plus(x):
    """log(1 + x) for x >= 0 in double."""
    u = 1.0 + x
    return tl.where(u == 1.0, x, tl.log(u) * (x / tl.where(u == 1.0, 1.0, u - 1.0)))


@triton.jit
def loss_of(others, reference, anchor_x):
    """Of rows with one class: loss, lse, and what makes a softmax: ``others * scale / total``, ``anchor_exp / total``.

    ``others`` is the sum over all classes but the anchor of ``exp(x - reference)``, for any reference near the maximum.
    """
    q = anchor_x - reference
    is_ahead = q >= -1.0  # or not far behind
    e = tl.exp(tl.where(is_ahead, -q, q))
    scale, anchor_exp = tl.where(is_ahead, e, 1.0), tl.where(is_ahead, 1.0, e)
    total = others * scale + anchor_exp
    loss = tl.where(is_ahead, log_one_plus(others * e), tl.log(total) - q)
    lse = tl.where(is_ahead, loss + anchor_x, tl.log(total) + reference)
    return loss, lse, scale, anchor_exp, total


@triton.jit
def capped(z, softcap, temperature, CAPPED: tl.constexpr):
    """``softcap tanh(z / softcap) / temperature`` and its derivative times ``temperature``, in double."""
    slope = tl.full(z.shape, 1.0, tl.float64)
    if CAPPED:
        y = z / softcap
        tail = tl.exp(-2.0 * tl.abs(y))
        far = tl.where(y < 0.0, -1.0, 1.0) * ((1.0 - tail) / (1.0 + tail))
        s = y * y
        series = -1382.0 / 155925 + s * (21844.0 / 6081075)
        series = -17.0 / 315 + s * (62.0 / 2835 + s * series)
        near = y + y * s * (-1.0 / 3 + s * (2.0 / 15 + s * series))
        z = softcap * tl.where(tl.abs(y) < 0.1, near, tl.where(y != y, y, far))
        slope = 4.0 * tail / ((1.0 + tail) * (1.0 + tail))
    return z / temperature, slope
