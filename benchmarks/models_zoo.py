"""A zoo of saved models, made by the frameworks' own exporters: what ``finallayer head`` makes of each.

    python benchmarks/models_zoo.py FOLDER [--only PART] [--also FILE...]

Makes every model in FOLDER, reads each of its outputs and compares the kind with the one that is known, takes the head
out and puts it in again where that can be done, each time running both files beside each other. ``.pt2`` files, which
finallayer doesn't run, are run here, since this program has made them. ``--also``: files that others have made, whose
kinds nobody has written down. Prints a row for each output, and exits 1 where a kind is wrong or a proof fails.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from finallayer import models
from finallayer.models.proving import prove
from finallayer.models.refusals import NotDone, NotRead
from finallayer.models.saving import save

P, S, L, LOGITS, U = "probabilities", "sigmoid-probabilities", "log-probabilities", "logits", "unknown"


class Made(NamedTuple):
    """A model that was exported: its path, and what is known of its outputs: in their order."""

    path: Path
    kinds: tuple[str, ...]
    runs: Callable[[str], Any] | None = None  # what running a file of this format gives


def keras_models(folder: Path) -> Iterator[Made]:
    """Keras 3: Sequential, functional, nested, convolutional, recurrent, attentive; compiled and not."""
    import keras
    from keras import layers, ops

    keras.utils.set_random_seed(0)

    def saved(name: str, model: keras.Model, *kinds: str, **compiled: Any) -> Made:
        if compiled:
            model.compile("adam", **compiled)
        model.save(folder / f"{name}.keras")
        return Made(folder / f"{name}.keras", kinds)

    def mlp(*head: Any) -> keras.Model:
        return keras.Sequential([keras.Input((6,)), layers.Dense(8, activation="relu"), *head])

    def softmax(units: int = 4) -> Any:
        return layers.Dense(units, activation="softmax")

    told = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    yield saved("sequential", mlp(softmax()), P)
    yield saved("sparse", mlp(softmax()), P, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    yield saved(
        "categorical", mlp(softmax()), P, loss="categorical_crossentropy", metrics=["acc", "CategoricalCrossentropy"]
    )
    yield saved("focal", mlp(softmax()), P, loss=keras.losses.CategoricalFocalCrossentropy())
    yield saved("logits", mlp(layers.Dense(4)), LOGITS, loss=told)
    yield saved("twice", mlp(softmax()), P, loss=told)
    yield saved("squared", mlp(softmax()), P, loss="mse")
    yield saved(
        "binary", mlp(layers.Dense(1, activation="sigmoid")), S, loss="binary_crossentropy", metrics=["accuracy"]
    )
    yield saved(
        "labels", mlp(layers.Dense(5, activation="sigmoid")), S, loss="binary_focal_crossentropy", metrics=["AUC"]
    )
    yield saved(
        "precision", mlp(layers.Dense(1, activation="sigmoid")), S, loss="bce", metrics=[keras.metrics.Precision()]
    )
    yield saved("regression", mlp(layers.Dense(1)), U, loss="mse", metrics=["mae"])
    yield saved("softmax layer", mlp(layers.Dense(4), layers.Softmax()), P)
    yield saved("activation layer", mlp(layers.Dense(4), layers.Activation("softmax")), P)
    yield saved("dropout behind", mlp(softmax(), layers.Dropout(0.1)), P)
    yield saved("tanh", mlp(layers.Dense(4, activation="tanh")), U)
    yield saved("lambda", mlp(layers.Lambda(ops.softmax)), U)
    yield saved("rescaled", mlp(layers.Dense(4), layers.Rescaling(0.5), layers.Softmax()), P)
    image = keras.Input((16, 16, 3))
    x = layers.MaxPooling2D()(layers.Conv2D(8, 3, activation="relu")(image))
    yield saved("cnn", keras.Model(image, softmax()(layers.Flatten()(x))), P, loss="sparse_categorical_crossentropy")
    yield saved(
        "pooled", keras.Model(image, layers.Softmax()(layers.GlobalAveragePooling2D()(layers.Conv2D(4, 1)(x)))), P
    )
    yield saved("pixels", keras.Model(image, layers.Conv2D(4, 1, activation="softmax")(x)), P)
    tokens = keras.Input((None,), dtype="int32")
    steps = layers.LSTM(8, return_sequences=True)(layers.Embedding(20, 8)(tokens))
    yield saved("tagger", keras.Model(tokens, layers.TimeDistributed(softmax())(steps)), P)
    seen = layers.LayerNormalization()(layers.MultiHeadAttention(2, 4)(steps, steps) + steps)
    yield saved("attention", keras.Model(tokens, softmax()(layers.GlobalAveragePooling1D()(seen))), P)
    inner = mlp(layers.Dense(4))
    outer = keras.Input((6,))
    yield saved("nested", keras.Model(outer, layers.Softmax()(inner(outer))), P)
    yield saved("nested head", keras.Sequential([keras.Input((6,)), layers.Dense(6), mlp(softmax())]), P)
    hidden = layers.Dense(8)(outer)
    shared = layers.Dense(4, name="scores")(hidden)
    several = {"p": layers.Softmax()(shared), "z": shared, "yes": layers.Dense(1, activation="sigmoid")(hidden)}
    yield saved("several", keras.Model(outer, several), P, LOGITS, S)
    listed = keras.Model(outer, [softmax()(hidden), layers.Dense(1, activation="sigmoid", name="b")(hidden)])
    yield saved("listed", listed, P, S, loss=["sparse_categorical_crossentropy", "binary_crossentropy"])
    yield saved("operation", keras.Model(outer, ops.softmax(shared, axis=-1)), P)
    by_hand = ops.exp(shared) / ops.sum(ops.exp(shared), axis=-1, keepdims=True)
    yield saved("by hand", keras.Model(outer, by_hand), P)
    yield saved("log_softmax", mlp(layers.Dense(4, activation="log_softmax")), L)
    half = keras.Sequential(
        [keras.Input((6,)), layers.Dense(8, dtype="mixed_bfloat16"), layers.Dense(4, dtype="float16")]
    )
    half.add(layers.Activation("softmax", dtype="float32"))
    yield saved("mixed", half, P)
    net = keras.applications.MobileNetV2(weights=None, input_shape=(32, 32, 3), alpha=0.35, classes=7)
    yield saved("mobilenet", net, P)
    bare = keras.applications.MobileNetV2(
        weights=None, input_shape=(32, 32, 3), alpha=0.35, classes=7, classifier_activation=None
    )
    yield saved("mobilenet logits", bare, LOGITS)


def torch_models() -> dict[str, tuple[Any, tuple[Any, ...], tuple[str, ...]]]:
    """name -> a network of PyTorch's, its arguments, and what its outputs give."""
    import torch
    from torch import nn

    torch.manual_seed(0)

    class Net(nn.Module):
        def __init__(self, body: nn.Module, head: Callable[[Any], Any]) -> None:
            super().__init__()
            self.body, self.head = body, head

        def forward(self, x: Any) -> Any:
            return self.head(self.body(x))

    def mlp() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))

    def cnn() -> nn.Module:
        body = [
            nn.Conv2d(3, 8, 3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 4),
        ]
        return nn.Sequential(*body)

    def exponents(z: Any) -> Any:
        e = (z - z.max(-1, keepdim=True).values).exp()
        return e / e.sum(-1, keepdim=True)

    rows, pictures = (torch.randn(2, 6),), (torch.randn(2, 3, 8, 8),)
    made = {
        "softmax": (Net(mlp(), lambda z: z.softmax(-1)), rows, (P,)),
        "logits": (mlp(), rows, (LOGITS,)),
        "sigmoid": (Net(mlp(), torch.sigmoid), rows, (S,)),
        "log_softmax": (Net(mlp(), lambda z: z.log_softmax(1)), rows, (L,)),
        "by hand": (Net(mlp(), exponents), rows, (P,)),
        "both": (Net(mlp(), lambda z: (z, z.softmax(-1))), rows, (LOGITS, P)),
        "best": (Net(mlp(), lambda z: (z.softmax(-1), z.softmax(-1).argmax(-1))), rows, (P, U)),
        "cnn": (Net(cnn(), lambda z: z.softmax(1)), pictures, (P,)),
        "cnn logits": (cnn(), pictures, (LOGITS,)),
        "pixels": (Net(nn.Conv2d(3, 4, 1), lambda z: z.softmax(1)), pictures, (P,)),
    }
    return {name: (net.eval(), args, kinds) for name, (net, args, kinds) in made.items()}


