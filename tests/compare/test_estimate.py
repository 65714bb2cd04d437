"""The time left, on a clock of our own."""

from __future__ import annotations

import pytest

from finallayer.compare.backends import BY_NAME
from finallayer.compare.estimate import Estimator
from finallayer.compare.grid import Cell, plan

START, COLD, WARM = 5.0, 3.0, 1.0


def queue(backend: str, seeds: int = 3) -> list[Cell]:
    """Two programs of ``seeds`` runs each: two cold cells, the rest warm."""
    return plan([BY_NAME[backend]], ["float32"], ["raw"], ["softmax", "logits"], seeds)


def drive(queues: dict[str, list[Cell]], jobs: int) -> list[tuple[float, float | None]]:
    """Run the queues on a made-up clock with known costs; (time, estimate) after every event, and the end."""
    estimator = Estimator(queues, jobs, epochs=2)
    waiting, agenda, said = list(queues), [], []  # type: ignore[var-annotated]
    now, running = 0.0, 0
    while waiting or agenda:
        while waiting and running < jobs:
            agenda.append((now + START, waiting.pop(0), 0))
            running += 1
        agenda.sort()
        now, backend, done = agenda.pop(0)
        cells = queues[backend]
        if done == 0:
            estimator.ready(backend, START, now)
        else:
            estimator.finished(cells[done - 1], now)
        if done < len(cells):
            agenda.append((now + (COLD if done < 2 else WARM), backend, done + 1))
        else:
            estimator.closed(backend)
            running -= 1
        said.append((now, estimator.left(now)))
    return said


def test_nothing_is_claimed_before_something_is_measured() -> None:
    estimator = Estimator({"keras-jax": queue("keras-jax")}, 1, epochs=2)
    assert estimator.left(0.0) is None
    estimator.ready("keras-jax", START, START)
    assert estimator.left(START) is None


@pytest.mark.parametrize("jobs", [1, 2])
def test_once_cold_and_warm_cells_are_known_the_estimate_is_exact(jobs: int) -> None:
    said = drive({name: queue(name) for name in ("keras-tensorflow", "keras-jax", "keras-torch")}, jobs)
    end = said[-1][0]
    known = [(now, left) for now, left in said if now >= START + 2 * COLD + WARM]
    assert len(known) > 8
    for now, left in known:
        assert left == pytest.approx(end - now)


def test_while_only_compiling_cells_are_known_their_later_epochs_tell_what_the_others_take() -> None:
    cells = queue("keras-jax")
    estimator = Estimator({"keras-jax": cells}, 1, epochs=4)
    estimator.ready("keras-jax", START, 0.0)
    for number, now in enumerate((9.0, 9.5, 10.0, 10.5), start=1):  # 9 s with the compiler, then half a second each
        estimator.epoch(cells[0], number, now)
    estimator.finished(cells[0], 10.5)
    assert estimator.left(10.5) == pytest.approx(10.5 + 4 * (4 * 0.5))  # another that compiles, and four that do not


def test_time_passes_within_a_cell_but_never_below_what_is_left_after_it() -> None:
    cells = queue("keras-jax")
    estimator = Estimator({"keras-jax": cells}, 1, epochs=2)
    estimator.ready("keras-jax", START, 0.0)
    estimator.finished(cells[0], 3.0)
    assert estimator.left(4.0) == pytest.approx(14.0)  # five cells of 3 s, 1 s into the first of them
    assert estimator.left(60.0) == pytest.approx(12.0)  # that one takes longer than thought: four are left


def test_a_machine_that_slows_down_is_noticed() -> None:
    cells = queue("keras-jax", seeds=20)
    estimator = Estimator({"keras-jax": cells}, 1, epochs=2)
    estimator.ready("keras-jax", START, 0.0)
    now = 0.0
    for index in range(30):
        now += 1.0 if index < 20 else 4.0
        estimator.finished(cells[index], now)
    assert estimator.left(now) == pytest.approx(10 * 4.0)


def test_a_child_that_died_is_not_waited_for() -> None:
    queues = {name: queue(name) for name in ("keras-jax", "keras-torch")}
    estimator = Estimator(queues, 2, epochs=2)
    for name in queues:
        estimator.ready(name, START, 0.0)
    estimator.finished(queues["keras-jax"][0], 1.0)
    estimator.closed("keras-torch")
    assert estimator.left(1.0) == pytest.approx(5.0)
