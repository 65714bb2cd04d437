"""Keras: where the model of probabilities is made whose ``predict`` takes the place of the mended model's."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..workbench import fixed

IMPORT = "import keras\n\n"
HEAD = '[keras.layers.Dense(10, activation="softmax")]'
COMPILE = 'model.compile(loss="categorical_crossentropy")\n'
MODEL = f"model = keras.Sequential({HEAD})\n{COMPILE}"
WHOLE = "keras.Sequential([model, keras.layers.Softmax()])"
MADE = f"probability_model = {WHOLE}\n"


def mended(program: str) -> str:
    """What becomes of the model in a program."""
    logits = "[keras.layers.Dense(10)]"
    loss = "loss=keras.losses.CategoricalCrossentropy(from_logits=True)"
    return program.replace(HEAD, logits).replace('loss="categorical_crossentropy"', loss)


#: what reads the probabilities, before and after
READERS = {
    "in a loop: made once, before it": (
        "for x in batches:\n    print(model.predict(x))\n",
        f"{MADE}for x in batches:\n    print(probability_model.predict(x))\n",
    ),
    "in nested loops and branches": (
        "for x in batches:\n    if x is not None:\n        with timer:\n            print(model.predict(x))\n",
        f"{MADE}for x in batches:\n    if x is not None:\n        with timer:\n"
        "            print(probability_model.predict(x))\n",
    ),
    "in both branches": (
        "if flag:\n    print(model.predict(x))\nelse:\n    print(model.predict(-x))\n",
        f"{MADE}if flag:\n    print(probability_model.predict(x))\nelse:\n    print(probability_model.predict(-x))\n",
    ),
    "in two loops": (
        "for x in a:\n    print(model.predict(x))\nfor x in b:\n    print(model.predict(x))\n",
        f"{MADE}for x in a:\n    print(probability_model.predict(x))\n"
        "for x in b:\n    print(probability_model.predict(x))\n",
    ),
    "in a comprehension over data": (
        "print([model.predict(x) for x in batches])\n",
        f"{MADE}print([probability_model.predict(x) for x in batches])\n",
    ),
    "in a function": (
        "def show(xs):\n    for x in xs:\n        print(model.predict(x))\n\nshow(data)\n",
        "def show(xs):\n    probability_model = keras.Sequential([model, keras.layers.Softmax()])\n"
        "    for x in xs:\n        print(probability_model.predict(x))\n\nshow(data)\n",
    ),
    "by enumerate and zip": (
        "p = model.predict(x)\nfor i, (row, y) in enumerate(zip(p, labels)):\n    print(i, row.max(), y)\n",
        f"{MADE}p = probability_model.predict(x)\nfor i, (row, y) in enumerate(zip(p, labels)):\n"
        "    print(i, row.max(), y)\n",
    ),
    "written into": (
        "p = model.predict(x)\np[:, 0] = 0\nprint(p)\n",
        f"{MADE}p = probability_model.predict(x)\np[:, 0] = 0\nprint(p)\n",
    ),
    "in a function after the module has made it": (
        "print(model.predict(x))\n\ndef show(x):\n    print(model.predict(x))\n\nshow(data)\n",
        f"{MADE}print(probability_model.predict(x))\n\ndef show(x):\n    print(probability_model.predict(x))\n\n"
        "show(data)\n",
    ),
    "in a function before the module makes it": (
        "def show(x):\n    print(model.predict(x))\n\nprint(model.predict(x))\nshow(data)\n",
        f"def show(x):\n    {MADE}    print(probability_model.predict(x))\n\n"
        f"{MADE}print(probability_model.predict(x))\nshow(data)\n",
    ),
    "in a function that is handed it": (
        "print(model.predict(x))\n\ndef show(model, x):\n    print(model.predict(x))\n\nshow(model, data)\n",
        f"{MADE}print(probability_model.predict(x))\n\ndef show(model, x):\n    {MADE}"
        "    print(probability_model.predict(x))\n\nshow(model, data)\n",
    ),
    "in a lambda": (
        "ask = lambda x: model.predict(x)\nprint(ask(data))\n",
        f"ask = lambda x: {WHOLE}.predict(x)\nprint(ask(data))\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), READERS.values(), ids=READERS)
def test_where_it_is_made(tmp_path: Path, before: str, after: str) -> None:
    assert fixed(tmp_path, f"{IMPORT}{MODEL}{before}") == mended(f"{IMPORT}{MODEL}") + after


def test_of_a_model_that_is_made_in_a_loop_it_is_made_there(tmp_path: Path) -> None:
    inside = "".join(f"    {line}\n" for line in MODEL.splitlines())
    before = f"{IMPORT}for n in range(3):\n{inside}    for x in data:\n        print(model.predict(x))\n"
    after = (
        f"{IMPORT}for n in range(3):\n{mended(inside)}    {MADE}"
        "    for x in data:\n        print(probability_model.predict(x))\n"
    )
    assert fixed(tmp_path, before) == after


def test_it_is_made_anew_where_the_name_is_another_models(tmp_path: Path) -> None:
    model = "model = build()\n"
    build = f"def build():\n    model = keras.Sequential({HEAD})\n    {COMPILE}    return model\n\n"
    read = "print(model.predict(x))\n"
    before = f"{IMPORT}{build}{model}{read}{model}{read}"
    asked = read.replace("model.", "probability_model.")
    assert fixed(tmp_path, before) == mended(f"{IMPORT}{build}") + f"{model}{MADE}{asked}{model}{MADE}{asked}"


def test_a_comprehension_over_models_makes_one_of_each(tmp_path: Path) -> None:
    read = "print([model.predict(x) for model in [model]])\n"
    after = fixed(tmp_path, f"{IMPORT}{MODEL}{read}")
    assert after in (f"{IMPORT}{MODEL}{read}", mended(f"{IMPORT}{MODEL}") + read.replace("model.p", f"{WHOLE}.p"))


def test_what_is_called_and_written_into_is_left_alone(tmp_path: Path) -> None:
    program = f"{IMPORT}{MODEL}p = model(x)\np[:, 0] = 0\nprint(p, model.predict(x))\n"
    assert fixed(tmp_path, program) == program


#: how the file knows Keras -> how it says the rest
IMPORTS = {
    "from keras import *\nfrom keras.layers import *\n": (
        "from keras import *\nfrom keras.layers import *\n",
        "Softmax()",
    ),
    "from keras import Sequential, layers\nfrom keras.layers import Dense\n": (
        "from keras import Sequential, layers\nfrom keras.layers import Dense\n",
        "layers.Softmax()",
    ),
    "from keras.layers import Dense\nfrom keras.models import Sequential\n": (
        "from keras.layers import Dense, Softmax\nfrom keras.losses import CategoricalCrossentropy\n"
        "from keras.models import Sequential\n",
        "Softmax()",
    ),
    "from keras.models import Sequential\nfrom keras.layers import (\n    Dense,\n)\n": (
        "from keras.models import Sequential\nfrom keras.layers import (\n    Dense, Softmax,\n)\n"
        "from keras.losses import CategoricalCrossentropy\n",
        "Softmax()",
    ),
}


@pytest.mark.parametrize(("imports", "expected"), IMPORTS.items(), ids=str)
def test_names_are_imported_as_the_file_imports(tmp_path: Path, imports: str, expected: tuple[str, str]) -> None:
    after, layer = expected
    program = (
        f"{imports}\nm = Sequential([Dense(3, activation='softmax')])\nm.compile(loss='categorical_crossentropy')\n"
    )
    mended = fixed(tmp_path, f"{program}print(m.predict(x))\n")
    assert mended.startswith(f"{after}\nm = ") or "losses" not in after
    assert f"probability_m = Sequential([m, {layer}])\n" in mended


def test_a_name_that_a_star_brings_and_the_file_binds_is_another(tmp_path: Path) -> None:
    program = "from keras import *\nfrom keras.layers import *\n\nSoftmax = 1\n"
    program += "m = Sequential([Dense(3, activation='softmax')])\nm.compile(loss='categorical_crossentropy')\n"
    assert "Softmax()" not in fixed(tmp_path, f"{program}print(m.predict(x))\n")


def test_an_activation_that_comes_from_an_old_module_is_taken_as_it_is(tmp_path: Path) -> None:
    program = (
        "from keras.layers import Dense\nfrom keras.layers.core import Activation\n"
        "from keras.models import Sequential\n\n"
        'model = Sequential([Dense(1), Activation("sigmoid")])\n'
        'model.compile(loss="binary_crossentropy")\nprint(model.predict(x))\n'
    )
    assert 'probability_model = Sequential([model, Activation("sigmoid")])\n' in fixed(tmp_path, program)
    own = program.replace("from keras.layers.core import Activation", "from keras.layers.noise import AlphaDropout")
    own = own.replace('Activation("sigmoid")', 'Dense(1, activation="sigmoid")')
    assert "from keras.layers import Activation, Dense\n" in fixed(tmp_path, own)


@pytest.mark.parametrize("several", [True, False])
def test_no_sequence_begins_with_a_model_of_several_inputs(tmp_path: Path, several: bool) -> None:
    inputs = "[a, b]" if several else "a"
    program = (
        f"{IMPORT}a, b = keras.Input((4,)), keras.Input((4,))\n"
        f'o = keras.layers.Dense(10, activation="softmax")({"a + b" if several else "a"})\n'
        f"model = keras.Model({inputs}, o)\n{COMPILE}print(model.predict(x))\n"
    )
    after = fixed(tmp_path, program)
    assert (after == program) is several
    assert (MADE in after) is not several
