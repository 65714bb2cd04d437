"""Arguments of a framework's calls that a fix drops or adds, and of which the analysis doesn't know what they do.

``F.softmax(z, 1, dtype=torch.float64)`` is a softmax to the analysis, and so is ``F.softmax(z, 1)``: what the catalogue
has no meaning for isn't in a value, so that it has to be in both texts.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from finallayer import catalog
from finallayer.catalog import ATTRIBUTES, Param
from finallayer.catalog.names import canonical
from finallayer.expr import OPERATIONS, UNDECLARED, Node, Role
from finallayer.fix.flow.analysed import AnalysedModule, alternatives
from finallayer.fix.flow.known_calls import arguments, known_call
from finallayer.fix.validation.differences import Sink, Status
from finallayer.fix.validation.programs import Programs
from finallayer.source.files import Unreadable
from finallayer.source.importers import importers_below, root_of
from finallayer.source.reading import read
from finallayer.source.symbols import signature_of
from finallayer.source.values import Bound, Built, External, Value
from finallayer.source.walking import walk

#: What changes no number that is meant, whatever it is given; a guard goes with what it guards.
_HARMLESS = frozenset({"name", "inplace", "_stacklevel", "input_shape", "epsilon", "eps"})
#: ``dense/Softmax:0``, and the operations that fixes are about; no ``cuda:0``.
_TENSOR = re.compile(
    r"(?!cuda|cpu|gpu)[A-Za-z0-9.][\w./-]*:\d|([\w./-]*/)?(Softmax|LogSoftmax|Sigmoid|Log|Exp|Neg)(_\d+)?"
)
#: ``--output_node_names=dense/Softmax``
_TENSOR_IN_SETTINGS = re.compile(
    r"[\w.-]/(?:Softmax|LogSoftmax|Sigmoid)(?:_\d+)?\b(?!/)|\b(?:Softmax|LogSoftmax|Sigmoid)(?:_\d+)?:\d\b"
)
#: What all ways to keep a graph beyond the process that made it have in their names.
_KEEPING = re.compile(
    "save|export|freez|write|checkpoint|tensorboard|graph_?def|meta_?graph|estimator|supervisor|monitored|pickle|dump|"
    "json|serializ|mlflow|server",
    re.IGNORECASE,
)
#: Builtins that give the same whenever they are called with the same.
_PURE = frozenset(f"builtins.{name}" for name in "len range float int abs enumerate zip tuple list dict".split())
#: What the analysis follows, by the catalogue's names; of what is ``like`` a tensor, only that one's shape counts.
_FOLLOWED = (ATTRIBUTES - {"dtype"}) | frozenset(
    "like x y target condition layers activation loss f operands begin outputs".split()
)


def lost_arguments(programs: Programs) -> Iterator[Sink]:
    """Every such argument that the edited program has less often, or that is new there."""
    for path in programs.edited:
        before, after = programs.modules.get(path), programs.module_after(path)
        if before is not None and after is not None:
            old, new = _unfollowed(before), _unfollowed(after)
            for text, calls in (*old.items(), *new.items()):
                if len(calls) > len(new.get(text, ())) or text not in old:
                    yield Sink(Status.UNKNOWN, path, calls[-1], f"what `{text}` does")


def copied_calls(programs: Programs) -> Iterator[Sink]:
    """Calls of layers, models and what isn't known that the edited program makes once more than the old one."""
    for path, file in programs.edited.items():
        after = programs.module_after(path)
        for call in file.copies if after is not None else ():
            if after is not None and not _is_pure(call, after):
                yield Sink(Status.DIFFERS, path, call, f"how often `{ast.unparse(call)}` is called")


def _is_pure(call: ast.Call, module: AnalysedModule) -> bool:
    """Whether a call may be made twice: an operation that has no weights, or a builtin."""
    known = known_call(module, call)
    if known is not None:
        return Role.LAYER not in OPERATIONS.get(known.op, UNDECLARED).role
    callees = module.values(call.func)
    return bool(callees) and all(isinstance(c, External) and (c.name in _PURE or _has_no_weights(c)) for c in callees)


def _has_no_weights(symbol: External) -> bool:
    """Whether a framework's class makes a loss, a layer that only applies a function, or a model of given layers."""
    signature = signature_of(symbol.name)
    made = OPERATIONS.get(signature.op) if signature is not None else None
    given = signature is not None and signature.op in ("applier", "sequential")
    applies = made is not None and bool((Role.HEAD | Role.LOSS) & made.role)
    return given or applies or canonical(symbol.name).startswith("keras.losses.")


