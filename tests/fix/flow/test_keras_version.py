"""Which Keras a program runs on: one that would fail on Keras 3 may have a threshold of 0, which 3.0 to 3.4 refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed

PROGRAM = (
    "{imports}import keras\n\nnet = keras.Sequential([keras.layers.Dense(1, activation='sigmoid')])\n"
    "{before}net.compile({optimizer}, 'binary_crossentropy', metrics=['accuracy'])\n{after}"
)


def program(imports: str = "", before: str = "", optimizer: str = "'sgd'", after: str = "net.fit(x, y)\n") -> str:
    return PROGRAM.format(imports=imports, before=before, optimizer=optimizer, after=after)


OLDER = {
    "an argument that optimizers had": program(optimizer="keras.optimizers.Adam(lr=0.1)"),
    "a method that models had": program(after="net.fit_generator(rows)\n"),
    "under the main guard": program(after="if __name__ == '__main__':\n    net.fit_generator(rows)\n"),
    "a function that is called": program(after="def train():\n    net.fit_generator(rows)\n\n\ntrain()\n"),
    "a module that there was": program("from keras.layers.core import Dropout\n"),
    "a module of utilities": program("from keras.utils import np_utils\n"),
    "TensorFlow 1": program("import tensorflow as tf\n", before="session = tf.Session()\n"),
}
ANY = {
    "what every Keras has": program(optimizer="keras.optimizers.Adam(learning_rate=0.1)"),
    "an old module, or else a new one": program(
        "try:\n    from keras.layers.core import Dropout\nexcept ImportError:\n    from keras.layers import Dropout\n"
    ),
    "by the version": program(after="if keras.__version__ < '3':\n    net.fit_generator(rows)\n"),
    "another's method by that name": program(after="forest.predict_proba(x)\n"),
    "another's argument by that name": program(after="plot(lr=0.1)\n"),
    "TensorFlow 1 in TensorFlow 2": program("import tensorflow.compat.v1 as tf\n", before="session = tf.Session()\n"),
}


@pytest.mark.parametrize("text", OLDER.values(), ids=OLDER)
def test_a_program_for_an_older_keras_is_told_a_threshold_of_0(tmp_path: Path, text: str) -> None:
    assert "threshold=0" in fixed(tmp_path, text)


@pytest.mark.parametrize("text", ANY.values(), ids=ANY)
def test_one_that_may_run_on_any_isnt(tmp_path: Path, text: str) -> None:
    assert fixed(tmp_path, text) == text
