"""The only way from torch tensors to the GPU kernel. Nothing here waits for the GPU.

Where the loss is reduced, the gradient is computed in the forward pass, for the upstream that the last loss of as many
logits got, as on the CPU (`_upstream`); but here only the GPU knows what that was. So the backward pass hands the
kernel the upstream that is wanted, and the kernel does nothing where it is that one, and the rows again where not.
"""

from __future__ import annotations

import os
import struct
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor

from finallayer import kernels
from finallayer.losses.torch import _kernel
from finallayer.losses.torch._kernel import Terms

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_LEAST_CAPABILITY = (8, 0)
_MOST_SIZES = 256
_BLOCK = 1024  # rows of a program that takes a row a thread
#: The default of Triton differs from version to version, and it changes last digits.
_PINNED = {"enable_fp_fusion": False}

#: By device and number of logits: the upstream that the last loss got, as a number on that device.
_expected: dict[tuple[torch.device, int], Tensor] = {}


def serves(logits: Tensor) -> bool:
    """Whether the GPU kernel computes the losses of these logits."""
    return logits.is_cuda and logits.dtype in DTYPES and _is_there(logits.device)


@cache
def _is_there(device: torch.device) -> bool:
    return (
        os.environ.get(kernels.ENVIRONMENT_VARIABLE) != "framework"
        and torch.version.hip is None
        and find_spec("triton") is not None
        and torch.cuda.get_device_capability(device) >= _LEAST_CAPABILITY
    )


class _Call(NamedTuple):
    """A cross-entropy as the kernels take it; tensors as `_kernel.cross_entropy` does."""

    logits: Tensor
    target: Tensor
    weight: Tensor | None
    row_weight: Tensor | None
    terms: Terms

    @property
    def is_soft(self) -> bool:
        return self.target.is_floating_point()

    @property
    def rows(self) -> int:
        return self.logits.numel() // self.logits.shape[1]

    @property
    def is_plain(self) -> bool:
        """Without what `wide_rows` is there for."""
        t = self.terms
        return not (self.is_soft or t.label_smoothing or t.z_loss or t.softcap or t.temperature != 1.0)

    def empty(self, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.float64, device=self.logits.device)


class _Gradient(NamedTuple):
    """What is wanted of the gradient."""

    grad: Tensor | None
    numbers: Tensor | None  # of `reductions.prepare`, of which the second is what all is multiplied by
    factor: float  # or this, where there are none
    row_upstream: Tensor | None
    lse_upstream: Tensor | None
    wanted: Tensor | None = None  # the upstream, where the gradient may stand there for another
    learned: Tensor | None = None  # where that is left for the next time


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    row_weight: Tensor | None,
    terms: Terms,
    *,
    upstream: float | Tensor = 1.0,
    row_upstream: Tensor | None = None,
    lse_upstream: Tensor | None = None,
    loss: Tensor | None = None,
    lse: Tensor | None = None,
    reduced: Tensor | None = None,
    grad: Tensor | None = None,
    correct: Tensor | None = None,
) -> Tensor | None:
    """Fill the given outputs, as `_kernel.cross_entropy` does, but for targets out of range: those rows' loss and
    gradient are NaN. ``grad`` may be the logits themselves. Returns what `mend` takes, if the loss is reduced.
    """
    call = _Call(logits, target, weight, row_weight, terms)
    if call.rows == 0:
        if reduced is not None:
            reduced.zero_()
        return None
    with _on(logits.device):
        numbers, done = None, torch.zeros(2, dtype=torch.int32, device=logits.device)
        if isinstance(upstream, Tensor) or terms.reduction == "mean":
            numbers = _prepare(call, upstream, done)
        factor = upstream if isinstance(upstream, float) else 1.0
        gradient = _Gradient(grad, numbers, factor, row_upstream, lse_upstream)
        wants_loss = loss is not None or lse is not None or reduced is not None
        sums = _rows(call, gradient, wants_loss, lse is not None, correct)
        if wants_loss:
            _finish(call, sums, numbers if terms.reduction == "mean" else None, done[1:], loss, lse, reduced)
    return numbers


def ahead(logits: Tensor) -> Tensor:
    """The upstream to compute the gradient of a reduced loss for."""
    key = logits.device, logits.numel()
    if key not in _expected:
        if len(_expected) >= _MOST_SIZES:
            _expected.clear()
        _expected[key] = torch.ones((), dtype=torch.float64, device=logits.device)
    return _expected[key]


def mend(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    row_weight: Tensor | None,
    terms: Terms,
    numbers: Tensor,
    upstream: Tensor,
    grad: Tensor,
) -> None:
    """Make ``grad``, which `cross_entropy` filled when it returned ``numbers``, the gradient for ``upstream``."""
    call = _Call(logits, target, weight, row_weight, terms)
    if call.rows == 0:
        return
    if upstream.is_neg() or upstream._is_zerotensor():
        upstream = upstream.resolve_neg().clone()
    with _on(logits.device):
        learned = call.empty(1)
        _expected[logits.device, logits.numel()] = learned
        _rows(call, _Gradient(grad, numbers, 1.0, None, None, upstream, learned), False, False, None)


def _on(device: torch.device) -> Any:
    return torch.cuda.device(device)


def _bits(number: float) -> int:
    """A float as an integer: Triton hands over floats as float32."""
    return int(struct.unpack("<q", struct.pack("<d", number))[0])


