"""Signatures of every framework's operations, layers and losses, as data.

A table maps a dotted name to one line::

    "torch.softmax":            "softmax(input: x, dim: axis)"
    "torch.nn.CrossEntropyLoss": "xent_logits(weight, size_average, ignore_index)(input: x, target)"

The operation is one of ``expr.OPERATIONS``, a spelling of one (``recording.SPELLINGS``), or a *construct* that the
source front end knows (:data:`CONSTRUCTS`). The parameters stand in positional order: the framework's name, then, after
a colon, the canonical name where it differs; a default after ``=``; ``*layers`` takes the rest. A second pair of
brackets holds the parameters of the call: the first pair then belongs to the constructor. ``| eps=1e-7`` adds
attributes that the operation always has. A bare ``*`` ends the positional parameters. What follows the framework's own
parameters may be another version's spelling of the same one (``dim: axis, ..., axis``): a call uses one of them.

Canonical names: :data:`TENSORS` (``x`` is what is judged; where an operation takes a list of tensors, ``x`` is that
list), :data:`ATTRIBUTES`, and :data:`PARTS` (functions and layers that a construct is made of); any other parameter is
only there to keep the positions right. :data:`EXTRA_ATTRIBUTES` are stated after ``|`` only.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

#: Catalogued names that build or transform a program; the source front end knows what each means.
CONSTRUCTS = frozenset(
    {
        "sequential",  # (*layers) or (layers): a model that applies its layers in order; takes .add
        "model",  # (inputs, outputs): a functional Keras model
        "input",  # (shape): the leaf a functional model starts from
        "module",  # a base class of user models (nn.Module, keras.Model, keras.Layer, LightningModule, linen.Module)
        "same",  # (x): hands its argument on, whatever it is (DataParallel, torch.compile, jit, checkpoint)
        "transform",  # (f): a function that gives back f's own result when called (jit, tf.function, remat)
        "vmap",  # (f): the same, with one axis less inside f than outside
        "call",  # (f, *operands): calls f at once (checkpoint, strategy.run)
        "value_and_grad",  # (f): when called, gives (f(...), opaque)
        "grad",  # (f): when called, evaluates f and gives opaque
        "vjp",  # (f, *operands): gives (f(*operands), opaque)
        "scan",  # (f, *operands): a loop over its third argument; gives what f does, the carried state and an output
        "mapped",  # (f, x): calls f on each row of x
        "arg_scope",  # (inputs, **kwargs): arguments that the functions called in its block get besides their own
        "while_loop",  # (f, operands): a loop whose body takes its variables one by one, and gives them
        "array",  # (): TensorFlow's TensorArray, which a loop fills entry by entry
        "rows",  # (*operands): a dataset of tensors, of which an example is a row of each
        "loader",  # (inputs): gives a dataset's examples in batches
        "recurrent",  # a layer over the steps of a sequence: gives what it makes of each, and its last state
        "partial",  # (f, *operands): functools.partial
        "applier",  # (name): an activation looked up by name: keras.activations.get, Activation
        "no_grad",  # a context manager or decorator under which no gradient is asked for
        "cond",  # (condition, x, y, *operands): where, with functions (or values) for x and y
        "einsum",  # (equation, *operands): a contraction of its operands, like matmul
        "layers",  # (layers): a list or dict of layers (ModuleList, ModuleDict)
        "serial",  # (*layers): the (init, apply) pair of a stax model; apply takes the parameters first
        "pure",  # (f): haiku's transform; .apply takes parameters (and a random key unless rng=False), then f's own
        "application",  # a pretrained Keras network: softmax(affine) where include_top, else features
        "state",  # (**kwargs): an object that keeps what it is made with, by name
        "trainer",  # (f, loss): a training loop of a library's own, in which a model's output meets the loss
        "fine_tuner",  # (f, loss, ...): transformers' Trainer, which hands the metrics the model's logits
        "classifier",  # a pretrained classifier of transformers', which gives an object with logits
        "segmenter",  # (units, activation): a segmentation network, with an activation by its name or without
        "distribution_of",  # (x, y): a distribution, by its probabilities or by its logits
        "draw",  # (x): a sample of a distribution; another object's method of that name is not known
        "fit_loss",  # (x, loss): tflearn.regression, a network's output meets the loss named by a string
    }
)

#: What a parameter can mean: tensors, parts of a construct, and attributes of the node.
TENSORS = frozenset({"x", "y", "target", "condition"})
PARTS = frozenset({"f", "layers", "inputs", "outputs", "activation", "equation", "operands", "loss"})
ATTRIBUTES = frozenset(
    "axis keepdims eps units low high value from_logits log_target rank least_rank shape include_top dtype "
    "reduction".split()
)
#: Attributes that a line states after ``|``: what a metric reads, which side a threshold asks for, how a loss on
#: probabilities is made to take logits (``on_logits``), which backend goes back to the logits by itself
#: (``rescued_by``), how many axes ``shape`` leaves out for the batch, how many ``axes`` a value has then (the
#: ``same``, or one ``more``), whether none is left out but those of length one (``squeezes``), whether a pooling
#: gives means of what goes in (``blends``), whether positional arguments come in either order (TensorFlow before 1.0
#: took logits first), whether a trainer takes the log itself before an NLL (``takes_log``), and whether a distribution
#: is of one outcome that is or isn't (``binary``).
EXTRA_ATTRIBUTES = frozenset(
    "binary reads base above on_logits rescued_by batch_axes axes squeezes blends either_order rng takes_log".split()
)
#: Attributes that say how a call is read; all others its node carries.
OF_THE_CALL = frozenset("shape dtype include_top batch_axes axes either_order rng activation".split())


class Param(NamedTuple):
    """A parameter: the framework's name, the canonical one, its default, and how arguments reach it."""

    name: str
    canonical: str
    default: Any = None
    rest: bool = False  # takes all the positional arguments that are left
    keyword_only: bool = False