def _unfollowed(module: AnalysedModule) -> dict[str, list[ast.Call]]:
    """The arguments of a file's calls that the analysis doesn't follow, and the calls."""
    found: dict[str, list[ast.Call]] = {}
    for node in module.syntax.nodes:
        if isinstance(node, ast.Call):
            for text in _unfollowed_by(node, module):
                found.setdefault(text, []).append(node)
    return found


def _unfollowed_by(call: ast.Call, module: AnalysedModule) -> Iterator[str]:
    callees = [c for v in module.values(call.func) for c in alternatives(v)]
    params = _params(callees[0]) if callees else None
    if params is not None:
        own = [call.func.value] if isinstance(callees[0], Bound) and isinstance(call.func, ast.Attribute) else []
        for argument in arguments(params, [*own, *call.args], call.keywords):
            named = argument.name == "name" and _is_in_graph(callees[0])
            if named or (argument.meaning not in _FOLLOWED and argument.name not in _HARMLESS):
                yield f"{argument.name}={ast.unparse(argument.node)}" if argument.name else ast.unparse(argument.node)


def _is_in_graph(callee: Value) -> bool:
    """Whether a call puts an operation into TensorFlow's graph, where others may ask for it by its name."""
    name = callee.name if isinstance(callee, External) else ""
    return name.startswith("tensorflow.") and ".keras." not in name


def asked_by_name(programs: Programs) -> Iterator[Sink]:
    """Tensors that the project asks TensorFlow's graph for by the names that they got there, once operations change."""
    of_graph = {p: m for p in programs.edited if (m := programs.modules.get(p)) and "tensorflow" in m.syntax.file.text}
    for path, module in of_graph.items():
        yield from _tensors_named_in(path, module.syntax.file.tree)
    if not of_graph:
        return
    index, kept = importers_below(root_of([*programs.modules])), _keeps_graph(programs)
    near = {i.path for path in programs.modules for i in index.of(path)} | programs.modules.keys()
    asking = [p for p in index.asking_graphs if kept or p in near or _is_spoken_of(p, programs)]
    for path in dict.fromkeys(asking):
        tree = _tree_of(path) if path not in of_graph else None
        yield from _tensors_named_in(path, tree) if tree is not None else ()
    for path in index.naming(_TENSOR_IN_SETTINGS) if kept else ():
        yield Sink(Status.UNKNOWN, path, ast.Constant(value=None), "which tensor is meant")


def _keeps_graph(programs: Programs) -> bool:
    """Whether a program may leave its graph to others that don't import it: nothing else gives that away."""
    return any(map(_KEEPING.search, (w for m in programs.modules.values() for n in m.syntax.nodes for w in _words(n))))


def _is_spoken_of(path: str, programs: Programs) -> bool:
    """Whether a program says the name of another file: it may run it, in a way that the analysis doesn't follow."""
    name = Path(path).stem
    return any(
        name in re.split(r"\W+", w) for m in programs.modules.values() for n in m.syntax.nodes for w in _words(n)
    )


def _words(node: ast.AST) -> tuple[str, ...]:
    """The names and the texts that a node says itself."""
    match node:
        case ast.Name(id=word) | ast.Attribute(attr=word) | ast.keyword(arg=str() as word):
            return (word,)
        case ast.alias(name=word) | ast.Constant(value=str() as word):
            return (word,)
        case ast.ImportFrom(module=str() as word):
            return (word,)
    return ()


def _tensors_named_in(path: str, tree: ast.Module) -> Iterator[Sink]:
    for node in walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _TENSOR.fullmatch(node.value):
            yield Sink(Status.UNKNOWN, path, node, f"which tensor `{node.value}` is")


def _tree_of(path: str) -> ast.Module | None:
    try:
        return read(path).tree
    except Unreadable:
        return None


def _params(callee: Value) -> tuple[Param, ...] | None:
    """The parameters of what the catalogue knows."""
    match callee:
        case External(name=name):
            signature = signature_of(name)
            return signature.params if signature is not None else None
        case Built(signature=signature):
            return signature.call
        case Bound(function=str() as name, owner=Node()):
            signature = catalog.method(name)
            return signature.params if signature is not None else None
    return None
