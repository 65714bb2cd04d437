"""`finallayer.losses.keras` on the backend that the environment names; run for each by test_keras.py."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

from finallayer.losses import keras as losses

from .conformance import frameworks
from .test_conformance import (  # noqa: F401 - which ask for `run`
    test_a_class_out_of_range_is_named,
    test_all_ignored_is_zero,
    test_binary,
    test_gradients_in_16_bits_are_rounded_once,
    test_rows_and_their_gradients,
    test_the_mean_counts_what_is_not_ignored,
)

BACKEND = keras.backend.backend()
RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 5)).astype(np.float32)
LABELS = RNG.integers(0, 3, 16)
ONE_HOT = np.eye(3, dtype=np.float32)[LABELS]
LOGITS = RNG.normal(size=(16, 3)).astype(np.float32) * 2
MASSES = RNG.dirichlet(np.ones(3), 16).astype(np.float32)
WEIGHTS = RNG.uniform(size=16).astype(np.float32)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Keras' results of the cases that each framework is held to."""
    out = tmp_path_factory.mktemp("conformance") / "results.npz"
    frameworks.main("keras", str(out))
    return f"keras on {BACKEND}", np.load(out)


def model(*head: keras.layers.Layer, compiled_with: keras.losses.Loss) -> keras.Model:
    made = keras.Sequential([layers.Input((5,)), *head])
    made.compile("sgd", compiled_with)
    return made


# name, our arguments, y_true: each is Keras' loss on logits where that is right
SAME_AS_KERAS = {
    "sparse": ("SparseCategoricalCrossentropy", {}, LABELS),
    "sparse, column": ("SparseCategoricalCrossentropy", {}, LABELS[:, None]),
    "sparse, ignore_class": ("SparseCategoricalCrossentropy", {"ignore_class": 1}, LABELS),
    "categorical": ("CategoricalCrossentropy", {}, MASSES),
    "categorical, smoothing": ("CategoricalCrossentropy", {"label_smoothing": 0.1}, MASSES),
    "binary": ("BinaryCrossentropy", {}, MASSES),
    "binary, smoothing": ("BinaryCrossentropy", {"label_smoothing": 0.1}, MASSES),
    "binary focal": ("BinaryFocalCrossentropy", {}, ONE_HOT),
    "binary focal, all options": (
        "BinaryFocalCrossentropy",
        {"apply_class_balancing": True, "alpha": 0.3, "gamma": 1.5, "label_smoothing": 0.1},
        MASSES,
    ),
    "focal": ("CategoricalFocalCrossentropy", {}, ONE_HOT),
    "focal, alpha and gamma": ("CategoricalFocalCrossentropy", {"alpha": [0.1, 0.5, 2.0], "gamma": 1.5}, MASSES),
    "focal, smoothing": ("CategoricalFocalCrossentropy", {"label_smoothing": 0.1}, ONE_HOT),
}


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", None])
@pytest.mark.parametrize("case", SAME_AS_KERAS)
def test_value_is_keras_value_on_logits(case, reduction) -> None:
    name, options, y_true = SAME_AS_KERAS[case]
    ours = getattr(losses, name)(reduction=reduction, **options)
    theirs = getattr(keras.losses, name)(from_logits=True, reduction=reduction, **options)
    for weights in (None, WEIGHTS):
        got, expected = (ops.convert_to_numpy(loss(y_true, LOGITS, weights)) for loss in (ours, theirs))
        np.testing.assert_allclose(got, expected, rtol=2e-5)


def test_label_smoothing_of_classes_is_that_of_their_one_hot() -> None:
    sparse = losses.SparseCategoricalCrossentropy(label_smoothing=0.2)(LABELS, LOGITS)
    dense = losses.CategoricalCrossentropy(label_smoothing=0.2)(ONE_HOT, LOGITS)
    assert float(sparse) == pytest.approx(float(dense), rel=1e-6)


def test_a_class_axis_in_front() -> None:
    images, labels = RNG.normal(size=(2, 3, 4, 4)).astype(np.float32), RNG.integers(0, 3, (2, 4, 4))
    loss = losses.SparseCategoricalCrossentropy(axis=1, reduction=None)(labels, images)
    last = losses.SparseCategoricalCrossentropy(reduction=None)(labels, np.moveaxis(images, 1, -1))
    assert loss.shape == (2, 4, 4)
    np.testing.assert_array_equal(ops.convert_to_numpy(loss), ops.convert_to_numpy(last))


