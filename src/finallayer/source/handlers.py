"""The tables that say which function handles what: filled by the modules that hold the functions.

Kept apart from both sides, since the interpreter looks up what calls it back.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from finallayer.source.values import Built, Call, Frame, Value

if TYPE_CHECKING:
    from finallayer.source.interpreter import Interpreter

#: What a statement does; whether control goes on behind it.
Statement = Callable[["Interpreter", Any, Frame], bool]
#: The value of an expression.
Expression = Callable[["Interpreter", Any, Frame], Value]
#: What a construct's own call gives, handed the object that such a call would build.
Construct = Callable[["Interpreter", Built], Value]
#: What calling the object gives that a construct built.
Called = Callable[["Interpreter", Built, Call], Value]
#: What a builtin gives, or NotImplemented where the catalogue should say.
Builtin = Callable[["Interpreter", Call], Value]
#: What a method of an object that isn't a tensor gives.
Method = Callable[["Interpreter", Any, Call], Value]

STATEMENTS: dict[type[ast.stmt], Statement] = {}
EXPRESSIONS: dict[type[ast.expr], Expression] = {}
CONSTRUCTS: dict[str, Construct] = {}
CALLED: dict[str, Called] = {}
BUILTINS: dict[str, Builtin] = {}
OF_LISTS: dict[str, Method] = {}
OF_DICTS: dict[str, Method] = {}
#: Methods of a model, layer or project object that the project doesn't define itself.
OF_MODELS: dict[str, Method] = {}
