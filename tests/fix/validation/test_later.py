"""What runs nobody knows when reads what a name means by then: no fix is safe that changes a meaning it may meet."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import repaired

HEAD = (
    "import atexit\nimport functools\nimport signal\nimport threading\n\nimport tool\nimport torch\n"
    "import torch.nn.functional as F\nfrom tool import register\nfrom torch import nn\n\n"
    "net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))\nx, y = torch.rand(5, 4), torch.tensor([0, 1, 2, 0, 1])\n"
)
LOSS = "loss = F.cross_entropy(net(x), y)\n"
P = "p = net(x)\nloss = F.cross_entropy(p, y)\n"
SHOW = "def show(*given):\n    print(p)\n\n\n"
OBJECT = "class Show:\n    def __call__(self):\n        print(p)\n\n    def now(self):\n        print(p)\n\n\n"
BOX = "class Box:\n    def show(self):\n        print(self.net(x))\n\n\nbox = Box()\n"
OTHER = "nn.Linear(4, 3)\n"
NET = (
    "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.fc = nn.Linear(4, 3)\n\n"
    "    def forward(self, x):\n        out = self.fc(x)\n        out = F.softmax(out, dim=1)\n        return out\n\n"
    "    def classify(self, x):\n        return self.forward(x)\n\n\n"
)

#: Who runs it, and when. The name means something else before, or after, than where the analysis runs it.
UNSEEN = {
    "a function that is registered": P + SHOW + "register(show)\np = 0\n",
    "by another name": P + SHOW + "also = show\nregister(also)\np = 0\n",
    "at the end": P + SHOW + "atexit.register(show)\np = 0\n",
    "decorated": P + "@atexit.register\n" + SHOW + "p = 0\n",
    "a project's own decorator": "def keep(f):\n    register(f)\n    return f\n\n\n" + P + "@keep\n" + SHOW + "p = 0\n",
    "a partial": P + SHOW + "register(functools.partial(show, 1))\np = 0\n",
    "a thread": P + SHOW + "threading.Thread(target=show).start()\np = 0\n",
    "a signal": P + SHOW + "signal.signal(signal.SIGUSR1, show)\np = 0\n",
    "in a list": P + SHOW + "register([show])\np = 0\n",
    "in a dictionary": P + SHOW + "register({'show': show})\np = 0\n",
    "kept as an attribute": P + SHOW + "tool.hook = show\np = 0\n",
    "called as well": P + SHOW + "register(show)\np = 0\nshow()\n",
    "before it is bound": "def show():\n    print(p)\n\n\nregister(show)\np = 0\n" + P + "p = 0\n",
    "a model": "def show(v):\n    print(net(v))\n\n\n" + LOSS + "register(show)\nnet = " + OTHER,
    "a function that is defined anew": (
        "def head(z):\n    return F.softmax(z, dim=1)\n\n\nbody = nn.Linear(4, 3)\n\n\n"
        "def show():\n    print(head(body(x)))\n\n\nloss = F.cross_entropy(head(body(x)), y)\nregister(show)\n\n\n"
        "def head(z):\n    return z\n"
    ),
    "a helper of what is registered": P + SHOW + "def later():\n    show()\n\n\nregister(later)\np = 0\nshow()\n",
    "a generator": P + "def rows():\n    for row in p:\n        yield row\n\n\nregister(rows())\np = x\n",
    "called, too, where it gets its softmax back": P + SHOW + "register(show)\nshow()\np = x\n",
    "a lambda that is called as well": P + "show = lambda: print(p)\nregister(show)\np = 0\nshow()\n",
    "lambdas in a list that are called": P + "hooks = [lambda: print(p)]\nregister(hooks)\np = 0\nhooks[0]()\n",
    "closures of two calls": "def make(q):\n    return lambda: print(q)\n\n\n" + P + "register([make(p), make(0)])\n",
    "functions of two calls": (
        "def make(q):\n    def show():\n        print(q)\n\n    return show\n\n\n"
        + P
        + "register(make(p))\nregister(make(0))\n"
    ),
    "a method": P + OBJECT + "register(Show().now)\np = 0\n",
    "an object": P + OBJECT + "register(Show())\np = 0\n",
    "a class": P + "class Show:\n    def __init__(self):\n        print(p)\n\n\nregister(Show)\np = 0\n",
    "a callback of a framework": (
        P + "class Show(tool.Callback):\n    def on_end(self):\n        print(p)\n\n\nshow = Show()\np = 0\n"
    ),
    "a property": (
        P + "class Show:\n    @property\n    def now(self):\n        print(p)\n\n\nregister(Show())\np = 0\n"
    ),
    "what a loop binds": SHOW + "register(show)\nfor p in [net(x)]:\n    loss = F.cross_entropy(p, y)\np = 0\n",
    "one of several names": SHOW + "register(show)\np, k = net(x), 3\nloss = F.cross_entropy(p, y)\np = 0\n",
    "an attribute": BOX + "box.net = net\n" + LOSS + "register(box.show)\nbox.net = " + OTHER,
    "an object's own attribute": (
        "class Box:\n    def __init__(self):\n        self.net = net\n        register(self.show)\n"
        "        self.net = nn.Linear(4, 3)\n\n    def show(self):\n        print(self.net(x))\n\n\nbox = Box()\n"
        + LOSS
    ),
    "a class's attribute": (
        "class Box:\n    net = net\n\n    def show(self):\n        print(self.net(x))\n\n\n"
        + LOSS
        + "register(Box().show)\nBox.net = "
        + OTHER
    ),
    "a function's attribute": (
        "def show():\n    print(show.net(x))\n\n\nshow.net = net\n" + LOSS + "register(show)\nshow.net = " + OTHER
    ),
    "a foreign module's": (
        "tool.net = net\n\n\ndef show():\n    print(tool.net(x))\n\n\n" + LOSS + "register(show)\ntool.net = " + OTHER
    ),
    "an item": (
        "box = {}\n\n\ndef show():\n    print(box['net'](x))\n\n\nbox['net'] = net\n"
        + LOSS
        + "register(show)\nbox['net'] = "
        + OTHER
    ),
}


@pytest.mark.parametrize("program", UNSEEN.values(), ids=UNSEEN)
def test_a_callback_may_meet_what_its_names_meant_before(tmp_path: Path, program: str) -> None:
    file = tmp_path / "program.py"
    file.write_text(HEAD + program)

    assert repaired(file).changed == ()
    (left, *_) = repaired(file).remaining
    assert left.fix is not None and not left.fix.safe
    assert "run" in left.fix.note and "can't be compared" in left.fix.note


#: What runs where it is called, or meets one meaning only.
SEEN = {
    "a function that is only called": P + SHOW + "show()\np = 0\n",
    "a function that nobody calls": P + SHOW + "p = 0\n",
    "a name that keeps its meaning": P + SHOW + "register(show)\n",
    "a name that means another number": "k = 1\n\n\ndef show():\n    print(k)\n\n\nregister(show)\n" + P + "k = 0\n",
    "a lambda that is only called": P + "show = lambda: print(p)\nshow()\np = 0\n",
    "a model that is wrapped": (
        "class Trainer:\n    def __init__(self):\n        self.net = net\n"
        "        self.net = nn.DataParallel(self.net)\n\n"
        "    def step(self, x, y):\n        return F.cross_entropy(self.net(x), y)\n\n\nTrainer().step(x, y)\n"
    ),
    "an object's own method": NET + "register(Net)\nloss = F.cross_entropy(Net().classify(x), y)\n",
    "two objects made on one line": (
        NET + "one, other = Net(), Net()\nloss = F.cross_entropy(one.classify(x), y)\none = other = 0\n"
    ),
    "objects of the project's own functions": P + OBJECT + "def use(show):\n    show.now()\n\n\nuse(Show())\np = 0\n",
}


@pytest.mark.parametrize("program", SEEN.values(), ids=SEEN)
def test_what_is_called_there_and_then_is_seen(tmp_path: Path, program: str) -> None:
    file = tmp_path / "program.py"
    file.write_text(HEAD + program)

    assert len(repaired(file).changed) == 1
