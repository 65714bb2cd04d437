"""The standard library: signatures and constants (see the package's docstring for how a line reads)."""

from __future__ import annotations

#: dotted name -> signature
NAMES: dict[str, str] = {
    "copy.copy": "same(x)",
    "copy.deepcopy": "same(x)",
    "functools.partial": "partial(func: f, *args: operands)",
    "functools.cache": "transform(user_function: f)",
    "typing.cast": "same(typ, val: x)",
    "math.log": "log(x)",
    "math.log1p": "log1p(x)",
    "math.exp": "exp(x)",
    "math.sqrt": "sqrt(x)",
    "math.pow": "pow(x, y)",
    "math.fabs": "abs(x)",
    "math.fsum": "sum(seq: x)",
    "builtins.sum": "sum(iterable: x, start)",
    "builtins.max": "max(*args: x)",
    "builtins.min": "min(*args: x)",
    "builtins.abs": "abs(x)",
    "builtins.pow": "pow(base: x, exp: y)",
    "builtins.round": "threshold(number: x, ndigits)",
    "builtins.float": "identity(x) | rank=0",
}

#: methods of what isn't a tensor, but a distribution
METHODS: dict[str, str] = {"sample": "draw(self: x, sample_shape)"}

#: dotted name -> number
CONSTANTS: dict[str, float] = {
    "math.e": 2.718281828459045,
    "math.pi": 3.141592653589793,
    "math.inf": float("inf"),
    "sys.float_info.epsilon": 2.0**-52,
    "sys.float_info.min": 2.0**-1022,
    "numpy.e": 2.718281828459045,
    "numpy.pi": 3.141592653589793,
    "numpy.inf": float("inf"),
    "numpy.Inf": float("inf"),
    "numpy.infty": float("inf"),
    "torch.e": 2.718281828459045,
    "torch.pi": 3.141592653589793,
    "torch.inf": float("inf"),
}

#: functions that read numbers, and keep nothing that they are handed
READERS = frozenset(
    {"builtins.print", "builtins.str", "builtins.repr", "builtins.format", "builtins.int", "builtins.bool"}
)

#: functions whose result has the attributes of FLOAT_LIMITS
FINFO = frozenset({"numpy.finfo", "torch.finfo"})

#: floating type -> what finfo says of it
FLOAT_LIMITS: dict[str, dict[str, float]] = {
    "float16": {"eps": 2.0**-10, "tiny": 2.0**-14, "smallest_normal": 2.0**-14, "max": 65504.0, "min": -65504.0},
    "bfloat16": {
        "eps": 2.0**-7,
        "tiny": 2.0**-126,
        "smallest_normal": 2.0**-126,
        "max": (2 - 2.0**-7) * 2.0**127,
        "min": -(2 - 2.0**-7) * 2.0**127,
    },
    "float32": {
        "eps": 2.0**-23,
        "tiny": 2.0**-126,
        "smallest_normal": 2.0**-126,
        "max": (2 - 2.0**-23) * 2.0**127,
        "min": -(2 - 2.0**-23) * 2.0**127,
    },
    "float64": {
        "eps": 2.0**-52,
        "tiny": 2.0**-1022,
        "smallest_normal": 2.0**-1022,
        "max": (2 - 2.0**-52) * 2.0**1023,
        "min": -(2 - 2.0**-52) * 2.0**1023,
    },
}
FLOAT_LIMITS |= {"half": FLOAT_LIMITS["float16"], "float": FLOAT_LIMITS["float64"], "double": FLOAT_LIMITS["float64"]}
