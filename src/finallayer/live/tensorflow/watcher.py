"""Watches a TensorFlow program: every operation that it runs, or puts into a graph, as one of the recorder's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import record as tapes
from tensorflow.python.framework import op_callbacks
from tensorflow.python.ops import custom_gradient, nn_impl, resource_variable_ops

from finallayer.catalog import tensorflow_graph as operations
from finallayer.catalog.applying import Applied
from finallayer.expr import Node, Origin, make
from finallayer.live.margins import MEASURED, Measuring
from finallayer.live.observation import Blind, Observation, Unknown, blind_spots
from finallayer.live.replacing import preceded, replaced
from finallayer.live.stack import Stack, folders_of, frames, is_running
from finallayer.live.tensorflow import composed, generated
from finallayer.live.tensorflow.fitting import Fitting
from finallayer.live.tensorflow.holdings import Tensors, is_eager
from finallayer.live.tensorflow.traced import called, replayed
from finallayer.live.trained import as_trained, may_be_trained, reached
from finallayer.recording import Recorder, Scene

#: The folder of TensorFlow's own code.
TENSORFLOW = str(Path(tf.__file__).parent)
#: What runs a function whose gradient is written beside it.
_OF_CUSTOM_GRADIENTS = (custom_gradient._eager_mode_decorator.__code__, custom_gradient._graph_mode_decorator.__code__)
#: Functions of which nothing is recorded: gradients are computed.
_ASIDE = ("gradient", "jacobian", "batch_jacobian")


class Measured(NamedTuple):
    """An operation that tells of a batch's margins."""

    made: Node
    what: Applied
    tensors: list[Any]
    dtype: str


