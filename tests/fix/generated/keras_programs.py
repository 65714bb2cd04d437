"""Random Keras programs: ``model``, and ``run(x, y)``, which shows what its readers see and then trains one step.

The step is one of plain gradient descent with a rate of 1, so that the weights change by the gradient.
"""

from __future__ import annotations

import random
import textwrap
from collections.abc import Callable
from typing import NamedTuple

from . import Program

#: How a program gets at Keras' names: the imports, and how a dotted name is then written.
_STYLES = {
    "keras": ("import keras\n", "keras.{name}"),
    "tensorflow": ("import tensorflow as tf\n", "tf.keras.{name}"),
    "tensorflow, keras": ("import tensorflow as tf\nfrom tensorflow import keras\n", "keras.{name}"),
    "modules": ("", "{name}"),
    "names": ("", "{last}"),
}
_MODULE_OF = {"Sequential": "models", "Model": "models", "Input": "layers"}


class Names:
    """Keras' names as one program writes them, and the imports that they need."""

    def __init__(self, style: str) -> None:
        self._imports, self._form = _STYLES[style]
        self._style = style
        self._lines: dict[str, None] = {}

    def __call__(self, name: str) -> str:
        module, _, last = name.rpartition(".")
        if self._style in ("modules", "names"):
            module = module or _MODULE_OF[last]
            one = f"from keras import {module}" if self._style == "modules" else f"from keras.{module} import {last}"
            self._lines[one] = None
            name = f"{module}.{last}"
        return self._form.format(name=name, last=last)

    @property
    def imports(self) -> str:
        return self._imports + "".join(f"{line}\n" for line in self._lines)


class Task(NamedTuple):
    """What a model is to tell apart: its head, its units, and how its labels and loss are spelled."""

    head: str
    units: int
    loss: str  # the name of the loss' function
    labels: str
    metrics: tuple[str, ...]


_TASKS = (
    Task("softmax", 3, "sparse_categorical_crossentropy", "y", ("'accuracy'", "'acc'", "SparseCategoricalAccuracy()")),
    Task("softmax", 3, "categorical_crossentropy", "np.eye(3)[y]", ("'accuracy'", "CategoricalAccuracy()")),
    Task("sigmoid", 1, "binary_crossentropy", "y", ("'accuracy'", "BinaryAccuracy()", "AUC()", "AUC(name='auc')")),
    Task("sigmoid", 3, "binary_crossentropy", "np.eye(3)[y]", ("BinaryAccuracy()",)),
)
_SOFTMAX_READERS = (
    "shown.append(model.predict(x, verbose=0))",
    "shown.append(np.argmax(model.predict(x, verbose=0), axis=1))",
    "p = model.predict(x, verbose=0)\nshown.append(p.max(axis=1))\nshown.append(p.argmax(axis=-1))",
    "p = model.predict(x, verbose=0)\nshown.append(np.argsort(p, axis=1)[:, -2:])",
    "for p in model.predict(x, verbose=0):\n    shown.append(np.argmax(p))\n    shown.append(100 * np.max(p))",
    "shown.append(np.round(model.predict(x, verbose=0)[0], 2))",
    "shown.append(classify(x))",
    "shown.append(probability(x, 1))",
    "shown.append(model.predict_on_batch(x))",
    "shown.append(@ops.convert_to_numpy@(model(x)))",
    "shown.append(model.predict(x, verbose=0)[:, 1] > 0.3)",
    "shown.append(sum(model.predict(x, verbose=0).tolist()[0]))",
    "best = [int(np.argmax(p)) for p in model.predict(x, verbose=0)]\nshown.append(best)",
    "shown.append(np.where(model.predict(x, verbose=0).max(1) > 0.5, 1, 0))",
    "p = model.predict(x[:1], verbose=0)\nshown.append(p[0][np.argmax(p[0])])",
    "out = model(x)\nshown.append(@ops.convert_to_numpy@(@ops.argmax@(out, axis=1)))",
    "out = model(x, training=False)\nshown.append(@ops.convert_to_numpy@(@ops.max@(out, axis=1)))",
    "shown.append(np.concatenate([model.predict(x, verbose=0), model.predict(-x, verbose=0)]).mean(axis=0))",
    "shown.append(model.predict(x, verbose=0).shape)",
)
_SIGMOID_READERS = (
    "shown.append((model.predict(x, verbose=0) > 0.5).astype('int32'))",
    "shown.append(model.predict(x, verbose=0).round())",
    "p = model.predict(x, verbose=0).flatten()\nshown.append(p)",
    "shown.append([1 if p[0] >= 0.5 else 0 for p in model.predict(x, verbose=0)])",
    "shown.append(model.predict(x[:1], verbose=0)[0][0])",
    "shown.append(@ops.convert_to_numpy@(model(x)))",
    "shown.append(probability(x, 0))",
    "out = model(x, training=False)\nshown.append(@ops.convert_to_numpy@(1 - out))",
    "shown.append(np.mean((model.predict(x, verbose=0) >= 0.4) == 1))",
)
_HELPERS = """
def classify(rows):
    return model.predict(rows, verbose=0).argmax(axis=1)


def probability(rows, k):
    return model.predict(rows, verbose=0)[:, k]
"""