@pytest.mark.parametrize("case", SAME_AS_KERAS)
def test_functions_are_keras_functions_on_logits(case) -> None:
    name, options, y_true = SAME_AS_KERAS[case]
    function = "".join("_" + c.lower() if c.isupper() else c for c in name).strip("_")
    ours, theirs = getattr(losses, function), getattr(keras.losses, function)
    got = ours(y_true, LOGITS, **options)
    expected = theirs(ops.convert_to_tensor(y_true), ops.convert_to_tensor(LOGITS), from_logits=True, **options)
    np.testing.assert_allclose(ops.convert_to_numpy(got), ops.convert_to_numpy(expected), rtol=2e-5)


SPARSE, DENSE, FOCAL = "SparseCategoricalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy"
BINARY, BINARY_FOCAL = "BinaryCrossentropy", "BinaryFocalCrossentropy"
WRONG_SHAPES = (
    *((name, shape) for name in (DENSE, FOCAL) for shape in ((4, 1), (5,), (4, 4), (1, 5), (4,), (4, 5, 1), (4, 1, 5))),
    *((name, shape) for name in (BINARY, BINARY_FOCAL) for shape in ((4, 1), (4, 3), (2, 5), (5,), (4,), (1, 5))),
    *((SPARSE, shape) for shape in ((1,), (2,), (4, 4), (4, 5), (1, 1), (5, 1), ())),
)


@pytest.mark.parametrize("name, shape", WRONG_SHAPES, ids=str)
def test_labels_of_a_wrong_shape_are_refused(name, shape) -> None:
    loss, labels = getattr(losses, name)(), np.zeros(shape, np.float32)
    with pytest.raises(ValueError, match="must have the same shape"):
        loss(labels, np.zeros((4, 5), np.float32))
    made = model(layers.Dense(5), compiled_with=loss)
    if shape[:1] == (4,):
        with pytest.raises(ValueError, match="must have the same shape"):
            made.fit(X[:4], labels, verbose=0, batch_size=4)


@pytest.mark.parametrize("alpha", [[0.1, 0.2], [[0.1, 0.2, 0.3]]], ids=str)
def test_an_alpha_of_another_shape_is_refused(alpha) -> None:
    with pytest.raises(ValueError, match="alpha"):
        losses.CategoricalFocalCrossentropy(alpha=alpha)(ONE_HOT, LOGITS)


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_label_smoothing_is_a_share(share) -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        losses.CategoricalCrossentropy(label_smoothing=share)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", [SPARSE, DENSE, FOCAL, BINARY, BINARY_FOCAL])
def test_16_bit_losses_are_the_float32_loss_rounded(name, dtype) -> None:
    z = ops.cast(LOGITS, dtype)
    y_true = LABELS if name == SPARSE else ONE_HOT
    for reduction in (None, "sum_over_batch_size"):
        got = getattr(losses, name)(dtype=dtype, reduction=reduction)(y_true, z)
        exact = getattr(losses, name)(reduction=reduction)(y_true, ops.cast(z, "float32"))
        assert keras.backend.standardize_dtype(got.dtype) == dtype
        expected = ops.convert_to_numpy(ops.cast(ops.cast(exact, dtype), "float32"))
        np.testing.assert_array_equal(ops.convert_to_numpy(ops.cast(got, "float32")), expected)


def test_many_rows_do_not_overflow_a_16_bit_mean() -> None:
    z = np.full((6000, 2), [[20.0, 0.0]], np.float32)
    loss = losses.SparseCategoricalCrossentropy(dtype="float16")(np.ones(6000, int), z)
    assert float(ops.cast(loss, "float32")) == 20.0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_classes_keep_their_numbers_in_16_bits(dtype) -> None:
    z = RNG.normal(size=(2, 5000)).astype(np.float32)
    labels = np.array([301, 4999])
    got = losses.SparseCategoricalCrossentropy(dtype=dtype, reduction=None)(labels, z)
    exact = losses.SparseCategoricalCrossentropy(reduction=None)(labels, ops.cast(ops.cast(z, dtype), "float32"))
    np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(got, "float32")), ops.convert_to_numpy(exact), rtol=4e-3)


