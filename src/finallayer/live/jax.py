"""JAX: a loss is traced, not run, and its jaxpr read equation by equation.

Softmax and its kin stand there as the arithmetic that they are made of, which the canonical forms recognise. Functions
of JAX's own that stand there as a whole (``log_softmax``) are taken for what they are, by the file that they come from.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from math import isinf, prod
from typing import Any, NamedTuple

import jax
from jax._src import source_info_util

from finallayer.canonical import is_shift_of
from finallayer.catalog.family import each
from finallayer.expr import MOVES, Node, Origin, make, through
from finallayer.live import eager_jax
from finallayer.live.observation import Blind, Observation, Unknown, blind_spots
from finallayer.live.randomness import plain_generators
from finallayer.live.stack import Stack, folders_of
from finallayer.live.trained import as_trained, data, may_be_trained, reached
from finallayer.recording import Recorder, Scene

#: Primitives that are one operation on their operands, element by element or of two.
_OPERATIONS: dict[str, str] = {
    **{name: name for name in "log exp neg log1p sqrt abs add sub mul div pow stop_gradient".split()},
    "max": "maximum",
    "min": "minimum",
    "logistic": "sigmoid",
    "square": "pow",
    "add_any": "add",
    **each("", "tanh erf sin cos", "activation"),
    **each("", "reshape broadcast_in_dim squeeze transpose rev expand_dims", "reshape"),
    **each("", "convert_element_type reduce_precision", "cast"),
    **each("", "copy copy_p optimization_barrier", "identity"),
    **each("", "slice dynamic_slice", "index"),
    **each("", "eq ne gt lt ge le and or not xor is_finite", "compare"),
    "dot_general": "matmul",
    "conv_general_dilated": "matmul",
    "concatenate": "concat",
    "iota": "numbers",
}
#: Primitives that ask on which side of a number another lies, and whether that is above.
_THRESHOLDS = {"gt": True, "ge": True, "lt": False, "le": False}
#: Primitives that reduce along axes.
_REDUCTIONS = {"reduce_sum": "sum", "reduce_max": "max", "reduce_min": "min", "argmax": "argmax", "argmin": "argmax"}
#: Functions of JAX's own that stand in a jaxpr as a whole.
_WHOLE = {
    **{name: name for name in "log_softmax softmax softplus log_sigmoid".split()},
    **each("", "relu gelu silu elu selu leaky_relu", "activation"),
    "_one_hot": "one_hot",
}
#: What holds a jaxpr that runs in its place, and the parameter that it is in.
_INLINED = ("jaxpr", "call_jaxpr", "fun_jaxpr")
_CALLS = frozenset("jit pjit closed_call core_call remat checkpoint custom_jvp_call custom_vjp_call remat2".split())
#: Libraries that hand a loss on to JAX.
HANDING_ON = ("jax", "jaxlib", "optax", "flax", "haiku", "equinox", "keras")


class _Value(NamedTuple):
    node: Node
    shape: tuple[int, ...]


def observe(
    loss: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], trained: Sequence[int] | None = None
) -> Observation:
    """Trace a loss and tell what it does; ``trained``: the arguments that are differentiated, else nobody knows."""
    return traced(loss, args, kwargs, trained).observation


class Traced(NamedTuple):
    """A loss as it was traced: what it does, its jaxpr, what that is applied to, and the variables of each node."""

    observation: Observation
    jaxpr: Any
    constants: Sequence[Any]
    leaves: list[Any]
    variables: dict[int, list[Any]]  # by the node's identity


def traced(
    loss: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], trained: Sequence[int] | None = None
) -> Traced:
    """The same with what it was read off."""
    leaves, structure = jax.tree_util.tree_flatten((tuple(args), dict(kwargs)))
    arrays_at = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array) or hasattr(leaf, "__array__")]

    def of_arrays(arrays: list[Any]) -> Any:
        filled = list(leaves)
        for i, array in zip(arrays_at, arrays, strict=True):
            filled[i] = array
        given, named = jax.tree_util.tree_unflatten(structure, filled)
        return [leaf for leaf in jax.tree_util.tree_leaves(loss(*given, **named)) if _is_numeric(leaf)]

    given = [leaves[i] for i in arrays_at]
    with plain_generators():
        jaxpr, constants = _traced(of_arrays, given) or eager_jax.run(of_arrays, given)
    paths = [path for path, _ in jax.tree_util.tree_flatten_with_path((tuple(args), dict(kwargs)))[0]]
    names = _names(loss, len(args))
    reading = _Reading(trained)
    inputs = [reading.input(paths[i], names, v.aval) for i, v in zip(arrays_at, jaxpr.invars, strict=True)]
    results = reading.run(jaxpr, constants, inputs)
    losses = [value.node for value in results]
    seen = as_trained(reading.recorder.sightings(), losses)
    observation = Observation(seen, losses, blind_spots(reading.unknown, losses))
    return Traced(observation, jaxpr, constants, given, reading.variables)


def _traced(of_arrays: Callable[[list[Any]], list[Any]], arrays: list[Any]) -> tuple[Any, list[Any]] | None:
    """The jaxpr of a function, and its constants; None where it asks for numbers that tracing doesn't have."""
    try:
        closed = jax.make_jaxpr(of_arrays)(arrays)
    except eager_jax.LOOKED_AT:
        return None
    return closed.jaxpr, closed.consts


