"""The stable functions of every framework, and how a call of one is written in a file."""

from __future__ import annotations

import ast
from typing import NamedTuple

from finallayer.catalog.frameworks import is_tf1, writes
from finallayer.findings import Edit
from finallayer.fix.text.imports import Imports, Spelled
from finallayer.fix.text.syntax import Syntax, is_minus
from finallayer.source.walking import walk


class Functions(NamedTuple):
    """A framework's stable functions by their dotted names, and what it calls the argument for the classes' axis."""

    softmax: str
    sigmoid: str
    log_softmax: str
    log_sigmoid: str | None
    softplus: str | None
    logsumexp: str
    axis: str
    keepdims: str


def _in(module: str, axis: str = "axis", keepdims: str = "keepdims", **elsewhere: str | None) -> Functions:
    """The functions of one module, by the names that most have, but for some that are called otherwise."""
    names = {name: f"{module}.{name}" for name in Functions._fields[:-2]} | elsewhere
    return Functions(**names, axis=axis, keepdims=keepdims)  # type: ignore[arg-type]  # each has a softmax


FRAMEWORKS = {
    "torch": _in(
        "torch",
        "dim",
        "keepdim",
        log_softmax="torch.nn.functional.log_softmax",
        log_sigmoid="torch.nn.functional.logsigmoid",
        softplus="torch.nn.functional.softplus",
    ),
    "tensorflow": _in(
        "tensorflow.nn",
        sigmoid="tensorflow.sigmoid",
        log_sigmoid="tensorflow.math.log_sigmoid",
        logsumexp="tensorflow.reduce_logsumexp",
    ),
    "jax": _in("jax.nn"),
    "keras": _in("keras.ops"),
    # NumPy has no log_sigmoid and no softplus of its own: both are a logaddexp
    "numpy": _in("scipy.special", sigmoid="scipy.special.expit", log_sigmoid=None, softplus=None),
}
#: Where a TF 1 program's ``tf.log`` stands, TF 2 may be far: its own name for the same function.
_TF1 = {"tensorflow.math.log_sigmoid": "tensorflow.log_sigmoid"}

#: PyTorch's function by another name, which is at hand where ``torch`` is.
_ELSEWHERE = {"torch.nn.functional.log_softmax": "torch.log_softmax"}

#: What TensorFlow 1.0 took away or renamed.
_GONE_IN_TF1 = frozenset(
    f"tensorflow.{name}"
    for name in (
        "histogram_summary scalar_summary image_summary merge_summary merge_all_summaries train.SummaryWriter pack "
        "unpack mul sub neg select batch_matmul op_scope python.framework.ops.op_scope "
        "nn.batch_norm_with_global_normalization"
    ).split()
)


class Written(NamedTuple):
    """An expression as text, and the edits that it needs elsewhere."""

    text: str
    edits: tuple[Edit, ...] = ()

    @property
    def is_loose(self) -> bool:
        """Whether an operator holds it together, so that another around it could tear it apart."""
        return isinstance(ast.parse(f"({self.text})", mode="eval").body, ast.BinOp)


