"""Operations of JAX on rows of logits: by the CPU kernel where it serves, else by XLA; chosen when compiling.

An operation is a primitive, and no call of the kernel that is traced: what serves depends on where the program will
run. The kernel takes whole rows in one process' memory, so a program that is sharded over devices, or exported for
another process, gets the formula, which XLA partitions and serializes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir
from jax.sharding import PartitionSpec

from finallayer.kernels import library
from finallayer.losses import _xent_logits as xent

Array = jax.Array

# Names of the kernel's handlers, and what XLA knows them by.
_KERNELS = {"fl_xla_xent": "finallayer_xent", "fl_xla_bce": "finallayer_bce"}
_KERNEL_DTYPES = (jnp.float64, jnp.float32, jnp.bfloat16, jnp.float16)
_capsule: Callable[..., Any] = jax.ffi.pycapsule  # untyped in JAX
_spec: Callable[..., Any] = PartitionSpec


# A kept gradient is stored times this: XLA takes what would be subnormal for 0, and an upstream may yet make it large.
KEPT_SCALE = 2.0**64


class Terms(NamedTuple):
    """What a row's loss is made of, besides its arrays."""

    label_smoothing: float = 0.0
    z_loss: float = 0.0


def wide_dtype(x: Array) -> Any:
    """What losses come in: float32 at least."""
    return jnp.promote_types(x.dtype, jnp.float32)


def wide(x: Array) -> Array:
    """In the dtype that losses come in."""
    widened: Array = x.astype(wide_dtype(x))
    return widened


# What operations compute, by XLA. They are traced with 64 bits allowed: a row's sums are float64 in every program.


def _loss(z: Array, target: Array, *, terms: Terms, whole_rows: bool = False) -> Array:
    result = wide_dtype(z)
    z = wide(z)
    if target.ndim < z.ndim and not terms.label_smoothing:
        row = xent.class_row(jnp, z, target, folded=whole_rows)
        loss, lse = xent.class_loss(jnp, row), xent.log_sum_exp(jnp, row)
    else:
        parts = xent.softmax_parts(jnp, z)
        loss, lse = xent.soft_loss(jnp, parts, _masses(z, target, terms)), parts.log_sum_exp
    if terms.z_loss:
        loss = loss + terms.z_loss * lse * lse
    rows: Array = loss[..., 0].astype(result)
    return rows


def _gradient(z: Array, target: Array, upstream: Array, *, terms: Terms, whole_rows: bool = False) -> Array:
    dtype = z.dtype
    z = wide(z)
    upstream = upstream[..., None].astype("float64")
    if target.ndim < z.ndim and not terms.label_smoothing:
        row = xent.class_row(jnp, z, target, folded=whole_rows)
        pull = upstream * (2 * terms.z_loss) * xent.log_sum_exp(jnp, row) if terms.z_loss else 0.0
        gradient = xent.class_gradient(jnp, z, target, row, upstream, pull)
    else:
        parts = xent.softmax_parts(jnp, z)
        extra = 2 * terms.z_loss * parts.log_sum_exp if terms.z_loss else 0.0
        gradient = upstream * xent.soft_gradient(jnp, parts, _masses(z, target, terms), extra)
    typed: Array = gradient.astype(z.dtype).astype(dtype)
    return typed


def _loss_and_kept(z: Array, target: Array, *, terms: Terms, whole_rows: bool = False) -> tuple[Array, Array]:
    upstream = jnp.full(z.shape[:-1], KEPT_SCALE, wide_dtype(z))
    return (
        _loss(z, target, terms=terms, whole_rows=whole_rows),
        _gradient(z, target, upstream, terms=terms, whole_rows=whole_rows),
    )


def _masses(z: Array, target: Array, terms: Terms) -> Array:
    q = _double(target) if target.ndim == z.ndim else xent.class_mask(jnp, z, target).astype("float64")
    masses: Array = xent.smoothed(q, terms.label_smoothing)
    return masses


def _double(q: Array) -> Array:
    """In float64, where subnormal float32 numbers, which XLA takes for 0, are not."""
    double = q.astype("float64")
    if q.dtype == jnp.float32:
        bits = jax.lax.bitcast_convert_type(q, jnp.int32)
        tiny = jnp.where(bits < 0, -1.0, 1.0) * (bits & 0x7FFFFF).astype("float64") * 2.0**-149
        double = jnp.where(bits & 0x7F800000 == 0, tiny, double)
    return double


