"""Calls of traced functions: what their graph does becomes what the call does, of what it is handed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf
from tensorflow.python.eager.polymorphic_function.concrete_function import ConcreteFunction

from finallayer.expr import PURPOSES, Node, once
from finallayer.live.observation import Unknown
from finallayer.live.replacing import replaced

#: Told of a call: the function's graph, the tensors that it was handed, and those that it gave.
Told = Callable[[Any, Sequence[Any], Sequence[Any]], None]


def called(tell: Told) -> AbstractContextManager[None]:
    """While each call of a traced function is told."""

    def telling(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(function: Any, tensor_inputs: Any, captured_inputs: Any) -> Any:
            result = original(function, tensor_inputs, captured_inputs)
            results = [t for t in tf.nest.flatten(result, expand_composites=True) if hasattr(t, "_id")]
            tell(function.graph, [*tensor_inputs, *captured_inputs], results)
            return result

        return call

    return replaced(ConcreteFunction, "_call_flat", telling)


def replayed(
    result: Node, handed: Mapping[int, Node], record: Callable[[Node, list[Node]], Node], unknown: Unknown
) -> Node:
    """A result of a graph, with what the call was handed in place of what the graph was traced with."""

    @once
    def again(node: Node) -> Node:
        if id(node) in handed:
            return handed[id(node)]
        if id(node) in unknown:
            made, blind, given = unknown[id(node)]
            unknown[id(node)] = made, blind, [*given, *map(again, given)]
        args = list(map(again, node.args))
        if all(a is b for a, b in zip(args, node.args, strict=True)):
            return node
        kept = {name: value for name, value in node.attrs.items() if name not in PURPOSES}
        return record(Node(node.op, node.args, kept, node.origin), args)

    return again(result)