def bert() -> Any:
    """A tiny classifier of transformers', which gives softmax."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = BertForSequenceClassification(BertConfig(**small, vocab_size=50, num_labels=3)).eval()

    class Head(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, tokens: Any) -> Any:
            logits = self.model(input_ids=tokens).logits
            return logits, logits.softmax(-1)

    return Head().eval(), (torch.randint(0, 50, (2, 8)),)


def onnx_of_torch(folder: Path) -> Iterator[Made]:
    """PyTorch's two exporters of ONNX, several versions of operators, dynamic shapes, 16 bits."""
    import torch

    for name, (net, args, kinds) in torch_models().items():
        for opset in (9, 11, 13, 17) if name in ("softmax", "pixels") else (17,):
            path = folder / f"{name} old {opset}.onnx"
            torch.onnx.export(net, args, str(path), dynamo=False, opset_version=opset, input_names=["x"],
                              dynamic_axes={"x": {0: "batch"}} if opset > 11 else None)  # fmt: skip
            yield Made(path, kinds)
        for opset in (18, 20) if name == "softmax" else (18,):
            path = folder / f"{name} new {opset}.onnx"
            shapes = ({0: torch.export.Dim.DYNAMIC},) if name in ("softmax", "cnn") else None
            torch.onnx.export(
                net, args, str(path), dynamo=True, opset_version=opset, dynamic_shapes=shapes, verbose=False
            )
            yield Made(path, kinds)
    net, args, kinds = torch_models()["softmax"]
    torch.onnx.export(net.half(), tuple(a.half() for a in args), str(folder / "half.onnx"), dynamo=True, verbose=False)
    yield Made(folder / "half.onnx", kinds)
    net, args = bert()
    torch.onnx.export(net, args, str(folder / "bert.onnx"), dynamo=True, verbose=False)
    yield Made(folder / "bert.onnx", (LOGITS, P))


