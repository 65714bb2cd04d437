"""Which Keras a program is for: by what only Keras 1 had, or 2.2, what Keras 3 doesn't have, and what came with 2.4."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from finallayer.catalog.names import canonical
from finallayer.fix.flow.analysed import AnalysedModule, alternatives
from finallayer.fix.text.imports import Imports
from finallayer.fix.text.syntax import Syntax
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
#: What no Keras before 2.4, and no TensorFlow before 2.2, has.
_NEW = tuple(
    (
        "keras.ops keras.random keras.saving keras.tree keras.config keras.distribution keras.dtype_policies "
        "keras.export keras.utils.set_random_seed keras.utils.image_dataset_from_directory "
        "keras.utils.text_dataset_from_directory keras.utils.timeseries_dataset_from_array keras.utils.PyDataset "
        "keras.layers.Rescaling keras.layers.Resizing keras.layers.RandomFlip keras.layers.RandomRotation "
        "keras.layers.RandomZoom keras.layers.CenterCrop keras.layers.TextVectorization keras.layers.Normalization "
        "keras.layers.StringLookup keras.layers.IntegerLookup keras.layers.CategoryEncoding "
        "keras.layers.MultiHeadAttention keras.layers.EinsumDense keras.optimizers.AdamW keras.optimizers.Lion "
        "keras.optimizers.legacy keras.mixed_precision.set_global_policy"
    ).split()
)
#: What Keras 2 renamed: arguments of its layers and models, those of ``fit``, and functions and modules.
_LAYERS_OLD = frozenset(
    "init inner_init border_mode subsample dim_ordering nb_filter nb_row nb_col W_regularizer b_regularizer "
    "W_constraint b_constraint".split()
)
_FIT_OLD = frozenset("nb_epoch samples_per_epoch nb_val_samples".split())
#: What Keras before 2.3 calls an accuracy in what ``fit`` gives, even where it was asked for ``accuracy``.
_HISTORY_OLD = frozenset({"acc", "val_acc"})
#: The same in the name of a file: ``weights.{epoch:02d}-{val_acc:.2f}.h5``.
_FILE_OLD = re.compile(r"\{(?:val_)?acc[:}]")
_NAMES_OLD = frozenset("Merge objectives image_dim_ordering set_image_dim_ordering".split())


def speaks_keras_1(syntax: Syntax) -> bool:
    """Whether a file is written for Keras 1, which has no losses on logits; 2.3 is the first to have their classes."""
    imports = Imports(syntax)
    told = [*imports.names.values(), *(imports.dotted(n) or "" for n in syntax.nodes if isinstance(n, ast.Attribute))]
    if any(name.startswith("keras.") and not _NAMES_OLD.isdisjoint(name.split(".")) for name in told):
        return True
    known = any(name.partition(".")[0] == "keras" for name in told)
    return known and any(isinstance(n, ast.Call) and _is_called_as_in_keras_1(imports, n) for n in syntax.nodes)


def is_keras_itself(syntax: Syntax) -> bool:
    """Whether a file imports Keras, and not as a part of TensorFlow."""
    return any(name.partition(".")[0] == "keras" for name in Imports(syntax).names.values())


def reads_history_of_old(syntax: Syntax) -> bool:
    """Whether a file reads ``history["acc"]``, where no metric is called so: of Keras before 2.3, or TensorFlow 1."""
    texts = [n for n in syntax.nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    around = [syntax.parent(text) for text in texts if text.value in _HISTORY_OLD]
    listed = any(isinstance(a, (ast.List, ast.Tuple, ast.Dict, ast.Set)) for a in around)
    return not listed and (any(map(_reads_history, around)) or any(_FILE_OLD.search(str(text.value)) for text in texts))


def _reads_history(node: ast.AST | None) -> bool:
    match node:
        case ast.Subscript() | ast.keyword(arg="monitor") | ast.Call(func=ast.Attribute(attr="get")):
            return True
    return False


def _is_called_as_in_keras_1(imports: Imports, call: ast.Call) -> bool:
    given = {keyword.arg for keyword in call.keywords if keyword.arg is not None}
    dotted = imports.dotted(call.func) or ""
    if not dotted.startswith("keras."):
        return isinstance(call.func, ast.Attribute) and not _FIT_OLD.isdisjoint(given)
    two = {"input", "output"} <= given or (dotted.endswith(".merge") and "mode" in given)
    return two or not _LAYERS_OLD.isdisjoint(given)


def is_older_than_3(modules: Iterable[AnalysedModule]) -> bool:
    """Whether a program certainly fails on Keras 3, whatever a fix makes of it: it is run on an older one."""
    return any(_asks_for(module, _GONE) or _calls_what_is_gone(module) for module in modules)


def is_newer_than_2_3(modules: Iterable[AnalysedModule]) -> bool:
    """Whether a program certainly fails on Keras 2.3 and before."""
    return any(_asks_for(module, _NEW) for module in modules)


def _asks_for(module: AnalysedModule, names: tuple[str, ...]) -> bool:
    """Whether a file certainly asks for one of these modules or names, or for what is in one."""
    last, imports = {name.rpartition(".")[2] for name in names}, Imports(module.syntax)
    return any(
        any(asked == name or asked.startswith(f"{name}.") for name in names) and _always_runs(module, node)
        for node in module.syntax.nodes
        for asked in _asked(node, imports, last)
    )


def _asked(node: ast.AST, imports: Imports, last: set[str]) -> Iterator[str]:
    """The modules and names that a node asks for, as Keras' own for TensorFlow's."""
    match node:
        case ast.Import(names=names):
            asked = [alias.name for alias in names]
        case ast.ImportFrom(module=str() as home, level=0, names=names):
            asked = [home, *(f"{home}.{alias.name}" for alias in names)]
        case ast.Attribute(attr=attr, ctx=ast.Load()) if attr in last:
            asked = [imports.dotted(node) or ""]
        case _:
            asked = []
    yield from (name.removeprefix("tensorflow.") if ".keras." in f"{name}." else name for name in asked)


def _calls_what_is_gone(module: AnalysedModule) -> bool:
    """Whether a file certainly calls a method, or gives an optimizer an argument, that Keras 3 has done away with."""
    calls = (n for n in module.syntax.nodes if isinstance(n, ast.Call))
    return any(_is_gone(module, call) and _always_runs(module, call) for call in calls)


def _is_gone(module: AnalysedModule, call: ast.Call) -> bool:
    match call:
        case ast.Call(func=ast.Attribute(attr=attr, value=model)) if attr in _METHODS_GONE:
            owners = [a for v in module.values(model) for a in alternatives(v)]
            models = all(isinstance(o, Built) and o.signature.op in ("sequential", "model") for o in owners)
            return bool(owners) and models
        case ast.Call(keywords=keywords) if any(k.arg == "lr" for k in keywords):
            made = [canonical(v.name) for v in module.values(call.func) if isinstance(v, External)]
            return bool(made) and all(n.startswith("keras.optimizers.") for n in made)
    return False


def _always_runs(module: AnalysedModule, node: ast.AST) -> bool:
    """Whether a program can't get along without a piece of code: no branch, and nothing that catches errors."""
    scope = module.syntax.scope(node)
    if not isinstance(scope, ast.Module) and not module.is_called(scope):
        return False
    branches = (n for n in module.syntax.around(node) if isinstance(n, (ast.If, ast.IfExp, ast.Try, ast.ExceptHandler)))
    return all(isinstance(n, ast.If) and "__name__" in ast.unparse(n.test) for n in branches)
