"""Results made up for tests: what is measured is chosen, so what must follow from it is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from finallayer.compare.backends import BY_NAME
from finallayer.compare.cliff import MARGINS, reference
from finallayer.compare.experiment import conclude
from finallayer.compare.grid import Cell, Setting
from finallayer.compare.results import Results, Settings, environment
from finallayer.compare.statistics import Row, Summary, summarize

VAL_SAMPLES = 1000
JAX_RAW = Setting("keras-jax", "float32", "raw")
TF_RAW = Setting("keras-tensorflow", "float32", "raw")
JAX_SCALED = Setting("keras-jax", "float32", "scaled")


def epoch(number: int, val_accuracy: float, **measured: Any) -> dict[str, Any]:
    """One epoch's measurements, healthy unless said otherwise."""
    healthy = {
        "epoch": number,
        "seconds": 0.5,
        "loss": 1.0,
        "train_accuracy": val_accuracy,
        "val_accuracy": val_accuracy,
        "silenced": 0.0,
        "underflow": 0.0,
        "largest_margin": 5.0,
        "nonfinite": 0.0,
        "true_loss": 0.5,
        "skipped": 0,
    }
    return healthy | measured


def runs(setting: Setting, head: str, accuracies: list[float], **measured: Any) -> dict[Cell, dict[str, Any]]:
    """A run of two epochs for each accuracy, one a seed."""
    return {
        Cell(setting.backend, setting.precision, setting.inputs, head, seed): {
            "seconds": 1.0,
            "epochs": [epoch(1, accuracy / 2, **measured), epoch(2, accuracy, **measured)],
        }
        for seed, accuracy in enumerate(accuracies)
    }


def curve(setting: Setting, head: str, safe_margin: float | None, **measured: Any) -> dict[str, Any]:
    """A gradient that follows the truth up to the safe margin, and is 0 past it."""
    limit = float("inf") if safe_margin is None else safe_margin
    gradient = [g if m <= limit else 0.0 for m, g in zip(MARGINS.tolist(), reference(), strict=True)]
    return {
        "backend": setting.backend,
        "precision": setting.precision,
        "head": head,
        "gradient": gradient,
        "safe_margin": safe_margin,
        "overflows_from": None,
        **measured,
    }


def silenced_and_rescued() -> tuple[dict[Cell, dict[str, Any]], list[dict[str, Any]]]:
    """JAX raw loses by silence, TensorFlow is rescued, JAX scaled stays short of the edge: the article's case."""
    cells = {
        **runs(JAX_RAW, "softmax", [0.45, 0.50, 0.48], silenced=0.4, largest_margin=500.0),
        **runs(JAX_RAW, "logits", [0.94, 0.95, 0.95]),
        **runs(TF_RAW, "softmax", [0.94, 0.95, 0.95], largest_margin=70.0),
        **runs(TF_RAW, "logits", [0.94, 0.95, 0.95]),
        **runs(JAX_SCALED, "softmax", [0.95, 0.95, 0.96]),
        **runs(JAX_SCALED, "logits", [0.95, 0.95, 0.96]),
    }
    curves = [
        curve(JAX_RAW, "softmax", 16.118),
        curve(JAX_RAW, "logits", None),
        curve(TF_RAW, "softmax", None),
        curve(TF_RAW, "logits", None),
    ]
    return cells, curves


def results_of(cells: dict[Cell, dict[str, Any]], curves: list[dict[str, Any]]) -> Results:
    """Whole results around these cells."""
    backends = list(dict.fromkeys(cell.backend for cell in cells))
    results = Results(
        settings=Settings("digits", 2, 32, 3, backends, ["float32"], ["raw", "scaled"], ["softmax", "logits"]),
        data={
            "name": "digits",
            "train_samples": 80,
            "val_samples": VAL_SAMPLES,
            "sample_shape": [8, 8],
            "classes": 10,
            "low": 0.0,
            "high": 255.0,
            "sha256": "0" * 64,
        },
        environment=environment({name: {"keras": "3.15.1"} for name in backends if name in BY_NAME}),
        cells=cells,
    )
    results.gradients = {"margins": MARGINS.tolist(), "reference": reference(), "curves": curves}
    conclude(results)
    return results


def summary_of(cells: dict[Cell, dict[str, Any]], val_samples: int = VAL_SAMPLES) -> Summary:
    return summarize(cells, val_samples)


def rows_of(cells: dict[Cell, dict[str, Any]]) -> Sequence[Row]:
    return summary_of(cells).rows
