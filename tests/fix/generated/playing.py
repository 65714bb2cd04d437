"""A generated project run before and after its fix, and all that it shows compared: printed, written, raised."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import linecache
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from .projects import RATE, Project

#: How closely numbers must agree.
TOLERANCE = {"torch": 2e-6, "keras": 2e-5, "jax": 2e-6, "tf1": 5e-5}
NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf)(?![\w])")
_NOISE = re.compile(r"grad_fn=<\w+>|0x[0-9a-f]+|\b\d+ms(/step)?|\b\d+s\b")


class Played(NamedTuple):
    """What a run showed, by who showed it; and the model's weights in the end."""

    shown: dict[str, str | np.ndarray]
    weights: list[np.ndarray]


def difference(project: Project, after: Mapping[str, str]) -> str:
    """Why a fix is wrong; empty where everything shows what it showed, and the training goes the right way."""
    close = TOLERANCE[project.framework]
    if project.exact:
        old, new = (_played(project, files, project.entries) for files in (project.files, after))
        return _differs(old, new, close) or _apart(old.weights, new.weights, close)
    old, new = (_played(project, _at(files, "0.0"), project.entries) for files in (project.files, after))
    raised = [key for key in old.shown if key.startswith("raised")]
    if raised:
        return f"the program itself {raised[0]} {old.shown[raised[0]]}"
    why = _differs(old, new, close) if project.shows else _new_errors(old, new)
    if why or project.right is None:
        return why
    new = _played(project, after, project.entries[:1])
    right = _played(project, {"right.py": project.right}, ("right.py",))
    if "raised right.py" in right.shown:
        return f"the right form can't be run: {right.shown}"
    if not new.weights:
        return f"no weights: {new.shown}"
    return _apart(right.weights, new.weights, close)


def _at(files: Mapping[str, str], rate: str) -> dict[str, str]:
    return {path: text.replace(RATE, rate) for path, text in files.items()}


def _differs(old: Played, new: Played, close: float) -> str:
    if old.shown.keys() != new.shown.keys():
        odd = old.shown.keys() ^ new.shown.keys()
        return f"only one shows { ({k: (old.shown.get(k), new.shown.get(k)) for k in odd}) }"
    for key, was in old.shown.items():
        now = new.shown[key]
        if not _same(was, now, close):
            return f"{key} shows {now} and not {was}"
    return ""


def _new_errors(old: Played, new: Played) -> str:
    return ", ".join(f"{key}: {new.shown[key]}" for key in new.shown.keys() - old.shown.keys() if "raised" in key)


def _same(was: str | np.ndarray, now: str | np.ndarray, close: float) -> bool:
    if isinstance(was, str) and isinstance(now, str):
        was, now = _NOISE.sub("", was), _NOISE.sub("", now)
        if "".join(NUMBER.sub("#", was).split()) != "".join(NUMBER.sub("#", now).split()):
            return False
        return _same(_numbers(was), _numbers(now), close)
    same_shape = np.shape(was) == np.shape(now)
    return same_shape and np.allclose(was, now, rtol=close, atol=close, equal_nan=True)


def _numbers(text: str) -> np.ndarray:
    return np.array([float(n) for n in NUMBER.findall(text)])


def _apart(a: list[np.ndarray], b: list[np.ndarray], close: float) -> str:
    if len(a) == len(b) and all(_same(v, w, close) for v, w in zip(a, b, strict=True)):
        return ""
    return f"the training comes to {[w.ravel()[:4].tolist() for w in b]} and not {[v.ravel()[:4].tolist() for v in a]}"


def _played(project: Project, files: Mapping[str, str], entries: tuple[str, ...]) -> Played:
    shown: dict[str, str | np.ndarray] = {}
    weights: list[np.ndarray] = []
    framework = FRAMEWORKS[project.framework]
    with tempfile.TemporaryDirectory() as place, framework.prepared(), _at_home(Path(place).resolve()) as root:
        write(root, files)
        for entry in entries:
            framework.seeded()
            names: dict[str, Any] = {"__name__": "__main__", "__file__": str(root / entry)}
            out = io.StringIO()
            sys.path[0] = str((root / entry).parent)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
                try:
                    _run(files[entry], str(root / entry), names)
                except Exception as error:
                    shown[f"raised {entry}"] = type(error).__name__
            shown[f"printed {entry}"] = out.getvalue()
            weights = weights or framework.weights(names)
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(root))
            if path.is_file() and name not in files and path.suffix != ".pyc":
                shown[f"written {name}"] = _content(path, framework)
    return Played(shown, weights)


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write a project's files."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


