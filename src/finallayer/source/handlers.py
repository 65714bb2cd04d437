"""The tables that say which function handles which call: filled by the modules that hold the functions.

Kept apart from both sides: what looks a function up is what the function calls back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from finallayer.source.interpreter import Interpreter
from finallayer.source.values import Built, Call, Value

#: What a construct's own call gives, handed the object that such a call would build.
Construct = Callable[[Interpreter, Built], Value]
#: What calling the object gives that a construct built.
Called = Callable[[Interpreter, Built, Call], Value]
#: What a builtin gives, or NotImplemented where the catalogue should say.
Builtin = Callable[[Interpreter, Call], Value]
#: What a method of an object that isn't a tensor gives.
Method = Callable[[Interpreter, Any, Call], Value]

CONSTRUCTS: dict[str, Construct] = {}
CALLED: dict[str, Called] = {}
BUILTINS: dict[str, Builtin] = {}
OF_LISTS: dict[str, Method] = {}
OF_DICTS: dict[str, Method] = {}
#: Methods of a model, layer or project object that the project doesn't define itself.
OF_MODELS: dict[str, Method] = {}
