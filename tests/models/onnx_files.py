"""ONNX models as exporters write them, built of their operators."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

WEIGHTS = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")


def node(op: str, inputs: str, outputs: str, name: str = "", **attrs: Any) -> Any:
    from onnx import helper

    return helper.make_node(op, inputs.split(), outputs.split(), name=name, **attrs)


def write(
    path: Path,
    nodes: Sequence[Any],
    opset: int = 17,
    stored: dict[str, Any] | None = None,
    outputs: dict[str, tuple[Any, ...]] | None = None,
    dtype: str = "FLOAT",
    rows: tuple[Any, ...] = ("N", 4),
    extra: Sequence[tuple[str, int]] = (),
) -> Path:
    """Write a model of ``x`` and the weights ``W``."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    kind = getattr(TensorProto, dtype)
    tensors = {"W": WEIGHTS.astype({"FLOAT": "f4", "FLOAT16": "f2"}[dtype]), **(stored or {})}
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", kind, rows)],
        [helper.make_tensor_value_info(n, kind, s) for n, s in (outputs or {"p": ("N", 3)}).items()],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in tensors.items()],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, v) for d, v in extra)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    return path


AFFINE = ("MatMul", "x W", "z", "fc")


def affine() -> Any:
    return node(*AFFINE)
