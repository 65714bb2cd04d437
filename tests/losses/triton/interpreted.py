"""Puts the GPU kernel behind the torch losses on the CPU, run by Triton's interpreter, in a process of its own.

Import this before anything that imports Triton. With ``FINALLAYER_TEST_TILE=blocks`` no row fits on chip.
"""

from __future__ import annotations

import os

os.environ["TRITON_INTERPRET"] = "1"

from contextlib import nullcontext
from typing import Any

import ml_dtypes  # comes with jax
import numpy as np
import torch
import triton.language as tl
from triton.runtime import interpreter

from finallayer.kernels.triton import tiles
from finallayer.losses.torch import _kernel, _plans, _triton


def _fused(_: Any, x: Any, y: Any, z: Any) -> Any:
    """What a GPU does, and NumPy can't: one rounding (float32)."""
    exact = x.data.astype(np.float64) * y.data + z.data
    return interpreter.TensorHandle(exact.astype(np.float32), z.dtype.scalar)


_cast = interpreter.InterpreterBuilder.cast_impl


def _rounded(builder: Any, source: Any, to: Any) -> Any:
    """A conversion to bfloat16 that rounds, as on a GPU: the interpreter's own cuts off."""
    if source.dtype.scalar == tl.float32 and to.scalar == tl.bfloat16:
        return interpreter.TensorHandle(source.data.astype(ml_dtypes.bfloat16).view(np.uint16), to.scalar)
    return _cast(builder, source, to)


_patched = interpreter._patch_lang_tensor


def _indexed(tensor: Any, scope: Any) -> None:
    """As Triton 3.9 has it: before, what `range` was given had to be what NumPy no longer takes for a number."""
    _patched(tensor, scope)
    scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.squeeze()))


def take_blocks(tiles: Any) -> None:
    """From now on rows are taken in blocks of 64 classes."""
    tiles.float_tile = lambda *_: (False, tiles.Tile(1, 64, 8, 4))
    tiles.wide_tile = lambda *_: tiles.Tile(1, 64, 1, 4)


def install() -> None:
    interpreter._patch_lang_tensor = _indexed
    interpreter.InterpreterBuilder.create_fma = _fused
    interpreter.InterpreterBuilder.cast_impl = _rounded
    _triton.serves = lambda logits: logits.dtype in _triton.DTYPES and logits.device.type != "meta"
    _triton._on = lambda device: nullcontext()
    _kernel.serves = lambda *tensors: False
    _plans.cross_entropy = lambda *_: None  # no shorter way
    if os.environ.get("FINALLAYER_TEST_TILE") == "blocks":
        take_blocks(tiles)
    np.seterr(all="ignore")  # an interpreter of NumPy's operations warns of every infinity


torch.set_num_threads(1)
