"""Keras models that objects keep: the model of probabilities is made with them, once, or its price is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed, repaired

HEAD = "import keras\n\n\nclass Agent{bases}:\n"
INIT = (
    "    def __init__(self, n):\n        self.n = n\n        self.model = keras.Sequential()\n"
    '        self.model.add({last})\n        self.model.compile("sgd", {loss})\n{made}        self.seen = []\n\n'
)
ACT = "    def act(self, x):\n        self.seen.append(x)\n        return choose({asked}.predict(x)[0])\n"
BEFORE = {"last": 'keras.layers.Dense(n, activation="softmax")', "loss": '"categorical_crossentropy"', "made": ""}
MADE = "        self.probability_model = keras.Sequential([self.model, keras.layers.Softmax()])\n"
AFTER = {
    "last": "keras.layers.Dense(n)",
    "loss": "keras.losses.CategoricalCrossentropy(from_logits=True)",
    "made": MADE,
}
RUN = "\nagent = Agent(3)\nfor x in data:\n    agent.act(x)\n"


def note_of(folder: Path, program: str) -> str:
    (folder / "program.py").write_text(program)
    (fix,) = (f.fix for f in repaired(folder / "program.py").remaining)
    assert fix is not None
    return fix.note


def test_it_is_made_where_the_object_makes_its_model(tmp_path: Path) -> None:
    head = HEAD.format(bases="")
    before = head + INIT.format(**BEFORE) + ACT.format(asked="self.model") + RUN
    assert fixed(tmp_path, before) == head + INIT.format(**AFTER) + ACT.format(asked="self.probability_model") + RUN


def test_once_for_all_methods(tmp_path: Path) -> None:
    other = "\n    def best(self, x):\n        return self.model.predict(x).max()\n"
    before = HEAD.format(bases="") + INIT.format(**BEFORE) + ACT.format(asked="self.model") + other + RUN
    after = fixed(tmp_path, before)
    assert after.count(MADE) == 1
    assert after.count("self.probability_model.predict(x)") == 2


def test_behind_the_call_that_builds_it(tmp_path: Path) -> None:
    build = (
        "def build():\n    net = keras.Sequential([{last}])\n"
        '    net.compile("sgd", {loss})\n    return net\n\n\nclass Agent:\n'
        "    def __init__(self):\n        self.model = build()\n{made}        self.seen = []\n\n"
    )
    before, after = ({k: v.replace("(n", "(3") for k, v in words.items()} for words in (BEFORE, AFTER))
    run = RUN.replace("Agent(3)", "Agent()")
    start = "import keras\n\n\n"
    assert fixed(tmp_path, start + build.format(**before) + ACT.format(asked="self.model") + run) == (
        start + build.format(**after) + ACT.format(asked="self.probability_model") + run
    )


#: where it can't be made with the model: what the class or its method has, and what that is instead
APART = {
    "the model may be another later": ("", "\n    def anew(self, other):\n        self.model = other\n"),
    "the class keeps count of its layers": ("(keras.Model)", ""),
}


@pytest.mark.parametrize(("bases", "more"), APART.values(), ids=APART)
def test_a_model_for_each_step_is_not_made_unasked(bases: str, more: str, tmp_path: Path) -> None:
    init = INIT.replace("        self.n = n\n", "        super().__init__()\n") if bases else INIT
    program = HEAD.format(bases=bases) + init.format(**BEFORE) + ACT.format(asked="self.model") + more + RUN
    assert "makes a model of probabilities whenever `act` is called" in note_of(tmp_path, program)


def test_nor_by_a_function_that_is_called_in_a_loop(tmp_path: Path) -> None:
    program = (
        'import keras\n\nmodel = keras.Sequential([keras.layers.Dense(3, activation="softmax")])\n'
        'model.compile("sgd", "categorical_crossentropy")\n\n\ndef act(x):\n    return choose(model.predict(x))\n\n\n'
        "def play():\n    return act(data)\n\n\nfor _ in range(9):\n    play()\n"
    )
    assert "whenever `act` is called" in note_of(tmp_path, program)