def keras_program(draw: random.Random, backend: str) -> Program:
    """One Keras program; what it draws on a backend is the same every time."""
    seed = draw.random()
    text, right = (_written(seed, backend, right) for right in (False, True))
    return Program("keras", text, right, "classes = 1\n" in text)


def _written(seed: float, backend: str, right: bool) -> str:
    """A program, or its right form: each part draws for itself, so that both have the same in common."""
    of = {part: random.Random(f"{seed} {part}") for part in ("program", "model", "head", "loss", "readers")}
    draw = of["program"]
    k = Names(draw.choice([s for s in _STYLES if backend == "tensorflow" or not s.startswith("tensorflow")]))
    task = draw.choice(_TASKS)
    mistake = draw.choice(("", "", "", "", "twice", "never"))
    several = draw.random() < 0.15
    form = draw.choice(_SEVERAL if several else _FORMS)
    loop = not several and draw.random() < 0.3
    train = _LOOPS[backend] if loop else draw.choice(_STEPS)
    head = of["head"].choice(_HEADS[task.head])
    model = form(of["model"], k, task, _no_head if right or mistake == "never" else head)
    setup = _setup(of["loss"], k, task, right or mistake == "twice", right, loop, several)
    readers = "" if right else _readers(of["readers"], k, task, mistake == "never", several)
    labels = f"({task.labels}, x[:, :1])" if several else task.labels
    lines = [
        "import numpy as np", *([train.imports] if train.imports else []), "@imports@", f"classes = {task.units}", "",
        model, setup, "" if mistake == "never" else _HELPERS, "",
        "def run(x, y):", "    shown = []", textwrap.indent(readers, "    "),
        textwrap.indent(train.text.replace("@labels@", labels), "    "), "    return shown", "",
    ]  # fmt: skip
    return "\n".join(lines).replace("@imports@", k.imports)


def _readers(draw: random.Random, k: Names, task: Task, logits: bool, several: bool) -> str:
    """Some readers of the output; of a model that gives logits, those that logits are right for."""
    known: tuple[str, ...] = (
        _SEVERAL_READERS if several else _SOFTMAX_READERS if task.head == "softmax" else _SIGMOID_READERS
    )
    if logits:
        known = ("shown.append(len(model.predict(x, verbose=0)))",)
    parts = "\n".join(draw.choice(known) for _ in range(draw.randint(0, 3))).split("@")
    return "".join(k(part) if i % 2 else part for i, part in enumerate(parts))


# Heads: the texts of the last layers

Head = Callable[..., list[str]]


def _no_head(k: Names, task: Task, name: str = "") -> list[str]:
    return [f"{k('layers.Dense')}({task.units}{name})"]


def _activation(k: Names, task: Task, name: str = "") -> list[str]:
    return [f"{k('layers.Dense')}({task.units}, activation='{task.head}'{name})"]


def _by_position(k: Names, task: Task, name: str = "") -> list[str]:
    return [f'{k("layers.Dense")}({task.units}, "{task.head}"{name})']


def _function(k: Names, task: Task, name: str = "") -> list[str]:
    return [f"{k('layers.Dense')}({task.units}{name}, activation={k(f'activations.{task.head}')})"]


