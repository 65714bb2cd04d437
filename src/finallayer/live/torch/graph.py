"""The loss expression of a tensor that was computed before anybody watched, read off its autograd graph.

Each node of the graph is an operator that the tables know by name, with the numbers that it saved for its gradient. A
constant that no gradient needs isn't saved: it is what saved values differ by, where both sides of the operation are.
What runs as a whole (compiled code, custom functions) can't be seen, nor what came before a ``detach``.
"""

from __future__ import annotations

import re
from typing import Any

import torch

from finallayer.catalog import TENSORS
from finallayer.catalog.applying import applied
from finallayer.expr import Node, Origin, make
from finallayer.live.observation import Blind, Observation, Unknown, blind_spots
from finallayer.live.stack import Stack
from finallayer.live.torch import callables
from finallayer.live.trained import data
from finallayer.recording import Recorder

#: Operands that a node of the graph has before those that its line names.
_BEFORE = {"addmm": 1, "addbmm": 1, "baddbmm": 1}
#: Arithmetic whose constant operand may be lost, and what it is of the result and the operand that is known.
_CONSTANTS = {"add": lambda y, x: y - x, "sub": lambda y, x: x - y, "rsub": lambda y, x: y + x}
#: Two values that are the same but for rounding differ by no more than this, relatively.
_TOLERANCE = 1e-3
#: More operators than any loss has.
_MOST_NODES = 20_000


def read(loss: torch.Tensor, stack: Stack) -> Observation:
    """What a loss tensor's graph tells."""
    graph = _Graph(stack.place())
    root = graph.node(loss.grad_fn) if loss.grad_fn is not None else data("data", loss.dim())
    return Observation(graph.recorder.sightings(), [root], blind_spots(graph.unknown, [root]))


class _Graph:
    def __init__(self, origin: Origin | None) -> None:
        self.recorder = Recorder()
        self.unknown: Unknown = {}
        self._origin = origin
        self._made: dict[Any, Node] = {}
        self._given: dict[Any, torch.Tensor] = {}  # what an operator gave, where the next one has saved it
        self._leaves = 0
        self._known: dict[Any, Node] = {}  # the leaves by the place of their numbers, which the graph keeps

    def node(self, root: Any) -> Node:
        """What a node of the graph gives; what it is made of comes before."""
        waiting = [root]
        while waiting:
            fn = waiting[-1]
            if fn in self._made:
                waiting.pop()
                continue
            left = [f for f, _ in fn.next_functions if f is not None and f not in self._made]
            if left and len(self._made) + len(waiting) < _MOST_NODES:
                self._saw(fn)
                waiting += left
                continue
            waiting.pop()
            self._made[fn] = self._operation(fn)
        return self._made[root]

    def _saw(self, fn: Any) -> None:
        before = fn.next_functions[0][0] if fn.next_functions else None
        saved = _saved(fn, "self")
        if before is not None and isinstance(saved, torch.Tensor):
            self._given[before] = saved

    def _operation(self, fn: Any) -> Node:
        name = _name(fn)
        if "variable" in dir(fn):
            return self._leaf("parameter", fn.variable.dim(), _place(fn.variable))
        known = callables.named_operator(name)
        if known is None:
            return self._unknown(fn, name)
        operands = iter(range(_BEFORE.get(name, 0), len(fn.next_functions)))
        kwargs: dict[str, Any] = {}
        for param in known.signature.params:
            saved = _saved(fn, param.name)
            if param.canonical in TENSORS or param.rest:
                number = next(operands, None)
                is_given = number is not None or name in _CONSTANTS
                kwargs[param.name] = self._operand(fn, number, saved) or (self._lost(fn, name) if is_given else None)
            elif saved is not None and not isinstance(saved, torch.Tensor):
                kwargs[param.name] = saved
        what = applied(known.signature, (), {k: v for k, v in kwargs.items() if v is not None}, known.name, _read)
        if what is None:
            return self._unknown(fn, name)
        if name == "index":
            what.attrs.update(_of_each_row(_saved(fn, "indices")))
        what.attrs.update(_shaped(what.op, fn))
        return self.recorder.record(what.op, what.args, what.attrs, self._origin, "torch")

    def _operand(self, fn: Any, number: int | None, saved: Any) -> Node | None:
        """What an operator was given at a place: what made that, or else what it has saved of it."""
        if number is None:
            return self._saved_operand(saved)
        inner = fn.next_functions[number][0]
        if inner is not None:
            return self._made.get(inner) or self._leaf("opaque", 0)
        return self._saved_operand(_saved(fn, "other" if number else "self")) or self._saved_operand(saved)

    def _lost(self, fn: Any, name: str) -> Node:
        """An operand of which the graph has kept nothing."""
        constant = self._constant(fn, name) if name in _CONSTANTS else None
        return self._leaf("opaque", None) if constant is None else make("const", value=constant)

    def _constant(self, fn: Any, name: str) -> float | None:
        """The constant that an operator adds or subtracts, from what it was given and what it gave."""
        solve = _CONSTANTS.get(name)
        x = next((_saved(f, "result") for f, _ in fn.next_functions if f is not None), None)
        y = self._given.get(fn)
        if solve is None or not isinstance(x, torch.Tensor) or y is None or x.shape != y.shape:
            return None
        with torch.no_grad():
            found = solve(y.double(), x.double()).reshape(-1)
            at = x.reshape(-1).abs().argmin()  # where rounding hides least
            value, spread = found[at].item(), (found - found[at]).abs().max().item()
            rounding = torch.finfo(x.dtype).eps * max(x.abs().max().item(), abs(value))
        if spread > 2 * rounding + _TOLERANCE * abs(value):
            return None
        return float(f"{value:.3g}")

    def _saved_operand(self, saved: Any) -> Node | None:
        if isinstance(saved, (bool, int, float)):
            return make("const", value=saved)
        if isinstance(saved, torch.Tensor):
            if saved.dim() == 0 and saved.device.type == "cpu":
                return make("const", value=saved.detach().item())
            return self._leaf("opaque", saved.dim(), _place(saved))
        return None

    def _leaf(self, op: str, rank: int | None, place: Any = None) -> Node:
        """A leaf; the same for the same numbers, whose place says which they are."""
        if place is not None:
            if (op, place) not in self._known:
                self._known[op, place] = self._leaf(op, rank)
            return self._known[op, place]
        self._leaves += 1
        if op == "parameter":
            return make("parameter", name=f"parameter {self._leaves}", rank=rank)
        return data(f"data {self._leaves}", rank)

    def _unknown(self, fn: Any, name: str) -> Node:
        self._leaves += 1
        handed = [self._made[f] for f, _ in fn.next_functions if f in self._made]
        made = make("opaque", name=f"{name}:{self._leaves}:0", of=tuple(map(hash, handed)))
        self.unknown[id(made)] = made, Blind(name, self._origin), handed
        return made


