"""The last linear layer and its loss together, the logits never held at once."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from finallayer.losses.jax import _operations as operations
from finallayer.losses.jax._arguments import ArrayLike, check_finite, check_share, floating, in_range, integers
from finallayer.losses.jax._operations import Terms, wide_dtype

Array = jax.Array

_CHUNK_ELEMENTS = 1 << 23  # logits held at a time: enough rows for an efficient product, 32 MiB in float32


class _Layer(NamedTuple):
    inputs: Array  # (rows, features)
    kernel: Array  # (features, classes)
    bias: Array | None  # (classes,)


def linear_softmax_cross_entropy_with_integer_labels(
    inputs: ArrayLike,
    kernel: ArrayLike,
    labels: ArrayLike,
    *,
    bias: ArrayLike | None = None,
    where: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    chunk_rows: int | None = None,
) -> Array:
    """``softmax_cross_entropy_with_integer_labels(inputs @ kernel + bias, labels)`` without ever holding the logits.

    Rows are taken in chunks, one after the other, in the forward pass and again in the backward pass, which computes
    a chunk's logits anew: four products of matrices instead of three, and a peak memory of one chunk's logits beside
    the arguments and their gradients. The gradients of ``kernel`` and ``bias`` are summed in float32. Differentiable
    once, in reverse mode.

    Args:
        inputs: what the last linear layer is given, shape (..., features), any float dtype.
        kernel: that layer's kernel, shape (features, classes).
        labels: classes, integers, of the inputs' shape without ``features``.
        bias: that layer's bias, shape (classes,).
        where: which rows count, of the labels' shape. The others have loss 0 and gradient 0, whatever they hold.
        label_smoothing, z_loss: see `softmax_cross_entropy_with_integer_labels`.
        chunk_rows: how many rows' logits are held at a time; by default as many as make 8 million logits.

    Returns:
        The loss of each row, the labels' shape, float32 (float64 for float64 inputs).

    Raises:
        TypeError: for inputs or a kernel that are not floating-point or labels that are not integers.
        ValueError: for shapes that do not fit, a label_smoothing outside [0, 1], and for labels out of range
            where they are known. Under ``jit`` they are not: there such a row has loss and gradient NaN.
    """
    check_share("label_smoothing", label_smoothing)
    check_finite("z_loss", z_loss)
    layer = _Layer(floating(inputs), floating(kernel), None if bias is None else floating(bias))
    labels = integers(labels)
    _check_shapes(layer, labels)
    classes = layer.kernel.shape[1]
    counts = None if where is None else jnp.broadcast_to(jnp.asarray(where, bool), labels.shape)
    if counts is not None:
        labels = jnp.where(counts, labels, 0)
        layer = layer._replace(inputs=jnp.where(counts[..., None], layer.inputs, 0))
    good = in_range(labels, classes)
    safe = (labels if good is None else jnp.where(good, labels, 0)).astype(jnp.int32)
    rows = layer._replace(inputs=layer.inputs.reshape(-1, layer.inputs.shape[-1]))
    chunk = chunk_rows or max(1, _CHUNK_ELEMENTS // classes)
    loss = _losses(rows, safe.reshape(-1), Terms(label_smoothing, z_loss), chunk).reshape(labels.shape)
    if good is not None:
        loss = loss * jnp.where(good, 1.0, jnp.nan).astype(loss.dtype)
    return loss if counts is None else jnp.where(counts, loss, 0)


def _check_shapes(layer: _Layer, labels: Array) -> None:
    inputs, kernel = layer.inputs.shape, layer.kernel.shape
    if len(kernel) != 2 or not inputs or inputs[-1] != kernel[0] or kernel[1] == 0:
        raise ValueError(
            f"expected inputs (..., features) and a kernel (features, classes) with classes, got {inputs} and {kernel}"
        )
    if labels.shape != inputs[:-1]:
        raise ValueError(f"labels: expected classes of shape {inputs[:-1]}, got {labels.shape}")
    if layer.bias is not None and layer.bias.shape != kernel[1:]:
        raise ValueError(f"bias: expected shape {kernel[1:]}, got {layer.bias.shape}")


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _losses(layer: _Layer, labels: Array, terms: Terms, chunk: int) -> Array:
    def one(inputs: Array, labels: Array) -> Array:
        loss: Array = operations.loss_p.bind(_logits(layer, inputs), labels, terms=terms)
        return loss

    chunks = _in_chunks(chunk, layer.inputs, labels)
    losses: Array = jax.lax.map(lambda c: one(*c), chunks)
    return losses.reshape(-1)[: len(labels)]


def _forward(layer: _Layer, labels: Array, terms: Terms, chunk: int) -> tuple[Array, tuple[_Layer, Array]]:
    return _losses(layer, labels, terms, chunk), (layer, labels)


def _backward(terms: Terms, chunk: int, saved: tuple[_Layer, Array], upstream: Array) -> tuple[_Layer, None]:
    layer, labels = saved
    wide = wide_dtype(layer.inputs)

    def one(sums: tuple[Array, Array | None], operands: tuple[Array, ...]) -> tuple[Any, Array]:
        inputs, labels, upstream = operands
        kernel_sum, bias_sum = sums
        slopes = operations.gradient_p.bind(_logits(layer, inputs), labels, upstream, terms=terms)
        kernel_sum += jnp.matmul(inputs.T, slopes, preferred_element_type=wide)
        if bias_sum is not None:
            bias_sum += jnp.sum(slopes, 0, dtype=wide)
        return (kernel_sum, bias_sum), jnp.matmul(slopes, layer.kernel.T, preferred_element_type=wide)

    zeros = (jnp.zeros(layer.kernel.shape, wide), None if layer.bias is None else jnp.zeros(layer.bias.shape, wide))
    chunks = _in_chunks(chunk, layer.inputs, labels, upstream)
    (kernel_sum, bias_sum), by_inputs = jax.lax.scan(one, zeros, chunks)
    gradients = (by_inputs.reshape(-1, layer.inputs.shape[1])[: len(labels)], kernel_sum, bias_sum)
    typed = (None if g is None or p is None else g.astype(p.dtype) for g, p in zip(gradients, layer, strict=True))
    return _Layer(*typed), None  # type: ignore[arg-type]


_losses.defvjp(_forward, _backward)


def _logits(layer: _Layer, inputs: Array) -> Array:
    """A chunk's logits, in the dtype in which the layer would give them."""
    logits = jnp.matmul(inputs, layer.kernel)
    return logits if layer.bias is None else logits + layer.bias


def _in_chunks(chunk: int, *arrays: Array) -> tuple[Array, ...]:
    """Arrays cut along their first axis, the last chunk filled up with zeros: shape (chunks, chunk, ...)."""
    rows = len(arrays[0])
    chunk = max(1, min(chunk, rows))
    count = -(-rows // chunk)
    filled = (jnp.pad(x, [(0, count * chunk - rows), *[(0, 0)] * (x.ndim - 1)]) for x in arrays)
    return tuple(x.reshape(count, chunk, *x.shape[1:]) for x in filled)
