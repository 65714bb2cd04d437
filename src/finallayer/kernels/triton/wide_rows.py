"""Cross-entropy in double arithmetic: every option.

The anchor class (the target; for a target with mass on several classes, the largest x) is kept out of all sums. A row
is read three times, of which all but the first mostly from the cache.
"""

import triton
import triton.language as tl

from finallayer.kernels.triton.exponentials import as_double, capped, loss_of, stepped
from finallayer.kernels.triton.float_rows import INF, base_of, pushes, read_targets, tiles_to_do


@triton.jit
def read_x(z_row, c, z_class, live, classes, cap, temperature, CAPPED: tl.constexpr):
    """What the logits are transformed to, and the slope; masked classes behind the end."""
    z = tl.load(z_row[:, None] + stepped(c, z_class), mask=live[:, None] & (c < classes), other=-INF).to(tl.float64)
    x, slope = capped(z, cap, temperature, CAPPED)
    return tl.where(c < classes, x, -INF), slope  # a cap lifts what is masked


@triton.jit
def masses(
    q_row, c, q_class, live, classes, target, weight_ptr, keep, smooth, SOFT: tl.constexpr, SMOOTH: tl.constexpr
):
    """What the loss puts on each class."""
    inside = live[:, None] & (c < classes)
    if SOFT:
        q = tl.load(q_row[:, None] + stepped(c, q_class), mask=inside, other=0.0).to(tl.float64)
        if SMOOTH:
            q = q * keep + smooth
    else:
        q = tl.where(c == target[:, None], keep, 0.0) + smooth
    if weight_ptr is not None:
        q *= tl.load(weight_ptr + c, mask=c < classes, other=0.0).to(tl.float64)
    return tl.where(inside, q, 0.0)


