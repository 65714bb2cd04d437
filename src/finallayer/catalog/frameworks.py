"""The frameworks, and the packages around them: one row says all that is known of a package as a package.

What its functions mean is said in the catalogue's tables. A framework by another name (``tf_keras``, ``cupy``) is one
row that says whose names it has; every other part of the program asks here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Framework(NamedTuple):
    """A package that programs of our trade import.

    ``family``: whose habits it has, and whose functions stand in for its own: ``torch``, ``tensorflow``, ``keras``,
    ``jax`` or ``numpy``; else its own name.
    ``same_as``: the module under which the catalogue knows what the package holds.
    ``inside``: modules of other packages that hold the same.
    ``foreign``: never the project's own, even where a folder of that name lies beside the file.
    ``numbers``: works on single numbers: nothing of it can stand in for what works on arrays.
    ``tf1``: is of the time of TensorFlow 1.
    ``unimported``: what a snippet means that doesn't import it, by the convention of every tutorial.
    ``customary``: how a module of it is imported where a file has no name for it yet.
    ``hands_on``: what ``from ... import *`` of one of the modules ``starred`` gives besides the package's own names.
    ``zoo``: its members that give pretrained classifiers, with a head that gives logits and that users replace.
    ``stateless``: ``model.apply(variables, x)`` calls the model.
    """

    root: str
    family: str = ""
    same_as: str = ""
    inside: tuple[str, ...] = ()
    foreign: bool = False
    numbers: bool = False
    tf1: bool = False
    unimported: Mapping[str, str] = _NOTHING
    customary: Mapping[str, str] = _NOTHING
    starred: tuple[str, ...] = ()
    hands_on: Mapping[str, str] = _NOTHING
    zoo: tuple[str, ...] = ()
    stateless: bool = False


_FASTAI = {"torch": "torch", "nn": "torch.nn", "F": "torch.nn.functional", "np": "numpy", "tensor": "torch.tensor"}
_KERAS_LAYERS = "Dense Activation Flatten Conv1D Conv2D Convolution2D MaxPooling2D Dropout"

FRAMEWORKS: tuple[Framework, ...] = (
    # PyTorch, and what is built on it
    Framework(
        "torch",
        "torch",
        foreign=True,
        unimported={"torch": "torch", "nn": "torch.nn", "F": "torch.nn.functional"},
        customary={"torch.nn.functional": "import torch.nn.functional as F"},
    ),
    Framework("functorch", "torch", same_as="torch.func"),
    Framework("torchvision", "torch", foreign=True, zoo=("models.",)),
    Framework("torchmetrics", "torch"),
    Framework("pytorch_lightning", "torch", foreign=True),
    Framework("lightning", "torch", same_as="pytorch_lightning", foreign=True),
    Framework("timm", "torch", zoo=("create_model",)),
    Framework("pretrainedmodels", "torch", zoo=("",)),
    Framework("efficientnet_pytorch", "torch", zoo=("EfficientNet",)),
    Framework(
        "fastai",
        "torch",
        starred=tuple(
            "vision.all text.all tabular.all basics vision basic_train imports torch_core".split(),
        ),
        hands_on=_FASTAI,
    ),
    Framework("fastbook", "torch", starred=("",), hands_on=_FASTAI),
    Framework("kornia", "torch"),
    Framework("monai", "torch"),
    Framework("ignite", "torch"),
    Framework("poutyne", "torch"),
    Framework("skorch", "torch"),
    Framework("apex", "torch"),
    Framework("segmentation_models_pytorch", "torch"),
    Framework("transformers", foreign=True),
    # TensorFlow
    Framework(
        "tensorflow",
        "tensorflow",
        foreign=True,
        unimported={"tf": "tensorflow"},
        customary={"tensorflow": "import tensorflow as tf"},
    ),
    Framework("tf", "tensorflow", same_as="tensorflow"),
    Framework("tensorflow_core", "tensorflow", same_as="tensorflow", foreign=True, tf1=True),
    Framework("tensorflow_addons", "tensorflow"),
    Framework("tensorflow_probability", "tensorflow", foreign=True),
    Framework("tflearn", "tensorflow", foreign=True, tf1=True),
    Framework("tf_slim", "tensorflow", same_as="tensorflow.contrib.layers", foreign=True, tf1=True),
    Framework("sonnet"),
    # Keras
    Framework(
        "keras",
        "keras",
        inside=("tensorflow.keras",),
        foreign=True,
        unimported={
            "keras": "keras",
            "K": "keras.backend",
            "Sequential": "keras.Sequential",
            **{name: f"keras.layers.{name}" for name in _KERAS_LAYERS.split()},
        },
        customary={"keras": "import keras"},
    ),
    Framework("tf_keras", "keras", same_as="keras", foreign=True),
    Framework("keras_core", "keras", same_as="keras", foreign=True),
    # JAX
    Framework(
        "jax",
        "jax",
        foreign=True,
        unimported={"jax": "jax", "jnp": "jax.numpy"},
        customary={"jax": "import jax", "jax.nn": "import jax"},
    ),
    Framework("flax", "jax", foreign=True, stateless=True),
    Framework("haiku", "jax", foreign=True),
    Framework("equinox", "jax", foreign=True),
    Framework("distrax", "jax"),
    Framework("numpyro", "jax", foreign=True),
    Framework("pyro", "torch", foreign=True),
    Framework("optax", "jax", foreign=True, unimported={"optax": "optax"}, customary={"optax": "import optax"}),
    # NumPy, and what has its functions
    Framework("numpy", "numpy", foreign=True, unimported={"np": "numpy"}, customary={"numpy": "import numpy as np"}),
    Framework("scipy", "numpy", foreign=True, customary={"scipy.special": "from scipy import special"}),
    Framework("cupy", same_as="numpy"),
    Framework("cupyx"),
    Framework("pylab", same_as="numpy", starred=("",), hands_on={"np": "numpy"}),
    Framework("autograd"),
    Framework("mxnet"),
    Framework("minpy"),
    Framework("math", "numpy", numbers=True),
    Framework("sklearn", foreign=True),
)

#: Each row by the package's name.
BY_ROOT: dict[str, Framework] = {row.root: row for row in FRAMEWORKS}
#: The families whose functions a file can be written in.
FAMILIES = frozenset({"torch", "tensorflow", "keras", "jax", "numpy"})
#: The families that no gradient goes through: what is trained with them has its gradient written by hand.
WITHOUT_GRADIENTS = frozenset({"numpy"})
#: Packages that are never a project's own.
FOREIGN = frozenset(row.root for row in FRAMEWORKS if row.foreign)
#: A package, or a module of one -> whose names it has.
SAME_AS: dict[str, str] = {row.root: row.same_as for row in FRAMEWORKS if row.same_as}
#: A name that a snippet doesn't import -> what it means by it.
UNIMPORTED: dict[str, str] = {name: meant for row in FRAMEWORKS for name, meant in row.unimported.items()}
#: A module -> the line that imports it.
CUSTOMARY: dict[str, str] = {module: line for row in FRAMEWORKS for module, line in row.customary.items()}
#: A module of which every name is imported -> the names that it hands on, and what they stand for.
STAR_IMPORTS: dict[str, Mapping[str, str]] = {
    f"{row.root}.{module}".rstrip("."): row.hands_on for row in FRAMEWORKS for module in row.starred
}
#: How the names of pretrained classifiers begin.
ZOOS = tuple(f"{row.root}.{member}" for row in FRAMEWORKS for member in row.zoo)


@cache
def family(dotted: str) -> str:
    """The family of what a dotted name stands for; the package's own name where it belongs to none."""
    root = dotted.partition(".")[0]
    row = BY_ROOT.get(root)
    if ".keras." in dotted and (row is None or row.family in ("", "tensorflow")):
        return "keras"
    return row.family if row is not None and row.family else root


