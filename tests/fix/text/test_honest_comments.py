"""Comments beside a head that went: none names a softmax that isn't there."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed

START = "import keras\n\n"
COMPILE = '\nmodel.compile("adam", "{}")\n'
LOSSES = {
    "softmax": ("categorical_crossentropy", "keras.losses.CategoricalCrossentropy(from_logits=True)"),
    "sigmoid": ("binary_crossentropy", "keras.losses.BinaryCrossentropy(from_logits=True)"),
}

#: the model as it is built, with the head as `{}`, and the same afterwards
COMMENTS = {
    "behind the layer": (
        'model = keras.Sequential([\n    keras.layers.Dense(1, activation="sigmoid"),  # Probability of rain\n])\n',
        "model = keras.Sequential([\n    keras.layers.Dense(1),  # Logit of rain\n])\n",
    ),
    "above the layer": (
        "model = keras.Sequential([\n    # a dense layer with a softmax activation\n"
        '    keras.layers.Dense(3, activation="softmax"),\n])\n',
        "model = keras.Sequential([\n    # a dense layer\n    keras.layers.Dense(3),\n])\n",
    ),
    "a transformation": (
        "# softmax transformation of the last hidden layer\nmodel = keras.Sequential()\n"
        'model.add(keras.layers.Dense(3, activation="softmax"))\n',
        "# logits of the last hidden layer\nmodel = keras.Sequential()\nmodel.add(keras.layers.Dense(3))\n",
    ),
    "above the lines that build it": (
        "# the last stage is softmax\nmodel = keras.Sequential()\nmodel.add(keras.layers.Dense(3))\n"
        'model.add(keras.layers.Activation("softmax"))\n',
        "# the last stage is logits\nmodel = keras.Sequential()\nmodel.add(keras.layers.Dense(3))\n",
    ),
    "of what it still is": (
        '# a softmax regression\nmodel = keras.Sequential([keras.layers.Dense(3, activation="softmax")])\n',
        "# a softmax regression\nmodel = keras.Sequential([keras.layers.Dense(3)])\n",
    ),
    "of a classifier": (
        '# a softmax classifier\nmodel = keras.Sequential([keras.layers.Dense(3, activation="softmax")])\n',
        "# a classifier\nmodel = keras.Sequential([keras.layers.Dense(3)])\n",
    ),
    "of another head": (
        "model = keras.Sequential()\n# the sigmoid of the hidden layer\n"
        'model.add(keras.layers.Dense(9, activation="sigmoid"))\nmodel.add(keras.layers.Dense(1))\n'
        'model.add(keras.layers.Activation("sigmoid"))\n',
        "model = keras.Sequential()\n# the sigmoid of the hidden layer\n"
        'model.add(keras.layers.Dense(9, activation="sigmoid"))\nmodel.add(keras.layers.Dense(1))\n',
    ),
    "of another paragraph": (
        '# what softmax is for\n\nmodel = keras.Sequential([keras.layers.Dense(3, activation="softmax")])\n',
        "# what softmax is for\n\nmodel = keras.Sequential([keras.layers.Dense(3)])\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), COMMENTS.values(), ids=COMMENTS)
def test_what_a_comment_says_afterwards(tmp_path: Path, before: str, after: str) -> None:
    head = "softmax" if "softmax" in before else "sigmoid"
    old, new = LOSSES[head]
    expected = START + after + COMPILE.format("").replace('""', new)
    assert fixed(tmp_path, START + before + COMPILE.format(old)) == expected


def test_a_comment_that_spells_the_head_as_code_goes_with_it(tmp_path: Path) -> None:
    """``tf.nn.logits`` doesn't exist, and a formula of softmax is none of logits."""
    program = (
        "import torch\nimport torch.nn.functional as F\n\nlayer = torch.nn.Linear(4, 3)\n\n\n"
        "# F.softmax gives one probability a class\n# softmax = exp(z) / exp(z).sum()\ndef predict(x):\n"
        "    return {}\n\n\ndef step(x, y):\n    return F.{}(predict(x){}, y)\n"
    )
    before = program.format("F.softmax(layer(x), dim=1)", "nll_loss", ".log()")
    after = fixed(tmp_path, before)
    assert after is not None and "softmax =" not in after and "F.logits" not in after
    assert "#" not in after
