"""Which Keras a program can run on at all: what Keras 3 has done away with says that it is an older one."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from finallayer.catalog.names import canonical
from finallayer.fix.flow.analysed import AnalysedModule, alternatives
from finallayer.fix.text.imports import Imports
from finallayer.source.values import Built, External

#: Modules that Keras 3 doesn't have, and names of TensorFlow 1, which never had it.
_GONE = tuple(
    (
        "keras.layers.core keras.layers.convolutional keras.layers.pooling keras.layers.recurrent "
        "keras.layers.normalization keras.layers.embeddings keras.layers.advanced_activations keras.layers.merge "
        "keras.layers.noise keras.layers.wrappers keras.layers.local keras.layers.CuDNNLSTM keras.layers.CuDNNGRU "
        "keras.engine keras.utils.np_utils keras.utils.vis_utils keras.utils.generic_utils keras.utils.multi_gpu_model "
        "keras.wrappers.scikit_learn tensorflow.placeholder tensorflow.Session tensorflow.get_variable "
        "tensorflow.global_variables_initializer"
    ).split()
)
#: Methods of models that Keras 3 doesn't have.
_METHODS_GONE = frozenset("fit_generator evaluate_generator predict_generator predict_classes predict_proba".split())


def is_older_than_3(modules: Iterable[AnalysedModule]) -> bool:
    """Whether a program certainly fails on Keras 3, whatever a fix makes of it: it is run on an older one."""
    return any(_asks_for_what_is_gone(module, node) for module in modules for node in module.syntax.nodes)


def _asks_for_what_is_gone(module: AnalysedModule, node: ast.AST) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom():
            names = _imported(node)
        case ast.Attribute(ctx=ast.Load()):
            names = [Imports(module.syntax).dotted(node) or ""] if node.attr in _LAST_NAMES else []
        case ast.Call(func=ast.Attribute(attr=attr, value=model)) if attr in _METHODS_GONE:
            owners = [a for v in module.values(model) for a in alternatives(v)]
            models = all(isinstance(o, Built) and o.signature.op in ("sequential", "model") for o in owners)
            return bool(owners) and models and _always_runs(module, node)
        case ast.Call(keywords=keywords) if any(k.arg == "lr" for k in keywords):
            made = [canonical(v.name) for v in module.values(node.func) if isinstance(v, External)]
            return bool(made) and all(n.startswith("keras.optimizers.") for n in made) and _always_runs(module, node)
        case _:
            return False
    return any(name.startswith(gone) and name[len(gone) :][:1] in ("", ".") for name in names for gone in _GONE) and (
        _always_runs(module, node)
    )


_LAST_NAMES = frozenset(name.rpartition(".")[2] for name in _GONE)


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    """The modules and names that an import asks for, as Keras' own for TensorFlow's."""
    if isinstance(node, ast.Import):
        return [a.name.removeprefix("tensorflow.") if ".keras." in a.name else a.name for a in node.names]
    if node.level or not node.module:
        return []
    home = node.module.removeprefix("tensorflow.") if node.module.startswith("tensorflow.keras") else node.module
    return [home, *(f"{home}.{a.name}" for a in node.names)]


def _always_runs(module: AnalysedModule, node: ast.AST) -> bool:
    """Whether a program can't get along without a piece of code: no branch, and nothing that catches errors."""
    scope = module.syntax.scope(node)
    if not isinstance(scope, ast.Module) and not module.is_called(scope):
        return False
    branches = (n for n in module.syntax.around(node) if isinstance(n, (ast.If, ast.IfExp, ast.Try, ast.ExceptHandler)))
    return all(isinstance(n, ast.If) and "__name__" in ast.unparse(n.test) for n in branches)
