"""Hugging Face's checkpoints, read as data: ``config.json`` and the headers of the safetensors beside it.

The weights alone hold no graph. That an architecture of transformers' own gives logits is in its documentation; that it
has the layer which makes them shows in the names and sizes of the weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from finallayer import disk
from finallayer.models.model import Model, Output
from finallayer.models.parsing import json_in
from finallayer.models.refusals import NotRead

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
#: The format's own bound on a header, and ours on a configuration.
MOST_HEADER, MOST_CONFIG = 100_000_000, 50_000_000
_MOST_SHARDS = 1_000
#: Architectures of transformers' whose output is ``logits``, one for each label or each token of the vocabulary.
_OF_LABELS = re.compile(r"\w+For(?:Sequence|Token|Image|Audio|Video)Classification")
_OF_TOKENS = re.compile(r"\w+(?:ForCausalLM|ForMaskedLM|ForConditionalGeneration|LMHeadModel)")
#: What the last layer's weights are called, in one architecture or another; the others are tied to the embedding.
_HEADS = re.compile(r"(?:.*\.)?(?:classifier|score|head|lm_head|decoder|embed_tokens|wte|shared|word_embeddings)")
#: What transformers trains by, by the configuration's ``problem_type``.
_LOSSES = {
    "single_label_classification": "CrossEntropyLoss",
    "multi_label_classification": "BCEWithLogitsLoss",
    "regression": "MSELoss",
}
_FROZEN = "weights hold no graph: what is made of the logits is written where the model is called"


def read(path: str) -> Model:
    """The model in a folder, or in one file of weights. Raises :class:`NotRead`."""
    if not Path(path).is_dir():
        count = len(header(Path(path)))
        note = f"{count} tensors and no graph; a config.json beside them, in a folder, may tell the architecture"
        return Model(path, "safetensors", (Output.unknown(note),), frozen=_FROZEN)
    config = _json(Path(path) / CONFIG, MOST_CONFIG)
    tensors = {name: shape for file in _files(Path(path)) for name, shape in _shapes(header(file))}
    return Model(path, "safetensors", (_output(config, tensors),), frozen=_FROZEN)


def header(file: Path) -> dict[str, Any]:
    """What the header of a safetensors file says of its tensors. Raises :class:`NotRead`."""
    size = disk.size_of(file)
    length = int.from_bytes(disk.head(file, 8), "little")
    if not 2 <= length <= min(MOST_HEADER, size - 8):
        raise NotRead(f"{file.name}: no safetensors (its header's length, {length:,}, is not in it)")
    told = _parsed(disk.head(file, 8 + length)[8:], file.name)
    return {name: value for name, value in told.items() if name != "__metadata__"}


def _files(folder: Path) -> Iterator[Path]:
    """The files of weights in a folder: those that an index names, which may lie nowhere else."""
    if (folder / WEIGHTS).exists():
        yield folder / WEIGHTS
        return
    if not (folder / INDEX).exists():
        raise NotRead(f"no {WEIGHTS} beside {CONFIG}")
    named = _json(folder / INDEX, MOST_HEADER).get("weight_map")
    names = sorted({n for n in named.values() if isinstance(n, str)}) if isinstance(named, dict) else []
    if not names or len(names) > _MOST_SHARDS:
        raise NotRead(f"{INDEX} names no files, or more than {_MOST_SHARDS:,}")
    for name in names:
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise NotRead(f"{INDEX} names a file outside its folder: {name!r}")
        yield folder / name


def _shapes(told: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    for name, value in told.items():
        shape = value.get("shape") if isinstance(value, dict) else None
        if isinstance(shape, list) and all(type(n) is int for n in shape):
            yield name, tuple(shape)


def _json(file: Path, most: int) -> dict[str, Any]:
    return _parsed(disk.contents(file, most), file.name)


def _parsed(data: bytes, name: str) -> dict[str, Any]:
    found = json_in(data, name)
    if not isinstance(found, dict):
        raise NotRead(f"{name}: expected an object")
    return found


def _output(config: Mapping[str, Any], tensors: Mapping[str, tuple[int, ...]]) -> Output:
    """What transformers' model of this configuration gives."""
    named = config.get("architectures")
    architecture = str(named[0]) if isinstance(named, list) and named else ""
    if "auto_map" in config:
        return Output.unknown(f"{architecture or 'its model'} is code of its own (auto_map), which isn't read")
    labels = _OF_LABELS.fullmatch(architecture) is not None
    if not labels and _OF_TOKENS.fullmatch(architecture) is None:
        return Output.unknown(f"architecture {architecture or 'unknown'}: what it gives isn't known to be logits")
    units = _labels(config) if labels else config.get("vocab_size")
    made = [n for n, shape in tensors.items() if len(shape) == 2 and shape[0] == units and _HEADS.fullmatch(_layer(n))]
    if not made:
        return Output.unknown(f"none of the weights is a layer of {units} units, as {architecture}'s last one would be")
    loss = _LOSSES.get(str(config.get("problem_type"))) if labels else "CrossEntropyLoss"
    by = (_layer(made[-1]),)
    if loss == "MSELoss":
        return Output("logits", None, None, "unknown", by, loss=loss, notes=("the numbers of a regression",))
    one_a_row = architecture.endswith(("SequenceClassification", "ImageClassification"))
    shape = (None, units if isinstance(units, int) else None) if one_a_row else None
    return Output("logits", shape, None, "logits", by, loss=loss, agrees=None if loss is None else True)


def _layer(name: str) -> str:
    return name.removesuffix(".weight")


def _labels(config: Mapping[str, Any]) -> int | None:
    """How many labels there are; two where a configuration doesn't say."""
    labels, number = config.get("id2label"), config.get("num_labels")
    return len(labels) if isinstance(labels, dict) else number if type(number) is int else 2