def quantised(folder: Path) -> Iterator[Made]:
    """onnxruntime's quantisation: weights alone, and everything, in both forms."""
    import numpy as np
    import torch
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static

    net, args, kinds = torch_models()["cnn"]
    whole = folder / "whole.onnx"
    torch.onnx.export(net, args, str(whole), dynamo=False, opset_version=17, input_names=["x"])

    class Rows(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter([{"x": np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype("f4")} for _ in range(4)])

        def get_next(self) -> Any:
            return next(self.left, None)

    quantize_dynamic(whole, folder / "dynamic.onnx")
    yield Made(folder / "dynamic.onnx", kinds)
    for form in (QuantFormat.QDQ, QuantFormat.QOperator):
        path = folder / f"static {form.name}.onnx"
        quantize_static(whole, path, Rows(), quant_format=form)
        yield Made(path, kinds)


def scikit_learn(folder: Path) -> Iterator[Made]:
    """skl2onnx: with dictionaries or arrays for probabilities."""
    import numpy as np
    from skl2onnx import to_onnx
    from sklearn.datasets import load_iris
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = load_iris(return_X_y=True)
    made = {
        "logistic": (LogisticRegression(max_iter=500).fit(x, y), {}, P),
        "logistic of two": (LogisticRegression(max_iter=500).fit(x, y > 0), {}, S),
        "logistic array": (LogisticRegression(max_iter=500).fit(x, y), {"zipmap": False}, P),
        "scores": (LogisticRegression(max_iter=500).fit(x, y), {"zipmap": False, "raw_scores": True}, LOGITS),
        "pipeline": (make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(x, y), {}, P),
        "mlp": (MLPClassifier(8, max_iter=50).fit(x, y), {"zipmap": False}, P),
        "forest": (RandomForestClassifier(3).fit(x, y), {"zipmap": False}, U),
    }
    for name, (model, options, kind) in made.items():
        path = folder / f"sklearn {name}.onnx"
        chosen = {id(model): options} if options else None
        path.write_bytes(to_onnx(model, x[:1].astype(np.float32), options=chosen).SerializeToString())
        yield Made(path, (U, kind))


def exported(folder: Path) -> Iterator[Made]:
    """torch.export: as traced, of core operators, dynamic; a dictionary; a transformer."""
    import torch

    def saved(name: str, program: Any, args: Any, *kinds: str) -> Made:
        path = folder / f"{name}.pt2"
        torch.export.save(program, path)

        def run(file: str) -> Any:
            given = torch.export.load(file).module()(*args)  # a file that this program has made itself
            return (
                list(given.values())
                if isinstance(given, dict)
                else list(given)
                if isinstance(given, tuple)
                else [given]
            )

        return Made(path, kinds, run)

    for name, (net, args, kinds) in torch_models().items():
        if name != "best":
            yield saved(f"{name} traced", torch.export.export(net, args), args, *kinds)
    for name in ("softmax", "sigmoid", "cnn"):
        net, args, kinds = torch_models()[name]
        shapes = ({0: torch.export.Dim.DYNAMIC},)
        program = torch.export.export(net, args, dynamic_shapes=shapes).run_decompositions()
        yield saved(f"{name} core", program, args, *kinds)
    net, args = bert()
    yield saved("bert", torch.export.export(net, args), args, LOGITS, P)


def saved_models(folder: Path) -> Iterator[Made]:
    """TensorFlow's SavedModels: Keras' export, and functions of a module."""
    import keras
    import tensorflow as tf
    from keras import layers

    for name, head, kind in (("softmax", "softmax", P), ("logits", None, LOGITS), ("sigmoid", "sigmoid", S)):
        model = keras.Sequential(
            [keras.Input((6,)), layers.Dense(8, activation="relu"), layers.Dense(4, activation=head)]
        )
        model.export(str(folder / f"keras {name}"), verbose=False)
        yield Made(folder / f"keras {name}", (kind,))
    image = keras.Input((16, 16, 3))
    x = layers.GlobalAveragePooling2D()(layers.BatchNormalization()(layers.Conv2D(4, 3)(image)))
    keras.Model(image, layers.Dense(3, activation="softmax")(x)).export(str(folder / "keras cnn"), verbose=False)
    yield Made(folder / "keras cnn", (P,))
    module = tf.Module()
    module.w = tf.Variable(tf.random.normal((6, 4)))

    def given(x: Any) -> dict[str, Any]:
        z = tf.matmul(x, module.w)
        e = tf.exp(z)
        return {"a": tf.nn.softmax(z), "b": z, "c": e / tf.reduce_sum(e, -1, keepdims=True), "d": tf.nn.log_softmax(z)}

    module.f = tf.function(given)
    signature = module.f.get_concrete_function(tf.TensorSpec((None, 6), tf.float32))
    tf.saved_model.save(module, str(folder / "module"), signatures=signature)
    yield Made(folder / "module", (P, LOGITS, P, L))


def checkpoints(folder: Path) -> Iterator[Made]:
    """Hugging Face's folders of safetensors."""
    from transformers import BertConfig, BertForSequenceClassification, BertModel, GPT2Config, GPT2LMHeadModel

    small = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "vocab_size": 50,
    }
    for problem, kind in (
        ("single_label_classification", LOGITS),
        ("multi_label_classification", LOGITS),
        ("regression", U),
    ):
        model = BertForSequenceClassification(BertConfig(**small, num_labels=3, problem_type=problem))
        model.save_pretrained(folder / problem)
        yield Made(folder / problem, (kind,))
    BertModel(BertConfig(**small)).save_pretrained(folder / "base")
    yield Made(folder / "base", (U,))
    GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=50)).save_pretrained(folder / "gpt2")
    yield Made(folder / "gpt2", (LOGITS,))