class Watcher:
    """What a program has done so far."""

    def __init__(self) -> None:
        self._keras = tuple(folders_of("keras"))
        self.stack = Stack([TENSORFLOW, *self._keras], [nn_impl.__file__])
        self.idle = False  # nothing is watched any more
        self._beneath = 0  # > 0 while a gradient is computed
        self.begin()

    def begin(self) -> None:
        """Forget what was seen."""
        self.recorder = Recorder()
        self.measuring = Measuring(_array)
        self.unmeasured: list[Measured] = []  # what is worth measuring in a graph, which has no numbers yet
        self.tensors = Tensors()
        self.fitting = Fitting(self.tensors)
        self.unknown: Unknown = {}
        self._is_reached = reached(may_be_trained)
        self.failed: list[Blind] = []
        self._unknowns = 0

    def observation(self, losses: Iterable[Any]) -> Observation:
        """What was seen, of a program that gave these losses."""
        nodes = [self.tensors.node(loss) for loss in losses]
        blind = [*blind_spots(self.unknown, nodes), *dict.fromkeys(self.failed)]
        return Observation(as_trained(self.recorder.sightings(), nodes), nodes, blind, self.measuring.batches)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Around what is watched."""
        with ExitStack() as undo:
            op_callbacks.add_op_callback(self._ran)
            undo.callback(op_callbacks.remove_op_callback, self._ran)
            undo.enter_context(called(self._called))
            undo.enter_context(preceded(resource_variable_ops, "variable_accessed", self._accessed))
            for name in _ASIDE:
                undo.enter_context(replaced(tf.GradientTape, name, self._aside))
            yield

    def _accessed(self, variable: Any) -> None:
        """A variable is read: whether it is trained."""
        if not variable.trainable:
            self.tensors.frozen.add(variable.handle._id)

    def _aside(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """What a tape computes is nobody's business."""

        def computed(*args: Any, **kwargs: Any) -> Any:
            self._beneath += 1
            try:
                return original(*args, **kwargs)
            finally:
                self._beneath -= 1

        return computed

    def _ran(self, op_type: Any, inputs: Any, attrs: Any, outputs: Any, *_: Any, **__: Any) -> None:
        if self.idle or self._beneath or not outputs:
            return
        name = op_type.decode() if isinstance(op_type, bytes) else str(op_type)
        given = dict(zip(attrs[::2], attrs[1::2], strict=False))
        self._carefully(self._operation, name, list(inputs), given, list(outputs))

    def _carefully(self, step: Callable[..., None], *given: Any) -> None:
        """A step of ours, whose mistakes are no reason for the program to fail."""
        try:
            step(*given)
        except Exception as error:
            self.failed.append(Blind(f"{type(error).__name__} while watching: {error}"))

    def _operation(self, name: str, inputs: list[Any], attrs: Mapping[str, Any], outputs: list[Any]) -> None:
        if name in operations.DATA:
            self.tensors.sizes.update(t._id for t in outputs if name in operations.SIZES)
        elif name == "ReadVariableOp":
            self.tensors.bind(outputs[0], self.tensors.node(inputs[0]))
        elif name in operations.NUMBERS or not self.tensors.bind_size(name, inputs, outputs):
            what = self.fitting.applied(name, inputs, attrs, outputs[0])
            if what is None:
                self._not_understood(name, inputs, outputs)
            else:
                self._understood(what, name, inputs, outputs)

    def _understood(self, what: Applied, name: str, inputs: list[Any], outputs: list[Any]) -> None:
        whole = composed.completed(name) if name in composed.LAST else None
        operands = inputs if name not in operations.PICKS else inputs[:2]
        if whole is not None:
            operands = whole.tensors
            what = Applied(whole.op or what.op, [self.tensors.node(t) for t in operands], {**what.attrs, **whole.attrs})
        silent = False if whole is not None else None
        if what.op == "xent_logits" and what.args[0].op == "log" and self._is_in_keras():
            silent = True  # Keras' way from probabilities that it has clipped: what is to be said of it, the log has
        made = self.record(what.op, what.args, what.attrs, silent)
        self.fitting.made(made, name, inputs, outputs[0])
        if made.op in MEASURED:
            measured = Measured(made, what, operands, outputs[0].dtype.name)
            self.measuring.saw(*measured) if all(map(is_eager, operands)) else self.unmeasured.append(measured)
        for number, part in enumerate(outputs):
            if number == 0 or what.op == "topk":
                self.tensors.bind(part, made)
            elif what.op == "index":
                self.tensors.bind(part, Node("index", made.args, {**made.attrs, "at": str(number)}, made.origin))

    def record(self, op: str, args: list[Node], attrs: dict[str, Any], silent: bool | None = None) -> Node:
        """An operation, written down at the place of the program that runs."""
        place = self.place()
        silent = self.stack.in_private if silent is None else silent
        return self.recorder.record(op, args, attrs, place, "tensorflow", self._scene, silent=silent)

    def place(self) -> Origin | None:
        """Where the program is."""
        place = self.stack.place()
        return generated.original(place) if place is not None else None

    def _is_in_keras(self) -> bool:
        """Whether the operation is called by Keras' code."""
        paths = (frame.f_code.co_filename for frame in frames())
        hidden = takewhile(lambda path: not self.stack.is_users(path), paths)
        return any(path.startswith(self._keras) for path in hidden)

    def _scene(self) -> Scene:
        by_hand = is_running(*_OF_CUSTOM_GRADIENTS)  # which a tape sees run as well
        return Scene(tapes.could_possibly_record() or by_hand, self.stack.caller(), by_hand=by_hand)

    def _not_understood(self, name: str, inputs: list[Any], outputs: list[Any]) -> None:
        self._unknowns += 1
        origin = self.place()
        handed = [self.tensors.node(t) for t in inputs]
        data: dict[str, Any] = {} if any(map(self._is_reached, handed)) else {"fed": True}
        place = f"{Path(origin.path).name}:{origin.line}:{origin.column}" if origin else f"{name}:0:0"
        for number, part in enumerate(outputs):
            of = (*map(hash, handed), self._unknowns, number)
            made = make("opaque", name=place, of=of, rank=part.shape.rank, **data)
            self.unknown[id(made)] = made, Blind(name, origin), handed
            self.tensors.bind(part, made)

    def _called(self, graph: Any, given: Sequence[Any], results: Sequence[Any]) -> None:
        """A traced function has given these: what its graph does, of what it was handed."""
        if self.idle or self._beneath:
            return
        self._carefully(self._replay, graph, given, results)

    def _replay(self, graph: Any, given: Sequence[Any], results: Sequence[Any]) -> None:
        handed = {
            id(self.tensors.node(inner)): self.tensors.node(outer)
            for inner, outer in zip(graph.inputs, given, strict=True)
        }

        def record(node: Node, args: list[Node]) -> Node:
            return self.recorder.record(node.op, args, node.attrs, node.origin, "tensorflow", self._scene)

        for inner, outer in zip(graph.outputs, results, strict=False):
            if self.tensors.holds(inner):
                self.tensors.bind(outer, replayed(self.tensors.node(inner), handed, record, self.unknown))


def _array(tensor: Any) -> np.ndarray:
    """A tensor's numbers, of which NumPy knows no 16 bits but its own."""
    array: np.ndarray = np.asarray(tensor.numpy())
    return array if array.dtype.kind in "iub" or array.dtype.itemsize >= 4 else array.astype(np.float32)