def _softmax(z: Array) -> Array:
    probs: Array = xent.softmax(xent.softmax_parts(jnp, z)).astype(z.dtype)
    return probs


def _neg_log_softmax(z: Array) -> Array:
    losses: Array = xent.neg_log_softmax(jnp, xent.softmax_parts(jnp, z)).astype(z.dtype)
    return losses


def _log_sum_exp(z: Array) -> Array:
    lse: Array = xent.softmax_parts(jnp, z).log_sum_exp[..., 0].astype(z.dtype)
    return lse


def _binary_loss(z: Array, y: Array) -> Array:
    loss: Array = xent.binary_loss(jnp, z, y)
    return loss


def _binary_gradient(z: Array, y: Array, upstream: Array) -> Array:
    gradient: Array = upstream * xent.binary_gradient(jnp, z, y)
    return gradient


def _focal_loss(z: Array, q: Array, alpha: Array, *, gamma: float, label_smoothing: float) -> Array:
    _, loss, _ = _focal(z, q, alpha, gamma, label_smoothing)
    rows: Array = loss[..., 0].astype(z.dtype)
    return rows


def _focal_gradient(
    z: Array, q: Array, alpha: Array, upstream: Array, *, gamma: float, label_smoothing: float
) -> Array:
    parts, _, masses = _focal(z, q, alpha, gamma, label_smoothing)
    gradient = upstream[..., None] * xent.soft_gradient(jnp, parts, masses)
    typed: Array = gradient.astype(z.dtype)
    return typed


def _focal(z: Array, q: Array, alpha: Array, gamma: float, label_smoothing: float) -> tuple[Any, Array, Array]:
    parts = xent.softmax_parts(jnp, z.astype("float64"), careful=z.dtype == jnp.float64)
    masses = _double(alpha) * xent.smoothed(_double(q), label_smoothing)
    return parts, *xent.focal_loss_and_masses(jnp, parts, masses, gamma)


def _binary_focal_loss(z: Array, y: Array, *, gamma: float, label_smoothing: float) -> Array:
    loss: Array = _binary_focal(z, y, gamma, label_smoothing)[0].astype(z.dtype)
    return loss


def _binary_focal_gradient(z: Array, y: Array, upstream: Array, *, gamma: float, label_smoothing: float) -> Array:
    gradient: Array = (upstream * _binary_focal(z, y, gamma, label_smoothing)[1]).astype(z.dtype)
    return gradient


def _binary_focal(z: Array, y: Array, gamma: float, label_smoothing: float) -> tuple[Array, Array]:
    smoothed = _double(y) * (1 - label_smoothing) + 0.5 * label_smoothing
    return xent.binary_focal_loss_and_gradient(jnp, z.astype("float64"), smoothed, gamma)


# What the results look like.


def a_number_a_row(z: Any, *_: Any, **__: Any) -> Any:
    spec = _spec(*z.sharding.spec[:-1])
    return z.update(shape=z.shape[:-1], dtype=wide_dtype(z), sharding=z.sharding.update(spec=spec), weak_type=False)


def _alike(z: Any, *_: Any, **__: Any) -> Any:
    return z.update(weak_type=False)


