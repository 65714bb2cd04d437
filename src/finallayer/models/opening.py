"""Which format a file or folder is of, by what it holds, and who reads it."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path, PurePosixPath

from finallayer import disk
from finallayer.models.archive import Archive
from finallayer.models.model import Model
from finallayer.models.refusals import NotRead

#: What is said where a file is none of these.
EXPECTED = "expected .keras, ONNX, .pt2, a SavedModel's folder, or safetensors with a config.json"
_ZIP = b"PK\x03\x04"
#: The member of an archive that torch.save writes.
_PICKLED = "data.pkl"
#: What a folder holds -> the module that reads it.
_FOLDERS = {"saved_model.pb": "savedmodel_files", "config.json": "checkpoint_files"}
_HDF5 = b"\x89HDF\r\n\x1a\n"


def read(path: str | os.PathLike[str]) -> Model:
    """The model in a file or folder.

    Raises :class:`~finallayer.models.refusals.NotRead` where it is none that we read, is damaged or may do harm, and
    OSError where it can't be read at all.
    """
    path = os.fspath(path)
    reader: Callable[[str], Model] = import_module(f"finallayer.models.{_module(path)}").read
    try:
        return reader(path)
    except (RecursionError, MemoryError, OverflowError) as error:
        raise NotRead(f"too deeply nested, or too large ({type(error).__name__})") from None


def _module(path: str) -> str:
    """The module that reads a path's format."""
    if Path(path).is_dir():
        for held, module in _FOLDERS.items():
            if (Path(path) / held).exists():
                return module
        raise NotRead(f"a folder without a model; {EXPECTED}")
    start = disk.head(path, 16)
    if start.startswith(_ZIP):
        names = Archive(path).names
        if any(name.endswith("models/model.json") for name in names):
            return "exported_files"
        if _PICKLED in {PurePosixPath(name).name for name in names} and "config.json" not in names:
            raise NotRead("a pickle, as torch.save writes it, which only running it reads: export it (torch.export)")
        if any("aotinductor/" in name for name in names):
            raise NotRead("compiled code, as torch's AOTInductor writes it: its graph is no longer in it")
        return "keras_files"
    if start.startswith(_HDF5):
        raise NotRead("Keras' old HDF5 format: save it as .keras first (model.save('model.keras'))")
    if start[:1] == b"\x08" or path.endswith(".onnx"):
        return "onnx_files"
    if path.endswith(".safetensors"):
        return "checkpoint_files"
    raise NotRead(f"no model file; {EXPECTED}")
