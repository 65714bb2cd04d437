"""Runs two ONNX files side by side in onnxruntime, in a process of its own: ``proving.prove`` starts it."""

from __future__ import annotations

from typing import Any

import numpy as np

from finallayer.models.ulps import answer, most_ulp, side_by_side, sizes

#: What is rounded to eight bits may be rounded to the next of 255 steps, where a runtime computes in eight bits.
_EIGHT_BITS = 1.01 / 255
_TYPES = {"tensor(float)": "f4", "tensor(double)": "f8", "tensor(float16)": "f2"}
_INTEGERS = {"tensor(int64)": "i8", "tensor(int32)": "i4", "tensor(uint8)": "u1", "tensor(int8)": "i1"}


def main() -> None:
    """Answer one task."""
    answer(run)


def run(task: dict[str, Any]) -> dict[str, Any]:
    """What running both files of a task shows."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    onnxruntime.set_seed(0)

    def given(path: str) -> Any:
        session = _session(path)
        return _array(session.run([task["output"]], _inputs(session))[0])

    full, plain = side_by_side(task, given)
    tail = _session(_tail(task, plain))
    (read,) = tail.get_inputs()
    made = _array(tail.run(None, {read.name: plain.astype(_TYPES[read.type])})[0])
    found = {"runtime": f"onnxruntime {onnxruntime.__version__}", "max_ulp": most_ulp(full, made)}
    if task["quantised"]:
        found["rounded"] = float(np.abs(full.astype(np.float64) - made.astype(np.float64)).max()) < _EIGHT_BITS
        found["why"] = " (the old output was rounded to eight bits)"
    elif task["head"]:
        found["why"] = " (the old file's classifier applied it in a way of its own)"
    elif found["max_ulp"] and full.dtype == np.float16:
        found["why"] = " (onnxruntime rounds no 16-bit logits where their softmax is in the same file)"
    elif found["max_ulp"]:
        found["why"] = " (onnxruntime does the last operations of one of the files together)"
    return found


def _session(model: str | bytes) -> Any:
    """A model that is ready to run: by its path, or its content."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _inputs(session: Any) -> dict[str, Any]:
    """Random numbers for each input; 0 and 1 where it takes whole ones, such as tokens."""
    random = np.random.default_rng(0)
    given = {}
    for one in session.get_inputs():
        shape = sizes(one.shape)
        if one.type in _TYPES:
            given[one.name] = random.normal(size=shape).astype(_TYPES[one.type])
        elif one.type in _INTEGERS:
            given[one.name] = random.integers(0, 2, size=shape).astype(_INTEGERS[one.type])
        else:
            given[one.name] = np.ones(shape, bool)
    return given


def _array(value: Any) -> Any:
    """A result as an array: of a list of dictionaries, such as scikit-learn's exporter gives, a row each."""
    if isinstance(value, list):
        return np.array([list(row.values()) for row in value], np.float32)
    return value


def _tail(task: dict[str, Any], plain: Any) -> bytes:
    """The nodes that make the probabilities of the logits, as a model of their own."""
    import onnx

    whole = onnx.load(task["with_head"], load_external_data=False)
    made = {output: node for node in whole.graph.node for output in node.output}
    names = set(task["tail"])
    nodes = [node for node in whole.graph.node if names.intersection(node.output)]
    if task["head"]:  # that of a classifier's node, which is more than its head
        nodes = [onnx.helper.make_node(task["head"], [task["logits"]], [task["tail"][0]]), *nodes[1:]]
    needed = {name for node in nodes for name in node.input} - {o for node in nodes for o in node.output}
    stored = [t for t in whole.graph.initializer if t.name in needed]
    constants = [made[n] for n in sorted(needed) if n in made and made[n].op_type == "Constant"]
    kind = task["dtype"] or onnx.helper.np_dtype_to_tensor_dtype(plain.dtype)
    graph = onnx.helper.make_graph(
        [*constants, *nodes],
        "tail",
        [onnx.helper.make_tensor_value_info(task["logits"], kind, [None] * plain.ndim)],
        [onnx.ValueInfoProto(name=task["tail"][-1])],
        stored,
    )
    made_of = onnx.helper.make_model(graph, opset_imports=whole.opset_import, ir_version=whole.ir_version)
    content: bytes = made_of.SerializeToString()
    return content
