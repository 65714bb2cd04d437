"""Every line of the tables reads as a signature, in the words that the front end and the rules know."""

from __future__ import annotations

import pytest

from finallayer import catalog
from finallayer.catalog import jax, keras, names, numpy, standard, tensorflow, torch
from finallayer.expr import OPERATIONS
from finallayer.recording import SPELLINGS

from .reality import Real, disagreements

TABLES = (standard, numpy, jax, tensorflow, keras, torch)
LINES = [
    pytest.param(name, line, id=f"{module.__name__.rpartition('.')[2]}:{name}")
    for module in TABLES
    for table in (module.NAMES, module.METHODS)
    for name, line in table.items()
]
KNOWN = catalog.TENSORS | catalog.PARTS | catalog.ATTRIBUTES
ATTRIBUTES = catalog.ATTRIBUTES | catalog.PARTS | catalog.EXTRA_ATTRIBUTES


def test_every_line_is_a_signature_of_a_known_operation():
    for name, line in (p.values for p in LINES):
        signature = catalog.parse(str(line))
        assert signature.op in OPERATIONS.keys() | SPELLINGS | catalog.CONSTRUCTS, name
        params = (*signature.params, *(signature.call or ()))
        renamed = [p.canonical for p in params if p.canonical != p.name]
        assert set(signature.attrs) <= ATTRIBUTES, name
        assert set(renamed) <= KNOWN | {"initial", "hidden", "like"}, name
        positions = [p.keyword_only for p in signature.params]
        assert positions == sorted(positions), name


def test_names_are_spelled_the_canonical_way():
    wrong = {n: names.canonical(n) for m in TABLES for n in m.NAMES if names.canonical(n) != n}
    assert wrong == {}


def test_no_name_stands_in_two_tables():
    seen: dict[str, str] = {}
    for module in TABLES:
        twice = {n for n in module.NAMES if n in seen}
        assert twice == set(), module.__name__
        seen |= dict.fromkeys(module.NAMES, module.__name__)


@pytest.mark.parametrize(
    "table",
    [keras.LOSSES, keras.ACTIVATIONS, keras.METRICS, tensorflow.LOSSES],
    ids=["losses", "activations", "metrics", "tflearn"],
)
def test_strings_name_catalogued_functions(table):
    assert [v for v in table.values() if catalog.lookup(v) is None] == []


