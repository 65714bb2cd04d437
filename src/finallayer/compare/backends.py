"""The backends: which framework trains, what it needs, and how to install it. Adding one is one entry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata, util

from finallayer.compare.compare_error import BadInputError
from finallayer.compare.heads import Framework


@dataclass(frozen=True)
class Backend:
    """A framework to train with; each runs in a process of its own.

    ``modules`` maps each module it imports to the distributions that may carry it (their versions go into the results).
    """

    name: str
    title: str
    framework: Framework
    modules: dict[str, tuple[str, ...]]
    install: str
    aliases: tuple[str, ...] = ()
    keras_backend: str | None = None

    def missing(self) -> list[str]:
        """The modules that are not installed; nothing is imported to find out."""
        return [module for module in self.modules if util.find_spec(module) is None]

    def versions(self) -> dict[str, str]:
        """Version of each installed distribution the backend stands on."""
        return {
            module: version
            for module, distributions in self.modules.items()
            if (version := _first_version(distributions)) is not None
        }


BACKENDS: tuple[Backend, ...] = (
    Backend(
        name="keras-tensorflow",
        title="Keras on TensorFlow",
        framework="keras",
        modules={"keras": ("keras",), "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-macos")},
        install="pip install keras tensorflow-cpu",
        aliases=("tensorflow", "tf"),
        keras_backend="tensorflow",
    ),
    Backend(
        name="keras-jax",
        title="Keras on JAX",
        framework="keras",
        modules={"keras": ("keras",), "jax": ("jax",)},
        install="pip install keras jax",
        aliases=("jax",),
        keras_backend="jax",
    ),
    Backend(
        name="keras-torch",
        title="Keras on PyTorch",
        framework="keras",
        modules={"keras": ("keras",), "torch": ("torch",)},
        install="pip install keras torch",
        keras_backend="torch",
    ),
    Backend(
        name="torch",
        title="plain PyTorch",
        framework="torch",
        modules={"torch": ("torch",)},
        install="pip install torch",
        aliases=("pytorch",),
    ),
)

BY_NAME: dict[str, Backend] = {backend.name: backend for backend in BACKENDS}


def parse_backends(names: Sequence[str]) -> list[Backend]:
    """Backends by name or alias, checked, in the table's order."""
    by_any_name = BY_NAME | {alias: backend for backend in BACKENDS for alias in backend.aliases}
    if not names:
        raise BadInputError(f"--backends: empty; expected some of: {', '.join(BY_NAME)}")
    wanted = set()
    for name in names:
        if name not in by_any_name:
            raise BadInputError(f"--backends: unknown backend {name!r}; expected some of: {', '.join(BY_NAME)}")
        wanted.add(by_any_name[name].name)
    return [backend for backend in BACKENDS if backend.name in wanted]


def _first_version(distributions: Iterable[str]) -> str | None:
    for distribution in distributions:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None
