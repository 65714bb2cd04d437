"""Whatever the frameworks list is catalogued, or left out by a decision with its reason."""

from __future__ import annotations

import pytest

from finallayer.catalog import lookup, method
from finallayer.catalog.names import canonical

from .not_followed import NOT_FOLLOWED
from .reality import resolve

LEFT_OUT = [name for names in NOT_FOLLOWED.values() for name in names.split()]
#: The listings, and whether they are of a tensor's methods.
LISTINGS = {"torch.Tensor": True, "jax.numpy": False, "keras.ops": False, "tensorflow.math": False}


def listed(whose: str) -> list[str]:
    """What a framework lists under a name: functions, or methods."""
    pytest.importorskip(whose.partition(".")[0])
    home = resolve(whose)
    found = {name: getattr(home, name) for name in dir(home) if not name.startswith("_")}
    return [name for name, value in found.items() if callable(value) and not isinstance(value, type)]


def catalogued(whose: str, name: str) -> bool:
    return (method(name) if LISTINGS[whose] else lookup(canonical(f"{whose}.{name}"))) is not None


@pytest.mark.parametrize("whose", LISTINGS)
def test_every_name_is_decided(whose: str) -> None:
    open_names = [name for name in listed(whose) if not catalogued(whose, name)]
    assert [name for name in open_names if name not in LEFT_OUT and name.removesuffix("_") not in LEFT_OUT] == []


def test_no_decision_stands_twice() -> None:
    assert sorted(LEFT_OUT) == sorted(set(LEFT_OUT))


def test_what_is_left_out_is_not_catalogued_all_the_same() -> None:
    given: dict[str, set[bool]] = {}
    for whose in LISTINGS:
        for name in listed(whose):
            given.setdefault(name.removesuffix("_"), set()).add(catalogued(whose, name))
    assert [name for name in LEFT_OUT if given.get(name) == {True}] == []
