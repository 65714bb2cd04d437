"""The JAX losses of a program that trains: each is traced where its gradient is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

import jax

from finallayer.expr import Origin
from finallayer.live.jax import HANDING_ON, observe
from finallayer.live.observation import Observation
from finallayer.live.replacing import replaced
from finallayer.live.stack import Stack, folders_of

#: What makes a function that gives a gradient.
_DIFFERENTIATES = ("grad", "value_and_grad")


@contextmanager
def around(tell: Callable[[Observation], None]) -> Iterator[None]:
    """Around a program: each loss of which it asks the gradient is told, once for each place."""
    losses = _Losses(tell)
    with ExitStack() as undo:
        for name in _DIFFERENTIATES:
            undo.enter_context(replaced(jax, name, losses.telling))
        yield


class _Losses:
    def __init__(self, tell: Callable[[Observation], None]) -> None:
        self._tell = tell
        self._stack = Stack(folders_of(*HANDING_ON))
        self._told: set[Origin | None] = set()
        self._tracing = False

    def telling(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """``jax.grad``, or its like, whose functions tell of the loss before they run."""

        @wraps(original)
        def differentiate(loss: Callable[..., Any], argnums: Any = 0, has_aux: bool = False, **more: Any) -> Any:
            gradient = original(loss, argnums, has_aux, **more)
            trained = (argnums,) if isinstance(argnums, int) else tuple(argnums)

            @wraps(gradient)
            def run(*args: Any, **kwargs: Any) -> Any:
                self._called(loss, has_aux, trained, args, kwargs)
                return gradient(*args, **kwargs)

            return run

        return differentiate

    def _called(
        self,
        loss: Callable[..., Any],
        has_aux: bool,
        trained: Sequence[int],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> None:
        place = self._stack.place()
        if self._tracing or place in self._told:
            return
        self._told.add(place)

        @wraps(loss)
        def alone(*args: Any, **kwargs: Any) -> Any:
            given = loss(*args, **kwargs)
            return given[0] if has_aux else given

        self._tracing = True
        try:
            observation = observe(alone, args, kwargs, [n % len(args) for n in trained if args])
        except Exception:
            return  # the program's own call will say what is wrong
        finally:
            self._tracing = False
        self._tell(observation)
