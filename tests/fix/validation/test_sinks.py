"""What sees that the softmax is gone: a fixer that only takes it out, and puts it back for nobody, loses its fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from finallayer.findings import Edit
from finallayer.fix.flow.context import Context
from finallayer.fix.validation.validate import Verdict, validate
from finallayer.rules.judging import judge
from finallayer.source.reading import read

from ..workbench import fixed, repaired

IMPORTS = "import numpy as np\nimport torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n"
NET = IMPORTS + "net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))\n\n"
STEP = "def step(x, y):\n    p = net(x)\n    loss = F.cross_entropy(p, y)\n"
CLASS = (
    "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.fc = nn.Linear(4, 3)\n\n"
    "    def forward(self, x):\n        return F.softmax(self.fc(x), dim=1)\n\n\n"
)
#: a softmax, and what is left where a fixer takes it out
TAKEN_OUT = {", nn.Softmax(dim=1)": "", "F.softmax(self.fc(x), dim=1)": "self.fc(x)"}


def verdict_on(program: str, folder: Path) -> Verdict:
    """What is said of the program without its softmax, as a fix of its double softmax."""
    path = str(folder / "program.py")
    context = Context()
    context.adopt(read(path, program.encode()))
    (found, *_) = (j for j in judge(context.sightings()) if j.finding.rule.code == "FL101")
    edits = []
    for number, line in enumerate(program.split("\n"), 1):
        for softmax, left in TAKEN_OUT.items():
            if softmax in line:
                at = line.index(softmax)
                edits.append(Edit(path, number, at, number, at + len(softmax), left))
    return validate("FL101", found.sighting, tuple(edits), context)


#: What the step does with its probabilities, besides its loss, and gives back.
SEEN = {
    "printed": "    print(p)\n    return loss\n",
    "printed as text": "    print(f'{p.max():.2f}')\n    return loss\n",
    "logged": "    writer.add_scalar('confidence', p.max().item())\n    return loss\n",
    "handed to nobody knows whom": "    show(**{'p': p})\n    return loss\n",
    "returned": "    return loss, p\n",
    "returned in a dictionary": "    return {'loss': loss, 'p': p}\n",
    "yielded": "    yield p\n",
    "asked in a branch": "    if p.mean() > 0.4:\n        loss = loss * 2\n    return loss\n",
    "asked in a loop": "    while p.mean() > 0.4:\n        break\n    return loss\n",
    "kept in a file": "    np.save('p.npy', p.detach().numpy())\n    return loss\n",
    "kept as an attribute by its name": "    setattr(step, 'p', p)\n    return loss\n",
    "part of another loss": "    return loss - 0.1 * (p * p.log()).sum(1).mean()\n",
    "the target of another loss": "    return loss + F.kl_div(F.log_softmax(x, 1), p.detach())\n",
    "mixed with others": "    return loss + (0.5 * p + 0.5 * net(2 * x)).log().mean()\n",
    "compared with a threshold": "    return loss, (p > 0.5).sum()\n",
    "compared with a threshold that nobody knows": "    return loss, (p > limit).float()\n",
    "rounded": "    return loss, p.round()\n",
    "drawn from": "    return loss, torch.multinomial(p, 1)\n",
    "the greatest, itself": "    best, place = p.max(1)\n    return loss, best\n",
    "in order, itself": "    return loss, p.sort(dim=1)[0]\n",
    "the greatest of a column": "    return loss, p[:, 1].argmax()\n",
    "the greatest over the samples": "    return loss, p.argmax(0)\n",
    "numbers one by one": "    return loss, [float(v) for v in p[0]]\n",
    "added up": "    total = 0\n    total += p.sum()\n    return loss, total\n",
    "changed in place": "    p.mul_(2)\n    return loss, p\n",
    "through a function": "    first = lambda t: t[:, 0] * 2\n    return loss, first(p)\n",
    "a lambda that nothing calls": "    later = lambda: show(p)\n    return loss\n",
    "where it is handed on": "    try:\n        save(p)\n    except OSError:\n        pass\n    return loss\n",
    "an array": "    return loss, np.asarray(p.detach())\n",
    "written out": "    with open('p.txt', 'w') as file:\n        file.write(str(p))\n    return loss\n",
}


def test_what_a_flag_has_shown_is_seen(tmp_path: Path) -> None:
    program = NET + (
        "def step(x, y, show=False):\n    p = net(x)\n    if show:\n        print(p)\n"
        "    return F.cross_entropy(p, y)\n"
    )
    assert "`print` is handed it" in verdict_on(program, tmp_path).refused


@pytest.mark.parametrize("then", SEEN.values(), ids=SEEN)
def test_who_sees_other_numbers_refuses_the_fix(tmp_path: Path, then: str) -> None:
    assert verdict_on(NET + STEP + then, tmp_path).refused


#: What can't be seen from here: the same, and a part of the note.
UNSEEN = {
    "a lambda that reads a name which is bound anew": (
        NET + STEP + "    later = lambda: show(p)\n    p = x\n    return loss\n",
        "nothing runs",
    ),
    "a branch not taken": (
        NET + "def step(x, y):\n    p = net(x)\n    if False:\n        print(p)\n    return F.cross_entropy(p, y)\n",
        "`p` in code that nothing runs (program.py, line 11)",
    ),
    "all names": (NET + STEP + "    log(locals())\n    return loss\n", "what `locals()` shows"),
    "a model that is kept": (NET + STEP + "    torch.save(net, 'net.pt')\n    return loss\n", "`torch.save`"),
    "a model that is exported": (NET + STEP + "    torch.onnx.export(net, x, 'n.onnx')\n    return loss\n", "onnx"),
    "a model that a function's own function gives": (
        NET + STEP + "    return loss\n\n\ndef later():\n    def inner():\n        return net\n    return inner\n",
        "the object that unknown callers get",
    ),
    "a model that callers get": (NET + STEP + "    return loss\n\n\ndef model():\n    return net\n", "unknown callers"),
    "a model in code that nothing runs": (
        NET + STEP + "    return loss\n\n\nif False:\n    show(net)\n",
        "`net` in code that nothing runs",
    ),
    "a hook": (NET + "net.register_full_backward_hook(log)\n\n" + STEP + "    return loss\n", "_backward_hook"),
    "a decorator that may register a class": (
        IMPORTS
        + "from registry import register\n\n\n@register\n"
        + CLASS
        + "net = Net()\n\n"
        + STEP
        + "    return loss\n",
        "what decorates `Net`",
    ),
    "an attribute that nothing here reads": (
        NET + "class Log:\n    def step(self, x, y):\n        self.last = net(x)\n"
        "        return F.cross_entropy(net(x), y)\n",
        "`.last`",
    ),
    "all that derives from a class": (
        IMPORTS + CLASS + "net = Net()\n\n" + STEP + "    return loss\n\n\n"
        "for made in nn.Module.__subclasses__():\n    print(made()(torch.zeros(1, 4)))\n",
        "what is done with `nn.Module.__subclasses__`",
    ),
    "a function that every layer is handed to": (
        NET + STEP + "    return loss\n\n\nnet.apply(print)\n",
        "the layers that `.apply` hands on",
    ),
    "an exercise": (
        NET + "def step(x, y):\n    # Your code here\n    p = net(x)\n    return F.cross_entropy(p, y)\n\n\n"
        "step(torch.zeros(1, 4), torch.zeros(1).long())\n",
        "what is to be written in an exercise",
    ),
    "a variable that nothing here reads": (
        NET + STEP + "    return loss\n\n\np = net(torch.zeros(1, 4))\n",
        "the module's `p`",
    ),
}


@pytest.mark.parametrize(("program", "note"), UNSEEN.values(), ids=UNSEEN)
def test_what_cannot_be_compared_is_named(tmp_path: Path, program: str, note: str) -> None:
    verdict = verdict_on(program, tmp_path)
    assert not verdict.refused
    assert note in verdict.note and "program.py, line " in verdict.note


#: What reads the same from logits.
INDIFFERENT = {
    "nothing more": "    return loss\n",
    "the place of the greatest": "    return loss, p.argmax(1)\n",
    "the place of the greatest of one": "    return loss, p[0].argmax()\n",
    "the places of the greatest few": "    best, places = p.topk(2)\n    return loss, places\n",
    "how many are right": "    return loss, (p.argmax(dim=-1) == y).float().mean()\n",
    "its shape": "    return loss, p.shape[0], len(p), torch.zeros_like(p)\n",
    "deleted": "    del p\n    return loss\n",
    "a function of the project that every layer is handed to": (
        "    return loss\n\n\ndef fill(layer):\n    if isinstance(layer, nn.Linear):\n"
        "        nn.init.zeros_(layer.bias)\n\n\nnet.apply(fill)\n"
    ),
    "the loss, which is another": "    loss.backward()\n    print(loss.item())\n    return loss\n",
}


@pytest.mark.parametrize("then", INDIFFERENT.values(), ids=INDIFFERENT)
def test_what_reads_the_same_says_nothing(tmp_path: Path, then: str) -> None:
    assert verdict_on(NET + STEP + then, tmp_path) == Verdict()


EXPECTED = IMPORTS + "def {name}(x):\n    expected = -torch.log(torch.sigmoid(x)).mean()\n    {says}\n"


@pytest.mark.parametrize(
    ("name", "says", "safe"),
    [
        ("test_loss", "assert loss_of(x) == expected", False),
        ("check", "torch.testing.assert_close(loss_of(x), expected)", False),
        ("check", "case.assertEqual(loss_of(x), expected)", False),
        ("check", "case.assertAlmostEqual(loss_of(x), expected)", False),
        ("check", "assert x.ndim == 2", True),
        ("test_loss", "expected.backward()", True),
    ],
)
def test_what_a_test_expects_is_left_alone(tmp_path: Path, name: str, says: str, safe: bool) -> None:
    program = EXPECTED.format(name=name, says=says)
    assert (fixed(tmp_path, program) != program) is safe


FETCHED = """import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 8])
y = tf.placeholder(tf.float32, [None, 1])


