"""From a loss to its card: which framework it is of, how it is called, and everything that is measured."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from types import CellType
from typing import Any

from finallayer.numerics.formats import float_format
from finallayer.probing import measures
from finallayer.probing.bench import Bench
from finallayer.probing.calling import Called, CallError, understood
from finallayer.probing.card import Probe
from finallayer.probing.frameworks.framework import Framework

#: More classes are of no use, and take their time.
MOST_CLASSES = 100_000


def probe(loss: Callable[..., Any], classes: int = 10, dtype: str = "float32", framework: str | None = None) -> Probe:
    """Measure a loss of logits and labels: to which margins it is right, and what it does at its ends.

    ``loss``: a function, or an object that can be called, of PyTorch, JAX, Keras, TensorFlow or NumPy (a class is made
    without arguments). It may take logits and labels in either order, class indices or one-hot labels, a batch or a
    single row; what takes probabilities is measured behind the framework's own softmax, and the card says so.
    ``classes``: how many logits a row has; 1 for a binary loss. ``dtype``: float16, bfloat16, float32 or float64.
    ``framework``: torch, jax, keras, tensorflow or numpy, where the loss doesn't show it.

    It is called some thousand times, on the CPU. The truth is that of the known loss that it is (cross-entropy, also
    binary, focal, or with label smoothing) in exact arithmetic.

    Raises ``TypeError`` for what isn't a loss of a framework that is loaded, ``ValueError`` for a loss that can't be
    called in any of these ways, other numbers of classes, and other formats.
    """
    form = float_format(dtype)
    if not isinstance(classes, int) or not 1 <= classes <= MOST_CLASSES:
        raise ValueError(f"classes: expected 1 to {MOST_CLASSES}, not {classes!r}")
    if not callable(loss):
        raise TypeError(f"probe takes a loss, a function of logits and labels, not {type(loss).__name__}")
    if isinstance(loss, type):
        loss = _made(loss)
    with warnings.catch_warnings():  # of what is tried, and of numbers that are odd on purpose
        warnings.simplefilter("ignore")
        chosen, called = _first_understood(loss, classes, framework)
        return _card(loss, chosen, called, Bench(called, form, classes, chosen.differences))


def _card(loss: Callable[..., Any], chosen: Framework, called: Called, bench: Bench) -> Probe:
    truth = called.truth
    judged = truth is not None or bench.form.name != "float64"
    nowhere = truth is not None and truth.twice  # not right even for small logits
    return Probe(
        name=_name(loss),
        framework=f"{chosen.name} {chosen.version()}",
        classes=bench.classes,
        dtype=bench.form.name,
        takes=called.call.takes,
        called=str(called.call),
        reference=truth.name if truth else None,
        safe_margin=0.0 if nowhere else measures.safe_margin(bench) if judged else None,
        silent_from=measures.silent_from(bench, "trails"),
        confident_margin=0.0 if nowhere else measures.confident_margin(bench) if judged else None,
        collapsed_from=measures.silent_from(bench, "leads"),
        offset_error=measures.offset_error(bench),
        ulps=measures.ulps(bench),
        floor=measures.floor(bench),
        behaviours=measures.behaviours(bench),
        curve=measures.curve(bench),
        differences=bench.differences,
    )


def _made(kind: type) -> Callable[..., Any]:
    """An object of a class of losses, with everything as it is by default."""
    try:
        made: Any = kind()
    except TypeError as error:
        raise TypeError(f"{kind.__name__} is a class, and can't be made without arguments: {error}") from error
    if not callable(made):
        raise TypeError(f"probe takes a loss, a function of logits and labels, not objects of {kind.__name__}")
    losses: Callable[..., Any] = made
    return losses


def _name(loss: Callable[..., Any]) -> str:
    named = loss if hasattr(loss, "__qualname__") else type(loss)
    name = getattr(named, "__qualname__", type(loss).__name__)
    return str(name).rpartition("<locals>.")[2]


def _first_understood(loss: Callable[..., Any], classes: int, asked: str | None) -> tuple[Framework, Called]:
    """The framework whose arrays the loss takes and gives, and how it is called with them."""
    if asked not in (None, *_LOADING):
        raise ValueError(f"framework: expected one of {', '.join(_LOADING)}, not {asked!r}")
    said: list[str] = []
    for name in [asked] if asked else _likely(loss):
        framework = _LOADING[name]()
        try:
            return framework, understood(loss, framework, classes)
        except CallError as error:
            said.append(f"{_name(loss)} is {error}" + (f" (with arrays of {framework.name})" if not asked else ""))
    raise CallError(said[0])


def _likely(loss: Callable[..., Any]) -> list[str]:
    """The loaded frameworks that a loss may be of: the one that made it, else those that its module names, first."""
    loaded = [name for name in _LOADING if name in sys.modules]
    owners = [name for name in loaded if _LOADING[name]().owns(loss)]
    named = _named(loss)
    return owners or sorted(loaded, key=lambda name: (name not in named, name == "numpy"))


def _named(loss: Callable[..., Any]) -> set[str]:
    """The packages whose modules, functions and objects a function reads by a global or enclosing name."""
    function = inspect.unwrap(loss if inspect.isroutine(loss) else type(loss).__call__)
    if not inspect.isfunction(function):
        return set()
    code = function.__code__
    read = [function.__globals__[name] for name in code.co_names if name in function.__globals__]
    read += [cell.cell_contents for cell in function.__closure__ or () if cell != CellType()]
    modules = (getattr(value, "__module__" if not inspect.ismodule(value) else "__name__", None) for value in read)
    roots = {str(module).split(".")[0] for module in modules} | set(code.co_names)
    return roots | ({"jax"} if roots & {"optax", "flax"} else set()) | ({"tensorflow"} if "tf" in roots else set())


def _keras() -> Framework:
    keras = import_module("keras")
    from finallayer.probing.frameworks.keras import Keras

    backend = str(keras.backend.backend())
    if backend not in _LOADING:
        raise ValueError(f"Keras on {backend} isn't measured: it has no gradients")
    return Keras(_LOADING[backend]())


def _of(name: str, kind: str) -> Callable[[], Framework]:
    def load() -> Framework:
        made: Framework = getattr(import_module(f"finallayer.probing.frameworks.{name}"), kind)()
        return made

    return load


#: How each framework is loaded.
_LOADING: dict[str, Callable[[], Framework]] = {
    "torch": _of("torch", "Torch"),
    "jax": _of("jax", "Jax"),
    "keras": _keras,
    "tensorflow": _of("tensorflow", "TensorFlow"),
    "numpy": _of("numpy", "NumPy"),
}
