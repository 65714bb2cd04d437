"""What runs: the tables of backends and heads, and the grid made of them."""

from __future__ import annotations

import pytest

from finallayer.compare.backends import BACKENDS, BY_NAME, parse_backends
from finallayer.compare.compare_error import BadInputError
from finallayer.compare.fairness import epoch_order, initial_weights
from finallayer.compare.grid import INPUTS, PRECISIONS, Cell, doses, order, parse_choices, plan
from finallayer.compare.heads import BASELINE, DOSES, HEADS, find_head, head_names, parse_heads


def test_every_framework_has_the_baseline_and_no_head_twice() -> None:
    for framework in ("keras", "torch"):
        assert find_head(framework, BASELINE).softmax_in_model is False
    assert len({(head.framework, head.name) for head in HEADS}) == len(HEADS)


def test_backends_have_short_names_and_come_in_the_tables_order() -> None:
    assert [backend.name for backend in parse_backends(["torch", "jax", "tf"])] == [
        "keras-tensorflow",
        "keras-jax",
        "torch",
    ]


@pytest.mark.parametrize(
    ("parse", "says"),
    [
        (lambda: parse_backends(["mxnet"]), "--backends: unknown backend 'mxnet'; expected some of: keras-tensorflow"),
        (
            lambda: parse_heads(["hinge"]),
            "--heads: unknown head 'hinge'; expected some of: softmax, softmax-float32, logits",
        ),
        (lambda: parse_choices("--precisions", ["float8"], PRECISIONS), "--precisions: unknown value 'float8'"),
        (lambda: parse_choices("--inputs", ["whitened"], INPUTS), "--inputs: unknown value 'whitened'"),
        (lambda: parse_choices("--inputs", [], INPUTS), "--inputs: empty"),
        (lambda: parse_backends([]), "--backends: empty"),
        (lambda: parse_heads([]), "--heads: empty"),
    ],
)
def test_an_unknown_name_lists_the_known_ones(parse: object, says: str) -> None:
    with pytest.raises(BadInputError) as caught:
        parse()  # type: ignore[operator]
    assert says in str(caught.value)


def test_the_baseline_always_runs() -> None:
    assert parse_heads(["softmax"]) == ["softmax", "logits"]


def test_the_grid_gives_each_framework_its_own_heads() -> None:
    cells = plan(BACKENDS, ["mixed_bfloat16"], ["raw"], head_names(), seeds=2)
    assert len(cells) == len(set(cells))
    for backend in BACKENDS:
        ours = [head.name for head in HEADS if head.framework == backend.framework]
        assert [cell.head for cell in cells if cell.backend == backend.name] == ours * 2
    assert "clipped-log" not in {cell.head for cell in cells if cell.backend != "torch"}


def test_a_softmax_kept_in_float32_is_no_other_head_in_float32() -> None:
    for precision, expected in (("float32", False), ("mixed_bfloat16", True)):
        cells = plan([BY_NAME["keras-jax"]], [precision], ["raw"], head_names(), seeds=1)
        assert ("softmax-float32" in {cell.head for cell in cells}) is expected


def test_the_doses_run_in_one_setting_that_nothing_rescues() -> None:
    def dosed(*names: str, heads: list[str] | None = None, inputs: str = "raw") -> list[Cell]:
        asked = parse_heads(heads or ["softmax", "epsilons"])
        return doses(plan([BY_NAME[name] for name in names], ["float32"], [inputs], asked, seeds=2), asked)

    cells = dosed("keras-tensorflow", "keras-jax", "keras-torch")
    assert {cell.backend for cell in cells} == {"keras-jax"} and len(cells) == 2 * len(DOSES)
    assert (
        dosed("keras-tensorflow") == dosed("keras-jax", heads=["softmax"]) == dosed("keras-jax", inputs="scaled") == []
    )
    assert [find_head("keras", cell.head).epsilon for cell in cells[:3]] == [1e-4, 1e-15, 1e-30]


def test_seeds_are_outermost_so_that_a_run_cut_short_leaves_whole_comparisons() -> None:
    cells = plan([BY_NAME["keras-jax"]], ["float32"], ["raw", "scaled"], ["softmax", "logits"], seeds=3)
    assert [cell.seed for cell in cells] == sorted(cell.seed for cell in cells)
    assert sorted(cells, key=order)[0] == Cell("keras-jax", "float32", "raw", "softmax", 0)


def test_initial_weights_are_the_seeds_alone_and_drawn_as_keras_draws_them() -> None:
    weights = initial_weights(3, 64, 10)
    assert [w.shape for w in weights] == [(64, 128), (128,), (128, 10), (10,)]
    for again, other, kernel in zip(initial_weights(3, 64, 10), initial_weights(4, 64, 10), weights, strict=True):
        assert (again == kernel).all()
        assert kernel.any() == (other != kernel).any()  # biases are 0 for every seed
    limit = (6 / (64 + 128)) ** 0.5
    assert 0.97 * limit < abs(weights[0]).max() <= limit


def test_every_epoch_has_an_order_of_its_own() -> None:
    first, second = epoch_order(0, 1, 100), epoch_order(0, 2, 100)
    assert sorted(first) == sorted(second) == list(range(100))
    assert (first != second).any() and (first == epoch_order(0, 1, 100)).all()


def test_what_is_missing_is_named_with_its_install_command() -> None:
    for backend in BACKENDS:
        assert backend.install.startswith("pip install")
        assert all(module in backend.install for module in backend.modules)