@triton.jit(do_not_specialize=["base_bits", "ignore_index", "smoothing_bits", "z_loss_bits", "cap_bits", "heat_bits"])
def wide_rows(
    z_ptr, z_outer, z_inner, z_class, g_ptr, g_outer, g_inner, g_class,
    target_ptr, q_outer, q_inner, q_class, weight_ptr, row_weight_ptr, row_upstream_ptr, lse_upstream_ptr,
    numbers_ptr, base_bits, wanted_ptr, learned_ptr, loss_ptr, lse_ptr, correct_ptr,
    ignore_index, outer, inner, classes, smoothing_bits, z_loss_bits, cap_bits, heat_bits,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, KEEP: tl.constexpr,
    SOFT: tl.constexpr, SMOOTH: tl.constexpr, CAPPED: tl.constexpr,
):  # fmt: skip
    """ROWS rows at a time, COLUMNS classes at a time. KEEP: ignored rows have an lse, too."""
    smoothing, z_loss = as_double(smoothing_bits), as_double(z_loss_bits)
    cap, temperature = as_double(cap_bits), as_double(heat_bits)
    keep, smooth = 1.0 - smoothing, smoothing / classes
    SPREAD: tl.constexpr = SOFT or SMOOTH
    base = base_of(numbers_ptr, base_bits, wanted_ptr)
    across = tl.cdiv(inner, ROWS)
    lanes = tl.arange(0, COLUMNS)[None, :]
    for tile in range(
        tl.program_id(0), tiles_to_do(outer * across, numbers_ptr, wanted_ptr, learned_ptr), tl.num_programs(0)
    ):
        o = (tile // across).to(tl.int64)
        i = ((tile % across) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
        inside = i < inner
        row = o * inner + i
        z_row = z_ptr + o * z_outer + i * z_inner
        q_row = target_ptr + o * q_outer + i * q_inner
        if SOFT:
            counts, exists, target = inside, inside, tl.zeros((ROWS,), tl.int32)
        else:
            counts, exists, target = read_targets(target_ptr, row, inside, ignore_index, classes)
        live = inside if KEEP else counts

        top = tl.full((ROWS,), -INF, tl.float64)
        best = tl.zeros((ROWS,), tl.int32)
        spoilt = tl.zeros((ROWS,), tl.int32)
        for start in range(0, classes, COLUMNS):
            c = start + lanes
            x, _ = read_x(z_row, c, z_class, live, classes, cap, temperature, CAPPED)
            spoilt |= tl.max(((x != x) | (x == INF)).to(tl.int32), 1)
            highest = tl.max(x, 1)
            first = tl.min(tl.where(x == highest[:, None], c, classes), 1)
            best = tl.where(highest > top, first, best)
            top = tl.maximum(top, highest)
        is_nan = live & ((spoilt != 0) | (tl.abs(top) == INF) | (counts & ~exists))
        reference = tl.where(tl.abs(top) < INF, top, 0.0)
        if SPREAD:
            anchor, anchor_x = best, reference
        else:
            anchor = target
            anchor_z = tl.load(z_row + stepped(anchor, z_class), mask=live, other=0.0).to(tl.float64)
            anchor_x, _anchor_slope = capped(anchor_z, cap, temperature, CAPPED)

        others = tl.zeros((ROWS,), tl.float64)
        gap = tl.zeros((ROWS,), tl.float64)
        rest = tl.zeros((ROWS,), tl.float64)
        anchor_mass = tl.zeros((ROWS,), tl.float64)
        for start in range(0, classes, COLUMNS):
            c = start + lanes
            x, _ = read_x(z_row, c, z_class, live, classes, cap, temperature, CAPPED)
            d = x - reference[:, None]
            is_anchor = c == anchor[:, None]
            others += tl.sum(tl.where(is_anchor, 0.0, tl.exp(d)), 1)
            if SPREAD:
                q = masses(q_row, c, q_class, live, classes, target, weight_ptr, keep, smooth, SOFT, SMOOTH)
                anchor_mass += tl.sum(tl.where(is_anchor, q, 0.0), 1)
                q = tl.where(is_anchor, 0.0, q)
                rest += tl.sum(q, 1)
                gap += tl.sum(tl.where(q == 0.0, 0.0, q * -d), 1)
        if not SPREAD:
            anchor_mass += 1.0
            if weight_ptr is not None:
                anchor_mass = tl.load(weight_ptr + anchor, mask=counts, other=0.0).to(tl.float64)
        mass = anchor_mass + rest
        anchor_loss, lse, scale, anchor_exp, total = loss_of(others, reference, anchor_x)
        if loss_ptr is not None:
            without_gap = tl.where(mass == 0.0, 0.0, mass * anchor_loss)
            loss = tl.where(anchor_loss == INF, without_gap, without_gap + gap) + z_loss * lse * lse
            tl.store(loss_ptr + row, tl.where(is_nan, float("nan"), loss), mask=inside)
            tl.store(lse_ptr + row, tl.where(is_nan, float("nan"), lse), mask=inside)

        beaten = tl.zeros((ROWS,), tl.int32)
        if correct_ptr is not None:  # before the gradient may be written over it
            own = tl.load(z_row + stepped(target, z_class), mask=live, other=-INF)[:, None]
        if (g_ptr is not None) | (correct_ptr is not None):
            push = pushes(row, counts, anchor, None, row_weight_ptr, row_upstream_ptr, base) / temperature
            pull = tl.where(z_loss != 0.0, push * (2.0 * z_loss) * lse, 0.0)
            if lse_upstream_ptr is not None:
                pull += tl.load(lse_upstream_ptr + row, mask=live, other=0.0).to(tl.float64) / temperature
            # The anchor's softmax less its mass, or the other way round: whichever has the smaller terms.
            share, softmax = others * scale / total, anchor_exp / total
            is_small = (share > 0.5) & (rest != 0.0)
            at_anchor = push * tl.where(is_small, mass * softmax - anchor_mass, rest - mass * share) + pull * softmax
            factor = tl.where(is_nan, float("nan"), (push * mass + pull) * scale / total)
            for start in range(0, classes, COLUMNS):
                c = start + lanes
                x, slope = read_x(z_row, c, z_class, live, classes, cap, temperature, CAPPED)
                if correct_ptr is not None:
                    z = tl.load(z_row[:, None] + stepped(c, z_class), mask=live[:, None] & (c < classes), other=-INF)
                    beaten |= tl.max(((z > own) | ((z == own) & (c < target[:, None]))).to(tl.int32), 1)
                if g_ptr is not None:
                    g = tl.exp(x - reference[:, None]) * factor[:, None]
                    if SPREAD:
                        q = masses(q_row, c, q_class, live, classes, target, weight_ptr, keep, smooth, SOFT, SMOOTH)
                        g -= q * push[:, None]
                    g = tl.where((c == anchor[:, None]) & ~is_nan[:, None], at_anchor[:, None], g) * slope
                    if lse_upstream_ptr is None:
                        g = tl.where(counts[:, None], g, 0.0)
                    g_row = g_ptr + o * g_outer + i * g_inner
                    g = g.to(tl.float32).to(g_ptr.dtype.element_ty)
                    tl.store(g_row[:, None] + stepped(c, g_class), g, mask=inside[:, None] & (c < classes))
        if correct_ptr is not None:
            tl.store(correct_ptr + row, (beaten == 0) & counts, mask=inside)
