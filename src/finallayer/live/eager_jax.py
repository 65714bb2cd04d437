"""JAX: a loss that looks at its own numbers (a Python ``if``, ``float``) can't be traced without them.

It is run on its arguments, as ``jax.grad`` runs it, and each equation is written down as it is computed: the same jaxpr
that tracing gives, of the way that the program has taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax._src import core, source_info_util

#: What is raised by what asks a traced value for its numbers.
LOOKED_AT = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


class Written(NamedTuple):
    """What a jaxpr is read for."""

    constvars: list[core.Var]
    invars: list[core.Var]
    outvars: list[core.Var]
    eqns: list[Any]
    debug_info: Any = None


def run(function: Callable[[list[Any]], list[Any]], arrays: Sequence[Any]) -> tuple[Written, list[Any]]:
    """The jaxpr of what a function computes of these arrays, with its constants."""
    trace = _Writing(core.trace_ctx.trace)
    given = [_Known(trace, value) for value in map(jax.numpy.asarray, arrays)]
    with _current(trace):
        results = [trace.known(result).variable for result in function(list(given))]
    constants = list(trace.constants.values())
    jaxpr = Written([c.variable for c in constants], [g.variable for g in given], results, trace.equations)
    return jaxpr, [c.numbers for c in constants]


_current: Any = core.set_current_trace


class _Known(core.Tracer):  # type: ignore[type-arg]
    """A value with its numbers, and what it is called in the jaxpr."""

    __slots__ = ["numbers", "variable"]

    def __init__(self, trace: _Writing, numbers: Any) -> None:
        super().__init__(trace, core.typeof(numbers))
        self.numbers, self.variable = numbers, core.Var(core.typeof(numbers))

    def to_concrete_value(self) -> Any:
        return core.to_concrete_value(self.numbers)  # type: ignore[no-untyped-call]

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        return np.asarray(self.numbers, *args, **kwargs)

    def __float__(self) -> float:
        return float(self.numbers)

    def __int__(self) -> int:
        return int(self.numbers)

    __index__ = __int__

    def item(self, *args: Any) -> Any:
        return self.numbers.item(*args)

    def tolist(self) -> Any:
        return self.numbers.tolist()


class _Writing(core.Trace):
    """Computes each operation with the trace below, and writes it down."""

    __slots__ = ("_by_identity", "below", "constants", "equations")

    def __init__(self, below: core.Trace) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.below = below
        self.equations: list[Any] = []
        self.constants: dict[core.Var, _Known] = {}
        self._by_identity: dict[int, tuple[Any, _Known]] = {}

    def known(self, value: Any) -> _Known:
        """A value as one of this trace's: a constant, where it is none yet."""
        if isinstance(value, _Known) and value._trace is self:
            return value
        kept = value if isinstance(value, jax.Array) else np.asarray(value)
        known = self._by_identity.get(id(value))
        if known is None or known[0] is not value:
            known = value, _Known(self, kept)
            self._by_identity[id(value)] = known
            self.constants[known[1].variable] = known[1]
        return known[1]

    def stage_value(self, val: Any) -> Any:
        return self.known(val)

    def process_primitive(self, primitive: Any, given: Sequence[Any], params: dict[str, Any], /) -> Any:
        operands = list(map(self.known, given))
        if primitive.name == "convert_element_type" and operands[0].dtype == params["new_dtype"]:
            return operands[0]  # which tracing leaves out
        with _current(self.below):
            result = primitive.bind(*(operand.numbers for operand in operands), **params)
        if primitive.name == "convert_element_type" and operands[0].variable in self.constants:
            return self.known(result)
        results = [_Known(self, r) for r in (result if primitive.multiple_results else [result])]
        self._write(primitive, operands, results, params)
        return results if primitive.multiple_results else results[0]

    def process_custom_jvp_call(self, _primitive: Any, fun: Any, _jvp: Any, tracers: Any, /, **_: Any) -> Any:
        with _current(self):
            return fun.call_wrapped(*tracers)

    def process_custom_vjp_call(self, primitive: Any, fun: Any, _fwd: Any, _bwd: Any, tracers: Any, /, **_: Any) -> Any:
        """A function whose gradient is written beside it stays one: an equation that holds its own."""
        outer, self.equations = self.equations, []
        try:
            with _current(self):
                results = list(map(self.known, fun.call_wrapped(*tracers)))
        finally:
            inner, self.equations = self.equations, outer
        made = {var for equation in inner for var in equation.outvars}
        read = [v for e in inner for v in e.invars] + [r.variable for r in results]
        free = list(dict.fromkeys(v for v in read if v not in made))
        jaxpr = Written([], free, [r.variable for r in results], inner, fun.debug_info)
        given = [_Known(self, r.numbers) for r in results]
        self._write(primitive, free, given, {"call_jaxpr": jaxpr})
        return given

    def _write(self, primitive: Any, given: Sequence[Any], made: Sequence[_Known], params: dict[str, Any]) -> None:
        names = [getattr(g, "variable", g) for g in given]
        source = source_info_util.current()
        self.equations.append(
            core.new_jaxpr_eqn(names, [m.variable for m in made], primitive, params, core.no_effects, source)
        )
