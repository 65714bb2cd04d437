"""results.json: written whole or not at all, read back to go on, refused when it cannot be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from finallayer.compare.compare_error import BadInputError
from finallayer.compare.results import SCHEMA_VERSION, Results, load, resume, write_atomically

from .synthetic import results_of, silenced_and_rescued


@pytest.fixture
def results() -> Results:
    return results_of(*silenced_and_rescued())


def saved(results: Results, folder: Path, **changes: Any) -> Path:
    """The results on disk, with some top-level fields replaced."""
    results.save(folder)
    path = folder / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return path


def test_what_is_saved_is_what_is_loaded(results: Results, tmp_path: Path) -> None:
    results.save(tmp_path)
    again = load(tmp_path / "results.json")
    assert again.cells == results.cells
    assert (again.settings, again.gradients, again.created) == (results.settings, results.gradients, results.created)


def test_the_file_says_what_it_is_and_holds_every_measurement(results: Results, tmp_path: Path) -> None:
    results.save(tmp_path)
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["schema_version"] == SCHEMA_VERSION == 2
    assert len(content["cells"]) == 18 and len(content["cells"][0]["epochs"]) == 2
    assert content["environment"]["versions"]["keras-jax"] == {"keras": "3.15.1"}
    assert {row["head"] for row in content["summary"]} == {"softmax", "logits"}
    assert content["verdict"]["answer"].startswith("No: keep softmax in the loss.")


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.json"
    write_atomically(path, "whole")

    def disk_full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", disk_full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "half")
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]
    assert path.read_text() == "whole"


def test_a_run_may_go_on_with_more_seeds_heads_and_backends(results: Results, tmp_path: Path) -> None:
    path = saved(results, tmp_path)
    wider = replace(results.settings, seeds=5, heads=["softmax", "logits", "no-softmax"], backends=["torch"])
    again = resume(path, wider, results.data, {**results.environment, "versions": {"torch": {"torch": "2.13.0"}}})
    assert again.settings == wider and again.cells == results.cells
    assert set(again.environment["versions"]) == {"keras-jax", "keras-tensorflow", "torch"}


def resume_error(path: Path, results: Results, **changes: Any) -> str:
    data = results.data | changes.pop("data", {})
    with pytest.raises(BadInputError) as caught:
        resume(path, replace(results.settings, **changes), data, results.environment)
    assert "expected" in str(caught.value) or "cannot be read" in str(caught.value)
    return str(caught.value)


def test_what_would_make_cells_incomparable_may_not_change(results: Results, tmp_path: Path) -> None:
    path = saved(results, tmp_path)
    assert "--epochs" in resume_error(path, results, epochs=7)
    assert "--batch-size" in resume_error(path, results, batch_size=64)
    assert "--data" in resume_error(path, results, data={"sha256": "1" * 64})


@pytest.mark.parametrize("version", [0, 1, None])
def test_another_schema_version_is_refused(results: Results, tmp_path: Path, version: int | None) -> None:
    path = saved(results, tmp_path, schema_version=version)
    message = resume_error(path, results)
    assert f"{path} has schema version {version}; expected 2" in message


def test_a_file_that_is_not_results_is_refused(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    assert "not found" in resume_error(path, results)
    path.write_text('{"schema_version": 1')
    assert "cannot be read as results" in resume_error(path, results)
    path.write_text("[]")
    assert "schema version None" in resume_error(path, results)
    path.write_text('{"schema_version": 2}')
    with pytest.raises(BadInputError, match="lacks a part"):
        load(path)


@pytest.mark.parametrize("part", ["backend", "precision", "inputs", "head"])
def test_a_run_of_what_we_do_not_have_is_refused_before_any_training(
    results: Results, tmp_path: Path, part: str
) -> None:
    path = saved(results, tmp_path)
    content = json.loads(path.read_text())
    content["cells"][0][part] = "no-such"
    path.write_text(json.dumps(content))
    with pytest.raises(BadInputError, match=r"does not know \('no-such' is not in list"):
        load(path)
