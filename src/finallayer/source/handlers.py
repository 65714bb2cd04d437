"""The tables that say which function handles which call: filled by the modules that hold the functions.

Kept apart from both sides: what looks a function up is what the function calls back.
"""

from __future__ import annotations

from collections.abc import Callable

from finallayer.source.interpreter import Interpreter
from finallayer.source.values import Built, Call, Dict, List, Value

#: What a construct's own call gives, handed the object that such a call would build.
Construct = Callable[[Interpreter, Built], Value]
#: What calling the object gives that a construct built.
Called = Callable[[Interpreter, Built, Call], Value]
#: What a builtin gives.
Builtin = Callable[[Interpreter, Call], Value]
#: What a method gives of an object that isn't a tensor: of a list, of a dictionary, of anything else.
ListMethod = Callable[[Interpreter, List, Call], Value]
DictMethod = Callable[[Interpreter, Dict, Call], Value]
Method = Callable[[Interpreter, Value, Call], Value]

CONSTRUCTS: dict[str, Construct] = {}
CALLED: dict[str, Called] = {}
BUILTINS: dict[str, Builtin] = {}
#: The other builtins: what they give is in the catalogue, or of no interest.
OTHER_BUILTINS = frozenset(
    (
        "sum max min abs pow round float print property staticmethod classmethod int str bool object set "
        "frozenset open input id any all repr hash format sorted filter divmod dir bytes "
        "complex exec Exception ValueError NotImplementedError RuntimeError TypeError KeyError ImportError "
        "AssertionError"
    ).split()
)
#: What is looked at in a call of what isn't at hand, by its name.
Foreign = Callable[[Interpreter, str, Call], None]
FOREIGN: list[Foreign] = []
OF_LISTS: dict[str, ListMethod] = {}
OF_DICTS: dict[str, DictMethod] = {}
#: Methods of a model, layer or project object that the project doesn't define itself.
OF_MODELS: dict[str, Method] = {}