PARTS: dict[str, Callable[[Path], Iterator[Made]]] = {
    "keras": keras_models,
    "onnx": onnx_of_torch,
    "quantised": quantised,
    "sklearn": scikit_learn,
    "pt2": exported,
    "savedmodel": saved_models,
    "safetensors": checkpoints,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--also", type=Path, nargs="*", default=[])
    chosen = parser.parse_args()
    rows, wrong = 0, 0
    print("| file | output | gives | strip | append again |\n|---|---|---|---|---|")
    for part, make in PARTS.items():
        if chosen.only in (None, part):
            (chosen.folder / part).mkdir(parents=True, exist_ok=True)
            for made in make(chosen.folder / part):
                rows, wrong = rows + 1, wrong + _shown(f"{part}/{made.path.name}", made)
    for path in chosen.also:
        rows, wrong = rows + 1, wrong + _shown(path.name, Made(path, ()))
    print(f"\n{rows} files, {wrong} wrong", file=sys.stderr)
    sys.exit(int(wrong > 0))


def _shown(name: str, made: Made) -> int:
    """Print a row for each output; gives how many are wrong."""
    try:
        model = models.read(made.path)
    except NotRead as why:
        print(f"| {name} | | NOT READ: {why} | | |", flush=True)
        return 1
    wrong = 0
    for number, output in enumerate(model.outputs):
        known = made.kinds[number] if made.kinds else output.kind
        told = output.kind if output.kind == known else f"{output.kind}, WRONG: {known}"
        strip, append = _round_trip(model, made, number, output)
        wrong += "WRONG" in told + strip + append
        print(f"| {name} | {output.name} | {told} | {strip} | {append} |", flush=True)
    return wrong


def _round_trip(model: models.Model, made: Made, number: int, output: models.Output) -> tuple[str, str]:
    """What becomes of an output that is stripped, and of what is stripped once it is appended again."""
    stripped, whole = (made.path.with_name(f"{which} {made.path.name}") for which in ("stripped", "again"))
    try:
        new, strip = _changed(model, model.strip(output.name), stripped, output.name)
        if made.runs is not None:
            strip = f"{strip}; {_same(made, number, str(made.path), new.path, output.kind)}"
    except NotDone as why:
        return f"refused: {why}", ""
    if output.kind == L:
        return strip, ""
    try:
        again, append = _changed(
            new, new.append("sigmoid" if output.kind == S else "softmax", output.name), whole, output.name
        )
        if made.runs is not None:
            append = f"{append}; {_same(made, number, again.path, str(made.path), '')}"
    except NotDone as why:
        return strip, f"refused: {why}"
    return strip, append


def _changed(old: models.Model, edited: Any, path: Path, output: str) -> tuple[models.Model, str]:
    done: list[Any] = []
    save(edited, path, lambda written: done.append(prove(old, models.read(written), edited, output, _run)))
    how = done[0].how
    return models.read(path), "bit for bit" if how.endswith("bit for bit") else how.partition(", and by expression: ")[
        2
    ] or how


def _run(task: Any) -> dict[str, Any]:
    """Run both files here: this program has made them, and a process for each would take its time."""
    from finallayer.models import run_keras, run_onnx

    try:
        return {"keras": run_keras.run, "onnx": run_onnx.run}[task["runtime"]](dict(task))
    except Exception as error:
        return {"error": f"{task['runtime']} could not run it ({error})"}


def _same(made: Made, number: int, old: str, new: str, kind: str) -> str:
    """Whether an output of one file is the head of another's, in torch."""
    import torch

    assert made.runs is not None
    heads: dict[str, Callable[[Any], Any]] = {
        P: lambda z: z.softmax(1 if z.dim() == 4 else -1),
        S: torch.sigmoid,
        L: lambda z: z.log_softmax(-1),
    }
    one, other = made.runs(old)[number], heads.get(kind, lambda z: z)(made.runs(new)[number])
    if torch.equal(one, other):
        return "in torch bit for bit"
    apart = (one - other).abs().max().item()
    return f"in torch within {apart:.1g}" if apart < 1e-6 else f"WRONG: in torch {apart:.3g} apart"


if __name__ == "__main__":
    main()