def net(x):
    return tf.sigmoid(tf.layers.dense(x, 1))


p = net(x)
loss = -tf.reduce_mean(y * tf.log(p) + (1 - y) * tf.log(1 - p))
session = tf.Session()
{run}
"""


@pytest.mark.parametrize(
    ("run", "safe"),
    [
        ("print(session.run(p))", True),
        ("print(session.run(loss))", True),
        ("for rows in batches:\n    print(session.run(loss, {x: rows}))", True),
        ("for rows in batches:\n    print(session.run(p, {x: rows}))", False),
        ("print([session.run(p, {x: rows}) for rows in batches])", False),
        ("def show(rows):\n    print(session.run(p, {x: rows}))", False),
        ("def show(rows):\n    print(p.eval({x: rows}))", False),
    ],
)
def test_what_is_written_into_a_run_that_is_repeated_adds_to_the_graph(tmp_path: Path, run: str, safe: bool) -> None:
    program = FETCHED.format(run=run)
    assert (fixed(tmp_path, program) != program) is safe


GRAPH = """import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 8])
y = tf.placeholder(tf.float32, [None, 4])
p = tf.nn.softmax(tf.layers.dense(x, 4))
lp = tf.log(p{name})
loss = -tf.reduce_sum(y * lp)
print(tf.Session().run({asked}))
"""


@pytest.mark.parametrize(
    ("name", "asked", "safe"),
    [
        ("", "loss", True),
        ("", "'Log:0'", False),
        ("", "'dense/BiasAdd:0'", False),
        ("", "tf.get_default_graph().get_operation_by_name('Softmax')", False),
        ("", "loss, 'cuda:0'", True),
        (", name='lp'", "loss", True),  # which keeps it
        (", name='lp'", "'lp:0'", False),
    ],
)
def test_names_in_tensorflow_s_graph_are_asked_for(tmp_path: Path, name: str, asked: str, safe: bool) -> None:
    program = GRAPH.format(name=name, asked=asked)
    assert (fixed(tmp_path, program) != program) is safe


@pytest.mark.parametrize(
    ("file", "asks", "safe"),
    [
        ("serve.py", "graph.get_tensor_by_name('Softmax:0')\n", False),
        ("tools/serve.py", "graph.get_operation_by_name('dense/Softmax')\n", False),
        ("serve.py", "graph.get_tensor_by_name('images:0')\n", False),
        ("serve.py", "print(graph.get_operations())\n", True),
        ("serve.py", "words.find_by_name('softmax')\n", True),
        ("freeze.sh", "freeze_graph --output_node_names=dense/Softmax\n", False),
        ("freeze.sh", "freeze_graph --output_node_names=loss\n", True),
    ],
)
def test_other_files_ask_for_names_in_tensorflow_s_graph(tmp_path: Path, file: str, asks: str, safe: bool) -> None:
    (tmp_path / ".git").mkdir()
    other = tmp_path / file
    other.parent.mkdir(exist_ok=True)
    other.write_text(asks)
    program = GRAPH.format(name="", asked="loss") + "tf.train.Saver().save(tf.Session(), 'kept')\n"
    assert (fixed(tmp_path, program) != program) is safe


@pytest.mark.parametrize(
    ("asks", "safe"),
    [
        ("graph.get_tensor_by_name('Softmax:0')\n", True),
        ("import program\n\ngraph.get_tensor_by_name('Softmax:0')\n", False),
    ],
)
def test_a_graph_that_nothing_keeps_is_seen_by_who_imports_the_program(tmp_path: Path, asks: str, safe: bool) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "other.py").write_text(asks)
    (tmp_path / "freeze.sh").write_text("freeze_graph --output_node_names=dense/Softmax\n")
    program = GRAPH.format(name="", asked="loss")
    assert (fixed(tmp_path, program) != program) is safe


@pytest.mark.parametrize(
    "way", ["import serve", "from serve import ask", "__import__('serve')", "run('python serve.py')"]
)
def test_a_graph_that_nothing_keeps_is_seen_by_what_the_program_runs(tmp_path: Path, way: str) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "serve.py").write_text("def ask(graph):\n    return graph.get_tensor_by_name('Log:0')\n")
    program = GRAPH.format(name="", asked="loss") + f"{way}\n"
    assert fixed(tmp_path, program) == program


TRIED = """import torch
from torch import nn

