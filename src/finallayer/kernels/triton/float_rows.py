"""Cross-entropy in float32 arithmetic: class indices, no option that moves mass between classes or looks at the lse.

A row that fits on chip is read once (`rows_at_once`); a longer one twice (`rows_in_blocks`), of which the second time
mostly from the cache. Sums run in double above a few float32 terms. What a row's loss is made of is left to
`reductions.finish`: a thread a row there, here all threads would compute it.
"""

import triton
import triton.language as tl

from finallayer.kernels.triton.exponentials import (
    LARGEST_UNSHIFTED,
    LN2,
    NOTHING,
    ROOM,
    UNBIASED,
    as_double,
    clamped_exponential,
    exponential,
    fanned,
    frame_of,
    stepped,
)

INF = tl.constexpr(float("inf"))


@triton.jit
def base_of(numbers_ptr, base_bits, wanted_ptr):
    """What all rows' numbers are multiplied by in the gradient: of what `reductions.prepare` left, if it was called."""
    if wanted_ptr is not None:
        return tl.load(numbers_ptr) * tl.load(wanted_ptr).to(tl.float64)
    elif numbers_ptr is not None:
        return tl.load(numbers_ptr + 1)
    else:
        return as_double(base_bits)


@triton.jit
def tiles_to_do(tiles, numbers_ptr, wanted_ptr, learned_ptr):
    """None where the gradient that stands there was made for the upstream that is wanted, which is learned."""
    if wanted_ptr is not None:
        wanted = tl.load(wanted_ptr).to(tl.float64)
        if tl.program_id(0) == 0:
            tl.store(learned_ptr, wanted)
        tiles = tl.where(wanted == tl.load(numbers_ptr + 2), 0, tiles)
    return tiles


@triton.jit
def read_targets(target_ptr, row, inside, ignore_index, classes):
    """Whether a row counts, whether its class exists, and the class (0 where it doesn't)."""
    target = tl.load(target_ptr + row, mask=inside, other=0).to(tl.int64)
    counts = (target != ignore_index) & inside
    exists = (target >= 0) & (target < classes)
    return counts, exists, tl.where(counts & exists, target, 0).to(tl.int32)


@triton.jit
def pushes(row, counts, anchor, weight_ptr, row_weight_ptr, row_upstream_ptr, base):
    """What the gradient of each row's loss is multiplied by, in double: 0 for a row that doesn't count."""
    push = tl.where(counts, base, 0.0)
    if row_weight_ptr is not None:
        push *= tl.load(row_weight_ptr + row, mask=counts, other=0.0).to(tl.float64)
    if row_upstream_ptr is not None:
        push *= tl.load(row_upstream_ptr + row, mask=counts, other=0.0).to(tl.float64)
    if weight_ptr is not None:
        push *= tl.load(weight_ptr + anchor, mask=counts, other=0.0).to(tl.float64)
    return push


@triton.jit
def slopes(push, others, anchor_exp, is_nan):
    """What exponentials are multiplied by in the gradient, and the anchor's gradient. Nothing cancels: the anchor is
    not in ``others``.
    """
    pull = tl.where(is_nan, float("nan"), push / (others + anchor_exp.to(tl.float64)))
    return pull.to(tl.float32), -(pull * others).to(tl.float32)


