"""The folders that a program adds to ``sys.path``, as far as its text says which: read off its syntax, never run.

A folder is a literal, or put together from ``__file__``, the working folder, and names that are assigned or looped over
such: ``sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))``. A function of the program's own that
adds what it is handed counts by its calls.
"""

from __future__ import annotations

import ast
import os
from collections import defaultdict
from collections.abc import Callable, Iterator

from finallayer.source.walking import walk

#: What every program that adds folders holds.
MARKS = (b"sys.path", b"from sys import", b"addsitedir")
#: More folders than these are not told apart, nor names that stand for each other over so many steps.
_MOST_FOLDERS, _MOST_STEPS = 16, 12
_SAME_PATH = frozenset(
    "abspath realpath normpath expanduser fspath str Path PurePath PosixPath resolve absolute as_posix".split()
)


def added_folders(tree: ast.Module, path: str) -> tuple[str, ...]:
    """The folders that a module adds, each once; one that isn't absolute is meant from the working folder."""
    return tuple(dict.fromkeys(os.path.normpath(f) for f in _Reader(tree, path).folders()))[:_MOST_FOLDERS]


class _Reader:
    """What the names of one module stand for, wherever they are bound."""

    def __init__(self, tree: ast.Module, path: str) -> None:
        self._path = path
        self._tree = tree
        self._bound: dict[str, list[ast.expr]] = defaultdict(list)
        for node in walk(tree):
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value)
                    | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
                ):
                    self._bound[name].append(value)
                case ast.For(target=ast.Name(id=name), iter=ast.Tuple(elts=items) | ast.List(elts=items)):
                    self._bound[name] += items

    def folders(self) -> Iterator[str]:
        adders = {name: at for name, at in self._adders() if at is not None}
        for node in walk(self._tree):
            for added in _added(node):
                yield from self._texts(added)
            match node:
                case ast.Call(func=ast.Name(id=name), args=args) if name in adders and len(args) > adders[name]:
                    yield from self._texts(args[adders[name]])

    def _adders(self) -> Iterator[tuple[str, int | None]]:
        """Functions that add what they are handed, and which argument that is."""
        for function in walk(self._tree):
            if isinstance(function, ast.FunctionDef):
                names = [a.arg for a in function.args.args]
                for added in (a for node in walk(function) for a in _added(node)):
                    inner = next((n.id for n in walk(added) if isinstance(n, ast.Name) and n.id in names), None)
                    yield function.name, None if inner is None else names.index(inner)

    def _texts(self, node: ast.expr, steps: int = 0) -> list[str]:
        """Every text that an expression may stand for; none where that isn't known."""
        if steps > _MOST_STEPS:
            return []
        match node:
            case ast.Constant(value=str() as text):
                return [text]
            case ast.Name(id="__file__"):
                return [self._path]
            case ast.Name(id=name):
                return [t for bound in self._bound[name] for t in self._texts(bound, steps + 1)][:_MOST_FOLDERS]
            case ast.JoinedStr(values=parts):
                inner = [p.value if isinstance(p, ast.FormattedValue) else p for p in parts]
                return self._together(inner, "".join, steps)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._together([left, right], "".join, steps)
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return self._together([left, right], _joined, steps)
            case ast.Attribute(attr="pardir" | "curdir" as name):
                return [".." if name == "pardir" else "."]
            case ast.Attribute(value=owner, attr="parent"):
                return [os.path.dirname(t) for t in self._texts(owner, steps + 1)]  # noqa: PTH120
            case ast.Subscript(value=ast.Attribute(value=owner, attr="parents"), slice=ast.Constant(value=int() as up)):
                return [_joined([t, *[".."] * (up + 1)]) for t in self._texts(owner, steps + 1)]
            case ast.Call(func=ast.Name() | ast.Attribute() as function, args=args):
                return self._called(function, args, steps)
        return []

    def _called(self, function: ast.Name | ast.Attribute, args: list[ast.expr], steps: int) -> list[str]:
        name = function.id if isinstance(function, ast.Name) else function.attr
        if name in ("getcwd", "cwd") and not args:
            return ["."]
        if name == "joinpath" and isinstance(function, ast.Attribute):
            return self._together([function.value, *args], _joined, steps)
        if name == "join" and not (isinstance(function, ast.Attribute) and isinstance(function.value, ast.Constant)):
            return self._together(args, _joined, steps)
        if name == "dirname" and args:
            return [os.path.dirname(t) for t in self._texts(args[0], steps + 1)]  # noqa: PTH120
        if name in _SAME_PATH:
            given = args[0] if args else function.value if isinstance(function, ast.Attribute) else None
            return [] if given is None else self._texts(given, steps + 1)
        return []

    def _together(self, nodes: list[ast.expr], join: Callable[[list[str]], str], steps: int) -> list[str]:
        """Texts put together, where every part is known."""
        found: list[list[str]] = [[]]
        for node in nodes:
            texts = self._texts(node, steps + 1)
            found = [[*before, text] for before in found for text in texts][:_MOST_FOLDERS]
        return [join(parts) for parts in found if parts]


def _joined(parts: list[str]) -> str:
    return os.path.normpath(os.path.join(*parts))  # noqa: PTH118


def _added(node: ast.AST) -> list[ast.expr]:
    """What a statement or call adds to ``sys.path``, item by item."""
    match node:
        case ast.Call(func=ast.Attribute(value=owner, attr="append" | "insert"), args=[*_, folder]) if _is_path(owner):
            return [folder]
        case ast.Call(func=ast.Attribute(value=owner, attr="extend"), args=[folders]) if _is_path(owner):
            return _items(folders)
        case ast.Call(func=ast.Attribute(attr="addsitedir") | ast.Name(id="addsitedir"), args=[folder, *_]):
            return [folder]
        case ast.AugAssign(target=place, op=ast.Add(), value=folders) if _is_path(place):
            return _items(folders)
        case ast.Assign(targets=[ast.Subscript(value=place)], value=folder) if _is_path(place):
            return _items(folder) or [folder]
        case ast.Assign(targets=[place], value=ast.BinOp(left=left, op=ast.Add(), right=right)) if _is_path(place):
            return [*_items(left), *_items(right)]
    return []


def _is_path(node: ast.expr) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="sys"), attr="path") | ast.Name(id="path"):
            return True
    return False


def _items(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, (ast.List, ast.Tuple)) else []
