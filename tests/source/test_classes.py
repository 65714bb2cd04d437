"""Classes and what they derive from, registries, names asked for by a text: the kinds that the losses are handed."""

from __future__ import annotations

from pathlib import Path

import pytest

from finallayer.kinds import Kind
from finallayer.source import Project, sightings
from finallayer.source.reading import read

from .kinds import LOSSES, kinds_at_losses
from .test_semantics import JAX, KERAS, TORCH

NET = "class Net(nn.Module):\n    def forward(self, x):\n        return fc(x).softmax(1)\n"
HEAD = "class Head(nn.Sequential):\n    def __init__(self, prob):\n"

#: name -> (what was imported and made before, the program, the kinds that its losses are handed)
CASES: dict[str, tuple[str, str, list[Kind]]] = {
    # what a foreign base class does
    "layers handed to the base class": (
        TORCH,
        HEAD + "        super().__init__(fc, nn.Softmax(1))\nF.cross_entropy(Head(1)(x), y)\n",
        [Kind.PROBS],
    ),
    "layers handed to the base class by its name": (
        TORCH,
        HEAD + "        nn.Sequential.__init__(self, fc, nn.Softmax(1))\nF.cross_entropy(Head(1)(x), y)\n",
        [Kind.PROBS],
    ),
    "layers by their names, one of them replaced": (
        TORCH,
        HEAD + "        super().__init__()\n        self.add_module('fc', fc)\n        self.out = nn.Softmax(1)\n"
        "        self.more = nn.Softmax(1)\n        self.more = fc\nF.cross_entropy(Head(1)(x), y)\n",
        [Kind.LOGITS],
    ),
    "a layer that only one branch adds": (
        TORCH,
        HEAD + "        super().__init__(fc)\n        if prob:\n            self.out = nn.Softmax(1)\n"
        "F.cross_entropy(Head(a)(x), y)\n",
        [Kind.UNKNOWN, Kind.LOGITS, Kind.PROBS],
    ),
    "a layer that isn't known behind the softmax": (
        TORCH,
        "import odd\nF.cross_entropy(nn.Sequential(fc, nn.Softmax(1), odd.Layer())(x), y)\n",
        [Kind.UNKNOWN],
    ),
    "an attribute that may be a layer": (
        TORCH,
        "import odd\n" + HEAD + "        super().__init__(fc, nn.Softmax(1))\n        self.more = odd.Layer()\n"
        "F.cross_entropy(Head(1)(x), y)\n",
        [Kind.UNKNOWN],
    ),
    "an attribute that is no layer": (
        TORCH,
        HEAD
        + "        super().__init__(fc, nn.Softmax(1))\n        self.prob = prob\nF.cross_entropy(Head(1)(x), y)\n",
        [Kind.PROBS],
    ),
    "a forward of its own, and the base class's": (
        TORCH,
        "class Head(nn.Sequential):\n    def forward(self, x):\n        F.cross_entropy(self[0](x), y)\n"
        "        return super().forward(x)\nF.cross_entropy(Head(fc, nn.Softmax(1))(x), y)\n",
        [Kind.LOGITS, Kind.PROBS],
    ),
    "a loop over its own layers": (
        TORCH,
        "class Head(nn.Sequential):\n    def forward(self, x):\n        for layer in self:\n            x = layer(x)\n"
        "        return x\nF.cross_entropy(Head(fc, nn.Softmax(1))(x), y)\n",
        [Kind.PROBS],
    ),
    "a layer put in another's place, and one taken out": (
        TORCH,
        "a, b = nn.Sequential(fc, nn.Softmax(1)), nn.Sequential(fc, nn.Softmax(1))\na[1] = fc\ndel b[-1]\n"
        "F.cross_entropy(a(x), y)\nF.cross_entropy(b(x), y)\n",
        [Kind.LOGITS, Kind.LOGITS],
    ),
    "layers taken out nobody knows which": (
        TORCH,
        "a = nn.Sequential(fc, nn.Softmax(1))\ndel a[k]\nF.cross_entropy(a(x), y)\n",
        [Kind.UNKNOWN],
    ),
    "Keras' Sequential": (
        KERAS,
        "class Net(keras.Sequential):\n    def __init__(self):\n        super().__init__([layers.Dense(3)])\n"
        "        self.other = layers.Dense(4)\n        self.add(layers.Softmax())\n"
        "Net().compile(loss='categorical_crossentropy')\n",
        [Kind.PROBS],
    ),
    "an heir of a layer": (
        TORCH,
        "class Prob(nn.Softmax):\n    def __init__(self):\n        super().__init__(dim=1)\n"
        "F.cross_entropy(nn.Sequential(fc, Prob())(x), y)\n",
        [Kind.PROBS],
    ),
    "an heir of a loss": (
        TORCH,
        "class Half(nn.CrossEntropyLoss):\n    def forward(self, z, y):\n        return super().forward(z, y) / 2\n"
        "Half()(p, y)\n",
        [Kind.PROBS],
    ),
    "an heir of a loss that does something else": (
        TORCH,
        "class Other(nn.CrossEntropyLoss):\n    def forward(self, z, y):\n        return ((z - y) ** 2).mean()\n"
        "Other()(p, y)\n",
        [],
    ),
    "children": (
        TORCH,
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.k = 3\n"
        "        self.fc, self.out = fc, nn.Softmax(1)\n"
        "    def forward(self, x):\n        for layer in self.children():\n            x = layer(x)\n"
        "        F.cross_entropy(self._modules['fc'](x), y)\n        return x\n"
        "F.cross_entropy(Net()(x), y)\n",
        [Kind.LOGITS, Kind.PROBS],
    ),
    "children, of which one branch only makes one": (
        TORCH,
        "class Net(nn.Module):\n    def __init__(self, prob):\n        super().__init__()\n        self.fc = fc\n"
        "        if prob:\n            self.out = nn.Softmax(1)\n"
        "    def forward(self, x):\n        for layer in self.children():\n            x = layer(x)\n        return x\n"
        "F.cross_entropy(Net(a)(x), y)\n",
        [Kind.UNKNOWN, Kind.PROBS],
    ),
    # an argument that is a name, a class, an object or a function
    "a layer by its name": (
        TORCH,
        "def make(act):\n    if isinstance(act, str):\n        return getattr(nn, act)(dim=1)\n    return act(dim=1)\n"
        "F.cross_entropy(make('Softmax')(z), y)\nF.cross_entropy(make(nn.Softmax)(z), y)\n",
        [Kind.PROBS, Kind.PROBS],
    ),
    "a class or an object": (
        TORCH,
        "def make(act):\n    return act(1) if isinstance(act, type) else act\n"
        "F.cross_entropy(make(nn.Softmax)(z), y)\nF.cross_entropy(make(nn.Softmax(1))(z), y)\n",
        [Kind.PROBS, Kind.PROBS],
    ),
    "an object of a framework's class": (
        TORCH,
        "def make(act):\n    return act if isinstance(act, nn.Module) else fc\n"
        "F.cross_entropy(make(nn.Softmax(1))(z), y)\nF.cross_entropy(make(None)(z), y)\n",
        [Kind.PROBS, Kind.LOGITS],
    ),
    "an object of a layer of another family": (
        TORCH,
        "def pick(layer):\n    return p if isinstance(layer, (nn.Linear, nn.BatchNorm1d)) else z\n"
        "F.cross_entropy(pick(nn.ReLU()), y)\nF.cross_entropy(pick(nn.Linear(4, 3)), y)\n",
        [Kind.LOGITS, Kind.PROBS],
    ),
    "an object of a layer of the same family": (
        TORCH,
        "F.cross_entropy(p if isinstance(nn.ReLU6(), nn.Hardtanh) else z, y)\n",
        [Kind.UNKNOWN],
    ),
    "a text by its type": (
        TORCH,
        "def make(act):\n    if type(act) is str:\n        return fc\n    return act\n"
        "F.cross_entropy(make('none')(z), y)\nF.cross_entropy(make(nn.Softmax(1))(z), y)\n",
        [Kind.LOGITS, Kind.PROBS],
    ),
    "an argument that nobody knows": (
        TORCH,
        "def make(act):\n    return nn.Softmax(1) if isinstance(act, str) else fc\nF.cross_entropy(make(a)(z), y)\n",
        [Kind.UNKNOWN],
    ),
    "a class that may be imported as another": (
        TORCH,
        "import odd\nF.cross_entropy(p if isinstance(fc, odd.Linear) else z, y)\n",
        [Kind.UNKNOWN],
    ),
    # registries
    "a decorator that lists a class": (
        TORCH,
        "table = {}\ndef listed(cls):\n    table[cls.__name__] = cls\n    return cls\n"
        "@listed\n" + NET + "F.cross_entropy(table['Net']()(x), y)\n",
        [Kind.PROBS],
    ),
    "a decorator that is asked for by a name": (
        TORCH,
        "table = {}\ndef listed(name=None):\n    def wrap(f):\n        table[name or f.__name__] = f\n"
        "        return f\n    return wrap\n@listed()\ndef net():\n    return nn.Softmax(1)\n"
        "@listed('other')\ndef some():\n    return fc\n"
        "F.cross_entropy(table['net']()(z), y)\nF.cross_entropy(table['other']()(z), y)\n",
        [Kind.PROBS, Kind.LOGITS],
    ),
    "a decorator that gives another class": (
        TORCH,
        "def soft(cls):\n    class Soft(cls):\n        def forward(self, x):\n"
        "            return super().forward(x).softmax(1)\n    return Soft\n"
        "@soft\nclass Net(nn.Module):\n    def forward(self, x):\n        return fc(x)\nF.cross_entropy(Net()(x), y)\n",
        [Kind.PROBS],
    ),
    "a decorator that isn't at hand": (
        TORCH,
        "import odd\n@odd.listed\n" + NET + "F.nll_loss(Net()(x), y)\n",
        [Kind.PROBS],
    ),
    "a registry that is a dictionary": (
        TORCH,
        "class Table(dict):\n    def listed(self, cls):\n        self[cls.__name__] = cls\n        return cls\n"
        "table = Table()\n@table.listed\n" + NET + "F.cross_entropy(table['Net']()(x), y)\n"
        "F.cross_entropy(table.get('Net')()(x), y)\n",
        [Kind.PROBS, Kind.PROBS],
    ),
    "a registry with items of its own": (
        TORCH,
        "class Table:\n    known = {'a': p}\n    def __getitem__(self, name):\n        return self.known[name]\n"
        "F.cross_entropy(Table()['a'], y)\n",
        [Kind.PROBS],
    ),
    "a registry of another library": (
        TORCH,
        "from mmengine.registry import Registry\ntable = Registry('model')\n@table.register_module()\n"
        + NET
        + "@table.register_module(name='other')\nclass Raw(nn.Module):\n"
        "    def forward(self, x):\n        return fc(x)\n"
        "F.cross_entropy(table.build(dict(type='Net'))(x), y)\nF.cross_entropy(table.get('other')()(x), y)\n",
        [Kind.PROBS, Kind.LOGITS],
    ),
    "a parent that is told of its heirs": (
        TORCH,
        "class Base(nn.Module):\n    known = {}\n    def __init_subclass__(cls, name):\n        cls.known[name] = cls\n"
        "class Net(Base, name='net'):\n    def forward(self, x):\n        return fc(x).softmax(1)\n"
        "F.cross_entropy(Base.known['net']()(x), y)\n",
        [Kind.PROBS],
    ),
    # names by a text
    "this module's own names": (
        TORCH,
        "import sys\n" + NET + "F.cross_entropy(globals()['Net']()(x), y)\nF.nll_loss(globals().get('Net')()(x), y)\n"
        "F.cross_entropy(getattr(sys.modules[__name__], 'Net')()(x), y)\nF.nll_loss(eval('Net()')(x), y)\n"
        "F.nll_loss(globals()[a]()(x), y)\n",
        [Kind.PROBS] * 4 + [Kind.UNKNOWN],
    ),
    "a framework's names": (
        TORCH,
        "import importlib\nF.cross_entropy(nn.__dict__['Softmax'](1)(z), y)\nF.nll_loss(vars(nn)['Softmax'](1)(z), y)\n"
        "F.cross_entropy(getattr(importlib.import_module('torch.nn'), 'Softmax')(1)(z), y)\n",
        [Kind.PROBS] * 3,
    ),
    # attributes of what has none
    "an attribute of a foreign module, a function, a namespace, and what isn't known": (
        TORCH,
        "import types\ntorch.out = p\ndef f():\n    f.out = p\nf()\ns = types.SimpleNamespace(out=z)\ns.out = p\n"
        "args.out = p\nfor owner in (torch, f, s, args):\n    F.cross_entropy(owner.out, y)\n"
        "F.cross_entropy(other.out, y)\n",
        [Kind.PROBS] * 4 + [Kind.UNKNOWN],
    ),
    "a foreign function that is replaced": (
        TORCH,
        "F.softmax = lambda t, dim: t\nF.cross_entropy(F.softmax(z, 1), y)\n",
        [Kind.LOGITS],
    ),
    "flax' Sequential": (
        JAX,
        "from flax import nnx\nclass Net(nnx.Sequential):\n    def __init__(self):\n"
        "        super().__init__(nnx.Linear(8, 3), jax.nn.softmax)\n        self.other = nnx.Linear(3, 3)\n"
        "optax.softmax_cross_entropy(Net()(x), y)\n",
        [Kind.PROBS],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_kinds_that_the_losses_are_handed(name: str) -> None:
    before, program, kinds = CASES[name]
    assert kinds_at_losses(before + program) == kinds


@pytest.mark.parametrize(
    "asked",
    [
        "importlib.import_module('nets.one')",
        "importlib.import_module('nets.' + name)",
        "importlib.import_module('.one', package='nets')",
        "__import__('nets.one', fromlist=['Net'])",
        "__import__('nets.one').one",
        "nets.__dict__['one']",
        "vars(nets)['one']",
    ],
)
def test_a_module_that_is_asked_for_by_a_text(tmp_path: Path, asked: str) -> None:
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "__init__.py").write_text("from . import one\n")
    (tmp_path / "nets" / "one.py").write_text("from torch import nn\n\nfc = nn.Linear(3, 3)\n" + NET)
    program = tmp_path / "train.py"
    program.write_text(
        f"import importlib, nets\nimport torch.nn.functional as F\nname = 'one'\nF.cross_entropy({asked}.Net()(x), y)\n"
    )
    project = Project()
    found = sightings(read(program), project)
    assert [s.node.args[0].kind for s in found if s.node.op in LOSSES] == [Kind.PROBS]
    assert str(tmp_path / "nets" / "one.py") in project.dependencies(str(program))