@triton.jit(do_not_specialize=["base_bits", "ignore_index"])
def rows_at_once(
    z_ptr, z_outer, z_inner, z_class, g_ptr, g_outer, g_inner, g_class,
    target_ptr, weight_ptr, row_weight_ptr, row_upstream_ptr, numbers_ptr, base_bits, wanted_ptr, learned_ptr,
    others_ptr, reference_ptr, anchor_ptr, correct_ptr, ignore_index, outer, inner, classes,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, FAN: tl.constexpr, KEEP: tl.constexpr,
):  # fmt: skip
    """Rows of up to COLUMNS classes, ROWS at a time. KEEP: ignored rows have an lse, too."""
    base = base_of(numbers_ptr, base_bits, wanted_ptr)
    across = tl.cdiv(inner, ROWS)
    CAREFUL: tl.constexpr = z_ptr.dtype.element_ty == tl.float32
    c = tl.arange(0, COLUMNS)[None, :]
    for tile in range(
        tl.program_id(0), tiles_to_do(outer * across, numbers_ptr, wanted_ptr, learned_ptr), tl.num_programs(0)
    ):
        o = (tile // across).to(tl.int64)
        i = ((tile % across) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
        inside = i < inner
        row = o * inner + i
        counts, exists, anchor = read_targets(target_ptr, row, inside, ignore_index, classes)
        live = inside if KEEP else counts
        z_row = z_ptr + o * z_outer + i * z_inner
        anchor_z = tl.load(z_row + stepped(anchor, z_class), mask=live, other=0.0).to(tl.float32)
        at = stepped(c, z_class)
        z = tl.load(z_row[:, None] + at, mask=live[:, None] & (c < classes), other=-INF)
        x = z.to(tl.float32)
        top = tl.maximum(tl.max(x, 1), anchor_z)
        is_nan = live & ((tl.abs(top) == INF) | (anchor_z != anchor_z) | (counts & ~exists))
        top = tl.where(tl.abs(top) < INF, top, 0.0)
        shift = tl.where(tl.abs(top) > LARGEST_UNSHIFTED, top, 0.0)
        if tl.max(tl.abs(shift), 0) > 0.0:
            x = x - shift[:, None]
        exponent, magic, cut = frame_of(top - shift)
        e = tl.where(c == anchor[:, None], 0.0, exponential(x, magic[:, None], cut[:, None], CAREFUL))
        others = tl.sum(fanned(e, ROWS, COLUMNS, FAN), 1)
        if others_ptr is not None:
            reference = shift.to(tl.float64) + exponent.to(tl.float64) * LN2
            tl.store(others_ptr + row, tl.where(is_nan, float("nan"), others * UNBIASED), mask=inside)
            tl.store(reference_ptr + row, reference, mask=inside)
            tl.store(anchor_ptr + row, anchor_z.to(tl.float64), mask=inside)
        if correct_ptr is not None:
            beaten = (x > (anchor_z - shift)[:, None]) | ((x == (anchor_z - shift)[:, None]) & (c < anchor[:, None]))
            tl.store(correct_ptr + row, (tl.max(beaten.to(tl.int32), 1) == 0) & counts, mask=inside)
        if g_ptr is not None:
            push = pushes(row, counts, anchor, weight_ptr, row_weight_ptr, row_upstream_ptr, base)
            pull, at_anchor = slopes(push, others, exponential(anchor_z - shift, magic, cut, CAREFUL), is_nan)
            g = tl.where(c == anchor[:, None], at_anchor[:, None], e * pull[:, None])
            g = tl.where(counts[:, None], g, 0.0)
            at = stepped(c, g_class)
            g_row = g_ptr + o * g_outer + i * g_inner
            tl.store(g_row[:, None] + at, g.to(g_ptr.dtype.element_ty), mask=inside[:, None] & (c < classes))


@triton.jit
def read_block(row_ptr, start, stride, classes, BLOCK: tl.constexpr, EVICT: tl.constexpr):
    """Logits from ``start`` on, as they are; masked classes behind the end."""
    c = start + tl.arange(0, BLOCK)
    return tl.load(row_ptr + stepped(c, stride), mask=c < classes, other=-INF, eviction_policy=EVICT)


@triton.jit
def sum_blocks(
    first, z_row, z_class, classes, anchor, shift, magic, cut, SHIFTED: tl.constexpr, BLOCK: tl.constexpr,
    FAN: tl.constexpr,
):  # fmt: skip
    """The sum of all exponentials but the anchor's, the largest logit, and whether there is a NaN."""
    CAREFUL: tl.constexpr = first.dtype == tl.float32
    sums = tl.zeros((1, BLOCK // FAN), tl.float64)
    highest = tl.full((BLOCK,), -INF, tl.float32)
    ahead = first
    for start in range(0, classes, BLOCK):
        x = ahead.to(tl.float32)
        ahead = read_block(z_row, start + BLOCK, z_class, classes, BLOCK, "evict_last")
        highest = tl.maximum(highest, x, propagate_nan=tl.PropagateNan.ALL)
        if SHIFTED:
            x = x - shift
        if (anchor >= start) & (anchor < start + BLOCK):
            x = tl.where(start + tl.arange(0, BLOCK) == anchor, -INF, x)
        e = clamped_exponential(x, magic, cut, CAREFUL)
        sums += fanned(tl.reshape(e, (1, BLOCK)), 1, BLOCK, FAN)
    others = tl.sum(tl.sum(sums, 1), 0)
    others = tl.where(others < NOTHING, 0.0, others)
    return others, tl.max(highest, 0), tl.max((highest != highest).to(tl.int32), 0) != 0


@triton.jit
def write_blocks(
    z_row, z_class, g_row, g_class, classes, shift, magic, cut, pull, SHIFTED: tl.constexpr, BLOCK: tl.constexpr
):
    """The gradient of all classes but the anchor; the last block first, which is still in the cache."""
    CAREFUL: tl.constexpr = g_row.dtype.element_ty == tl.float32
    last = (tl.cdiv(classes, BLOCK) - 1) * BLOCK
    ahead = read_block(z_row, last, z_class, classes, BLOCK, "evict_first")
    for behind in range(0, classes, BLOCK):
        x = ahead.to(tl.float32)
        start = last - behind
        next_start = tl.multiple_of(tl.maximum(start - BLOCK, 0), BLOCK)
        ahead = read_block(z_row, next_start, z_class, classes, BLOCK, "evict_first")
        if SHIFTED:
            x = x - shift
        if CAREFUL:
            g = exponential(x, magic, cut, CAREFUL) * pull
        else:  # what is clamped is 0 in 16 bits
            g = clamped_exponential(x, magic, cut, CAREFUL) * pull
        c = start + tl.arange(0, BLOCK)
        g = g.to(g_row.dtype.element_ty)
        tl.store(g_row + stepped(c, g_class), g, mask=c < classes, eviction_policy="evict_first")


@triton.jit
def sum_row(z_row, z_class, classes, anchor, anchor_z, BLOCK: tl.constexpr, FAN: tl.constexpr):
    """The sum of all exponentials but the anchor's, the largest logit, whether there is a NaN, and the frame.

    The frame is guessed from the first logits; where the guess isn't good enough, the row is read once more.
    """
    first = read_block(z_row, 0, z_class, classes, BLOCK, "evict_last")
    guess = tl.maximum(tl.max(first.to(tl.float32), 0), anchor_z)
    is_good = tl.abs(guess) <= LARGEST_UNSHIFTED
    shift = guess * 0.0
    exponent, magic, cut = frame_of(tl.where(is_good, guess, 0.0))
    others, top, is_nan = sum_blocks(first, z_row, z_class, classes, anchor, shift, magic, cut, False, BLOCK, FAN)
    top = tl.maximum(top, anchor_z)
    if not (is_good & (top <= guess + ROOM)):
        finite = tl.where(tl.abs(top) < INF, top, 0.0)
        shift = tl.where(tl.abs(finite) > LARGEST_UNSHIFTED, finite, 0.0)
        exponent, magic, cut = frame_of(finite - shift)
        others, _, _ = sum_blocks(first, z_row, z_class, classes, anchor, shift, magic, cut, True, BLOCK, FAN)
    return others, top, is_nan, shift, exponent, magic, cut


@triton.jit
def is_first_largest(z_row, z_class, classes, anchor, anchor_z, BLOCK: tl.constexpr):
    beaten = tl.zeros((BLOCK,), tl.int32)
    for start in range(0, classes, BLOCK):
        c = start + tl.arange(0, BLOCK)
        x = read_block(z_row, start, z_class, classes, BLOCK, "").to(tl.float32)
        beaten |= ((x > anchor_z) | ((x == anchor_z) & (c < anchor))).to(tl.int32)
    return tl.max(beaten, 0) == 0


@triton.jit
def write_zeros(g_row, g_class, classes, BLOCK: tl.constexpr):
    for start in range(0, classes, BLOCK):
        c = start + tl.arange(0, BLOCK)
        at = stepped(c, g_class)
        tl.store(g_row + at, tl.zeros((BLOCK,), g_row.dtype.element_ty), mask=c < classes)


@triton.jit(do_not_specialize=["base_bits", "ignore_index"])
def rows_in_blocks(
    z_ptr, z_outer, z_inner, z_class, g_ptr, g_outer, g_inner, g_class,
    target_ptr, weight_ptr, row_weight_ptr, row_upstream_ptr, numbers_ptr, base_bits, wanted_ptr, learned_ptr,
    others_ptr, reference_ptr, anchor_ptr, correct_ptr, ignore_index, outer, inner, classes,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, FAN: tl.constexpr, KEEP: tl.constexpr,
):  # fmt: skip
    """Rows of any length, one at a time, COLUMNS classes at a time."""
    tl.static_assert(ROWS == 1)
    base = base_of(numbers_ptr, base_bits, wanted_ptr)
    CAREFUL: tl.constexpr = z_ptr.dtype.element_ty == tl.float32
    for tile in range(
        tl.program_id(0), tiles_to_do(outer * inner, numbers_ptr, wanted_ptr, learned_ptr), tl.num_programs(0)
    ):
        o, i = (tile // inner).to(tl.int64), (tile % inner).to(tl.int64)
        row = o * inner + i
        counts, exists, anchor = read_targets(target_ptr, row, True, ignore_index, classes)
        z_row = z_ptr + o * z_outer + i * z_inner
        g_row = z_row if g_ptr is None else g_ptr + o * g_outer + i * g_inner
        if counts | KEEP:
            anchor_z = tl.load(z_row + stepped(anchor, z_class)).to(tl.float32)
            others, top, has_nan, shift, exponent, magic, cut = sum_row(
                z_row, z_class, classes, anchor, anchor_z, COLUMNS, FAN
            )
            is_nan = has_nan | (tl.abs(top) == INF) | (anchor_z != anchor_z) | (counts & (not exists))
            if others_ptr is not None:
                tl.store(others_ptr + row, tl.where(is_nan, float("nan"), others * UNBIASED))
                tl.store(reference_ptr + row, shift.to(tl.float64) + exponent.to(tl.float64) * LN2)
                tl.store(anchor_ptr + row, anchor_z.to(tl.float64))
            if correct_ptr is not None:
                is_best = is_first_largest(z_row, z_class, classes, anchor, anchor_z, COLUMNS)
                tl.store(correct_ptr + row, is_best & counts)
            if g_ptr is not None:
                push = pushes(row, counts, anchor, weight_ptr, row_weight_ptr, row_upstream_ptr, base)
                anchor_exp = exponential(anchor_z - shift, magic, cut, CAREFUL)
                pull, at_anchor = slopes(push, others, anchor_exp, is_nan)
                if not counts:
                    write_zeros(g_row, g_class, classes, COLUMNS)
                elif shift != 0.0:
                    write_blocks(z_row, z_class, g_row, g_class, classes, shift, magic, cut, pull, True, COLUMNS)
                else:
                    write_blocks(z_row, z_class, g_row, g_class, classes, shift, magic, cut, pull, False, COLUMNS)
                tl.debug_barrier()  # the anchor's gradient is written over what stands there
                if counts:
                    tl.store(g_row + stepped(anchor, g_class), at_anchor.to(g_row.dtype.element_ty))
        else:
            if others_ptr is not None:
                tl.store(others_ptr + row, tl.zeros((), tl.float64))
                tl.store(reference_ptr + row, tl.zeros((), tl.float64))
                tl.store(anchor_ptr + row, tl.zeros((), tl.float64))
            if correct_ptr is not None:
                tl.store(correct_ptr + row, False)
            if g_ptr is not None:
                write_zeros(g_row, g_class, classes, COLUMNS)