def _prepare(call: _Call, upstream: float | Tensor, done: Tensor) -> Tensor:
    from finallayer.kernels.triton import reductions

    is_mean = call.terms.reduction == "mean"
    programs = -(-call.rows // _BLOCK) if is_mean else 1
    numbers = call.empty(3 + programs)
    on_device = isinstance(upstream, Tensor)
    reductions.prepare[(programs,)](
        numbers,
        numbers[3:],
        done,
        call.target,
        None if call.is_soft else call.weight,
        call.row_weight,
        upstream if on_device else None,
        _bits(1.0 if on_device else upstream),  # type: ignore[arg-type]
        call.terms.ignore_index,
        call.rows,
        call.logits.shape[1],
        SOFT=call.is_soft,
        MEAN=is_mean,
        BLOCK=_BLOCK,
        **_PINNED,
    )
    return numbers


def _rows(call: _Call, gradient: _Gradient, wants_loss: bool, wants_lse: bool, correct: Tensor | None) -> Any:
    """The rows' sums, for `_finish`, and their gradients."""
    keep = wants_lse or gradient.lse_upstream is not None
    if call.is_plain and gradient.lse_upstream is None:
        return _float_rows(call, gradient, wants_loss, keep, correct)
    return _wide_rows(call, gradient, wants_loss, keep, correct)


def _strides(tensor: Tensor | None) -> tuple[int, int, int | None]:
    """Of rows, outer and inner, and of classes: None if that is 1."""
    if tensor is None:
        return 0, 0, None
    found = _kernel.layout(tensor)
    assert found is not None
    # (N, C) are rows of one step: what lies within a step is what is taken together.
    outer, inner = (0, found.outer_stride) if found.inner == 1 else (found.outer_stride, found.inner_stride)
    return outer, inner, None if found.class_stride == 1 else found.class_stride


def _shape(tensor: Tensor) -> tuple[int, int, int]:
    """Outer and inner rows, and classes."""
    found = _kernel.layout(tensor)
    assert found is not None
    if found.inner == 1:
        return 1, found.rows, found.classes
    return found.rows // found.inner, found.inner, found.classes


def _grid(tiles: int, gradient: _Gradient, device: torch.device) -> tuple[int]:
    """A program a tile; fewer where most likely nothing is to be done."""
    if gradient.wanted is None or device.type != "cuda":
        return (tiles,)
    return (min(tiles, 8 * torch.cuda.get_device_properties(device).multi_processor_count),)


def _float_rows(
    call: _Call, gradient: _Gradient, wants_loss: bool, keep: bool, correct: Tensor | None
) -> tuple[Tensor | None, ...]:
    from finallayer.kernels.triton import float_rows, tiles

    logits, terms = call.logits, call.terms
    outer, inner, classes = _shape(logits)
    strides = _strides(logits)
    at_once, tile = tiles.float_tile(classes, logits.element_size(), strides[2] is None)
    sums = call.empty(3, call.rows).unbind() if wants_loss else (None, None, None)
    kernel = float_rows.rows_at_once if at_once else float_rows.rows_in_blocks
    kernel[_grid(outer * -(-inner // tile.rows), gradient, logits.device)](
        logits,
        *strides,
        gradient.grad,
        *_strides(gradient.grad),
        call.target,
        call.weight,
        call.row_weight,
        gradient.row_upstream,
        gradient.numbers,
        _bits(gradient.factor),
        gradient.wanted,
        gradient.learned,
        *sums,
        correct,
        terms.ignore_index,
        outer,
        inner,
        classes,
        ROWS=tile.rows,
        COLUMNS=tile.columns,
        FAN=tile.fan,
        KEEP=keep,
        num_warps=tile.warps,
        **_PINNED,
    )
    return (*sums, None, None)


def _wide_rows(
    call: _Call, gradient: _Gradient, wants_loss: bool, keep: bool, correct: Tensor | None
) -> tuple[Tensor | None, ...]:
    from finallayer.kernels.triton import tiles, wide_rows

    logits, terms = call.logits, call.terms
    outer, inner, classes = _shape(logits)
    tile = tiles.wide_tile(classes)
    losses = call.empty(2, call.rows).unbind() if wants_loss else (None, None)
    wide_rows.wide_rows[_grid(outer * -(-inner // tile.rows), gradient, logits.device)](
        logits,
        *_strides(logits),
        gradient.grad,
        *_strides(gradient.grad),
        call.target,
        *_strides(call.target if call.is_soft else None),
        call.weight,
        call.row_weight,
        gradient.row_upstream,
        gradient.lse_upstream,
        gradient.numbers,
        _bits(gradient.factor),
        gradient.wanted,
        gradient.learned,
        *losses,
        correct,
        terms.ignore_index,
        outer,
        inner,
        classes,
        _bits(terms.label_smoothing),
        _bits(terms.z_loss),
        _bits(terms.softcap),
        _bits(terms.temperature),
        ROWS=tile.rows,
        COLUMNS=tile.columns,
        KEEP=keep,
        SOFT=call.is_soft,
        SMOOTH=terms.label_smoothing != 0.0,
        CAPPED=terms.softcap != 0.0,
        num_warps=tile.warps,
        **_PINNED,
    )
    return (None, None, None, *losses)


def _finish(
    call: _Call,
    sums: tuple[Tensor | None, ...],
    numbers: Tensor | None,
    done: Tensor,
    loss: Tensor | None,
    lse: Tensor | None,
    reduced: Tensor | None,
) -> None:
    from finallayer.kernels.triton import reductions

    count = -(-call.rows // _BLOCK)
    partial = None if reduced is None else call.empty(count)
    reductions.finish[(count,)](
        *sums,
        call.target,
        None if call.is_soft else call.weight,
        call.row_weight,
        loss,
        lse,
        reduced,
        partial,
        done,
        numbers,
        call.terms.ignore_index,
        call.rows,
        call.logits.shape[1],
        SOFT=call.is_soft,
        BLOCK=_BLOCK,
        **_PINNED,
    )
