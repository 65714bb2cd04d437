"""The JAX losses of a program that trains: each is traced where its gradient is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any

import jax

from finallayer.expr import Origin
from finallayer.live.jax import HANDING_ON, observe
from finallayer.live.observation import Observation
from finallayer.live.replacing import replaced
from finallayer.live.stack import Stack, folders_of

#: Is told, before a gradient is computed, the loss (a function that gives it alone), its arguments, positional and
#: named, and which of the former are trained.
Before = Callable[[Callable[..., Any], Sequence[Any], Mapping[str, Any], Sequence[int]], None]


@contextmanager
def around(tell: Callable[[Observation], None]) -> Iterator[None]:
    """Around a program: each loss of which it asks the gradient is told, once for each place."""
    with gradients(_Losses(tell).called):
        yield


@contextmanager
def gradients(before: Before) -> Iterator[None]:
    """Inside, the functions that ``jax.grad`` and its like give tell of the loss before they run."""
    telling = partial(_telling, before)
    with replaced(jax, "grad", telling), replaced(jax, "value_and_grad", telling):
        yield


def _telling(before: Before, original: Callable[..., Any]) -> Callable[..., Any]:
    """``jax.grad``, or its like, whose functions tell of the loss before they run."""

    @wraps(original)
    def differentiate(loss: Callable[..., Any], argnums: Any = 0, has_aux: bool = False, **more: Any) -> Any:
        gradient = original(loss, argnums, has_aux, **more)
        trained = (argnums,) if isinstance(argnums, int) else tuple(argnums)

        @wraps(loss)
        def alone(*args: Any, **kwargs: Any) -> Any:
            given = loss(*args, **kwargs)
            return given[0] if has_aux else given

        @wraps(gradient)
        def run(*args: Any, **kwargs: Any) -> Any:
            before(alone, args, kwargs, [n % len(args) for n in trained if args])
            return gradient(*args, **kwargs)

        return run

    return differentiate


class _Losses:
    def __init__(self, tell: Callable[[Observation], None]) -> None:
        self._tell = tell
        self._stack = Stack(folders_of(*HANDING_ON))
        self._told: set[Origin | None] = set()
        self._tracing = False

    def called(
        self, loss: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], trained: Sequence[int]
    ) -> None:
        """A gradient is asked for."""
        place = self._stack.place()
        if self._tracing or place in self._told:
            return
        self._told.add(place)
        self._tracing = True
        try:
            observation = observe(loss, args, kwargs, trained)
        except Exception:
            return  # the program's own call will say what is wrong
        finally:
            self._tracing = False
        self._tell(observation)
