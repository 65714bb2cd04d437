"""`finallayer.losses.jax`: what optax's losses can do, and what they cannot. Rows' exactness: test_conformance.py."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import optax
import pytest

import finallayer.kernels
from finallayer.kernels.build import find_compiler
from finallayer.losses import jax as losses
from finallayer.losses.jax import _derivatives, _operations

from .kernel.kernel_rows import FLOAT64, pushed_rows, truth, ulps

RNG = np.random.default_rng(0)
LOGITS = jnp.asarray(RNG.normal(size=(4, 7)), jnp.float32)
LABELS = jnp.asarray([3, 0, 6, 3])
MASSES = jnp.asarray(RNG.dirichlet(np.ones(7), 4), jnp.float32)


def integer(z, library=losses):
    return library.softmax_cross_entropy_with_integer_labels(z, LABELS).mean()


def soft(z, library=losses, q=MASSES):
    return library.softmax_cross_entropy(z, q).mean()


def binary(z, library=losses):
    return library.sigmoid_binary_cross_entropy(z, MASSES).mean()


DERIVATIVES = {
    "grad": jax.grad,
    "hessian": jax.hessian,
    "reverse over reverse": lambda f: jax.jacrev(jax.jacrev(f)),
    "forward over forward": lambda f: jax.jacfwd(jax.jacfwd(f)),
}


@pytest.mark.parametrize("derivative", DERIVATIVES)
@pytest.mark.parametrize("loss", [integer, soft, binary])
def test_derivatives_are_optax_derivatives(loss, derivative) -> None:
    ours, theirs = (jax.jit(DERIVATIVES[derivative](lambda z, m=m: loss(z, m)))(LOGITS) for m in (losses, optax))
    np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-7)


def test_third_derivatives_exist() -> None:
    def along(f):
        return lambda t: jax.grad(lambda s: f(LOGITS[0] + s * LOGITS[1]))(t)

    def one(z, library):
        return library.softmax_cross_entropy_with_integer_labels(z, LABELS[0])

    ours, theirs = (jax.grad(jax.grad(along(lambda z, m=m: one(z, m))))(0.3) for m in (losses, optax))
    assert float(ours) == pytest.approx(float(theirs), rel=1e-4)


def test_gradient_with_respect_to_the_labels() -> None:
    ours, theirs = (jax.grad(lambda q, m=m: soft(LOGITS, m, q))(MASSES) for m in (losses, optax))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_vmap_is_a_batch_of_rows() -> None:
    one_row = jax.value_and_grad(losses.softmax_cross_entropy_with_integer_labels)
    loss, gradient = jax.jit(jax.vmap(one_row))(LOGITS, LABELS)
    whole, pull_back = jax.vjp(lambda z: losses.softmax_cross_entropy_with_integer_labels(z, LABELS), LOGITS)
    np.testing.assert_array_equal(loss, whole)
    np.testing.assert_array_equal(gradient, pull_back(jnp.ones(4))[0])
    over_labels = jax.vmap(losses.softmax_cross_entropy_with_integer_labels, (None, 0))(LOGITS[0], jnp.arange(7))
    np.testing.assert_allclose(over_labels, -jax.nn.log_softmax(LOGITS[0]), rtol=1e-6)


@pytest.mark.parametrize("axis", [-1, 0, 1, (1, 2), (2, 0)])
def test_axis(axis) -> None:
    z = jnp.asarray(RNG.normal(size=(2, 3, 4)), jnp.float32)
    rows = np.delete(z.shape, axis)
    labels = jnp.asarray(RNG.integers(0, 2, rows))
    ours, theirs = (m.softmax_cross_entropy_with_integer_labels(z, labels, axis) for m in (losses, optax))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    q = jax.nn.softmax(z[::-1], axis)
    np.testing.assert_allclose(
        losses.softmax_cross_entropy(z, q, axis), optax.softmax_cross_entropy(z, q, axis), rtol=1e-5
    )


def test_all_axes_are_one_row() -> None:
    q = jax.nn.softmax(LOGITS[::-1], (0, 1))
    ours, theirs = (m.softmax_cross_entropy(LOGITS, q, None) for m in (losses, optax))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_where_masks_classes_and_rows() -> None:
    classes = jnp.ones((4, 7), bool).at[:, 1].set(False).at[1, 2].set(False)
    for where in (classes, jnp.asarray([True, False, True, True])):
        ours, theirs = (
            m.softmax_cross_entropy_with_integer_labels(LOGITS, LABELS, where=where) for m in (losses, optax)
        )
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_a_row_that_does_not_count_may_hold_anything() -> None:
    labels = jnp.asarray([3, -100, 6, 3])
    z = LOGITS.at[1].set(jnp.nan)

    def loss(z):
        return losses.softmax_cross_entropy_with_integer_labels(z, labels, where=labels != -100).sum()

    value, gradient = jax.value_and_grad(loss)(z)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all() and not gradient[1].any()


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_16_bit_logits_give_a_float32_loss_and_a_16_bit_gradient(dtype) -> None:
    value, gradient = jax.value_and_grad(integer)(LOGITS.astype(dtype))
    assert value.dtype == jnp.float32
    assert gradient.dtype == dtype


@pytest.mark.parametrize("wrong", [7, -1, 2**31 - 1, -(2**31)])
def test_a_label_out_of_range_under_jit_makes_its_row_nan(wrong) -> None:
    def loss(z, labels):
        rows = losses.softmax_cross_entropy_with_integer_labels(z, labels)
        return rows.sum(), rows

    (_, rows), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(LOGITS, LABELS.at[1].set(wrong))
    assert np.isnan(rows).tolist() == [False, True, False, False]
    assert np.isnan(gradient).all(axis=1).tolist() == [False, True, False, False]
    assert np.isfinite(np.delete(gradient, 1, axis=0)).all()


WIDE_LABELS = [
    np.array([3, 2**32, 6, 3]),
    np.array([3, 2**32 + 1, 6, 3], np.uint64),
    np.array([3, 2**32 - 1, 6, 3], np.uint32),
    np.array([3, -(2**32), 6, 3]),
    [3, 2**40, 6, 3],
]


@pytest.mark.parametrize("labels", WIDE_LABELS, ids=str)
def test_wide_labels_do_not_wrap_into_the_classes(labels) -> None:
    with pytest.raises(ValueError, match=r"expected classes in 0\.\.6"):
        losses.softmax_cross_entropy_with_integer_labels(LOGITS, labels)
    with jax.enable_x64(True):
        wide = jnp.asarray(labels)
        assert wide.dtype.itemsize == 8 or wide.dtype == jnp.uint32
        rows = jax.jit(losses.softmax_cross_entropy_with_integer_labels)(LOGITS, wide)
        assert np.isnan(rows).tolist() == [False, True, False, False]


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.int16, jnp.uint16, jnp.uint32])
def test_narrow_labels(dtype) -> None:
    z = jnp.asarray(RNG.normal(size=(2, 300)), jnp.float32)
    labels = jnp.asarray([100, 5])
    expected = losses.softmax_cross_entropy_with_integer_labels(z, labels)
    for run in (lambda f: f, jax.jit):
        got = run(losses.softmax_cross_entropy_with_integer_labels)(z, labels.astype(dtype))
        np.testing.assert_array_equal(got, expected)


BAD_ARGUMENTS = {
    "integer logits": ((jnp.ones((2, 3), int), jnp.zeros(2, int)), TypeError, "floating-point"),
    "float labels": ((jnp.ones((2, 3)), jnp.zeros(2)), TypeError, "expected integers"),
    "shapes": ((jnp.ones((2, 3)), jnp.zeros(3, int)), ValueError, "shape"),
    "axis": ((jnp.ones((2, 3)), jnp.zeros(2, int), 2), ValueError, "axis"),
    "no classes": ((jnp.ones((2, 0)), jnp.zeros(2, int)), ValueError, "at least one class"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments(case) -> None:
    arguments, error, message = BAD_ARGUMENTS[case]
    with pytest.raises(error, match=message):
        losses.softmax_cross_entropy_with_integer_labels(*arguments)


def with_options(z, labels, q, library, **options):
    """Both losses, with ours' options, or what they mean by optax's functions and the definition."""
    if library is losses:
        return (
            losses.softmax_cross_entropy_with_integer_labels(z, labels, **options),
            losses.softmax_cross_entropy(z, q, **options),
        )
    smoothing, weight = options.get("label_smoothing", 0.0), options.get("class_weight", 1.0)
    z_term = options.get("z_loss", 0.0) * jax.nn.logsumexp(z, -1) ** 2
    masses = (jax.nn.one_hot(labels, 7), q)
    return tuple(
        optax.softmax_cross_entropy(z, weight * ((1 - smoothing) * m + smoothing / 7)) + z_term for m in masses
    )


WEIGHT = jnp.asarray(RNG.uniform(0.2, 3, 7), jnp.float32)
OPTIONS = {
    "smoothing": {"label_smoothing": 0.1},
    "z-loss": {"z_loss": 1e-2},
    "weights": {"class_weight": WEIGHT},
    "smoothing, z-loss": {"label_smoothing": 0.3, "z_loss": 1e-2},
    "all": {"label_smoothing": 0.1, "z_loss": 1e-2, "class_weight": WEIGHT},
}


@pytest.mark.parametrize("derivative", [lambda f: f, *DERIVATIVES.values()], ids=["value", *DERIVATIVES])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_options_and_their_derivatives(options, derivative) -> None:
    def total(library):
        return lambda z: sum(rows.sum() for rows in with_options(z, LABELS, MASSES, library, **options))

    ours, theirs = (jax.jit(derivative(total(library)))(LOGITS) for library in (losses, optax))
    np.testing.assert_allclose(ours, theirs, rtol=5e-5, atol=2e-6)


def test_class_weights_and_masses_have_gradients() -> None:
    def total(library):
        return lambda w, q: sum(
            rows.sum()
            for rows in with_options(LOGITS, LABELS, q, library, class_weight=w, label_smoothing=0.1, z_loss=0.1)
        )

    ours, theirs = (jax.grad(total(library), (0, 1))(WEIGHT, MASSES) for library in (losses, optax))
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=2e-5)


def test_smoothing_is_spread_over_the_classes_that_count() -> None:
    where = jnp.ones((4, 7), bool).at[:, 1].set(False)
    fewer = jnp.delete(LOGITS, 1, axis=1)
    labels = jnp.where(LABELS > 1, LABELS - 1, LABELS)
    ours = losses.softmax_cross_entropy_with_integer_labels(LOGITS, LABELS, where=where, label_smoothing=0.2)
    expected = losses.softmax_cross_entropy_with_integer_labels(fewer, labels, label_smoothing=0.2)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("rows, chunk", [(10, 3), (10, 10), (10, None), (0, 4)])
def test_linear_is_the_product_and_its_loss(rows, chunk, dtype) -> None:
    inputs, kernel = (jnp.asarray(RNG.normal(size=s), dtype) for s in ((rows, 2, 5), (5, 9)))
    bias, labels = jnp.asarray(RNG.normal(size=9), dtype), jnp.asarray(RNG.integers(0, 9, (rows, 2)))
    where = jnp.arange(2 * rows).reshape(rows, 2) != 3
    upstream = jnp.asarray(RNG.normal(size=(rows, 2)), jnp.float32)
    options = {"where": where, "label_smoothing": 0.1, "z_loss": 1e-2}

    def linear(inputs, kernel, bias):
        loss = losses.linear_softmax_cross_entropy_with_integer_labels(
            inputs, kernel, labels, bias=bias, chunk_rows=chunk, **options
        )
        assert loss.shape == labels.shape and loss.dtype == jnp.float32
        return jnp.sum(upstream * loss)

    def by_parts(inputs, kernel, bias):
        logits = jnp.matmul(inputs, kernel) + bias
        return jnp.sum(upstream * losses.softmax_cross_entropy_with_integer_labels(logits, labels, **options))

    ours, theirs = (jax.jit(jax.value_and_grad(f, (0, 1, 2)))(inputs, kernel, bias) for f in (linear, by_parts))
    for mine, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert mine.dtype == other.dtype and mine.shape == other.shape
        close = {"rtol": 2e-2, "atol": 2e-2} if dtype == jnp.bfloat16 else {"rtol": 2e-5, "atol": 2e-6}
        np.testing.assert_allclose(mine.astype(jnp.float32), other.astype(jnp.float32), **close)


def test_linear_never_holds_the_logits() -> None:
    rows, features, classes = 4096, 8, 8192
    arguments = (jnp.zeros((rows, features)), jnp.zeros((features, classes)), jnp.zeros(rows, int))

    def loss(inputs, kernel, labels):
        return losses.linear_softmax_cross_entropy_with_integer_labels(inputs, kernel, labels, chunk_rows=256).sum()

    program = jax.jit(jax.grad(loss, (0, 1))).lower(*arguments).compile()
    assert program.memory_analysis().temp_size_in_bytes < rows * classes * 4 / 4


BAD_LINEAR = {
    "features": ((jnp.ones((2, 3)), jnp.ones((4, 5)), jnp.zeros(2, int)), {}, ValueError, "features"),
    "labels": ((jnp.ones((2, 3)), jnp.ones((3, 5)), jnp.zeros(3, int)), {}, ValueError, "labels"),
    "range": ((jnp.ones((2, 3)), jnp.ones((3, 5)), jnp.full(2, 5)), {}, ValueError, r"0\.\.4"),
    "float labels": ((jnp.ones((2, 3)), jnp.ones((3, 5)), jnp.zeros(2)), {}, TypeError, "integers"),
    "bias": ((jnp.ones((2, 3)), jnp.ones((3, 5)), jnp.zeros(2, int)), {"bias": jnp.ones(4)}, ValueError, "bias"),
    "no classes": ((jnp.ones((2, 3)), jnp.ones((3, 0)), jnp.zeros(2, int)), {}, ValueError, "classes"),
}


@pytest.mark.parametrize("case", BAD_LINEAR)
def test_bad_arguments_of_linear(case) -> None:
    arguments, options, error, message = BAD_LINEAR[case]
    with pytest.raises(error, match=message):
        losses.linear_softmax_cross_entropy_with_integer_labels(*arguments, **options)


@pytest.mark.parametrize(
    "options",
    [{"label_smoothing": 1.5}, {"label_smoothing": -0.1}, {"class_weight": WEIGHT[:3]}, {"z_loss": float("nan")}],
)
def test_bad_options(options) -> None:
    for loss, labels in (
        (losses.softmax_cross_entropy_with_integer_labels, LABELS),
        (losses.softmax_cross_entropy, MASSES),
    ):
        with pytest.raises(ValueError, match=r"label_smoothing|class_weight|z_loss"):
            loss(LOGITS, labels, **options)


@pytest.mark.parametrize("batch", [4, "b"])
@pytest.mark.parametrize("platforms", [["cpu"], ["cpu", "cuda", "tpu"]], ids=str)
@pytest.mark.parametrize("loss", ["softmax_cross_entropy_with_integer_labels", "softmax_cross_entropy"])
def test_export_serializes(loss, platforms, batch) -> None:
    target = LABELS if loss.endswith("labels") else MASSES
    step = jax.jit(jax.value_and_grad(lambda z, y: getattr(losses, loss)(z, y).mean()))
    (rows,) = jax.export.symbolic_shape("b") if batch == "b" else (batch,)
    shapes = (jax.ShapeDtypeStruct((rows, *x.shape[1:]), x.dtype) for x in (LOGITS, target))
    exported = jax.export.export(step, platforms=platforms)(*shapes)
    again = jax.export.deserialize(exported.serialize())
    for ours, theirs in zip(again.call(LOGITS, target), step(LOGITS, target), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)


def test_without_jit_it_is_the_same() -> None:
    expected = jax.value_and_grad(soft)(LOGITS)
    with jax.disable_jit():
        for ours, theirs in zip(jax.value_and_grad(soft)(LOGITS), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("way", ["kernel", "formula"])
@pytest.mark.parametrize("classes", [10, 129])
def test_float64_under_any_upstream(way, classes, monkeypatch) -> None:
    """Within what docs/losses.md says of each way."""
    if way == "formula":
        monkeypatch.setattr(_operations, "_kernel_is_registered", lambda: False)
    elif finallayer.kernels.library() is None:
        pytest.skip("the kernel is not built")
    z, target, terms = pushed_rows(np.random.default_rng(classes), classes)
    with jax.enable_x64(True):
        _, pull_back = jax.vjp(
            jax.jit(lambda z: losses.softmax_cross_entropy_with_integer_labels(z, target)),
            jnp.asarray(z),
        )
        (gradient,) = pull_back(jnp.asarray(terms.row_upstream))
    exact = truth(z, target, terms).grad
    assert ulps(np.asarray(gradient), exact, FLOAT64).max() <= (4 if way == "kernel" else 5)


@pytest.mark.parametrize("margin", [-600.0, -40.0, -1.0, 0.0, 30.0, 200.0, 700.0])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_float64_is_exact_in_float64(margin, offset) -> None:
    mpmath.mp.dps = 340
    z = np.array([0.3, -1.7, margin, -300.0, 0.1]) + offset
    targets = {2: np.eye(5)[2], "soft": np.array([0.1, 0.25, 0.6, 0.0, 0.05])}
    exps = [mpmath.exp(mpmath.mpf(v) - mpmath.mpf(z.max())) for v in z]
    x = [e / mpmath.fsum(exps) for e in exps]
    with jax.enable_x64(True):
        for target, masses in targets.items():
            q = [mpmath.mpf(m) for m in masses]
            total = mpmath.fsum(q)
            rows = losses.softmax_cross_entropy_with_integer_labels if target == 2 else losses.softmax_cross_entropy
            loss, gradient = jax.jit(jax.value_and_grad(rows))(z, np.int64(2) if target == 2 else masses)
            assert loss.dtype == gradient.dtype == jnp.float64
            exact = [total * a - p for a, p in zip(x, q, strict=True)]
            terms = [max(abs(total - p) * a, p * (1 - a)) for a, p in zip(x, q, strict=True)]
            assert (
                abs(float(loss) / mpmath.fsum(-p * mpmath.log(a) for p, a in zip(q, x, strict=True) if p) - 1) < 9e-16
            )
            for got, wanted, size in zip(np.asarray(gradient), exact, terms, strict=True):
                assert abs(mpmath.mpf(float(got)) - wanted) <= 9e-16 * size or size < 2.3e-308


@pytest.mark.parametrize("upstream", [1e-37, 2.0**-70, 1.0, 65536.0, 2.0**63, 1e30])
@pytest.mark.parametrize("classes", [5, 40])
def test_a_gradient_that_was_kept_is_right_for_any_upstream(classes, upstream) -> None:
    """Also where it would be subnormal for an upstream of 1, and XLA take it for 0."""
    z = np.zeros((1, classes), np.float32)
    z[0, :4] = 90.0, 0.5, 1.25, -30.0
    gradient = jax.jit(jax.grad(lambda z: upstream * losses.softmax_cross_entropy_with_integer_labels(z, [1]).sum()))(z)
    x = np.exp(z - 90.0, dtype=np.float64)
    exact = upstream * (x - (np.arange(classes) == 1) * x.sum()) / x.sum()
    normal = np.abs(exact) >= np.finfo(np.float32).tiny
    np.testing.assert_allclose(np.asarray(gradient)[normal], exact[normal], rtol=2.0**-22)


def test_a_kept_gradient_is_the_one_that_is_computed_again(monkeypatch) -> None:
    def pulled():
        rows = lambda z: losses.softmax_cross_entropy_with_integer_labels(z, LABELS)  # noqa: E731
        return jax.vjp(rows, LOGITS)[1](jnp.asarray([1e-3, 1.0, -2.0, 5e4]))[0]

    kept = pulled()
    monkeypatch.setattr(_derivatives, "_MOST_KEPT", -1)
    np.testing.assert_allclose(kept, pulled(), rtol=1e-6)


@pytest.mark.parametrize(
    "shape, dtype, keeps",
    [
        ((4, 7), "float32", True),
        ((4, 7), "bfloat16", False),
        ((4, 7), "float64", False),
        ((2048, 1024), "float32", False),
    ],
)
def test_small_float32_gradients_are_kept(shape, dtype, keeps) -> None:
    """One pass; not where a second rounding would be one too many, nor where memory costs more than exponentials."""
    with jax.enable_x64(dtype == "float64"):
        z, labels = jnp.zeros(shape, dtype), jnp.zeros(shape[:1], jnp.int32)
        loss = losses.softmax_cross_entropy_with_integer_labels
        program = str(jax.make_jaxpr(jax.value_and_grad(lambda z: loss(z, labels).sum()))(z))
        assert ("finallayer_loss_and_kept" in program) is keeps
        assert ("finallayer_gradient" in program) is not keeps
        assert "kept" not in str(jax.make_jaxpr(lambda z: loss(z, labels))(z))


def test_subnormal_masses_are_not_flushed() -> None:
    """XLA takes subnormal numbers for 0: a quarter of a gradient near 1e-38."""
    z, q = jnp.zeros((1, 100), jnp.float32), np.zeros((1, 100), np.float32)
    q[0, :2] = 5e-39, 1e-38
    gradient = jax.jit(jax.grad(lambda z: 2.0**30 * losses.softmax_cross_entropy(z, q).sum()))(z)
    exact = 2.0**30 * (q.astype(float).sum() / 100 - q)
    np.testing.assert_allclose(gradient, exact, rtol=1e-6)


ABI_CHECK = r"""
#include "xla/ffi/api/c_api.h"
#include "xla_ffi.h"
#define SAME(ours, our_field, theirs, their_field) \
  static_assert(offsetof(xla_ffi::ours, our_field) == offsetof(theirs, their_field), #ours)
SAME(Extension, next, XLA_FFI_Extension_Base, next);
SAME(Extension, type, XLA_FFI_Extension_Base, type);
SAME(Version, minor, XLA_FFI_Api_Version, minor_version);
SAME(Version, major, XLA_FFI_Api_Version, major_version);
SAME(Metadata, version, XLA_FFI_Metadata, api_version);
SAME(Metadata, traits, XLA_FFI_Metadata, traits);
SAME(MetadataExtension, metadata, XLA_FFI_Metadata_Extension, metadata);
SAME(Buffer, dtype, XLA_FFI_Buffer, dtype);
SAME(Buffer, data, XLA_FFI_Buffer, data);
SAME(Buffer, rank, XLA_FFI_Buffer, rank);
SAME(Buffer, dims, XLA_FFI_Buffer, dims);
SAME(Buffers, size, XLA_FFI_Args, size);
SAME(Buffers, buffers, XLA_FFI_Args, args);
SAME(Buffers, buffers, XLA_FFI_Rets, rets);
SAME(ErrorArgs, message, XLA_FFI_Error_Create_Args, message);
SAME(ErrorArgs, code, XLA_FFI_Error_Create_Args, errc);
SAME(Api, create_error, XLA_FFI_Api, XLA_FFI_Error_Create);
SAME(CallFrame, extensions, XLA_FFI_CallFrame, extension_start);
SAME(CallFrame, api, XLA_FFI_CallFrame, api);
SAME(CallFrame, stage, XLA_FFI_CallFrame, stage);
SAME(CallFrame, args, XLA_FFI_CallFrame, args);
SAME(CallFrame, results, XLA_FFI_CallFrame, rets);
SAME(CallFrame, attributes, XLA_FFI_CallFrame, attrs);
SAME(Attributes, size, XLA_FFI_Attrs, size);
SAME(Attributes, types, XLA_FFI_Attrs, types);
SAME(Attributes, names, XLA_FFI_Attrs, names);
SAME(Attributes, values, XLA_FFI_Attrs, attrs);
SAME(ByteSpan, start, XLA_FFI_ByteSpan, ptr);
SAME(ByteSpan, size, XLA_FFI_ByteSpan, len);
SAME(Scalar, dtype, XLA_FFI_Scalar, dtype);
SAME(Scalar, value, XLA_FFI_Scalar, value);
static_assert(xla_ffi::kScalarAttribute == XLA_FFI_AttrType_SCALAR);
static_assert(sizeof(xla_ffi::ErrorArgs) >= XLA_FFI_Error_Create_Args_STRUCT_SIZE);
static_assert(xla_ffi::kMajorVersion == XLA_FFI_API_MAJOR && xla_ffi::kMinorVersion <= XLA_FFI_API_MINOR);
static_assert(xla_ffi::kMetadataExtension == XLA_FFI_Extension_Metadata);
static_assert(xla_ffi::kExecuteStage == XLA_FFI_ExecutionStage_EXECUTE);
static_assert(xla_ffi::kInvalidArgument == XLA_FFI_Error_Code_INVALID_ARGUMENT);
static_assert(xla_ffi::kOutOfRange == XLA_FFI_Error_Code_OUT_OF_RANGE);
static_assert(xla_ffi::kResourceExhausted == XLA_FFI_Error_Code_RESOURCE_EXHAUSTED);
static_assert(xla_ffi::kS32 == XLA_FFI_DataType_S32 && xla_ffi::kF32 == XLA_FFI_DataType_F32);
static_assert(xla_ffi::kF16 == XLA_FFI_DataType_F16 && xla_ffi::kBF16 == XLA_FFI_DataType_BF16);
"""


@pytest.mark.skipif(find_compiler() is None, reason="compares C++ headers")
def test_the_handlers_abi_is_the_one_that_jaxlib_declares(tmp_path) -> None:
    source = tmp_path / "abi.cpp"
    source.write_text(ABI_CHECK)
    compiler = shutil.which(find_compiler())
    includes = [f"-I{jax.ffi.include_dir()}", f"-I{Path(finallayer.kernels.__file__).parent}"]
    command = [compiler, "-std=c++17", "-Wno-invalid-offsetof", "-fsyntax-only", *includes, str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
