"""A row's loss, differentiable to any order, in both modes.

A loss's tangent is an operation of its own, `_slope`, so that reverse mode finds the kernel's gradient (scaled and
rounded once, and the only large array that is written) where it transposes it. Every rule is written with functions
that have such rules themselves, so that they nest.

A small gradient is *kept*: computed beside the loss, in one pass, for an upstream that every row shares; then reverse
mode only multiplies. It is a value that goes with the logits and the target, and no rule differentiates it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from finallayer.losses.jax import _operations as operations
from finallayer.losses.jax._operations import Terms, wide, wide_dtype

Array = jax.Array

# XLA would multiply constants by each other. (Untyped in JAX.)
_not_folded: Callable[..., tuple[Array, Array]] = jax.lax.optimization_barrier

# Up to so many logits, multiplying a gradient that was written costs less than taking the exponentials again.
_MOST_KEPT = 1 << 20


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def row_loss(z: Array, target: Array, terms: Terms) -> Array:
    """Each row's loss, for logits (..., C) and ``target``: classes in range, int32 (...), or wide masses (..., C)."""
    loss: Array = operations.loss_p.bind(z, target, terms=terms)
    return loss


def _row_loss_jvp(terms: Terms, primals: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Any]:
    z, target = primals
    dz, dtarget = tangents
    kept = None
    if not _is_zero(dz) and _keeps(z, target, terms):
        loss, kept = _loss_and_kept(z, target, terms)
    else:
        loss = row_loss(z, target, terms)
    tangent = jnp.zeros_like(loss) if _is_zero(dz) else _slope(z, target, dz, terms, kept)
    if target.ndim < z.ndim or _is_zero(dtarget):
        return loss, tangent
    # At a masked class the loss per unit of mass is infinite: not to be multiplied by a mass that is fixed.
    return loss, tangent + (1 - terms.label_smoothing) * _inner(_neg_log_softmax(wide(z)), dtarget)


row_loss.defjvp(_row_loss_jvp, symbolic_zeros=True)


def _keeps(z: Array, target: Array, terms: Terms) -> bool:
    """Whether the gradient is kept: of classes, so that no element exceeds 1, and float32, as the upstream is: in
    float64, one more rounding would not leave it within 4 ulp.
    """
    is_class = target.ndim < z.ndim and terms == Terms()
    is_known = all(isinstance(n, int) for n in z.shape)  # and no variable of an export
    return is_class and is_known and z.dtype == jnp.float32 and z.size <= _MOST_KEPT


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _loss_and_kept(z: Array, target: Array, terms: Terms) -> tuple[Array, Array]:
    """Each row's loss, and its gradient times `operations.KEPT_SCALE`."""
    loss, kept = operations.loss_and_kept_p.bind(z, target, terms=terms)
    return loss, kept


@_loss_and_kept.defjvp
def _loss_and_kept_jvp(terms: Terms, primals: tuple[Array, Array], tangents: tuple[Array, Any]) -> tuple[Any, Any]:
    (z, target), (dz, _) = primals, tangents
    loss, kept = _loss_and_kept(z, target, terms)
    return (loss, kept), (_slope(z, target, dz, terms, kept), jnp.zeros_like(kept))


def _pushed(kept: Array, upstream: Array) -> Array:
    """``upstream * kept / KEPT_SCALE``, rounded once; no product on the way is subnormal or infinite unless that is."""
    is_large = jnp.abs(upstream) >= 1
    down = jnp.asarray(1 / operations.KEPT_SCALE, upstream.dtype)
    factors = jnp.where(is_large, upstream * down, upstream), jnp.where(is_large, 1, down)
    first, second = _not_folded(factors)
    pushed: Array = kept * first[..., None] * second[..., None]
    return pushed


@partial(jax.custom_jvp, nondiff_argnums=(4,))
def _gradient(z: Array, target: Array, upstream: Array, kept: Array | None, terms: Terms) -> Array:
    """The gradient of ``sum(upstream * row_loss)`` with respect to the logits, in their dtype."""
    if kept is not None:
        return _pushed(kept, upstream)
    gradient: Array = operations.gradient_p.bind(z, target, upstream, terms=terms)
    return gradient


def _gradient_jvp(
    terms: Terms, primals: tuple[Array, Array, Array, Array | None], tangents: tuple[Any, Any, Any, Any]
) -> tuple[Array, Array]:
    z, target, upstream, kept = primals
    dz, dtarget, dupstream, _ = tangents
    tangent = jnp.zeros(z.shape, upstream.dtype)
    if not _is_zero(dupstream):
        tangent += dupstream[..., None] * wide(_gradient(z, target, jnp.ones_like(upstream), kept, terms))
    if not (_is_zero(dz) and _is_zero(dtarget)):
        tangent += upstream[..., None] * _curvature(z, target, dz, dtarget, terms)
    return _gradient(z, target, upstream, kept, terms), tangent.astype(z.dtype)