net, criterion = nn.Linear(4, 3), nn.CrossEntropyLoss()

def step(x, y):
    p = torch.softmax(net(x), 1)
    loss = criterion(p, y)
    try:
        {tried}
    except ValueError:
        {caught}
    return loss, p
"""


@pytest.mark.parametrize(
    ("tried", "caught", "safe"),
    [("p = other(x)", "pass", False), ("p = other(x)", "raise", True), ("print(x)", "pass", True)],
)
def test_what_a_try_may_leave_as_it_was_is_read(tmp_path: Path, tried: str, caught: str, safe: bool) -> None:
    program = TRIED.format(tried=tried, caught=caught)
    assert (fixed(tmp_path, program) != program) is safe


BUILT = """import keras


def build(head="linear"{more}):
    i = keras.Input((4,))
    x = keras.layers.Dense(1)(i)
    x = keras.layers.Activation({head})(x)
    return keras.Model(i, x)


net = build({given})
net.compile("adam", "binary_crossentropy")
net.fit(x, y)
"""


@pytest.mark.parametrize(
    ("head", "more", "given", "safe"),
    [("head", "", 'head="sigmoid"', False), ('"sigmoid"', "", "", True), ('"sigmoid"', ", units=1", "units=3", True)],
)
def test_a_parameter_that_callers_give_keeps_its_reader(
    tmp_path: Path, head: str, more: str, given: str, safe: bool
) -> None:
    program = BUILT.format(head=head, more=more, given=given)
    assert (fixed(tmp_path, program) != program) is safe


@pytest.mark.parametrize("rows", ["net(x)", "list(net(x))", "[row for row in net(x)]"])
def test_whoever_is_handed_the_rows_of_an_output_by_a_star_sees_that_they_differ(rows: str, tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text(
        "import torch\nfrom torch import nn\n\nnet = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))\n"
        "x, y = torch.randn(6, 4), torch.arange(6) % 3\nnn.CrossEntropyLoss()(net(x), y).backward()\n\n\n"
        "def show(*rows):\n    print([r.sum() for r in rows])\n\n\n" + f"show(*{rows})\n"
    )
    assert not repaired(file).changed