@pytest.mark.parametrize(
    "labels", [[0, 2**32], np.array([0, 2**32]), np.array([0, -(2**32) + 1]), [0.0, 2.0**32]], ids=str
)
def test_wide_labels_do_not_wrap_into_the_classes(labels) -> None:
    with pytest.raises(ValueError, match=r"expected classes in 0\.\.2"):
        losses.SparseCategoricalCrossentropy()(labels, LOGITS[:2])


@pytest.mark.parametrize("wrong", [3, -1])
def test_a_label_out_of_range_never_trains_silently(wrong) -> None:
    labels = np.where(np.arange(16) == 5, wrong, LABELS)
    made = model(layers.Dense(3), compiled_with=losses.SparseCategoricalCrossentropy())
    try:
        history = made.fit(X, labels, verbose=0).history
    except ValueError as error:  # where the labels are known: torch
        assert str(wrong) in str(error)
    else:
        assert np.isnan(history["loss"]).all()
        assert all(np.isnan(w).any() for w in made.get_weights())


def gradient(loss, y_true: np.ndarray, logits: np.ndarray) -> np.ndarray:
    match BACKEND:
        case "jax":
            import jax

            return np.asarray(jax.grad(lambda z: loss(y_true, z))(logits))
        case "torch":
            import torch

            z = torch.tensor(logits, requires_grad=True)
            loss(y_true, z).backward()
            return z.grad.numpy()
        case "tensorflow":
            import tensorflow as tf

            z = tf.constant(logits)
            with tf.GradientTape() as tape:
                tape.watch(z)
                value = loss(y_true, z)
            return tape.gradient(value, z).numpy()
    raise ValueError(BACKEND)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_gradient_is_the_slope_of_the_focal_loss(gamma) -> None:
    def focal(z: np.ndarray) -> float:  # in float64, straight from the definition
        x = np.exp(z - z.max(-1, keepdims=True))
        x /= x.sum(-1, keepdims=True)
        return float(np.sum(-0.25 * MASSES * (1 - x) ** gamma * np.log(x)))

    loss = losses.CategoricalFocalCrossentropy(gamma=gamma, reduction="sum")
    got, step = gradient(loss, MASSES, LOGITS), 1e-5
    z = LOGITS.astype(np.float64)
    for index in [(0, 0), (3, 1), (7, 2), (15, 0)]:
        moved = np.zeros_like(z)
        moved[index] = step
        slope = (focal(z + moved) - focal(z - moved)) / (2 * step)
        assert got[index] == pytest.approx(slope, rel=1e-5, abs=1e-9)


def test_confident_rows_keep_teaching_the_focal_loss() -> None:
    lost = np.array([[60.0, 0.0, 0.0]], np.float32)
    one_hot = np.array([[0.0, 1.0, 0.0]], np.float32)
    got = gradient(losses.CategoricalFocalCrossentropy(alpha=1.0), one_hot, lost)
    np.testing.assert_allclose(got, [[1.0, -1.0, 0.0]], atol=1e-20)


CONFIGURED = (
    losses.SparseCategoricalCrossentropy(ignore_class=-1, label_smoothing=0.1, axis=1, reduction="sum", name="s"),
    losses.CategoricalCrossentropy(label_smoothing=0.1, reduction=None),
    losses.CategoricalFocalCrossentropy(alpha=[0.1, 0.2], gamma=3.0, label_smoothing=0.1),
    losses.BinaryCrossentropy(label_smoothing=0.1, dtype="float64"),
    losses.BinaryFocalCrossentropy(True, alpha=0.3, gamma=1.0, label_smoothing=0.1),
)


@pytest.mark.parametrize("loss", CONFIGURED, ids=lambda loss: type(loss).__name__)
def test_configuration_goes_round(loss) -> None:
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()