def _shaped(op: str, fn: Any) -> dict[str, Any]:
    """What the shape of an operator's result tells: how many axes there are, and of a layer how many units."""
    shape = next((tuple(given.shape) for given in getattr(fn, "_input_metadata", ())), None)
    if shape is None:
        return {}
    return {"rank": len(shape), **({"units": shape[-1]} if op == "affine" and len(shape) == 2 else {})}


def _place(tensor: torch.Tensor) -> Any:
    """Where a tensor's numbers lie, and how; None where it hides that."""
    try:
        return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype
    except RuntimeError:
        return None


def _of_each_row(indices: Any) -> dict[str, Any]:
    """Whether an index goes through the rows and picks an entry of each: ``p[arange(n), y]``."""
    if not isinstance(indices, tuple) or len(indices) != 2 or not all(isinstance(i, torch.Tensor) for i in indices):
        return {}
    rows = [torch.equal(i, torch.arange(len(i), device=i.device)) if i.dim() == 1 else False for i in indices]
    return {"each": True, "picked_along": rows.index(False)} if rows.count(True) == 1 else {}


def _read(value: Any) -> Node | None:
    return value if isinstance(value, Node) else None


def _name(fn: Any) -> str:
    """The operator's name: ``log_softmax`` of ``LogSoftmaxBackward0``."""
    name = re.sub(r"Backward\d*(?=(_copy)?$)", "", fn.name().rpartition("::")[2])
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _saved(fn: Any, name: str) -> Any:
    """What a node of the graph has saved by a name; None where there is nothing, or it is gone."""
    try:
        value = getattr(fn, f"_saved_{name}", None)
    except RuntimeError:  # freed by a backward pass, or changed in place since
        return None
    return _signed(value)


def _signed(value: Any) -> Any:
    """Negative axes are saved as unsigned numbers."""
    if isinstance(value, tuple):
        return tuple(map(_signed, value))
    return value - 2**64 if type(value) is int and value >= 2**63 else value
