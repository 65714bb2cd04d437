"""The results of a trial, written and read to go on with."""

from __future__ import annotations

from pathlib import Path

import pytest

from finallayer.compare.compare_error import BadInputError
from finallayer.compare.own.measured import load

from .trials import SETTINGS, cell, epoch, trial


def test_what_was_written_is_read_and_what_json_has_no_number_for_is_refused(tmp_path: Path) -> None:
    runs = [cell(epoch(1), epoch(2), metric=[0.5, None])]
    made = trial(runs, runs)
    made.save(tmp_path)
    assert load(tmp_path, SETTINGS) == made.cells
    file = tmp_path / "results.json"
    file.write_text(file.read_text().replace('"true_loss": 1.0', '"true_loss": 1e999', 1))
    with pytest.raises(BadInputError, match="cannot be read as results"):
        load(tmp_path, SETTINGS)