def _both(z: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
    return a_number_a_row(z), _alike(z)


# The making of operations.


def _operation(
    name: str, by_xla: Callable[..., Any], result: Callable[..., Any], kernel: str | None = None, results: int = 1
) -> Any:
    """A primitive that computes ``by_xla``. Its operands and results are rows, of the leading shape of the first."""
    primitive: Any = Primitive(f"finallayer_{name}")
    primitive.multiple_results = results > 1
    primitive.def_abstract_eval(result)

    def lower_by_xla(ctx: Any, *operands: Any, **static: Any) -> Any:
        if kernel == "fl_xla_xent":
            static["whole_rows"] = _has_whole_rows(ctx.module_context)
        lower_formula = mlir.lower_fun(partial(by_xla, **static), multiple_results=results > 1)
        # Functions within functions would take the batch size of an export as 64 bits, which their caller gives as 32.
        with jax.enable_x64(True), jax.disable_jit():
            return lower_formula(ctx, *operands)

    def lower_for_cpu(ctx: Any, *operands: Any, **static: Any) -> Any:
        if not _kernel_serves(ctx, static.get("terms")):
            return lower_by_xla(ctx, *operands, **static)
        terms: Terms | None = static.get("terms")
        attributes = {} if terms is None else {k: np.float64(v) for k, v in terms._asdict().items()}
        return jax.ffi.ffi_lowering(_KERNELS[str(kernel)])(ctx, *operands, **attributes)

    def run(*operands: Array, **static: Any) -> Any:
        if not jax.config.jax_disable_jit:  # type: ignore[attr-defined]
            return _compiled(primitive, **static)(*operands)
        with jax.enable_x64(True):
            return by_xla(*operands, **static)

    primitive.def_impl(run)
    mlir.register_lowering(primitive, lower_by_xla)
    if kernel is not None:
        mlir.register_lowering(primitive, lower_for_cpu, platform="cpu")

    def batch(operands: Sequence[Array], dims: Sequence[int | None], **static: Any) -> tuple[Any, Any]:
        return primitive.bind(*batched_rows(operands, dims), **static), (0,) * results if results > 1 else 0

    batching.primitive_batchers[primitive] = batch
    return primitive


@cache
def _compiled(primitive: Any, **static: Any) -> Callable[..., Any]:
    compiled: Callable[..., Any] = jax.jit(lambda *operands: primitive.bind(*operands, **static))
    return compiled


def batched_rows(operands: Sequence[Array], dims: Sequence[int | None]) -> list[Array]:
    """Operands of which some have a batch axis, all with it in front."""
    size = next(x.shape[d] for x, d in zip(operands, dims, strict=True) if d is not None)
    return [
        jnp.broadcast_to(x, (size, *x.shape)) if d is None else jnp.moveaxis(x, d, 0)
        for x, d in zip(operands, dims, strict=True)
    ]


def _kernel_serves(ctx: Any, terms: Terms | None) -> bool:
    """Whether the CPU kernel can compute an operation where it is being lowered, as exactly as the formula."""
    z, target = ctx.avals_in[:2]
    if z.dtype not in _KERNEL_DTYPES or not _has_whole_rows(ctx.module_context) or not _kernel_is_registered():
        return False
    if z.dtype != jnp.float64 or terms is None:
        return True
    # The kernel has no digits to spare for the terms of a distribution in float64.
    return bool(target.ndim < z.ndim and not terms.label_smoothing)


def _has_whole_rows(module: Any) -> bool:
    """Whether what is lowered will run in this process, on one device, or is what each device runs of its own."""
    if module.lowering_parameters.for_export:
        return False
    axis_context = module.axis_context
    if (devices := getattr(axis_context, "num_devices", None)) is not None:
        return bool(devices == 1)
    mesh = getattr(axis_context, "mesh", None)
    return mesh is not None and (mesh.size == 1 or axis_context.manual_axes == frozenset(mesh.axis_names))


@cache
def _kernel_is_registered() -> bool:
    """Whether the CPU kernel is there, and XLA speaks the version of its FFI that the kernel was written for."""
    kernels = library()
    if kernels is None:
        return False
    try:
        for symbol, name in _KERNELS.items():
            jax.ffi.register_ffi_target(name, _capsule(getattr(kernels, symbol)), platform="cpu")
    except Exception:  # whatever XLA raises for a version it does not support
        return False
    return True


loss_p = _operation("loss", _loss, a_number_a_row, kernel="fl_xla_xent")
gradient_p = _operation("gradient", _gradient, _alike, kernel="fl_xla_xent")
loss_and_kept_p = _operation("loss_and_kept", _loss_and_kept, _both, kernel="fl_xla_xent", results=2)
softmax_p = _operation("softmax", _softmax, _alike)
neg_log_softmax_p = _operation("neg_log_softmax", _neg_log_softmax, _alike)
log_sum_exp_p = _operation("log_sum_exp", _log_sum_exp, a_number_a_row)
binary_loss_p = _operation("binary_loss", _binary_loss, _alike, kernel="fl_xla_bce")
binary_gradient_p = _operation("binary_gradient", _binary_gradient, _alike, kernel="fl_xla_bce")
focal_loss_p = _operation("focal_loss", _focal_loss, a_number_a_row)
focal_gradient_p = _operation("focal_gradient", _focal_gradient, _alike)
binary_focal_loss_p = _operation("binary_focal_loss", _binary_focal_loss, _alike)
binary_focal_gradient_p = _operation("binary_focal_gradient", _binary_focal_gradient, _alike)