def _layer(k: Names, task: Task, name: str = "") -> list[str]:
    return [f"{k('layers.Dense')}({task.units})", f"{k('layers.Softmax')}({name.removeprefix(', ')})"]


def _activation_layer(k: Names, task: Task, name: str = "") -> list[str]:
    return [f"{k('layers.Dense')}({task.units})", f"{k('layers.Activation')}('{task.head}'{name})"]


_SIGMOID_HEADS = (_activation, _by_position, _function, _activation_layer)
_HEADS = {"sigmoid": _SIGMOID_HEADS, "softmax": (*_SIGMOID_HEADS, _layer)}


# Models


def _layers(k: Names, task: Task, head: Head) -> list[str]:
    return [f"{k('Input')}((4,))", f"{k('layers.Dense')}(8, activation='relu')", *head(k, task)]


def _sequential(draw: random.Random, k: Names, task: Task, head: Head) -> str:
    layers = _layers(k, task, head)
    inner = draw.choice((", ".join(layers), "\n" + "".join(f"    {one},\n" for one in layers)))
    return f"model = {k('Sequential')}([{inner}])\n"


def _added(draw: random.Random, k: Names, task: Task, head: Head) -> str:
    added = "".join(f"model.add({one})\n" for one in _layers(k, task, head))
    return f"model = {k('Sequential')}()\n{added}"


def _functional(draw: random.Random, k: Names, task: Task, head: Head) -> str:
    first, *rest = _layers(k, task, head)
    name = draw.choice(("h", "x", "hidden"))
    steps = [f"{name} = {rest[0]}(inputs)\n", *(f"{name} = {one}({name})\n" for one in rest[1:])]
    return f"inputs = {first}\n" + "".join(steps) + f"model = {k('Model')}(inputs, {name})\n"


def _nested(draw: random.Random, k: Names, task: Task, head: Head) -> str:
    first, *rest = _layers(k, task, head)
    text = "inputs"
    for one in rest:
        text = f"{one}({text})"
    return f"inputs = {first}\noutputs = {text}\nmodel = {k('Model')}(inputs=inputs, outputs=outputs)\n"


def _built(draw: random.Random, k: Names, task: Task, head: Head) -> str:
    form = draw.choice((_sequential, _added, _functional))
    inner = textwrap.indent(form(draw, k, task, head), "    ")
    return f"def build_model():\n{inner}    return model\n\n\nmodel = build_model()\n"


def _subclass(draw: random.Random, k: Names, task: Task, head: Head) -> str:
    last, *after = head(k, task)
    made = "".join(f"        self.act = {one}\n" for one in after)
    gives = "self.act(self.out(x))" if after else "self.out(x)"
    return (
        f"class Net({k('Model')}):\n    def __init__(self):\n        super().__init__()\n"
        f"        self.body = {k('layers.Dense')}(8, activation='relu')\n        self.out = {last}\n{made}\n"
        f"    def call(self, inputs, training=False):\n        x = self.body(inputs)\n        return {gives}\n\n\n"
        "model = Net()\n"
    )


def _two_outputs(draw: random.Random, k: Names, task: Task, head: Head) -> str:
    first, body, *_ = _layers(k, task, head)
    text = "h"
    layers = (
        head(k, task, ", name='kind'")
        if len(head(k, task)) == 1
        else [head(k, task)[0], head(k, task, ", name='kind'")[1]]
    )
    for one in layers:
        text = f"{one}({text})"
    return (
        f"inputs = {first}\nh = {body}(inputs)\nkind = {text}\n"
        f"size = {k('layers.Dense')}(1, name='size')(h)\nmodel = {k('Model')}(inputs, [kind, size])\n"
    )


_FORMS = (_sequential, _sequential, _added, _functional, _nested, _built, _subclass)
_SEVERAL = (_two_outputs,)
_SEVERAL_READERS = (
    "kind, size = model.predict(x, verbose=0)\nshown.append(kind)\nshown.append(size)",
    "shown.append(model.predict(x, verbose=0)[1])",
    "kind, size = model.predict(x, verbose=0)\nshown.append(kind.argmax(axis=1))",
)


# Losses


