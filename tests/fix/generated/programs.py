"""The generators, by framework."""

from __future__ import annotations

import random

from . import Generator, Program
from .jax_programs import jax_program
from .keras_programs import keras_program
from .torch_programs import torch_program


def _keras(draw: random.Random) -> Program:
    import keras

    return keras_program(draw, keras.backend.backend())


GENERATORS: dict[str, Generator] = {"torch": torch_program, "keras": _keras, "jax": jax_program}
