"""Random Keras projects, for any backend: head x loss x metrics x callbacks x readers x layout."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from .keras_programs import Names
from .projects import RATE, Parts, Project, laid_over_files, readers, script


class Task(NamedTuple):
    """What a model is to tell apart: its head, its units, its targets, and the metrics that fit."""

    head: str
    units: int
    loss: str
    targets: tuple[str, ...]
    metrics: tuple[str, ...]


_INDEX = readers("""
'accuracy'
'acc'
SparseCategoricalAccuracy()
SparseTopKCategoricalAccuracy(k=2)
'sparse_categorical_accuracy'
""")
_HOT = readers("""
'accuracy'
CategoricalAccuracy()
'categorical_accuracy'
TopKCategoricalAccuracy(k=2)
AUC()
Precision()
Recall(thresholds=0.3)
'mse'
CategoricalCrossentropy()
F1Score(average='macro')
KLDivergence()
""")
_UNIT = readers("""
'accuracy'
'binary_accuracy'
BinaryAccuracy()
BinaryAccuracy(threshold=0.4)
AUC()
Precision()
Recall()
BinaryAccuracy(threshold=0.5)
TruePositives()
'mae'
BinaryCrossentropy()
AUC(from_logits=False)
PrecisionAtRecall(0.5)
""")
_TASKS = (
    Task("softmax", 3, "sparse_categorical_crossentropy", ("y",), _INDEX),
    Task("softmax", 3, "categorical_crossentropy", ("hot", "soft", "empty", "several"), _HOT),
    Task("softmax", 3, "kl_divergence", ("soft",), _HOT),
    Task("sigmoid", 1, "binary_crossentropy", ("one", "one * 0.8 + 0.1"), _UNIT),
    Task("sigmoid", 3, "binary_crossentropy", ("several", "several * 0.8 + 0.1"), (*_UNIT, "'accuracy'")),
    Task("softmax", 1, "binary_crossentropy", ("one",), _UNIT),
    Task("sigmoid", 3, "categorical_crossentropy", ("hot",), _HOT),
    Task("", 3, "sparse_categorical_crossentropy", ("y",), _INDEX),
    Task("", 1, "binary_crossentropy", ("one",), _UNIT),
)
_DATA = """x = np.random.RandomState(1).randn(6, 4)
y = np.array([0, 1, 2, 1, 0, 2])
hot = np.eye(3)[y]
soft = np.random.RandomState(2).dirichlet([1, 1, 1], 6)
empty = hot * np.array([1, 0, 1, 1, 0, 1])[:, None]
several = np.array([[1, 1, 0], [0, 1, 0], [1, 1, 1], [0, 0, 0], [0, 1, 1], [1, 0, 0]])
one = several[:, :1]
"""
Head = Callable[[Names, str, str], list[str]]


def _dense(k: Names, units: str) -> str:
    return f"{k('layers.Dense')}({units}"


_HEADS: tuple[Head, ...] = (
    lambda k, units, act: [f"{_dense(k, units)}, activation='{act}')"],
    lambda k, units, act: [f"{_dense(k, units)}, '{act}')"],
    lambda k, units, act: [f"{_dense(k, units)}, activation='{act}', name='out')"],
    lambda k, units, act: [f"{_dense(k, units)}, activation={k(f'activations.{act}')})"],
    lambda k, units, act: [f"{_dense(k, units)})", f"{k('layers.Activation')}('{act}')"],
    lambda k, units, act: [f"{_dense(k, units)})", f"{k('layers.Activation')}('{act}', dtype='float64')"],
    lambda k, units, act: [f"{_dense(k, units)})", f"{k('layers.Activation')}('{act}', name='probability')"],
    lambda k, units, act: [f"{_dense(k, units)})", f"{k('layers.Activation')}({k(f'activations.{act}')})"],
    lambda k, units, act: [f"{_dense(k, units)})", f"{k('layers.Lambda')}(lambda z: {k(f'ops.{act}')}(z))"],
    lambda k, units, act: [f"{_dense(k, units)}, activation='{act}')", f"{k('layers.Reshape')}(({units},))"],
)


def keras_project(draw: random.Random, backend: str) -> Project:
    """One Keras project."""
    style = draw.choice(
        [
            s
            for s in ("keras", "keras", "tensorflow, keras", "modules", "names")
            if backend == "tensorflow" or "," not in s
        ]
    )
    k, task = Names(style), draw.choice((*_TASKS[:5], *_TASKS[:5], *_TASKS))
    target = draw.choice(task.targets)
    head = draw.choice(_HEADS) if task.head else lambda k, units, act: [f"{_dense(k, units)})"]
    units = draw.choice((str(task.units), str(task.units), "CLASSES"))
    form, form_name = draw.choice(_FORMS)
    model = f"\nCLASSES = {task.units}\n\n{form(k, head(k, units, task.head))}"
    mistaken = draw.random() < 0.2 and bool(task.head)
    loss = _loss(draw, k, task, mistaken)
    train = _train(draw, k, task, loss, target)
    read, served = (_read(draw, k, task, most) for most in draw.choice(((0, 0), (1, 1), (2, 0), (3, 2))))
    kind = f"{form_name} {task.head} | {task.loss}{' (from_logits)' * mistaken} | {target} | {backend}"
    exact = (
        not mistaken
        and task.head != ""
        and task.units == (1 if "one" in target else 3)
        and (task.head, task.units) != ("softmax", 1)
    )
    shows = (task.head, task.units) != ("softmax", 1) and (task.head != "" or task.units != 1)
    if (task.head, task.loss) == ("sigmoid", "categorical_crossentropy"):
        exact = False
    if exact:
        train += "print(model.evaluate(x, {t}, verbose=0))\n".replace("{t}", target) if draw.random() < 0.4 else ""
    parts = Parts(kind, "@", model, ("build", "CLASSES"), "model = build()\n", _DATA, "", (), train, read, served)
    name, files, entries, checked = laid_over_files(parts._replace(imports="import numpy as np\n" + k.imports), draw)
    right = _right(k, task, target, form, units, loss) if mistaken or not task.head else None
    return Project("keras", f"{name}: {kind}", files, entries, checked, exact, shows, right)


def _right(
    k: Names, task: Task, target: str, form: Callable[[Names, list[str]], str], units: str, loss: str
) -> str | None:
    """The model without a head, and the loss on logits."""
    if task.loss == "kl_divergence":
        return None
    model = form(k, [f"{_dense(k, units)})"])
    words = "".join(word.capitalize() for word in task.loss.split("_"))
    smoothing = ", label_smoothing=0.1" if "label_smoothing" in loss else ""
    fixed = f"{k('losses.' + words)}(from_logits=True{smoothing})"
    train = (
        f"model.compile({k('optimizers.SGD')}({RATE}), {fixed}, run_eagerly=True)\n"
        f"model.fit(x, {target}, batch_size=6, shuffle=False, verbose=0)\n"
    )
    model = f"CLASSES = {task.units}\n\n{model}"
    parts = Parts("", "", model, (), "model = build()\n", _DATA, "", (), train, (), ())
    return script(parts._replace(imports="import numpy as np\n" + k.imports))


# Models: ``build()``


def _layers(k: Names, head: list[str]) -> list[str]:
    return [f"{k('Input')}((4,))", f"{k('layers.Dense')}(8, activation='tanh')", *head]


def _sequential(k: Names, head: list[str]) -> str:
    layers = "".join(f"        {one},\n" for one in _layers(k, head))
    return f"def build():\n    return {k('Sequential')}([\n{layers}    ])\n"


def _added(k: Names, head: list[str]) -> str:
    added = "".join(f"    model.add({one})\n" for one in _layers(k, head))
    return f"def build():\n    model = {k('Sequential')}()\n{added}    return model\n"


def _functional(k: Names, head: list[str]) -> str:
    first, *rest = _layers(k, head)
    steps = "".join(f"    h = {one}({'h' if i else 'inputs'})\n" for i, one in enumerate(rest))
    return f"def build():\n    inputs = {first}\n{steps}    return {k('Model')}(inputs, h)\n"


def _two_models(k: Names, head: list[str]) -> str:
    first, body, *rest = _layers(k, head)
    steps = "".join(f"    h = {one}(h)\n" for one in rest)
    return (
        f"def build():\n    inputs = {first}\n    h = features = {body}(inputs)\n{steps}"
        f"    embedding = {k('Model')}(inputs, features)\n    return {k('Model')}(embedding.inputs, h)\n"
    )


def _inner(k: Names, head: list[str]) -> str:
    first, body, *rest = _layers(k, head)
    last = ", ".join((f"{k('Input')}((8,))", *rest))
    return (
        f"def build():\n    inputs = {first}\n    top = {k('Sequential')}([{last}])\n"
        f"    return {k('Model')}(inputs, top({body}(inputs)))\n"
    )


def _subclass(k: Names, head: list[str]) -> str:
    last, *after = head
    made = "".join(f"        self.act = {one}\n" for one in after)
    gives = "self.act(self.out(self.body(inputs)))" if after else "self.out(self.body(inputs))"
    return (
        f"class Net({k('Model')}):\n    def __init__(self):\n        super().__init__()\n"
        f"        self.body = {k('layers.Dense')}(8, activation='tanh')\n        self.out = {last}\n{made}\n"
        f"    def call(self, inputs):\n        return {gives}\n\n\n"
        "def build():\n    net = Net()\n    net(np.zeros((1, 4)))\n    return net\n"
    )


def _parameter(k: Names, head: list[str]) -> str:
    text = _sequential(k, head)
    for name in ("softmax", "sigmoid"):
        if f"'{name}'" in text:
            return (
                text.replace("build():", f"build(last='{name}'):")
                .replace(f"'{name}'", "last")
                .replace("last=last", f"last='{name}'")
            )
    return text


_FORMS = (
    (_sequential, "sequential"), (_sequential, "sequential"), (_added, "added"), (_functional, "functional"),
    (_two_models, "two models"), (_inner, "inner"), (_subclass, "subclass"), (_parameter, "parameter"),
)  # fmt: skip


# Losses and training


def _loss(draw: random.Random, k: Names, task: Task, from_logits: bool) -> str:
    words = "".join(word.capitalize() for word in task.loss.split("_")).replace("KlDiv", "KLDiv")
    given = ["from_logits=True"] * from_logits
    if task.loss == "categorical_crossentropy" and draw.random() < 0.3:
        given.append("label_smoothing=0.1")
    if given:
        return f"{k('losses.' + words)}({', '.join(given)})"
    return draw.choice((f"'{task.loss}'", f"'{task.loss}'", k(f"losses.{task.loss}"), f"{k('losses.' + words)}()"))


def _train(draw: random.Random, k: Names, task: Task, loss: str, target: str) -> str:
    chosen = draw.sample(task.metrics, draw.choice((0, 0, 1, 1, 2)))
    measured = []
    for i, metric in enumerate(chosen):
        name, bracket, given = metric.partition("(")
        named = f"{given[:-1]}{', ' if given[:-1] else ''}name='m{i}')"
        measured.append(f"{k(f'metrics.{name}')}({named if draw.random() < 0.5 else given}" if bracket else metric)
    key = draw.choice(("metrics", "metrics", "metrics", "weighted_metrics"))
    metrics = f", {key}=[{', '.join(measured)}]" if measured else ""
    optimizer = f"{k('optimizers.SGD')}({RATE})"
    compiled = draw.choice((f"optimizer={optimizer}, loss={loss}", f"{optimizer}, {loss}"))
    weights = draw.choice(("", "", "", ", class_weight={0: 1.0, 1: 2.0, 2: 0.5}", ", sample_weight=np.arange(6.0)"))
    if task.head == "" or "from_logits" in loss or "several" in target:
        weights = ""
    before, callbacks = draw.choice(_CALLBACKS)
    validation = draw.choice(("", ", validation_data=(x, @t)", ", validation_split=0.5")).replace("@t", target)
    if weights or task.head == "" or "from_logits" in loss:
        validation = validation if "split" not in validation else ""
    before = before.replace("@Callback", k("callbacks.Callback")) if "@Callback" in before else before
    for name in ("ModelCheckpoint", "EarlyStopping", "LambdaCallback", "ReduceLROnPlateau"):
        if f"@{name}" in callbacks:
            callbacks = callbacks.replace(f"@{name}", k(f"callbacks.{name}"))
    shown = draw.choice(
        ("", "for name, values in history.history.items():\n    if 'loss' not in name:\n        print(name, values)\n")
    )
    return (
        f"{before}model.compile({compiled}{metrics}, run_eagerly=True)\n"
        f"history = model.fit(x, {target}, batch_size=6, shuffle=False, "
        f"verbose=0{weights}{validation}{callbacks})\n{shown}"
    )


_WATCH = """class Watch(@Callback):
    def on_epoch_end(self, epoch, logs=None):
        {}


