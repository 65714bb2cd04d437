"""What is done a row a thread: the weights that a mean divides by, the rows' losses, and their sum. In double."""

import triton
import triton.language as tl

from finallayer.kernels.triton.exponentials import as_double, is_last, loss_of, sum_of


@triton.jit
def weights_of(row, inside, target_ptr, weight_ptr, row_weight_ptr, ignore_index, classes, SOFT: tl.constexpr):
    """What each row counts in a mean."""
    weights = tl.where(inside, 1.0, 0.0).to(tl.float64)
    if not SOFT:
        target = tl.load(target_ptr + row, mask=inside, other=0).to(tl.int64)
        counts = inside & (target != ignore_index)
        weights = tl.where(counts, weights, 0.0)
        if weight_ptr is not None:
            exists = counts & (target >= 0) & (target < classes)
            weights *= tl.load(weight_ptr + target, mask=exists, other=0.0).to(tl.float64)
    if row_weight_ptr is not None:
        weights *= tl.load(row_weight_ptr + row, mask=inside, other=0.0).to(tl.float64)
    return weights


@triton.jit(do_not_specialize=["ignore_index", "upstream_bits"])
def prepare(
    numbers_ptr, partial_ptr, done_ptr, target_ptr, weight_ptr, row_weight_ptr, upstream_ptr, upstream_bits,
    ignore_index, rows, classes, SOFT: tl.constexpr, MEAN: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """numbers: one over what a mean divides by (else 1), that times the upstream, the upstream. BLOCK rows each."""
    factor = tl.full((), 1.0, tl.float64)
    am_last = True
    if MEAN:
        row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        weights = weights_of(row, row < rows, target_ptr, weight_ptr, row_weight_ptr, ignore_index, classes, SOFT)
        tl.store(partial_ptr + tl.program_id(0), tl.sum(weights, 0))
        am_last = is_last(done_ptr)
    if am_last:
        if MEAN:
            total = sum_of(partial_ptr, tl.num_programs(0), BLOCK)
            factor = tl.where(total == 0.0, 0.0, 1.0 / total)
        upstream = tl.load(upstream_ptr).to(tl.float64) if upstream_ptr is not None else as_double(upstream_bits)
        tl.store(numbers_ptr, factor)
        tl.store(numbers_ptr + 1, factor * upstream)
        tl.store(numbers_ptr + 2, upstream)


@triton.jit(do_not_specialize=["ignore_index"])
def finish(
    others_ptr, reference_ptr, anchor_ptr, rows_loss_ptr, rows_lse_ptr, target_ptr, weight_ptr, row_weight_ptr,
    loss_ptr, lse_ptr, reduced_ptr, partial_ptr, done_ptr, factor_ptr, ignore_index, rows, classes,
    SOFT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Losses and lse of BLOCK rows, of their sums or as `wide_rows` left them; the losses' sum times a factor."""
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = row < rows
    counts = inside
    if not SOFT:
        target = tl.load(target_ptr + row, mask=inside, other=0).to(tl.int64)
        counts = inside & (target != ignore_index)
    if rows_loss_ptr is not None:
        loss = tl.load(rows_loss_ptr + row, mask=inside, other=0.0)
        lse = tl.load(rows_lse_ptr + row, mask=inside, other=0.0)
    else:
        others = tl.load(others_ptr + row, mask=inside, other=0.0)
        reference = tl.load(reference_ptr + row, mask=inside, other=0.0)
        anchor_x = tl.load(anchor_ptr + row, mask=inside, other=0.0)
        loss, lse, _, _, _ = loss_of(others, reference, anchor_x)
        if weight_ptr is not None:
            exists = counts & (target >= 0) & (target < classes)
            mass = tl.load(weight_ptr + target, mask=exists, other=1.0).to(tl.float64)
            loss = tl.where((mass == 0.0) & (loss == loss), 0.0, mass * loss)
    if lse_ptr is not None:
        tl.store(lse_ptr + row, lse.to(lse_ptr.dtype.element_ty), mask=inside)
    loss = tl.where(counts, loss, 0.0)
    if row_weight_ptr is not None:
        weight = tl.load(row_weight_ptr + row, mask=counts, other=0.0).to(tl.float64)
        loss = tl.where(weight == 0.0, 0.0, weight * loss)
    if loss_ptr is not None:
        tl.store(loss_ptr + row, loss.to(tl.float32).to(loss_ptr.dtype.element_ty), mask=inside)
    if reduced_ptr is not None:
        tl.store(partial_ptr + tl.program_id(0), tl.sum(loss, 0))
        if is_last(done_ptr):
            whole = sum_of(partial_ptr, tl.num_programs(0), BLOCK)
            if factor_ptr is not None:
                whole *= tl.load(factor_ptr)
            tl.store(reduced_ptr, whole.to(tl.float32).to(reduced_ptr.dtype.element_ty))