def inner_jaxpr(eqn: Any) -> tuple[Any, Sequence[Any]] | None:
    """The jaxpr, and its constants, that runs in an equation's place; None where none does."""
    if eqn.primitive.name not in _CALLS:
        return None
    inner = next(eqn.params[name] for name in _INLINED if name in eqn.params)
    return getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())


def _names(loss: Callable[..., Any], positional: int) -> list[str]:
    """What a loss calls its arguments."""
    try:
        names = list(inspect.signature(loss).parameters)
    except (TypeError, ValueError):
        names = []
    return [*names, *(f"argument {i}" for i in range(len(names) + 1, positional + 1))]


def holds_arrays(*values: Any) -> bool:
    """Whether any array of this framework's is in these structures."""
    return any(isinstance(leaf, jax.Array) for leaf in jax.tree_util.tree_leaves(values))


def _is_numeric(value: object) -> bool:
    """Whether a value is an array or a number, such as a loss is; what else a function gives says nothing."""
    return isinstance(value, (jax.Array, int, float)) or hasattr(value, "__array__")


class _Reading:
    """What the equations read so far have given."""

    def __init__(self, trained: Sequence[int] | None) -> None:
        self.recorder = Recorder()
        self._trained = trained
        self.unknown: Unknown = {}
        self._is_reached = reached(may_be_trained)
        self._folders = folders_of(*HANDING_ON)
        self._stack = Stack(self._folders)
        self._called = self._stack.place()  # where the loss is handed over, for what a library does by itself
        self._leaves = 0
        self._by_hand = 0  # > 0 in a function whose gradient is written beside it
        self._library: list[Origin | None] = []  # where functions of JAX's own are called that are being read
        self._finite: dict[int, Node] = {}  # what is asked whether it is finite, by the identity of the question
        self._origins: dict[Any, Origin] = {}
        self.variables: dict[int, list[Any]] = {}
        self._kept: list[Node] = []  # so that no other node gets the identity of one

    def input(self, path: tuple[Any, ...], names: Sequence[str], aval: Any) -> _Value:
        """An argument: what is differentiated is a parameter, anything else data.

        Where nobody knows what is, it is what lies deeper in the first one.
        """
        shape = tuple(aval.shape)
        number = getattr(path[1], "idx", None)
        which = names[number] if number is not None else str(getattr(path[1], "key", path[1]))
        name = which + jax.tree_util.keystr(path[2:])
        is_trained = len(path) > 2 and number == 0 if self._trained is None else number in self._trained
        is_parameter = is_trained and "float" in str(aval.dtype)
        node = make("parameter", name=name) if is_parameter else data(name, len(shape))
        return _Value(node, shape)

    def run(self, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[_Value]) -> list[_Value]:
        """The results of a jaxpr on these values."""
        values: dict[Any, _Value] = dict(zip(jaxpr.invars, inputs, strict=True))
        for var, const in zip(jaxpr.constvars, consts, strict=True):
            values[var] = self._constant(const, var.aval)
        for var, value in values.items():
            self._stands_for(var, value)
        made_by: dict[Any, Any] = {}
        for eqn in jaxpr.eqns:
            given = [self._read(values, v) for v in eqn.invars]
            results = self._equation(eqn, given, made_by)
            for var, result in zip(eqn.outvars, results, strict=False):
                values[var] = result
                made_by[var] = eqn
                self._stands_for(var, result)
        return [self._read(values, v) for v in jaxpr.outvars]

    def _stands_for(self, var: Any, value: _Value) -> None:
        self.variables.setdefault(id(value.node), []).append(var)
        self._kept.append(value.node)

    def _read(self, values: dict[Any, _Value], var: Any) -> _Value:
        return self._constant(var.val, var.aval) if hasattr(var, "val") else values[var]

    def _constant(self, value: Any, aval: Any) -> _Value:
        shape = tuple(aval.shape)
        if not shape and not isinstance(value, jax.core.Tracer):
            number = getattr(value, "item", lambda: value)()
            if isinstance(number, (bool, int, float)):
                return _Value(make("const", value=_rounded(number)), shape)
        return _Value(self._data(len(shape)), shape)

    def _data(self, rank: int) -> Node:
        self._leaves += 1
        return data(f"data {self._leaves}", rank)

    def _equation(self, eqn: Any, given: list[_Value], made_by: dict[Any, Any]) -> list[_Value]:
        name = eqn.primitive.name
        if (inner := inner_jaxpr(eqn)) is not None:
            return self._call(eqn, given, *inner)
        if name in ("cond", "scan") and not _is_backward(eqn):
            return self._either(eqn, given) if name == "cond" else self._each(eqn, given)
        out = [tuple(v.aval.shape) for v in eqn.outvars]
        if not out:  # run for what it does, such as `jax.debug.print`
            return []
        nodes = [value.node for value in given]
        made = None
        if not _is_backward(eqn):
            made = self._folded(eqn, given, made_by) or self._operation(eqn, nodes, given, out[0])
        if made is None:
            made = self._not_understood(eqn, nodes, len(out[0]))
        return [_Value(made, shape) for shape in out]

    def _call(self, eqn: Any, given: list[_Value], jaxpr: Any, consts: Sequence[Any]) -> list[_Value]:
        plain = len(jaxpr.outvars) == 1 and not _is_backward(eqn) and self._is_library(jaxpr)
        whole = _WHOLE.get(str(eqn.params.get("name"))) if plain else None
        if whole is not None and len(given) == 1:
            attrs: dict[str, Any] = (
                {"axis": _axis_within(jaxpr)} if whole in ("softmax", "log_softmax", "one_hot") else {}
            )
            if whole == "activation":
                attrs["name"] = f"jax.nn.{eqn.params['name']}"
            made = self._record(eqn, whole, [given[0].node], {k: v for k, v in attrs.items() if v is not None})
            return [_Value(made, tuple(v.aval.shape)) for v in eqn.outvars]
        is_library = self._is_library(jaxpr)
        by_hand = eqn.primitive.name == "custom_vjp_call" and not is_library
        self._by_hand += by_hand
        if is_library:
            self._library.append(self._origin(eqn))
        results = self.run(jaxpr, consts, given[len(given) - len(jaxpr.invars) :])
        self._by_hand -= by_hand
        if is_library:
            self._library.pop()
        return results

    def _either(self, eqn: Any, given: list[_Value]) -> list[_Value]:
        """What one of several branches gives, nobody knows which."""
        ways = [self.run(branch.jaxpr, branch.consts, given[1:]) for branch in eqn.params["branches"]]
        results = []
        for var, *values in zip(eqn.outvars, *ways, strict=True):
            nodes = list(dict.fromkeys(value.node for value in values))
            made = nodes[0] if len(nodes) == 1 else self._record(eqn, "join", nodes, {})
            results.append(_Value(made, tuple(var.aval.shape)))
        return results

    def _each(self, eqn: Any, given: list[_Value]) -> list[_Value]:
        """What a loop over rows gives: of its body, which runs on any row, and on what nobody knows of those before."""
        body, carried = eqn.params["jaxpr"], eqn.params["num_carry"]
        first = eqn.params["num_consts"]
        handed = tuple(hash(v.node) for v in given)
        state = [
            _Value(make("opaque", name=f"carried:{i}:0", of=handed, rank=len(v.shape)), v.shape)
            for i, v in enumerate(given[first : first + carried])
        ]
        rows = [
            _Value(self._record(eqn, "index", [v.node], {"rows": True, "rank": len(v.shape) - 1}), v.shape[1:])
            for v in given[first + carried :]
        ]
        made = self.run(body.jaxpr, body.consts, [*given[:first], *state, *rows])
        results = []
        for number, (var, value) in enumerate(zip(eqn.outvars, made, strict=True)):
            rank = len(var.aval.shape)
            if number < carried:
                node = self._not_understood(eqn, [v.node for v in (*made[:carried], *given)], rank)
            else:
                node = self._record(eqn, "reshape", [value.node], {"rank": rank})
            results.append(_Value(node, tuple(var.aval.shape)))
        return results

    def _is_library(self, jaxpr: Any) -> bool:
        """Whether a function comes from a file of JAX's own, or of a library on it."""
        info = str(getattr(getattr(jaxpr, "debug_info", None), "func_src_info", ""))
        return any(folder in info for folder in self._folders)

    def _folded(self, eqn: Any, given: list[_Value], made_by: dict[Any, Any]) -> Node | None:
        """What guards against infinities, and changes no finite number; a mean, and a logsumexp, of their parts."""
        name, nodes = eqn.primitive.name, [value.node for value in given]
        if name in ("max", "min"):
            for x, bound in (nodes, nodes[::-1]):
                other = through(bound, MOVES)
                value = other.attrs.get("value") if other.op == "const" else None
                if isinstance(value, float) and isinf(value):
                    return x
        if name == "select_n" and len(nodes) == 3 and self._finite.get(id(nodes[0])) is nodes[2]:
            return nodes[2]
        if name == "convert_element_type" and nodes[0].op == "const":
            return nodes[0]
        if name == "abs" and nodes[0].op == "sum" and through(nodes[0].args[0], MOVES).op == "exp":
            return nodes[0]
        if name == "add":
            for total, top in (nodes, nodes[::-1]):
                shifted = through(total.args[0], MOVES) if total.op == "logsumexp" else total
                if shifted.op == "shift" and total.op == "logsumexp" and is_shift_of(top, shifted.args[0]):
                    return self._record(eqn, "logsumexp", [shifted.args[0]], dict(total.attrs))
        if name == "div" and nodes[0].op == "sum" and nodes[1].op == "const":
            summed = made_by.get(eqn.invars[0])
            before = prod(summed.invars[0].aval.shape) if summed is not None else 0
            if before and before == nodes[1].attrs["value"] * prod(given[0].shape):
                return self._record(eqn, "mean", [nodes[0].args[0]], dict(nodes[0].attrs))
        return None

    def _operation(self, eqn: Any, nodes: list[Node], given: list[_Value], shape: tuple[int, ...]) -> Node | None:
        name = eqn.primitive.name
        if name in _REDUCTIONS:
            axes = tuple(map(int, eqn.params["axes"]))  # of vmap they are NumPy's
            whole = len(axes) == len(given[0].shape) > 1
            attrs: dict[str, Any] = {} if whole or not axes else {"axis": axes[0] if len(axes) == 1 else axes}
            return self._record(eqn, _REDUCTIONS[name], nodes[:1], {**attrs, "rank": len(shape)})
        if name == "integer_pow":
            return self._record(eqn, "pow", nodes, {"value": eqn.params["y"]})
        if name == "clamp":
            low, x, high = nodes
            return self._record(eqn, "clip", [x], {"low": low.attrs.get("value"), "high": high.attrs.get("value")})
        if name == "select_n" and len(nodes) == 3:
            return self._record(eqn, "where", [nodes[2], nodes[1], nodes[0]], {})
        if name == "gather":
            return self._picked(eqn, nodes, len(shape))
        if name in _THRESHOLDS and nodes[1].op == "const":
            attrs = {"value": nodes[1].attrs["value"], "above": _THRESHOLDS[name]}
            return self._record(eqn, "threshold", nodes[:1], attrs)
        op = _OPERATIONS.get(name)
        if op is None:
            return None
        if op in ("reshape", "index", "concat", "matmul"):
            return self._record(eqn, op, nodes, {"rank": len(shape)})
        if op == "activation":
            return self._record(eqn, op, nodes, {"name": f"jax.numpy.{name}"})
        made = self._record(eqn, op, nodes, {"value": 2} if name == "square" else {})
        if name == "is_finite":
            self._finite[id(made)] = nodes[0]
        return made

    def _picked(self, eqn: Any, nodes: list[Node], rank: int) -> Node:
        """An entry of each row, where single entries are picked by what isn't a constant."""
        numbers = eqn.params["dimension_numbers"]
        single = all(size == 1 for size in eqn.params["slice_sizes"])
        if single and numbers.start_index_map and nodes[1].op != "const":
            return self._record(eqn, "gather", nodes[:2], {"axis": int(numbers.start_index_map[-1]), "rank": rank})
        return self._record(eqn, "index", nodes[:1], {"rank": rank})

    def _record(self, eqn: Any, op: str, args: list[Node], attrs: dict[str, Any]) -> Node:
        scene = Scene(by_hand=self._by_hand > 0)
        return self.recorder.record(op, args, attrs, self._origin(eqn), "jax", lambda: scene)

    def _origin(self, eqn: Any) -> Origin | None:
        """The place of the user's that an equation comes from; within a function of JAX's own, which may have been
        traced for another caller, that of its call."""
        if self._library:
            return self._library[-1]
        for frame in source_info_util.user_frames(eqn.source_info.traceback):
            if self._stack.is_users(frame.file_name):
                place = Origin(frame.file_name, frame.start_line, frame.start_column, frame.end_line, frame.end_column)
                return self._origins.setdefault(place, place)
        return self._called

    def _not_understood(self, eqn: Any, nodes: list[Node], rank: int) -> Node:
        self._leaves += 1
        origin = self._origin(eqn)
        fed: dict[str, Any] = {} if any(map(self._is_reached, nodes)) or _is_backward(eqn) else {"fed": True}
        name = f"{eqn.primitive.name}:{self._leaves}:0"
        made = make("opaque", name=name, of=tuple(map(hash, nodes)), rank=rank, **fed)
        self.unknown[id(made)] = made, Blind(eqn.primitive.name, origin), nodes
        return made


def _is_backward(eqn: Any) -> bool:
    """Whether an equation belongs to a gradient that the loss computes itself."""
    return "transpose(" in str(eqn.source_info.name_stack)


def _axis_within(jaxpr: Any) -> int | None:
    """The axis along which a function of JAX's own reduces."""
    axes: tuple[int, ...] = next((eqn.params["axes"] for eqn in jaxpr.eqns if eqn.primitive.name == "reduce_max"), ())
    return int(axes[0]) if len(axes) == 1 else None


def _rounded(number: bool | int | float) -> bool | int | float:
    """A constant as the program has written it: 1e-08, not the 9.99999993922529e-09 that 32 bits make of it."""
    if isinstance(number, (bool, int)):
        return bool(number) if isinstance(number, bool) else int(number)
    return float(f"{number:.7g}")