class Speller:
    """Writes calls in the style of one file."""

    def __init__(self, syntax: Syntax) -> None:
        self.syntax = syntax
        self.imports = Imports(syntax)

    def framework(self, met: str, *nodes: ast.expr) -> str | None:
        """The framework whose function one of these expressions calls; else the only one that the file imports.

        ``met``: the framework that the analysis met there, if it met one.
        """
        for node in nodes:
            for n in walk(node):
                dotted = (self.imports.dotted(n.func) if isinstance(n, ast.Call) else None) or ""
                known = writes(dotted)
                if known and not dotted.startswith(("tensorflow.keras", "keras.backend")):
                    return self._current(known)
        imported = {writes(name) for name in self.imports.names.values()} - {None}
        imported -= {"numpy"} if len(imported) > 1 or met in FRAMEWORKS else set()
        return self._current(imported.pop() if len(imported) == 1 else met if met in FRAMEWORKS else None)

    def _current(self, framework: str | None) -> str | None:
        """The framework itself; not Keras in a file that doesn't speak of ``keras.ops``, which Keras 2 lacks."""
        if framework == "keras" and "ops" not in self.syntax.names:
            return None
        return framework

    def call(self, dotted: str, arguments: str, at: ast.AST) -> Written | None:
        """``function(arguments)``, spelled as the file would; nothing of SciPy's in a file that has none."""
        if dotted.startswith("scipy.") and not self.has("scipy"):
            return None
        spelled = self.spell(dotted, at)
        return spelled and Written(f"{spelled.text}({arguments})", spelled.edits)

    def spell(self, dotted: str, at: ast.AST) -> Spelled | None:
        """A dotted name as the file would write it."""
        if dotted in _TF1 and self.is_tf1():
            dotted = _TF1[dotted]
        known = [self.imports.known(name, at) for name in (dotted, _ELSEWHERE.get(dotted, dotted))]
        shortest = min((s for s in known if s is not None), key=lambda s: len(s.text), default=None)
        return shortest or self.imports.spell(dotted, at)

    def is_tf1(self) -> bool:
        """Whether the file speaks TF 1: it imports a package of that time, or calls ``tf.log``, which TF 2 lacks."""
        return any(map(is_tf1, self.imports.names.values())) or any(
            n.attr == "log" and self.imports.dotted(n) == "tensorflow.log" for n in self.syntax.all_of(ast.Attribute)
        )

    def is_before_tf1(self) -> bool:
        """Whether the file speaks a TensorFlow older than 1.0, which has no log_sigmoid yet."""
        last = {name.rpartition(".")[2] for name in _GONE_IN_TF1}
        old = (n for n in self.syntax.all_of(ast.Attribute) if n.attr in last)
        return any(self.imports.dotted(n) in _GONE_IN_TF1 for n in old)

    def has(self, package: str) -> bool:
        """Whether the file imports something of a package."""
        return any(name.partition(".")[0] == package for name in self.imports.names.values())

    def along(self, dotted: str, text: str, framework: str, axis: int, use: ast.AST) -> Written | None:
        """``function(text, axis=...)`` the axis as the framework spells it; TensorFlow's default goes unsaid.

        A file of NumPy's gains no SciPy: there a log_softmax is written out, of what is short enough to be said twice.
        """
        if dotted == "scipy.special.log_softmax" and not self.has("scipy"):
            short = isinstance(ast.parse(text.strip(), mode="eval").body, (ast.Name, ast.Attribute))
            normaliser = self.call("numpy.logaddexp.reduce", f"{text}, axis={axis}, keepdims=True", use)
            return Written(f"{text} - {normaliser.text}", normaliser.edits) if normaliser and short else None
        given = [text, f"{FRAMEWORKS[framework].axis}={axis}"]
        if framework == "tensorflow" and axis == -1:
            given.pop()
        return self.call(dotted, ", ".join(given), use)

    def log_sigmoid(self, framework: str, text: str, flips: bool, use: ast.AST) -> Written | None:
        """``log_sigmoid(text)``, of minus that where it ``flips``: the log of one minus the sigmoid."""
        argument = negated(text) if flips else text
        if framework == "tensorflow" and self.is_before_tf1():
            call = self.call("tensorflow.nn.softplus", negated(argument), use)
            return call and Written(f"-{call.text}", call.edits)
        dotted = FRAMEWORKS[framework].log_sigmoid
        if dotted is not None:
            return self.call(dotted, argument, use)
        call = self.call("numpy.logaddexp", f"0, {negated(argument)}", use)
        return call and Written(f"-{call.text}", call.edits)


def as_object(text: str) -> str:
    """An expression as the object of a method call."""
    node = ast.parse(text.strip(), mode="eval").body
    return text if isinstance(node, (ast.Name, ast.Attribute, ast.Call, ast.Subscript)) else f"({text})"


def negated(text: str) -> str:
    """Minus an expression."""
    node = ast.parse(f"({text})", mode="eval").body
    if is_minus(node):
        inner = text.strip()[1:].strip()
        return inner
    return f"-{text}" if isinstance(node, (ast.Name, ast.Attribute, ast.Call, ast.Subscript)) else f"-({text})"
