"""No name and no comment says "probabilities" of logits, where it is a function's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed

TORCH = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n"
CLASS = (
    "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.fc = nn.Linear(4, 3)\n\n"
)
REST = "\nnet = Net()\n\ndef step(x, y):\n    return F.cross_entropy(net(x), y)\n"
#: what the model does -> what it does then
FORWARD = {
    "the logits have a name": (
        "        z = self.fc(x)\n        probs = F.softmax(z, dim=1)\n        return probs\n",
        "        z = self.fc(x)\n        return z\n",
    ),
    "the logits have none": (
        "        probs = F.softmax(self.fc(x), dim=1)\n        return probs\n",
        "        logits = self.fc(x)\n        return logits\n",
    ),
    "a comment above": (
        "        z = self.fc(x)\n        # the probability of each class\n        p = F.softmax(z, dim=1)\n"
        "        return p\n",
        "        z = self.fc(x)\n        return z\n",
    ),
    "a comment of something else": (
        "        z = self.fc(x)\n        # no dropout here\n        p = F.softmax(z, dim=1)\n        return p\n",
        "        z = self.fc(x)\n        # no dropout here\n        return z\n",
    ),
    "a comment in another script": (
        "        z = self.fc(x)\n        # 经过softmax\n        p = F.softmax(z, dim=1)\n        return p\n",
        "        z = self.fc(x)\n        return z\n",
    ),
    "who needs probabilities": (
        "        probs = F.softmax(self.fc(x), dim=1)\n        print(probs, probs.shape)\n        return probs\n",
        "        logits = self.fc(x)\n        print(logits.softmax(dim=1), logits.shape)\n        return logits\n",
    ),
    "a name that doesn't lie": (
        "        out = F.softmax(self.fc(x), dim=1)\n        return out\n",
        "        out = self.fc(x)\n        return out\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), FORWARD.values(), ids=FORWARD)
def test_what_becomes_of_a_name(tmp_path: Path, before: str, after: str) -> None:
    head = f"{TORCH}{CLASS}    def forward(self, x):\n"
    assert fixed(tmp_path, f"{head}{before}{REST}") == f"{head}{after}{REST}"


#: where a model applies its softmax only sometimes -> what is left
SOMETIMES = {
    "    def forward(self, x):\n        x = self.fc(x)\n        if self.fc:\n            # probabilities\n"
    "            x = F.softmax(x, dim=1)\n        return x\n": (
        "    def forward(self, x):\n        x = self.fc(x)\n        return x\n"
    ),
}


@pytest.mark.parametrize(("before", "after"), SOMETIMES.items())
def test_a_branch_for_the_softmax_alone_goes(tmp_path: Path, before: str, after: str) -> None:
    assert fixed(tmp_path, f"{TORCH}{CLASS}{before}{REST}") == f"{TORCH}{CLASS}{after}{REST}"


@pytest.mark.parametrize("test", ["ask()", "self.flags.pop()", "x.sum() > 0"])
def test_a_branch_that_asks_somebody_stays(tmp_path: Path, test: str) -> None:
    body = (
        f"    def forward(self, x):\n        x = self.fc(x)\n        if {test}:\n            x = F.softmax(x, dim=1)\n"
    )
    program = f"{TORCH}{CLASS}{body}        return x\n{REST}"
    assert fixed(tmp_path, program) == program


PROBS = "        probs = F.softmax(self.fc(x), dim=1)\n        return probs\n"
KEPT = {
    "logits are something else there": "        logits = 2\n" + PROBS,
    "the name is bound again": PROBS.replace("return", "probs = probs\n        return"),
    "all names are shown": PROBS.replace("return", "locals()\n        return"),
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_where_a_name_can_not_change_it_stays(tmp_path: Path, body: str) -> None:
    program = f"{TORCH}{CLASS}    def forward(self, x):\n{body}{REST}"
    assert fixed(tmp_path, program) in (program, program.replace("F.softmax(self.fc(x), dim=1)", "self.fc(x)"))


FUNCTIONAL = (
    "import keras\n\ni = keras.Input((4,))\n{0} = keras.layers.Dense(3{1})(i)\n{3}model = keras.Model(i, {0})\n"
)
FUNCTIONAL += "model.compile(loss={2})\n"
BY_NAME = ", activation='softmax'", "'categorical_crossentropy'"
ON_LOGITS = "", "keras.losses.CategoricalCrossentropy(from_logits=True)"


@pytest.mark.parametrize(
    ("more", "other", "name"),
    [
        ("", "", "logits"),
        ("", "import numpy\n", "logits"),
        ("", "from program import probs\n", "probs"),
        ("__all__ = ['probs']\n", "", "probs"),
        ("logits = 3\n", "", "probs"),
    ],
    ids=["nobody's", "another program", "imported", "listed", "taken"],
)
def test_a_modules_name_changes_where_nobody_else_knows_it(tmp_path: Path, more: str, other: str, name: str) -> None:
    (tmp_path / "other.py").write_text(other)
    after = fixed(tmp_path, FUNCTIONAL.format("probs", *BY_NAME, more))
    assert after in (FUNCTIONAL.format(name, *ON_LOGITS, more), FUNCTIONAL.format("probs", *BY_NAME, more))


def test_scores_whose_logs_are_taken_are_renamed_in_a_script(tmp_path: Path) -> None:
    program = (
        "import torch\nfrom torch import nn\n\nnet = nn.Sequential(nn.Linear(4, 1){0})\n"
        "for step in range(3):\n    {1}_real = net(torch.rand(2, 4))\n    {1}_fake = net(torch.rand(2, 4))\n"
        "    loss = -torch.mean({2})\n    loss.backward()\n    print({3})\n"
    )
    logs = "torch.log(prob_real) + torch.log(1 - prob_fake)"
    stable = "nn.functional.logsigmoid(logits_real) + nn.functional.logsigmoid(-logits_fake)"
    after = fixed(tmp_path, program.format(", nn.Sigmoid()", "prob", logs, "prob_real.mean()"))
    assert after == program.format("", "logits", stable, "torch.sigmoid(logits_real).mean()")


def test_a_layers_output_is_renamed_in_a_function(tmp_path: Path) -> None:
    program = (
        "import keras\n\n\ndef build():\n    i = keras.Input((4,))\n    probs = keras.layers.Dense(3{})(i)\n"
        "    return keras.Model(i, probs)\n\n\nmodel = build()\nmodel.compile(loss={})\n"
    )
    before = program.format(", activation='softmax'", "'categorical_crossentropy'")
    after = program.format("", "keras.losses.CategoricalCrossentropy(from_logits=True)").replace("probs", "logits")
    assert fixed(tmp_path, before) == after


def test_in_a_loop_the_logits_name_is_read_where_the_round_has_it(tmp_path: Path) -> None:
    head = f"{TORCH}{CLASS}    def forward(self, x):\n        out = []\n        for _ in range(3):\n"
    before = (
        "            score = self.fc(x)\n            softmaxed = F.softmax(score, dim=1)\n"
        "            out.append(softmaxed)\n"
        "            x = x + softmaxed.argmax(1).float()\n        return torch.cat(out)\n"
    )
    after = (
        "            score = self.fc(x)\n            out.append(score)\n"
        "            x = x + score.argmax(1).float()\n        return torch.cat(out)\n"
    )
    assert fixed(tmp_path, f"{head}{before}{REST}") == f"{head}{after}{REST}"


#: who reads a model's output by a name -> what becomes of the name
OUTPUTS = {
    "probs = net(x)\n    return F.cross_entropy(probs, y), probs.argmax(1)": (
        "logits = net(x)\n    return F.cross_entropy(logits, y), logits.argmax(1)"
    ),
    "action_prob = net(x)\n    print(action_prob.max())\n    return F.cross_entropy(action_prob, y)": (
        "action_logits = net(x)\n    print(action_logits.softmax(dim=1).max())\n"
        "    return F.cross_entropy(action_logits, y)"
    ),
    "p_real, p_fake = net(x), net(-x)\n    return F.cross_entropy(p_real, y)": "",
    "p_real = net(x)\n    p_fake = net(-x)\n    return F.cross_entropy(p_real, y) - F.cross_entropy(p_fake, y)": (
        "logits_real = net(x)\n    logits_fake = net(-x)\n"
        "    return F.cross_entropy(logits_real, y) - F.cross_entropy(logits_fake, y)"
    ),
    "probs = net(x)\n    probs = probs * 2\n    return F.cross_entropy(probs, y)": (
        "probs = net(x)\n    probs = probs.softmax(dim=1) * 2\n    return F.cross_entropy(probs, y)"
    ),
    "probs = net(x)\n    show(locals())\n    return F.cross_entropy(probs, y)": "",
    "out = net(x)\n    return F.cross_entropy(out, y)": "",
    "probs = net(x)\n    print(probs)\n    return probs": (
        "probs = net(x).softmax(dim=1)\n    print(probs)\n    return probs"
    ),
}


@pytest.mark.parametrize(("before", "after"), OUTPUTS.items())
def test_what_becomes_of_an_outputs_name(tmp_path: Path, before: str, after: str) -> None:
    net = f"{TORCH}{CLASS}    def forward(self, x):\n        return {{}}\n{REST}"
    program = f"{net}\ndef show(*_): ...\n\ndef more(x, y):\n    "
    old = f"{program.format('F.softmax(self.fc(x), dim=1)')}{before}\n"
    assert fixed(tmp_path, old) in (f"{program.format('self.fc(x)')}{after or before}\n", old if not after else None)


def test_a_second_name_that_would_lie_is_changed_too(tmp_path: Path) -> None:
    head = "import torch.nn.functional as F\nfrom torch import nn\n\nnet = nn.Linear(4, 3)\n\n"
    head += "def step(x, y):\n    scores = net(x)\n"
    before = "    # 经过sigmoid\n    probs = F.sigmoid(scores)\n    flat_probs = probs.view(-1)\n"
    loss = "    return F.binary_cross_entropy{}({}, y.view(-1))\n"
    mended = fixed(tmp_path, head + before + loss.format("", "flat_probs"))
    assert mended == head + "    flat_logits = scores.view(-1)\n" + loss.format("_with_logits", "flat_logits")
