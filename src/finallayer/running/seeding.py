"""Every generator of random numbers that a program may draw from, set by one seed from outside.

Where a program sets seeds itself, each is moved by as much: with seed 0 it runs as it is written, with every other seed
on random numbers of its own. Keys of JAX's are moved likewise. Generators that a program makes for itself with a seed
(``numpy.random.default_rng(0)``, ``torch.Generator``, a ``random_state``) are its own, and left: they often choose the
data.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import wraps
from importlib import import_module
from operator import attrgetter
from typing import Any

from finallayer.live.replacing import replaced
from finallayer.loading import when_loaded

#: Seeds are this far apart, and smaller than the other: NumPy's have 32 bits.
APART, MOST = 1_000_003, 2**32
#: module -> its functions that take a seed first, as ``module:name``; the first of them is called with ours
_TAKING = {
    "random": ("random:seed",),
    "numpy": ("numpy.random:seed",),
    "torch": ("torch:manual_seed", "torch.random:manual_seed", "torch.cuda:manual_seed", "torch.cuda:manual_seed_all"),
    "tensorflow": ("tensorflow.random:set_seed",),
    "keras": ("keras.utils:set_random_seed",),
    "jax": ("jax.random:PRNGKey", "jax.random:key"),
}
#: Those that begin nothing by being called.
_MAKING = frozenset({"jax"})


def seeded(seed: int) -> AbstractContextManager[None]:
    """Around a program: Python's generator begins with the seed, and each framework's once it is loaded."""
    return when_loaded(_TAKING, _Moving(seed).loaded)


class _Moving:
    """Moves the seeds that functions are called with."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._within = False  # a function that sets a seed calls others that do
        self._made = 0

    def loaded(self, module: str, undo: ExitStack) -> None:
        """A framework was loaded: begin with our seed, and move the program's."""
        if module not in _MAKING:
            begin = _TAKING[module][0]
            self._alone(_found(begin.replace(":", ".")), self._seed)
        for place in _TAKING[module]:
            home, _, name = place.partition(":")
            undo.enter_context(replaced(_found(home), name, self._moved))
        if module == "numpy":
            undo.enter_context(replaced(_found("numpy.random"), "default_rng", self._with_a_seed))

    def _alone(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._within = True
        try:
            return original(*args, **kwargs)
        finally:
            self._within = False

    def _moved(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def called(*args: Any, **kwargs: Any) -> Any:
            if self._within:
                return original(*args, **kwargs)
            if args and type(args[0]) is int:
                args = ((args[0] + self._seed * APART) % MOST, *args[1:])
            elif type(kwargs.get("seed")) is int:
                kwargs["seed"] = (kwargs["seed"] + self._seed * APART) % MOST
            return self._alone(original, *args, **kwargs)

        return called

    def _with_a_seed(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """A generator that is asked for without a seed is the same in every run, but for the seed."""

        @wraps(original)
        def called(seed: Any = None) -> Any:
            if seed is None:
                self._made += 1
                seed = [self._seed, self._made]
            return original(seed)

        return called


def _found(dotted: str) -> Any:
    """What a program reaches by this name: parts of a package are attributes, whether or not they are modules."""
    package, _, rest = dotted.partition(".")
    return attrgetter(rest)(import_module(package)) if rest else import_module(package)
