"""Generators are begun by the seed, and a program's own seeds are moved by it."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

pytest.importorskip("torch")

import numpy as np
import torch

from finallayer.running.seeding import seeded


def drawn() -> list[float]:
    """What a program that sets its seeds draws."""
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    return [random.random(), float(np.random.rand()), float(torch.rand(1))]


def undisturbed() -> list[float]:
    return [random.random(), float(np.random.rand()), float(torch.rand(1)), float(np.random.default_rng().random())]


def with_seed(seed: int, draw) -> list[float]:
    with seeded(seed):
        return draw()


def test_with_seed_0_a_program_runs_as_it_is_written_and_with_others_on_numbers_of_its_own() -> None:
    as_written = drawn()
    assert with_seed(0, drawn) == as_written
    others = [with_seed(seed, drawn) for seed in (1, 2, 1)]
    assert others[0] == others[2]
    for a, b, c in zip(as_written, others[0], others[1], strict=True):
        assert len({a, b, c}) == 3


def test_a_program_that_sets_none_begins_with_ours() -> None:
    first, second, again = (with_seed(seed, undisturbed) for seed in (0, 1, 0))
    assert first == again
    assert all(a != b for a, b in zip(first, second, strict=True))


def test_generators_of_a_programs_own_stay() -> None:
    def own() -> list[float]:
        generator = torch.Generator().manual_seed(7)
        return [float(np.random.default_rng(7).random()), float(torch.rand(1, generator=generator))]

    assert with_seed(1, own) == own()


def test_all_is_as_before_afterwards() -> None:
    before = random.seed, np.random.seed, np.random.default_rng, torch.manual_seed, torch.cuda.manual_seed_all
    finders = list(sys.meta_path)
    with pytest.raises(KeyError), seeded(3):
        raise KeyError
    assert before == (
        random.seed,
        np.random.seed,
        np.random.default_rng,
        torch.manual_seed,
        torch.cuda.manual_seed_all,
    )
    assert sys.meta_path == finders


LATE = """
from importlib.util import find_spec
from finallayer.loading import when_loaded
told = []
def b(name, undo):
    told.append("b " + name)
    undo.callback(told.append, "end of " + name)
with when_loaded(["wave"], lambda n, _: told.append("a")), when_loaded(["wave", "json"], b):
    import json
    assert told == ["b json"], told
    assert find_spec("wave") and len(told) == 1
    import wave
    assert wave.open and sorted(told) == ["a", "b json", "b wave"], told
    import wave
    assert len(told) == 3
assert told[3:] == ["end of wave", "end of json"], told
told.clear()
with when_loaded(["json", "colorsys"], lambda n, _: (told.append(n), __import__("colorsys"))):
    assert told == ["json", "colorsys"], told
"""


def test_several_may_wait_for_a_module_whoever_asked_for_it_before() -> None:
    subprocess.run([sys.executable, "-c", LATE], check=True, timeout=60)