@contextlib.contextmanager
def _at_home(root: Path) -> Iterator[Path]:
    """The current folder and the import path are the project's; what is imported from there is forgotten after."""
    before, path, known = Path.cwd(), sys.path[:], set(sys.modules)
    sys.path[:0] = [str(root), str(root), str(root / "src")]
    os.chdir(root)
    try:
        with np.printoptions(precision=10, floatmode="fixed", threshold=1000):
            yield root
    finally:
        os.chdir(before)
        sys.path[:] = path
        for name in [n for n in set(sys.modules) - known if _is_from(sys.modules[n], root)]:
            del sys.modules[name]


def _is_from(module: ModuleType, root: Path) -> bool:
    """Whether a module, or a package without a file, lies there. (What some modules call their path is none.)"""
    found = module.__spec__ and module.__spec__.submodule_search_locations
    places = [getattr(module, "__file__", None) or "", *(found or [])]
    return any(str(place).startswith(str(root)) for place in places)


def _run(text: str, path: str, names: dict[str, Any]) -> None:
    if not path.endswith(".ipynb"):
        exec(compile(text, path, "exec"), names)
        return
    for i, cell in enumerate(json.loads(text)["cells"]):
        source, name = "".join(cell["source"]), f"{path}-{i}"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        body = ast.parse(source)
        last = body.body.pop() if body.body and isinstance(body.body[-1], ast.Expr) else None
        exec(compile(body, name, "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), name, "eval"), names)
            if value is not None:
                print(value)


def _content(path: Path, framework: Framework) -> str | np.ndarray:
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix in (".txt", ".json", ".csv"):
        return path.read_text()
    return framework.loaded(path) if framework.loaded else ""


class Framework(NamedTuple):
    """How programs of a framework are run."""

    prepared: Callable[[], contextlib.AbstractContextManager[None]]
    seeded: Callable[[], None]
    weights: Callable[[dict[str, Any]], list[np.ndarray]]
    loaded: Callable[[Path], str | np.ndarray] | None = None


@contextlib.contextmanager
def _torch() -> Iterator[None]:
    import torch

    torch.set_default_dtype(torch.float64)
    torch.set_printoptions(precision=10)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_printoptions(profile="default")


def _seed_torch() -> None:
    import torch

    np.random.seed(0)
    random_seed()
    torch.manual_seed(0)


def random_seed() -> None:
    import random

    random.seed(0)


def _weights_of_torch(names: dict[str, Any]) -> list[np.ndarray]:
    return [p.detach().numpy() for p in names["net"].parameters()] if "net" in names else []


def _loaded_by_torch(path: Path) -> str | np.ndarray:
    import torch

    x = torch.linspace(-1, 1, 8).reshape(2, 4)
    if path.suffix == ".ts":
        out = torch.jit.load(str(path))(x)
        return np.asarray((out[0] if isinstance(out, tuple) else out).detach())
    held = torch.load(path, weights_only=True)
    values = held.values() if isinstance(held, dict) else [held]
    return np.concatenate([np.ravel(v.detach()) for v in values])


@contextlib.contextmanager
def _keras() -> Iterator[None]:
    import keras

    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])


def _seed_keras() -> None:
    import keras

    keras.backend.clear_session()
    keras.utils.set_random_seed(0)


def _weights_of_keras(names: dict[str, Any]) -> list[np.ndarray]:
    return list(map(np.asarray, names["model"].get_weights())) if "model" in names else []


def _loaded_by_keras(path: Path) -> str | np.ndarray:
    import keras

    if path.suffix != ".keras":
        return ""
    out = keras.saving.load_model(path, compile=False)(np.linspace(-1, 1, 8).reshape(2, 4))
    return np.asarray(keras.ops.convert_to_numpy(out))


@contextlib.contextmanager
def _jax() -> Iterator[None]:
    import jax

    with jax.enable_x64(True), jax.disable_jit():
        yield


def _seed_numpy() -> None:
    np.random.seed(0)
    random_seed()


def _weights_of_jax(names: dict[str, Any]) -> list[np.ndarray]:
    import jax

    return [np.asarray(w) for w in jax.tree.leaves(names["params"])] if "params" in names else []


def _seed_tf1() -> None:
    import tensorflow.compat.v1 as tf

    tf.reset_default_graph()
    tf.set_random_seed(0)
    _seed_numpy()


def _weights_of_tf1(names: dict[str, Any]) -> list[np.ndarray]:
    import tensorflow.compat.v1 as tf

    return [np.asarray(w) for w in names["sess"].run(tf.trainable_variables())] if "sess" in names else []


FRAMEWORKS = {
    "torch": Framework(_torch, _seed_torch, _weights_of_torch, _loaded_by_torch),
    "keras": Framework(_keras, _seed_keras, _weights_of_keras, _loaded_by_keras),
    "jax": Framework(_jax, _seed_numpy, _weights_of_jax),
    "tf1": Framework(contextlib.nullcontext, _seed_tf1, _weights_of_tf1),
}
