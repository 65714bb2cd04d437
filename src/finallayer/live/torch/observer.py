"""Watches a torch program run: every call that it makes, as an operation of the recorder's.

Two modes see a call. The outer one is handed functions and methods as the program calls them, which the catalogue knows
by name. What it doesn't know is seen by the inner one, operator by operator, as is everything in scripted code. Both
see custom autograd functions, operations in place, and what runs without gradients.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from finallayer.catalog import Signature
from finallayer.catalog.applying import Applied, applied
from finallayer.expr import LOSSES, Node, Origin, Role, having, make
from finallayer.live import threads
from finallayer.live.margins import MEASURED, Measuring
from finallayer.live.observation import Blind, Observation, Unknown, blind_spots
from finallayer.live.replacing import replaced
from finallayer.live.stack import Stack, folders_of, is_running
from finallayer.live.torch import callables, distributions, indexing, transforms
from finallayer.live.torch.callables import Known, is_native
from finallayer.live.torch.following import Following, tensors_in
from finallayer.live.torch.untouched import Untouched
from finallayer.live.trained import as_trained, data, frozen
from finallayer.recording import Recorder, Scene

#: Operations whose result has another number of axes than what is known of their arguments says.
_RANKED = frozenset(
    "reshape index gather concat sum mean max min matmul affine pool one_hot argmax topk logsumexp length "
    "cosine".split()
)
#: Operations that give numbers of their own, never a view of what they are given.
_HEADS = having(Role.HEAD)
_FRESH = _HEADS | having(Role.LOSS) | having(Role.REDUCTION) | having(Role.ARITHMETIC)
_FRESH |= {"affine", "matmul", "activation", "log", "exp", "neg", "one_minus"}
#: Calls of which nothing is recorded: gradients are computed, numbers are read out.
_ASIDE = frozenset("backward grad register_hook retain_grad __repr__ __format__ item tolist numpy __float__".split())
#: The folder of torch's own code.
TORCH = str(Path(torch.__file__).parent)
_INDEXING = frozenset({"torch.Tensor.__getitem__", "torch.Tensor.index"})
#: What runs the forward of a custom autograd function, whose gradient is written beside it.
_OF_A_CUSTOM_FUNCTION = torch.autograd.Function.apply.__func__.__code__  # type: ignore[attr-defined]


#: What nobody follows, whose results need no gradient of their own.
GRADIENT = "a gradient of torch.func's"

T = TypeVar("T")


class _Running(NamedTuple):
    """A module whose forward is running."""

    module: nn.Module
    line: tuple[str, Signature] | None  # of the catalogue
    native: bool  # it is torch's own, and runs no code of the user's
    places: list[Origin | None]  # where it was called, once that is asked; of all that run within each other


class Observer:
    """What a program has done so far."""

    def __init__(self) -> None:
        self.stack = Stack([TORCH, *folders_of("keras")], [f"{TORCH}/distributions"])
        self.untouched = Untouched()
        self.modules: list[_Running] = []  # those that are running, the innermost last
        self.beneath = 0  # > 0 within a call that is recorded as a whole, or not at all
        self.idle = False  # nothing is watched any more
        self.begin()

    def begin(self) -> None:
        """Forget what was seen."""
        self.recorder = Recorder()
        self.following = Following()
        self.measuring = Measuring(_numbers)
        self.unknown: Unknown = {}
        self.altered: list[Node] = []  # losses with options that their expression doesn't tell of
        self.failed: list[Blind] = []
        self._parameters: dict[int, tuple[torch.Tensor, Node]] = {}
        self.layers: dict[tuple[Origin, str], str] = {}  # what the layers are called that give heads
        self._leaves = 0

    def observation(self, losses: Iterable[torch.Tensor]) -> Observation:
        """What was seen, of a program that gave these losses."""
        nodes = [n for n in map(self.node, losses) if n is not None]
        blind = [*blind_spots(self.unknown, nodes), *dict.fromkeys(self.failed)]
        seen = as_trained(self.recorder.sightings(), nodes)
        return Observation(seen, nodes, blind, self.measuring.batches, self.altered, self.layers)

    @contextmanager
    def watching(self, restoring: bool = True) -> Iterator[None]:
        """Around what is watched; ``restoring``: so that it leaves no trace."""
        with ExitStack() as undo:
            if restoring:
                undo.enter_context(self.untouched.around())
            undo.enter_context(replaced(nn.Module, "__call__", self._noting))
            if "torch._dynamo" in sys.modules:  # else nothing is compiled
                undo.enter_context(torch.compiler.set_stance("force_eager"))
            undo.enter_context(distributions.told(self))
            if "torch._functorch" in sys.modules:
                undo.enter_context(transforms.followed(self))
            if restoring:
                undo.enter_context(threads.each(self.in_thread))
            undo.enter_context(_Operators(self))
            undo.enter_context(_Functions(self))
            yield

    @contextmanager
    def in_thread(self) -> Iterator[None]:
        """Around what a thread of the program's does: what it changes is put back; what it computes isn't followed."""
        self.failed.append(Blind("what a thread of the program's computes", self.stack.place()))
        with _Changes(self.untouched):
            yield

    def _noting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """A module's call, by which it is known which are running; a hook of torch's would cost more than a layer."""

        def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            if self.idle:
                return original(module, *args, **kwargs)
            self.untouched.module(module)
            native = is_native(module)
            within = self.modules[-1] if self.modules else None
            shared = within.places if within is not None and within.native and native else []
            self.modules.append(_Running(module, callables.module_line(module), native, shared))
            try:
                return original(module, *args, **kwargs)
            finally:
                self.modules.pop()

        return call

    def _place(self) -> Origin | None:
        """Where the program is. Within layers of torch's own, which call nothing of the user's, it stays there."""
        running = self.modules[-1] if self.modules else None
        if running is None or not running.native:
            return self.stack.place()
        if not running.places:
            running.places.append(self.stack.place())
        self.stack.in_private = False
        return running.places[0]

    # What tensors hold

    def named(self, tensor: torch.Tensor, name: str) -> None:
        """A tensor is an argument of the loss's, by this name."""
        if self.following.get(tensor) is None and tensor.is_leaf and not _is_parameter(tensor):
            self.following.bind(tensor, data(name, tensor.dim()))

    def node(self, value: Any) -> Node | None:
        """What a tensor holds; None for what is no tensor."""
        if not isinstance(value, torch.Tensor):
            return None
        known = self.following.get(value)
        if known is None:
            known = self._leaf(value)
            self.following.bind(value, known)
        return known

    def known(self, tensor: torch.Tensor) -> Node | None:
        """What a tensor holds that was seen before, or was there before the run; None of what a transform has made."""
        if self.following.get(tensor) is None and torch._C._functorch.is_functorch_wrapped_tensor(tensor):
            return None
        return self.node(tensor)

    def bind(self, tensor: torch.Tensor, node: Node) -> None:
        """A tensor holds this."""
        self.following.bind(tensor, node)

    def not_followed(self, tensor: torch.Tensor) -> None:
        """A tensor holds what nobody follows, of whatever is trained."""
        self.following.bind(tensor, self._not_understood(GRADIENT, [make("parameter", name="what is trained")], tensor))

    def _leaf(self, tensor: torch.Tensor) -> Node:
        """What a tensor is that was there before the run."""
        self._leaves += 1
        if _is_parameter(tensor):
            return self._parameter(tensor)
        if _is_number(tensor):
            with self.aside():
                return make("const", value=tensor.detach().item())
        if tensor.grad_fn is not None:  # a prediction, perhaps
            return make("opaque", name=f"given {self._leaves}:0:0", rank=tensor.dim())
        return data(f"data {self._leaves}", tensor.dim())

    def _parameter(self, tensor: torch.Tensor) -> Node:
        """A parameter, whatever its numbers are by now."""
        known = self._parameters.get(id(tensor))
        if known is None or known[0] is not tensor:
            parameter = make("parameter", name=f"parameter {len(self._parameters) + 1}", rank=tensor.dim())
            known = tensor, parameter if tensor.requires_grad else frozen(parameter)
            self._parameters[id(tensor)] = known
        return known[1]

    @contextmanager
    def aside(self) -> Iterator[None]:
        """While nothing is recorded."""
        self.beneath += 1
        try:
            yield
        finally:
            self.beneath -= 1

    # What calls do

    def call(self, known: Known, run: Callable[[], Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Run a call of which the catalogue knows what it does, and record that."""
        what = self._carefully(self._applied, known, args, kwargs)
        if what is None:
            return run()
        self.beneath += 1
        try:
            result = run()
        finally:
            self.beneath -= 1
        pure = is_pure(known, args, kwargs)
        if what.op not in _FRESH or not pure:
            self.untouched.made(tensors_in(result), tensors_in((args, kwargs)))
        self._carefully(self._give, result, what, known, args, kwargs, pure)
        return result

    def _carefully(self, step: Callable[..., T], *given: Any) -> T | None:
        """A step of ours, whose mistakes are no reason for the program to fail."""
        try:
            return step(*given)
        except Exception as error:
            self.failed.append(Blind(f"{type(error).__name__} while watching: {error}"))
            return None

    def _applied(self, known: Known, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Applied | None:
        """What a call applies; None where that isn't all that it does."""
        if _changes_meaning(kwargs):
            return None
        what = indexing.entries(self.node, args) if known.name in _INDEXING and not kwargs else None
        what = what or applied(known.signature, args, kwargs, known.name, self.node)
        if what is not None and what.op == "affine":
            given = (*args, *kwargs.values())
            weights = [a for a in given if isinstance(a, torch.Tensor) and _is_parameter(a) and a.dim() > 1]
            return what._replace(args=[*what.args[:1], *map(self._parameter, weights[-1:])])  # which tell layers apart
        return what

    def _give(
        self, result: Any, what: Applied, known: Known, args: Sequence[Any], kwargs: Mapping[str, Any], pure: bool
    ) -> None:
        first = result if isinstance(result, torch.Tensor) else _first(result)
        if first is None:
            return
        made = self.record(what.op, what.args, self._attributes(what, first))
        if made.op in LOSSES and _is_altered(made.op, kwargs):
            self.altered.append(made)
        if made.op in MEASURED:
            with suppress(Exception), self.aside(), torch.no_grad():  # numbers may be hidden: vmap, meta tensors
                self.measuring.saw(made, what, _tensors(args), str(first.dtype).removeprefix("torch."))
        if known.in_place or (not pure and args and first is args[0]):
            self.following.changed(first)
        if isinstance(result, torch.Tensor):
            storage = self.following.bind(result, made)
            if pure and what.op in _FRESH:
                self.untouched.fresh(storage)
            return
        for number, part in enumerate(result):
            if isinstance(part, torch.Tensor):
                self.following.bind(
                    part, made if number == 0 or what.op in ("topk",) else self._part(made, number, part)
                )

    def _part(self, whole: Node, number: int, part: torch.Tensor) -> Node:
        if whole.op == "index":
            return Node("index", whole.args, {**whole.attrs, "at": str(number), "rank": part.dim()}, whole.origin)
        return make("opaque", name=f"part {number}", of=(hash(whole),), rank=part.dim())

    def _attributes(self, what: Applied, result: torch.Tensor) -> dict[str, Any]:
        """An operation's attributes, with what only its result tells, and what the layer is called that does it."""
        attrs = what.attrs
        if what.op in _RANKED:
            attrs["rank"] = result.dim()
        if what.op == "affine":
            axis = attrs.get("axis", -1)
            attrs["units"] = result.shape[axis] if result.dim() else 1
        if "name" in attrs and self.modules:
            line = self.modules[-1].line
            if line is not None and line[1].op == what.op:
                attrs |= {**line[1].attrs, "name": line[0]}
        return attrs

    def record(self, op: str, args: list[Node], attrs: dict[str, Any]) -> Node:
        """An operation, written down at the place of the program that runs.

        Of a distribution's own operations it is the log of the probabilities that it was given, which it has clipped.
        """
        place = self._place()
        silent = self.stack.in_private and not (op == "log" and args[0].op == "clip")
        made = self.recorder.record(op, args, attrs, place, "torch", self._scene, silent=silent)
        if made.op in _HEADS and place is not None and self.modules:
            name = _path(self.modules[0].module, self.modules[-1].module)
            known = self.layers.setdefault((place, made.op), name)
            self.layers[place, made.op] = name if known == name else ""  # of several nobody knows which
        if op == "affine" and self.modules:
            self.recorder.made_by(made, id(self.modules[-1].module))
        return made

    def _scene(self) -> Scene:
        by_hand = not torch.is_grad_enabled() and is_running(_OF_A_CUSTOM_FUNCTION)
        return Scene(torch.is_grad_enabled() or by_hand, self.stack.caller(), by_hand=by_hand)

    def operator(self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operator of ATen's, and record it unless a call is recorded that it is part of."""
        changed = self.untouched.changing(operator, args, kwargs)
        if self.beneath or torch._C._current_autograd_node() is not None:
            result = operator(*args, **kwargs)
            for tensor in changed:
                self.following.changed(tensor)
            self.untouched.made(tensors_in(result), tensors_in((args, kwargs)))
            return result
        known = callables.operator(operator)
        what = None if known is None else self._carefully(self._applied, known, args, kwargs)
        handed = None if what is not None else [n for n in map(self.node, tensors_in((args, kwargs))) if n is not None]
        result = operator(*args, **kwargs)
        self.untouched.made(tensors_in(result), tensors_in((args, kwargs)))
        for tensor in changed:
            self.following.changed(tensor)
        if known is not None and what is not None:
            self._carefully(self._give, result, what, known, args, kwargs, is_pure(known, args, kwargs))
        else:
            self._carefully(self._unknown, str(operator._schema.name), handed or [], result)
        return result

    def _unknown(self, name: str, handed: list[Node], result: Any) -> None:
        for tensor in tensors_in(result):
            self.following.bind(tensor, self._not_understood(name, handed, tensor))

    def _not_understood(self, name: str, handed: list[Node], result: torch.Tensor) -> Node:
        self._leaves += 1
        origin = self._place()
        place = f"{Path(origin.path).name}:{origin.line}:{origin.column}" if origin else f"{name}:0:0"
        parts = tuple(map(hash, handed)) or (self._leaves,)
        is_data = torch.is_grad_enabled() and not result.requires_grad and name != GRADIENT
        fed: dict[str, Any] = {"fed": True} if is_data else {}
        made = make("opaque", name=place, of=parts, rank=result.dim(), **fed)
        self.unknown[id(made)] = made, Blind(name, origin), handed
        return made


class _Functions(TorchFunctionMode):
    """Functions and methods, as the program calls them."""

    def __init__(self, observer: Observer) -> None:
        super().__init__()
        self._observer = observer

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        observer = self._observer
        if observer.beneath or observer.idle:
            return func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name in ("__set__", "requires_grad_") and args:
            observer.untouched.assigned(args[0])
        if name in _ASIDE:
            with observer.aside():
                return func(*args, **kwargs)
        known = callables.function(func)
        if known is None:
            return func(*args, **kwargs)

        def run() -> Any:
            if is_pure(known, args, kwargs) and _is_alone():
                with torch._C._DisableTorchDispatch():
                    return func(*args, **kwargs)
            return func(*args, **kwargs)

        return observer.call(known, run, args, kwargs)


class _Operators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Operators of ATen, as they are run."""

    def __init__(self, observer: Observer) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._observer = observer

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self._observer.idle:
            return func(*args, **(kwargs or {}))
        return self._observer.operator(func, args, kwargs or {})


class _Changes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """What operators of another thread's are about to change is saved."""

    def __init__(self, untouched: Untouched) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._untouched = untouched

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._untouched.changing(func, args, kwargs or {})
        result = func(*args, **(kwargs or {}))
        self._untouched.made(tensors_in(result), tensors_in((args, kwargs)))
        return result


def is_pure(known: Known, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call changes none of its arguments; what is told ``True`` by position may be to work in place."""
    if not known.pure or (kwargs and (kwargs.get("inplace") or "out" in kwargs)):
        return False
    return not any(a is True for a in args)


def _path(root: nn.Module, module: nn.Module) -> str:
    """What a module is called, from the one on that was called first; empty for that one."""
    name = next((name for name, part in root.named_modules() if part is module), "")
    return f"{type(root).__name__}.{name}" if name else ""


def _is_alone() -> bool:
    """Whether no mode of somebody else's looks on."""
    return torch._C._len_torch_dispatch_stack() == 1


def _is_parameter(tensor: torch.Tensor) -> bool:
    return isinstance(tensor, nn.Parameter) or (tensor.is_leaf and tensor.requires_grad)


def _is_number(tensor: torch.Tensor) -> bool:
    """Whether a tensor is one number that is at hand."""
    plain = type(tensor) is torch.Tensor and not torch._C._functorch.is_functorch_wrapped_tensor(tensor)
    return plain and not (tensor.dim() or tensor.requires_grad) and tensor.device.type == "cpu"


def _first(result: Any) -> torch.Tensor | None:
    """The tensor that a call gives, or the first of several."""
    first = next(iter(result), None) if _is_several(result) else result
    return first if isinstance(first, torch.Tensor) else None


def _is_several(result: Any) -> bool:
    return isinstance(result, (list, tuple)) and bool(result)


def _changes_meaning(kwargs: Mapping[str, Any]) -> bool:
    """Whether a call has an option that its line in the catalogue doesn't tell of."""
    return bool(kwargs) and (kwargs.get("alpha", 1) != 1 or kwargs.get("rounding_mode") is not None)


#: How a loss is averaged over the samples, where it isn't by "mean".
_AVERAGED = {"kl": "batchmean", "kl_probs": "batchmean"}


def _is_altered(op: str, kwargs: Mapping[str, Any]) -> bool:
    """Whether a loss weighs, smooths or adds up, of which its expression doesn't tell."""
    return (
        any(kwargs.get(name) is not None for name in ("weight", "pos_weight"))
        or bool(kwargs.get("label_smoothing"))
        or kwargs.get("reduction", "mean") != _AVERAGED.get(op, "mean")
    )


def _tensors(args: Sequence[Any]) -> list[torch.Tensor]:
    """The tensors that a call is handed, an index's parts among them."""
    return [part.detach() for a in args for part in indexing.parts_of(a) if isinstance(part, torch.Tensor)]


def _numbers(tensor: torch.Tensor) -> np.ndarray:
    """A tensor's numbers as NumPy has them, which knows no format of 16 bits but its own."""
    plain = tensor.float() if tensor.is_floating_point() else tensor
    return plain.cpu().numpy()
