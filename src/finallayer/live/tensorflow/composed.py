"""Functions of TensorFlow's that are several operations: known by their code, where the last of those runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from types import CodeType, MappingProxyType
from typing import Any, NamedTuple

from tensorflow.python.ops import math_ops, nn_impl, nn_ops
from tensorflow.python.util import tf_decorator

from finallayer.live.stack import frames


class Composed(NamedTuple):
    """A call of such a function."""

    op: str
    tensors: list[Any]
    attrs: dict[str, Any]


class _Function(NamedTuple):
    last: frozenset[str]  # the operations of which one is its last
    op: str
    tensors: tuple[str, ...]  # what it calls its tensors
    axis: str = ""  # and their axis
    attrs: Mapping[str, Any] = MappingProxyType({})


def _code(function: Callable[..., Any]) -> CodeType:
    code: CodeType = tf_decorator.unwrap(function)[1].__code__
    return code


_LOGISTIC = {"name": "tensorflow.nn.sigmoid_cross_entropy_with_logits"}
_FUNCTIONS: dict[CodeType, _Function] = {
    _code(nn_impl.sigmoid_cross_entropy_with_logits): _Function(
        frozenset({"AddV2"}), "bce_logits", ("logits", "labels"), attrs=_LOGISTIC
    ),
    _code(math_ops.reduce_logsumexp): _Function(frozenset({"AddV2"}), "logsumexp", ("input_tensor",), "axis"),
    _code(nn_ops._wrap_2d_function): _Function(frozenset({"Softmax", "LogSoftmax"}), "", ("inputs",), "dim"),
}
#: Operations at which it is worth looking.
LAST = frozenset(name for function in _FUNCTIONS.values() for name in function.last)
#: So many functions of TensorFlow's, at the most, call each other within one.
_DEEP = 12


def completed(operation: str) -> Composed | None:
    """The call that ends with this operation, which has just run; None where none does."""
    for frame in islice(frames(), 1, 1 + _DEEP):
        function = _FUNCTIONS.get(frame.f_code)
        if function is not None and operation in function.last:
            given = frame.f_locals
            attrs = dict(function.attrs)
            axis = given.get(function.axis)
            if isinstance(axis, (list, tuple)) and len(axis) == 1:
                (axis,) = axis
            if type(axis) is int:
                attrs["axis"] = axis
            return Composed(function.op, [given[name] for name in function.tensors], attrs)
    return None
