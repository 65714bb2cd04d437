"""Cells on a real Dask cluster, and as jobs of submitit's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

import pytest

from finallayer.compare.compare_error import BadInputError
from finallayer.compare.own import engines
from finallayer.compare.own.cell import run_cell

PROGRAM = """\
import os, sys
if "lose" in sys.argv: os.kill(os.getppid(), 9)
print("acc 0.5")
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a scheduler with two workers, that gives no cell up to a second one."""
    distributed = pytest.importorskip("distributed")
    import dask

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as made,
    ):
        yield made.scheduler_address


@pytest.fixture
def jobs(tmp_path: Path) -> Any:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/train.py").write_text(PROGRAM)

    def of(*arguments: str) -> dict[str, Any]:
        told = {"arm": "as-is", "seed": 0, "tree": str(tmp_path / "tree"), "script": "train.py", "changed": []}
        return {**told, "arguments": list(arguments), "original": str(tmp_path), "metric": r"acc (\S+)", "threads": 1}

    return of


def test_dask_runs_cells_and_a_lost_worker_costs_only_its_own(cluster: str, jobs: Any, tmp_path: Path) -> None:
    with engines.executor(f"dask:{cluster}", 1, tmp_path) as pool:
        lost, good = pool.submit(run_cell, jobs("lose")), pool.submit(run_cell, jobs())
        assert good.result(60)["metric"] == [0.5]
        with pytest.raises(Exception, match="workers died"):
            lost.result(60)
        assert pool.submit(run_cell, jobs()).result(60)["error"] is None


def test_slurms_jobs_are_futures(jobs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setattr(engines, "ASKS", 0.1)
    package = Path(engines.__file__).parents[3]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")]))
    with engines.submitted(tmp_path / "slurm", "local") as pool:
        futures = {pool.submit(run_cell, jobs()): "good", pool.submit(run_cell, {"no": "job"}): "bad"}
        ended = {futures[future]: future for future in as_completed(futures, 60)}
        assert ended["good"].result()["metric"] == [0.5]
        with pytest.raises(RuntimeError, match="unexpected keyword argument"):
            ended["bad"].result()
        cancelled = pool.submit(run_cell, jobs())
    assert not cancelled.done() or cancelled.result()["metric"] == [0.5]


@pytest.mark.parametrize("text", ["", "local:1", "dask", "dask:", "ray:x", "Slurm"])
def test_an_engine_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadInputError, match="expected local, dask:ADDRESS, slurm"):
        engines.parse_engine(text)


def test_a_scheduler_that_does_not_answer_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(engines, "ANSWERS", 1)
    with (
        pytest.raises(BadInputError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"),
        engines.executor("dask:tcp://127.0.0.1:9", 1, tmp_path),
    ):
        pass


def test_no_slurm_here_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInputError, match="no Slurm here"), engines.executor("slurm:gpu", 1, tmp_path):
        pass
