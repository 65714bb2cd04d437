"""Where the import goes that a fix needs: before the first that uses it, once, however many do."""

from __future__ import annotations

import json
from pathlib import Path

from ..workbench import fixed, fixed_bytes

HEAD = "from keras.models import Sequential\nfrom keras.layers import Dense\n"
BUILD = 'def build():\n    return Sequential([Dense(3, activation="softmax")])\n\n'
TRAIN = 'def train(model):\n    model.compile("adam", "categorical_crossentropy")\n    model.fit(a, b)\n\n'
LATE = "from keras.preprocessing.image import ImageDataGenerator\n\nprint(ImageDataGenerator())\n"
LINE = "from keras.losses import CategoricalCrossentropy\n"


def cells(folder: Path, *sources: str) -> list[str]:
    """The sources of a notebook's cells after its fixes."""
    made: list[dict[str, object]] = [
        {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": s} for s in sources
    ]
    book = json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    return [cell["source"] for cell in json.loads(fixed_bytes(folder, book.encode(), "book.ipynb"))["cells"]]


def test_not_behind_a_call_of_what_uses_it(tmp_path: Path) -> None:
    after = fixed(tmp_path, f"{HEAD}\n{BUILD}{TRAIN}train(build())\n\n{LATE}")
    assert after.index(LINE) < after.index("def train")


def test_a_later_cell_s_imports_are_no_place_for_it(tmp_path: Path) -> None:
    first, used, late = cells(tmp_path, HEAD + BUILD, f"{TRAIN}train(build())\n", LATE)
    assert LINE in first
    assert "CategoricalCrossentropy(from_logits=True)" in used
    assert late == LATE


def test_once_for_two_that_need_it_at_either_side_of_other_imports(tmp_path: Path) -> None:
    training = f"{TRAIN}train(build())\n"
    sources = cells(tmp_path, HEAD + BUILD, training, LATE, training)
    assert "".join(sources).count(LINE) == 1
    assert all("from_logits=True" in sources[i] for i in (1, 3))


def test_what_is_imported_later_is_spelled_so_only_where_it_is_there_by_then(tmp_path: Path) -> None:
    late = "from keras import losses\n\nprint(losses.mse)\n"
    after = fixed(tmp_path, f"{HEAD}\n{BUILD}{TRAIN}train(build())\n\n{late}")
    assert after.index(LINE) < after.index("def train")
    assert "losses.CategoricalCrossentropy" not in after.replace("keras.losses", "")