def writes(dotted: str) -> str | None:
    """The family whose functions can stand in for one by this name; None where there is none."""
    row = BY_ROOT.get(dotted.partition(".")[0])
    alike = row is not None and row.family in FAMILIES and not (row.same_as or row.numbers)
    return row.family if row is not None and alike else None


def is_tf1(dotted: str) -> bool:
    """Whether a dotted name is of a package of the time of TensorFlow 1."""
    row = BY_ROOT.get(dotted.partition(".")[0])
    return row is not None and row.tf1


#: How classes end whose models have a classifier's head, and give its logits.
_CLASSIFIERS = re.compile(
    r"transformers\.(?:\w+\.)*\w+For(?:Sequence|Token|Image|Audio|Video)Classification(?:\.from_(?:pretrained|config))?"
)


@cache
def is_classifier(dotted: str) -> bool:
    """Whether a name is a pretrained classifier of transformers', or what loads one."""
    return _CLASSIFIERS.fullmatch(dotted) is not None


def is_stateless(dotted: str) -> bool:
    """Whether ``apply(variables, x)`` of a model by this class calls it."""
    row = BY_ROOT.get(dotted.partition(".")[0])
    return row is not None and row.stateless


def homes(root: str) -> tuple[str, ...]:
    """Every module that holds what a package holds, the package itself first."""
    others = (row.root for row in FRAMEWORKS if row.same_as == root)
    return (root, *BY_ROOT[root].inside, *others)