def _setup(draw: random.Random, k: Names, task: Task, from_logits: bool, right: bool, loop: bool, several: bool) -> str:
    """The loss and the optimizer: of a loop, or what the model is compiled with."""
    form = draw.choice(_OBJECTS if loop else _LOSSES)
    smoothing = task.loss == "categorical_crossentropy" and draw.random() < 0.3 and form in _OBJECTS
    metric = draw.choice((None, None, *task.metrics))
    before, loss = (_object if from_logits and form not in _OBJECTS else form)(k, task, from_logits, smoothing)
    optimizer = f"{k('optimizers.SGD')}(1.0)"
    if loop:
        return f"{before}loss_fn = {loss}\noptimizer = {optimizer}\n"
    if several:
        loss = draw.choice((f"{{'kind': {loss}, 'size': 'mse'}}", f"[{loss}, 'mse']"))
        metric = None
    name, bracket, given = (metric or "").partition("(")
    measured = f"{k(f'metrics.{name}')}({given}" if bracket else metric
    metrics = "" if right or measured is None else f", metrics=[{measured}]"
    eager = ", run_eagerly=True"
    return before + draw.choice(
        (
            f"model.compile(optimizer={optimizer}, loss={loss}{metrics}{eager})\n",
            f"model.compile(\n    {optimizer},\n    loss={loss}{metrics}{eager},\n)\n",
            f"model.compile({optimizer}, {loss}{metrics}{eager})\n",
        )
    )


def _class(task: Task) -> str:
    return "losses." + "".join(word.capitalize() for word in task.loss.split("_"))


def _string(k: Names, task: Task, from_logits: bool, smoothing: bool) -> tuple[str, str]:
    return "", f"'{task.loss}'"


def _loss_function(k: Names, task: Task, from_logits: bool, smoothing: bool) -> tuple[str, str]:
    return "", k(f"losses.{task.loss}")


def _object(k: Names, task: Task, from_logits: bool, smoothing: bool) -> tuple[str, str]:
    given = ["label_smoothing=0.1"] * smoothing + ["from_logits=True"] * from_logits
    return "", f"{k(_class(task))}({', '.join(given)})"


def _variable(k: Names, task: Task, from_logits: bool, smoothing: bool) -> tuple[str, str]:
    return f"criterion = {_object(k, task, from_logits, smoothing)[1]}\n", "criterion"


def _stated(k: Names, task: Task, from_logits: bool, smoothing: bool) -> tuple[str, str]:
    given = [f"from_logits={from_logits}"] + ["label_smoothing=0.1"] * smoothing
    return "", f"{k(_class(task))}({', '.join(given)})"


_OBJECTS = (_object, _variable, _stated)
_LOSSES = (_string, _string, _loss_function, *_OBJECTS)


# Training


class Step(NamedTuple):
    """One step of training, and what it imports."""

    text: str
    imports: str = ""


_STEPS = (
    Step("model.fit(x, @labels@, epochs=1, batch_size=len(x), verbose=0)"),
    Step("history = model.fit(x=x, y=@labels@, batch_size=len(x), verbose=0)"),
    Step("model.train_on_batch(x, @labels@)"),
)
_LOOPS = {
    "tensorflow": Step(
        "with tf.GradientTape() as tape:\n    out = model(x, training=True)\n    loss = loss_fn(@labels@, out)\n"
        "grads = tape.gradient(loss, model.trainable_variables)\n"
        "optimizer.apply_gradients(zip(grads, model.trainable_variables))",
        "import tensorflow as tf",
    ),
    "torch": Step(
        "out = model(x, training=True)\nloss = loss_fn(@labels@, out)\nmodel.zero_grad()\nloss.backward()\n"
        "grads = [v.value.grad for v in model.trainable_weights]\nwith torch.no_grad():\n"
        "    optimizer.apply(grads, model.trainable_weights)",
        "import torch",
    ),
    "jax": Step(
        "trainable = [v.value for v in model.trainable_variables]\n"
        "fixed = [v.value for v in model.non_trainable_variables]\n\n"
        "def loss_of(trainable, fixed):\n    out, fixed = model.stateless_call(trainable, fixed, x, training=True)\n"
        "    return loss_fn(@labels@, out), fixed\n\n"
        "(loss, fixed), grads = jax.value_and_grad(loss_of, has_aux=True)(trainable, fixed)\n"
        "for variable, grad in zip(model.trainable_variables, grads):\n    variable.assign(variable.value - grad)",
        "import jax",
    ),
}