def test_strings_that_depend_on_units_name_catalogued_functions():
    named = [v for pair in keras.METRICS_BY_UNITS.values() for v in pair]
    assert named
    assert [v for v in named if catalog.lookup(v) is None] == []


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("tensorflow.compat.v1.losses.softmax_cross_entropy", "tensorflow.losses.softmax_cross_entropy"),
        ("tensorflow.losses.CategoricalCrossentropy", "keras.losses.CategoricalCrossentropy"),
        ("tensorflow.math.log", "tensorflow.log"),
        ("tensorflow.math.softplus", "tensorflow.nn.softplus"),
        ("tensorflow.log_sigmoid", "tensorflow.math.log_sigmoid"),
        ("tensorflow.compat.v1.math.log_sigmoid", "tensorflow.math.log_sigmoid"),
        ("tensorflow.sigmoid", "tensorflow.nn.sigmoid"),
        ("tensorflow.python.keras.layers.core.Dense", "keras.layers.Dense"),
        ("tensorflow.contrib.keras.api.keras.layers.Dense", "keras.layers.Dense"),
        ("tensorflow.python.keras.engine.training.Model", "keras.Model"),
        ("keras.src.layers.core.dense.Dense", "keras.layers.Dense"),
        ("keras.layers.convolutional.Convolution2D", "keras.layers.Conv2D"),
        ("keras.layers.advanced_activations.LeakyReLU", "keras.layers.LeakyReLU"),
        ("keras.models.Sequential", "keras.Sequential"),
        ("keras.layers.Input", "keras.Input"),
        ("keras.objectives.categorical_crossentropy", "keras.losses.categorical_crossentropy"),
        ("tensorflow.keras.metrics.categorical_crossentropy", "keras.losses.categorical_crossentropy"),
        ("keras.backend.tensorflow_backend.softmax", "keras.backend.softmax"),
        ("keras_core.ops.softmax", "keras.ops.softmax"),
        ("tensorflow.contrib.slim.fully_connected", "tensorflow.contrib.layers.fully_connected"),
        ("tensorflow.contrib.slim.losses.softmax_cross_entropy", "tensorflow.contrib.losses.softmax_cross_entropy"),
        ("tf_slim.layers.conv2d", "tensorflow.contrib.layers.conv2d"),
        ("tflearn.layers.core.fully_connected", "tflearn.fully_connected"),
        ("torch.nn.modules.activation.Softmax", "torch.nn.Softmax"),
        ("torch.nn.modules.Linear", "torch.nn.Linear"),
        ("torch.nn.parallel.distributed.DistributedDataParallel", "torch.nn.parallel.DistributedDataParallel"),
        ("lightning.pytorch.LightningModule", "pytorch_lightning.LightningModule"),
        ("lightning.LightningModule", "pytorch_lightning.LightningModule"),
        ("fastai.vision.all.CrossEntropyLossFlat", "fastai.CrossEntropyLossFlat"),
        ("functorch.vmap", "torch.vmap"),
        ("jax.numpy.exp", "numpy.exp"),
        ("autograd.numpy.log", "numpy.log"),
        ("tensorflow.experimental.numpy.log", "numpy.log"),
        ("jax.scipy.special.logsumexp", "scipy.special.logsumexp"),
        ("jax.nn.logsumexp", "scipy.special.logsumexp"),
        ("scipy.misc.logsumexp", "scipy.special.logsumexp"),
        ("flax.linen.log_softmax", "jax.nn.log_softmax"),
        ("flax.nnx.softmax", "jax.nn.softmax"),
        ("jax.experimental.stax.Dense", "jax.example_libraries.stax.Dense"),
        ("optax.losses.softmax_cross_entropy", "optax.softmax_cross_entropy"),
        ("mymodel.layers.core.Dense", "mymodel.layers.core.Dense"),
        ("torchvision.models.resnet18", "torchvision.models.resnet18"),
        ("pyro.distributions.Categorical", "torch.distributions.Categorical"),
        ("torch.distributions.categorical.Categorical", "torch.distributions.Categorical"),
        ("tensorflow.distributions.Bernoulli", "tensorflow_probability.distributions.Bernoulli"),
        ("tensorflow.contrib.distributions.Categorical", "tensorflow_probability.distributions.Categorical"),
        (
            "tensorflow_probability.substrates.jax.distributions.Categorical",
            "tensorflow_probability.distributions.Categorical",
        ),
    ],
)
def test_canonical_spelling(written, spelled):
    assert names.canonical(written) == spelled
    assert names.canonical(spelled) == spelled


def test_a_constructor_and_its_call_are_told_apart():
    dense = catalog.lookup("keras.layers.Dense")
    assert dense is not None
    assert dense.op == "affine"
    assert [p.canonical for p in dense.params][:2] == ["units", "activation"]
    assert [p.canonical for p in dense.call or ()] == ["x"]


def test_what_follows_a_star_is_by_keyword_only():
    reduce_sum = catalog.lookup("tensorflow.reduce_sum")
    assert reduce_sum is not None
    assert [p.name for p in reduce_sum.params if p.keyword_only] == ["reduction_indices", "keep_dims"]
    assert catalog.parse("concat(*tensors: x, axis)").params[0].rest


@pytest.mark.parametrize("line", ["", "softmax", "softmax(", "softmax(x))", "softmax(x)(y)(z)", "a b(x)"])
def test_what_is_no_signature_is_refused(line):
    with pytest.raises(ValueError, match="not a signature"):
        catalog.parse(line)


SOFTMAX = Real(("input", "dim"), frozenset({"input", "dim", "dtype"}), None, {"dim": -1})


@pytest.mark.parametrize(
    "line",
    [
        "softmax(dim: axis, input: x)",
        "softmax(x, dim: axis)",
        "softmax(input: x, dim: axis, dtype)",
        "softmax(input: x, dim: axis=1)",
        "softmax(input: x, *, along: axis)",
        "softmax(*input: x)",
    ],
)
def test_the_comparison_with_reality_can_fail(line):
    assert disagreements(line, [SOFTMAX]) != []


def test_the_comparison_with_reality_can_pass():
    assert disagreements("softmax(input: x, dim: axis=-1, *, dtype)", [SOFTMAX]) == []