def test_a_saved_model_loads_with_its_loss_and_trains_on(tmp_path) -> None:
    saved = model(layers.Dense(3), compiled_with=losses.SparseCategoricalCrossentropy(label_smoothing=0.1))
    saved.fit(X, LABELS, verbose=0)
    saved.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.loss.label_smoothing == 0.1
    assert loaded.evaluate(X, LABELS, verbose=0) == pytest.approx(saved.evaluate(X, LABELS, verbose=0), rel=1e-6)


def test_trains_to_the_same_weights_as_keras_on_logits() -> None:
    ours, theirs = (
        model(layers.Dense(8, "relu"), layers.Dense(3), compiled_with=loss)
        for loss in (
            losses.SparseCategoricalCrossentropy(),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
    )
    theirs.set_weights(ours.get_weights())
    for each in (ours, theirs):
        each.fit(X, LABELS, sample_weight=WEIGHTS, epochs=3, batch_size=4, shuffle=False, verbose=0)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, x):
        return ops.softmax(self.dense(x))


def subclassed() -> keras.Model:
    made = Subclassed()
    made.compile("sgd", losses.SparseCategoricalCrossentropy())
    return made


PROBABILITY_HEADS = {
    "activation": lambda: model(layers.Dense(3, "softmax"), compiled_with=losses.SparseCategoricalCrossentropy()),
    "float32 after mixed precision": lambda: model(
        layers.Dense(3, dtype="mixed_bfloat16"),
        layers.Activation("softmax", dtype="mixed_bfloat16"),
        compiled_with=losses.SparseCategoricalCrossentropy(),
    ),
    "sigmoid, reshaped": lambda: model(
        layers.Dense(3, "sigmoid"), layers.Reshape((3,)), compiled_with=losses.BinaryCrossentropy()
    ),
    "subclassed model": subclassed,
}


@pytest.mark.parametrize("head", PROBABILITY_HEADS)
def test_a_probability_head_is_refused_before_training(head) -> None:
    made = PROBABILITY_HEADS[head]()
    y = ONE_HOT if head.startswith("sigmoid") else LABELS
    with pytest.raises(ValueError, match=r"takes logits, but the model's output is made by (softmax|sigmoid)"):
        made.fit(X, y, verbose=0)


def test_a_loss_that_has_met_a_good_model_refuses_a_bad_one() -> None:
    loss = losses.SparseCategoricalCrossentropy()
    model(layers.Dense(3), compiled_with=loss).fit(X, LABELS, verbose=0)
    with pytest.raises(ValueError, match="made by softmax"):
        model(layers.Dense(3, "softmax"), compiled_with=loss).fit(X, LABELS, verbose=0)


def test_where_nothing_is_recorded_a_softmax_is_seen_by_its_numbers() -> None:
    loss = losses.SparseCategoricalCrossentropy()
    with pytest.warns(UserWarning, match="sums to 1"):
        loss(LABELS, np.asarray(ops.convert_to_numpy(ops.softmax(LOGITS))))
    made = model(layers.Dense(3, "softmax"), compiled_with=loss)
    made.compile("sgd", loss, run_eagerly=True)
    # Torch records, and Keras' activations on TensorFlow leave a note: there it is refused.
    expected = UserWarning if BACKEND == "jax" else ValueError
    with warnings.catch_warnings(), pytest.raises(expected, match="takes logits"):
        warnings.simplefilter("error", UserWarning)
        made.fit(X, LABELS, verbose=0)


def test_logits_are_not_taken_for_probabilities(recwarn) -> None:
    loss = losses.SparseCategoricalCrossentropy()
    made = model(layers.Dense(3), compiled_with=loss)
    made.compile("sgd", loss, run_eagerly=True)
    made.fit(X, LABELS, verbose=0)
    loss(LABELS, np.zeros_like(LOGITS))
    assert not [w for w in recwarn if "logits" in str(w.message)]


def test_softmax_inside_the_model_is_its_own_affair() -> None:
    attention = model(layers.Dense(4, "softmax"), layers.Dense(3), compiled_with=losses.SparseCategoricalCrossentropy())
    attention.fit(X, LABELS, verbose=0)


def test_from_logits_false_is_refused() -> None:
    with pytest.raises(ValueError, match="takes logits only"):
        losses.SparseCategoricalCrossentropy(from_logits=False)
    assert losses.SparseCategoricalCrossentropy(from_logits=True).get_config()["from_logits"] is True