class Signature(NamedTuple):
    """What a catalogued name means: the operation, its parameters, and those of the call for layers and losses."""

    op: str
    params: tuple[Param, ...]
    call: tuple[Param, ...] | None
    attrs: dict[str, Any]


_LINE = re.compile(r"(\w+)\(([^()]*)\)(?:\(([^()]*)\))?(?:\s*\|\s*(.*))?$")


def parse(line: str) -> Signature:
    """Read one line of a table. Raises ValueError where it isn't one."""
    got = _LINE.match(line.strip())
    if got is None:
        raise ValueError(f"not a signature: {line!r}")
    op, params, call, attrs = got.groups()
    fixed = dict(_split_default(a) for a in _commas(attrs)) if attrs else {}
    return Signature(op, _params(params), None if call is None else _params(call), fixed)


def _commas(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _split_default(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    return name.strip(), ast.literal_eval(value.strip()) if value else None


def _params(text: str) -> tuple[Param, ...]:
    params: list[Param] = []
    keyword_only = False
    for part in _commas(text):
        names, default = _split_default(part)
        rest = names.startswith("*")
        name, _, canonical = names.lstrip("*").partition(":")
        if name:
            params.append(Param(name.strip(), (canonical or name).strip(), default, rest, keyword_only))
        keyword_only = keyword_only or rest
    return tuple(params)


@cache
def _tables() -> tuple[dict[str, str], dict[str, str]]:
    from finallayer.catalog import jax, keras, numpy, standard, tensorflow, torch

    names: dict[str, str] = {}
    methods: dict[str, str] = {}
    for table in (standard, numpy, jax, tensorflow, keras, torch):
        names |= table.NAMES
        methods |= table.METHODS
    return names, methods


@cache
def lookup(name: str) -> Signature | None:
    """The signature of a dotted name, spelled the canonical way; None where the catalogue doesn't know it."""
    line = _tables()[0].get(name)
    return None if line is None else parse(line)


@cache
def method(name: str) -> Signature | None:
    """The signature of a tensor's method; its first parameter is the tensor itself."""
    line = _tables()[1].get(name)
    return None if line is None else parse(line)


def bind_signature(params: Sequence[Param], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """A call's arguments by the signature's canonical names; defaults where they are known."""
    bound: dict[str, Any] = {}
    position = 0
    for param in params:
        if param.rest:
            bound[param.canonical] = tuple(args[position:])
            position = len(args)
        elif position < len(args) and not param.keyword_only:
            bound[param.canonical] = args[position]
            position += 1
        elif param.name in kwargs:
            bound[param.canonical] = kwargs[param.name]
        elif param.canonical not in bound and param.default is not None:
            bound[param.canonical] = param.default
    return bound
