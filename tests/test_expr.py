"""The table of operations: complete, true of what numerics computes, and all that the catalogue needs."""

from __future__ import annotations

from typing import Any

import pytest

from finallayer import catalog
from finallayer.catalog import jax, keras, numpy, standard, tensorflow, torch
from finallayer.expr import (
    ANY_MAY_CARRY,
    ATTRIBUTES,
    LOSSES,
    MOVES,
    ON_LOGITS,
    OPERATIONS,
    SAME_AXES,
    SAME_RANK,
    UNMOVED,
    UNREAD,
    Keeps,
    Operation,
    Role,
    having,
    keeping,
    make,
    undeclared,
)
from finallayer.kinds import Kind
from finallayer.numerics import forward_backward as computed
from finallayer.numerics.arithmetic import rounding_to

#: One of these says what an operation is in the first place.
MAIN = list(Role)[: list(Role).index(Role.STATED) + 1]
#: What may give another shape than its argument's: padding, and a row for each label.
PADS = {"mask", "one_hot"}
#: What needs a number gets this one; nothing changes its order.
NUMBERS = {"value": 0.5, "low": 0.25, "high": 4.0, "eps": 1e-3, "by": 2.0}
ROW = [0.125, 0.5, 1.0, 3.0]


@pytest.mark.parametrize("op", OPERATIONS)
def test_a_row_is_complete(op: str) -> None:
    row = OPERATIONS[op]
    assert sum(role in row.role for role in MAIN) == 1
    assert row.declares <= ATTRIBUTES.keys()
    assert set(row.needs.split()) <= row.declares
    assert row.over or Role.HEAD not in row.role
    assert row.over or Role.LOSS not in row.role or row.takes is Kind.UNKNOWN
    assert row.gives is not Kind.UNKNOWN or Role.PLACE not in row.role
    assert (Keeps.NUMBERS in row.keeps) == (Role.PLACE in row.role)
    assert Keeps.AXES in row.keeps or Role.ELEMENTWISE not in row.role or op in PADS


def test_every_attribute_is_some_operations_and_has_a_type() -> None:
    carried = set().union(*(row.declares for row in OPERATIONS.values()))
    assert carried == ATTRIBUTES.keys()
    assert carried >= ANY_MAY_CARRY
    assert all(ATTRIBUTES.values())


def one_argument(op: str, row: list[float]) -> list[float]:
    """What numerics makes of a row, the largest entry the target's."""
    attrs: dict[str, Any] = {name: NUMBERS[name] for name in OPERATIONS[op].needs.split()}
    node = make(op, make("logits"), **attrs)
    parts = computed.composed(node)
    if parts is not node:
        pytest.skip("made of other operations")
    m = rounding_to("float64")
    value, _ = computed.OPERATIONS[op](m, [row, [0.0, 0.0, 0.0, 1.0]], dict(node.attrs))
    return value


@pytest.mark.parametrize("op", sorted(MOVES & computed.OPERATIONS.keys()))
def test_what_keeps_numbers_does(op: str) -> None:
    assert set(one_argument(op, ROW)) <= set(ROW)


@pytest.mark.parametrize("op", sorted(keeping(Keeps.AXES) & computed.OPERATIONS.keys()))
def test_what_keeps_axes_gives_as_many_numbers(op: str) -> None:
    assert len(one_argument(op, ROW)) == len(ROW)


@pytest.mark.parametrize("op", sorted(computed.OPERATIONS.keys() & having(Role.ELEMENTWISE) | {"softmax", "softplus"}))
def test_what_keeps_the_order_does_and_nothing_else(op: str) -> None:
    value = one_argument(op, ROW)
    kept = value == sorted(value) and len(value) == len(ROW)
    assert kept >= (Keeps.ORDER in OPERATIONS[op].keeps)
    assert kept == (Keeps.ORDER in OPERATIONS[op].keeps) or op in ("scale", "mask", "one_hot")  # as the number has it


def test_losses_that_apply_the_softmax_or_sigmoid_are_told_from_those_that_take_any_numbers() -> None:
    assert {"xent_logits", "bce_logits"} == ON_LOGITS
    assert {op for op in LOSSES if OPERATIONS[op].takes is Kind.UNKNOWN} == {"mse", "mae", "hinge"}


def test_what_leaves_every_number_where_it_was_is_told_from_what_moves_them() -> None:
    assert {"cast", "identity", "stop_gradient"} == UNMOVED
    assert {"dropout", "norm", "activation", "cumsum"} <= SAME_AXES <= SAME_RANK
    assert make("cumsum", make("opaque", rank=3)).rank == make("affine", make("opaque", rank=3)).rank == 3
    assert make("pool", make("opaque", rank=3)).rank is None


def test_whatever_is_computed_has_a_row() -> None:
    assert computed.OPERATIONS.keys() | computed.COMPOSITES.keys() | computed.NAIVE.keys() <= OPERATIONS.keys()
    assert all("naive" in OPERATIONS[op].declares for op in computed.NAIVE)
    assert LOSSES - computed.OPERATIONS.keys() - computed.COMPOSITES.keys() == {"mae", "hinge"}


@pytest.mark.undeclared
@pytest.mark.parametrize(
    ("op", "attrs", "wrong"),
    [
        ("softmax", {"axis": -1, "rank": 2, "naive": True}, []),
        ("softmax", {"axis": UNREAD}, []),
        ("softmax", {"axis": (0, 1)}, []),
        ("softmax", {"axis": 1.5}, ["softmax: axis is 1.5"]),
        ("softmax", {"eps": 1e-7}, ["softmax may not carry eps"]),
        ("xent_probs", {"via": "compile"}, ["xent_probs may not carry via"]),
        ("clip", {"low": "0"}, ["clip: low is '0'"]),
        ("sofmax", {"axis": -1}, ["no operation sofmax"]),
    ],
)
def test_what_no_row_declares_is_seen(op: str, attrs: dict[str, Any], wrong: list[str]) -> None:
    assert undeclared(make(op, make("logits"), **attrs)) == wrong


def test_a_row_can_be_told_from_any_other_by_its_roles_alone() -> None:
    """Queries are made of roles: an operation that is added with those of another is treated as that one is."""
    known = OPERATIONS | {"erf": Operation(Kind.UNKNOWN, Role.ELEMENTWISE, Keeps.AXES | Keeps.ORDER)}
    assert {op for op, row in known.items() if Keeps.AXES in row.keeps} == keeping(Keeps.AXES) | {"erf"}


TABLES = (standard, numpy, jax, tensorflow, keras, torch)
#: What a construct becomes that carries attributes.
MEANS = {"xent": ("xent_logits", "xent_probs"), "bce": ("bce_logits", "bce_probs")}


def test_the_catalogue_gives_no_operation_an_attribute_that_its_row_does_not_declare() -> None:
    wrong = set()
    for name, line in ((n, x) for t in TABLES for table in (t.NAMES, t.METHODS) for n, x in table.items()):
        signature = catalog.parse(line)
        params = {p.canonical for p in (*signature.params, *(signature.call or ()))} & catalog.ATTRIBUTES
        for op in MEANS.get(signature.op, (signature.op,)):
            if op in OPERATIONS:
                extra = (params | signature.attrs.keys()) - catalog.OF_THE_CALL - OPERATIONS[op].declares
                wrong |= {(op, attribute, name) for attribute in extra}
    assert wrong == set()