"""
_CALLBACKS = (
    *[("", "")] * 12,
    (_WATCH.format("print(sorted(logs))"), ", callbacks=[Watch()]"),
    (_WATCH.format("print(self.model.predict(x, verbose=0).sum())"), ", callbacks=[Watch()]"),
    (_WATCH.format("print([row[0] > 0.4 for row in self.model(x)])"), ", callbacks=[Watch()]"),
    (_WATCH.format("print(float(self.model.predict_on_batch(x)[0, 0]))"), ", callbacks=[Watch()]"),
    ("", ", callbacks=[@ModelCheckpoint('best.keras')]"),
    ("", ", callbacks=[@ModelCheckpoint('best.weights.h5', save_weights_only=True)]"),
    ("", ", callbacks=[@EarlyStopping(monitor='loss', patience=3), @ReduceLROnPlateau(monitor='loss')]"),
    ("", ", callbacks=[@LambdaCallback(on_epoch_end=lambda e, logs: print(model.predict(x, verbose=0).max()))]"),
    ("", ", callbacks=[@LambdaCallback(on_epoch_end=lambda e, logs: print(e))]"),
)  # fmt: skip
_PREDICTED = (
    "model.predict(x, verbose=0)",
    "model.predict(x, verbose=0)",
    "model.predict_on_batch(x)",
    "@array(model(x))",
    "@array(model(x, training=False))",
)
_READERS = readers(r"""
{p}
{p}
{p}[:, 0] > 0.9
({p} > 0.5).astype('int32')
{p}.argmax(axis=1)
np.argmax({p}, axis=-1)
{p}.round()
[float(p[0]) for p in {p}]
[1 if p[0] > 0.5 else 0 for p in {p}]
[np.argmax(p) for p in {p}]
{{i: p.max() for i, p in enumerate({p})}}
np.mean([m.predict(x, verbose=0) for m in [model, model]], axis=0)
(lambda rows: model.predict(rows, verbose=0))(x)[0]
q = {p}\nq / q.sum(axis=1, keepdims=True)
q = {p}\nq *= 2\nq
q = {p}\nq[q < 0.4] = 0\nq
q = {p}\n0.5 * q + 0.1
q = {p}\n-(q * np.log(q)).sum(axis=1)
f'{{{p}[0, 0]:.4f}}'
'%.3f' % {p}[0][0]
np.save('p.npy', {p})
np.savetxt('p.txt', {p}, fmt='%.8f')
{p}.shape
len({p})
list(map(max, {p}))
sorted({p}[:, 0])
np.round({p} * 100, 2)
1 - {p}
np.where({p} >= 0.5, 1, 0)
np.exp({p})
dict(zip('abc', {p}[0]))
sum(1 for p in {p} if p[0] > 0.3)
np.clip({p}, 0, 1)
any({p}[:, 0] > 0.6)
np.log({p} + 1e-9)
{p}.max(axis=1)
np.argsort({p}, axis=1)[:, ::-1]
(({p} > 0.5) == one).mean()
kept = []\nfor i in range(2):\n    kept.append({p})\nnp.mean(kept, axis=0)
np.equal({p}.argmax(1), y).mean()
""")
#: Readers of the model itself; not of what layers it has, since that is what a fix changes.
_OF_MODEL = readers(r"""
model.save('m.keras')
model.save_weights('m.weights.h5')
model.count_params()
model.layers[0].get_weights()[0].shape
@Sequential([model])(x).shape
@ops.convert_to_numpy@(@Sequential@([model])(x))
@models.clone_model@(model).predict(x, verbose=0).sum(axis=1)
model.output_shape
@ops.convert_to_numpy@(@Model@(model.inputs, model.outputs)(x))
@ops.convert_to_numpy@(model.call(x))
model.test_on_batch(x, model.predict(x, verbose=0)) is None
[w.shape for w in model.get_weights()]
model.trainable
model.name.split('_')[0]
""")


def _read(draw: random.Random, k: Names, task: Task, most: int) -> tuple[str, ...]:
    chosen = []
    for _ in range(draw.randint(0, most)):
        if draw.random() < 0.25:
            form = draw.choice(_OF_MODEL)
            if "@" in form and form.count("@") % 2:
                form = form.replace("@Sequential(", "@Sequential@(", 1)
            parts = form.split("@")
            chosen.append("".join(k(part) if i % 2 else part for i, part in enumerate(parts)))
            continue
        p = draw.choice(_PREDICTED)
        if "@array" in p:
            p = p.replace("@array", k("ops.convert_to_numpy"))
        form = draw.choice(_READERS)
        chosen.append(form.format(p=p) if draw.random() < 0.5 else f"out = {p}\n" + form.format(p="out"))
    return tuple(chosen)
