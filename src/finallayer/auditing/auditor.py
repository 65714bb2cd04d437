"""From a loss that runs to its audit: which framework it is of, one run under observation, and every rule's verdict."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import Any

from finallayer.auditing.judgement import judged
from finallayer.auditing.outcome import Audit
from finallayer.live.observation import Observation


def audit(loss: Any, /, *args: Any, **kwargs: Any) -> Audit:
    """Audit what a loss really computes.

    ``loss``: any callable that gives a scalar loss; it is run once, on these arguments, under observation. What it
    changes of models, optimizers, gradients, random numbers and modes is put back. A loss of JAX's (arrays of JAX's are
    among its arguments) is traced instead, with the first argument's leaves for the parameters. Or a compiled Keras
    model with a batch, ``audit(model, x, y)``: its loss on its own backend. Or a PyTorch loss tensor before its
    ``backward()``: its autograd graph is read, and what that doesn't show is ``blind``.

    Raises ``TypeError`` for what is no loss of a framework that is loaded, and whatever the loss itself raises.
    """
    if "keras" in sys.modules:
        from finallayer.live import keras as compiled

        if compiled.is_model(loss) and compiled.is_compiled(loss):
            return judged(compiled.observe(loss, *args, **kwargs))
    if "torch" in sys.modules:
        from finallayer.live import torch as live

        if live.is_tensor(loss):
            return judged(live.read(loss))
    loaded = [name for name in ("jax", *_RUN) if name in sys.modules]
    if not callable(loss) or not loaded:
        what = "a loss of a framework that is loaded (PyTorch, JAX, TensorFlow, Keras)" if callable(loss) else _TAKEN
        raise TypeError(f"audit takes {what}, not {getattr(loss, '__name__', None) or type(loss).__name__}")
    return judged(_observed(loaded, loss, args, kwargs))


_TAKEN = "a loss function"
#: The frameworks whose losses are run, not traced.
_RUN = ("torch", "tensorflow")


def _observed(loaded: Sequence[str], loss: Callable[..., Any], args: Sequence[Any], kwargs: Any) -> Observation:
    """What a loss does, seen by the framework that its arguments are of, or else the one that its result is of."""
    fronts = {name: import_module(f"finallayer.live.{name}") for name in loaded}
    own = [name for name, front in fronts.items() if front.holds_arrays(args, kwargs)] or loaded
    if own[0] == "jax" and (own is not loaded or len(own) == 1):
        observed: Observation = fronts["jax"].observe(loss, args, kwargs)
        return observed
    with ExitStack() as watched:
        seen = [watched.enter_context(fronts[name].watching(loss, args, kwargs)) for name in own if name in _RUN]
        given = loss(*args, **kwargs)
        observations: list[Observation] = [tell(given) for tell in seen]
    if "jax" in own and fronts["jax"].holds_arrays(given):
        observed = fronts["jax"].observe(loss, args, kwargs)
        return observed
    return next((o for o in observations if o.losses), observations[0])