_gradient.defjvp(_gradient_jvp, symbolic_zeros=True)


def _curvature(z: Array, target: Array, dz: Any, dtarget: Any, terms: Terms) -> Array:
    """The tangent of the gradient of each row's loss. Zeros are symbolic; a class has no tangent."""
    z = wide(z)
    x = _softmax(z)
    tangent = jnp.zeros_like(x)
    keep = 1 - terms.label_smoothing
    is_soft = target.ndim == z.ndim
    if not _is_zero(dz):
        pull = keep * jnp.sum(target, -1, keepdims=True) + terms.label_smoothing if is_soft else 1.0
        dz = wide(dz)
        if terms.z_loss:
            pull += 2 * terms.z_loss * _log_sum_exp(z)[..., None]
            tangent += 2 * terms.z_loss * _inner(x, dz)[..., None] * x
        tangent += pull * _along_softmax(x, dz)
    if is_soft and not _is_zero(dtarget):
        tangent += keep * (jnp.sum(dtarget, -1, keepdims=True) * x - dtarget)
    return tangent


_slope_p: Any = Primitive("finallayer_slope")


def _slope(z: Array, target: Array, dz: Array, terms: Terms, kept: Array | None) -> Array:
    """The tangent of each row's loss along ``dz``, in which it is linear."""
    slope: Array = _slope_p.bind(z, target, dz, *([] if kept is None else [kept]), terms=terms)
    return slope


def _slope_value(z: Array, target: Array, dz: Array, kept: Array | None = None, *, terms: Terms) -> Array:
    ones = jnp.ones_like(z[..., 0], wide_dtype(z))
    return _inner(wide(_gradient(z, target, ones, kept, terms)), wide(dz))


def _slope_jvp(primals: tuple[Array, ...], tangents: tuple[Any, ...], *, terms: Terms) -> tuple[Array, Any]:
    z, target, dz, *rest = primals
    z_dot, target_dot, dz_dot = tangents[:3]
    kept = rest[0] if rest else None
    slope = _slope(z, target, dz, terms, kept)
    tangent = jnp.zeros_like(slope)
    if not _is_zero(dz_dot):
        tangent += _slope(z, target, dz_dot, terms, kept)
    if not (_is_zero(z_dot) and _is_zero(target_dot)):
        tangent += _inner(_curvature(z, target, z_dot, target_dot, terms), wide(dz))
    return slope, tangent


def _slope_transpose(
    upstream: Any, z: Array, target: Array, dz: Any, kept: Array | None = None, *, terms: Terms
) -> tuple[Any, ...]:
    gradient = None if _is_zero(upstream) else _gradient(z, target, upstream, kept, terms)
    return None, None, gradient, *([] if kept is None else [None])


def _slope_batched(operands: Sequence[Array], dims: Sequence[int | None], *, terms: Terms) -> tuple[Array, int]:
    z, target, dz, *rest = operations.batched_rows(operands, dims)
    return _slope(z, target, dz, terms, rest[0] if rest else None), 0


_slope_p.def_impl(jax.jit(_slope_value, static_argnames="terms"))
_slope_p.def_abstract_eval(lambda z, *_, **__: operations.a_number_a_row(z))
mlir.register_lowering(_slope_p, mlir.lower_fun(_slope_value, multiple_results=False))
ad.primitive_jvps[_slope_p] = _slope_jvp
ad.primitive_transposes[_slope_p] = _slope_transpose
batching.primitive_batchers[_slope_p] = _slope_batched


@jax.custom_jvp
def _softmax(z: Array) -> Array:
    probs: Array = operations.softmax_p.bind(z)
    return probs


@_softmax.defjvp
def _softmax_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    x = _softmax(*primals)
    return x, _along_softmax(x, *tangents)


@jax.custom_jvp
def _log_sum_exp(z: Array) -> Array:
    lse: Array = operations.log_sum_exp_p.bind(z)
    return lse


@_log_sum_exp.defjvp
def _log_sum_exp_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return _log_sum_exp(*primals), _inner(_softmax(*primals), *tangents)


@jax.custom_jvp
def _neg_log_softmax(z: Array) -> Array:
    losses: Array = operations.neg_log_softmax_p.bind(z)
    return losses


@_neg_log_softmax.defjvp
def _neg_log_softmax_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (dz,) = tangents
    return _neg_log_softmax(*primals), _inner(_softmax(*primals), dz)[..., None] - dz


def _along_softmax(x: Array, dz: Array) -> Array:
    """The tangent of softmax at ``x = softmax(z)``."""
    return x * (dz - _inner(x, dz)[..., None])


def _inner(a: Array, b: Array) -> Array:
    return jnp.sum(a * b, axis=-1)


def _is_zero(tangent: Any) -> bool:
    return isinstance(tangent, jax.custom_derivatives.SymbolicZero | ad.Zero)
