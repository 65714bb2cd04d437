"""The generators, by framework."""

from __future__ import annotations

import random
from collections.abc import Callable

from . import Generator, Program
from .jax_programs import jax_program
from .jax_projects import jax_project
from .keras_programs import keras_program
from .keras_projects import keras_project
from .projects import Project
from .tf1_projects import tf1_project
from .torch_programs import torch_program
from .torch_projects import torch_project


def _keras(draw: random.Random) -> Program:
    import keras

    return keras_program(draw, keras.backend.backend())


def _keras_project(draw: random.Random) -> Project:
    import keras

    return keras_project(draw, keras.backend.backend())


GENERATORS: dict[str, Generator] = {"torch": torch_program, "keras": _keras, "jax": jax_program}
PROJECTS: dict[str, Callable[[random.Random], Project]] = {
    "torch": torch_project,
    "keras": _keras_project,
    "jax": jax_project,
    "tf1": tf1_project,
}
