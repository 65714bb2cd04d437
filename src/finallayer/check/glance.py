"""Skips, by a scan of bytes, the files that can't matter, before anything is parsed.

A finding takes a framework and a word of our trade: a loss, a softmax, a log. A file that holds neither still matters
when what it imports of the project does, since it may be the one that hands the model's output to the loss.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from pathlib import Path

from finallayer.catalog.names import UNIMPORTED
from finallayer.check.imported import Finder, imported

#: Without one of these no operation of the catalogue can be meant.
FRAMEWORKS = (
    *b"torch tensorflow keras tflearn tf_slim sonnet jax flax optax haiku equinox distrax numpy scipy math".split(),
    *b"cupy lightning fastai timm kornia sklearn segmentation_models transformers monai ignite poutyne skorch".split(),
)

# A snippet that imports nothing, and means a framework by the names that everyone gives its modules and layers.
_UNIMPORTED = re.compile(rb"\b(?:" + "|".join(UNIMPORTED).encode() + rb")[.(]")

#: Without one of these no rule has anything to look at.
WORDS = (
    *b"loss Loss entropy Entropy xent nll NLL bce BCE kl_div KLDiv kld KLD mse MSE".split(),
    *b"softmax Softmax SoftMax sigmoid Sigmoid logit Logit logsumexp log( .log exp( .exp".split(),
    *b"compile( metric Metric accuracy Accuracy 0.5".split(),
    *b"regression( NeuralNet".split(),  # tflearn and skorch bring a loss along
    b"import log",
    b"import exp",
)


class Glance:
    """What one look at a file's bytes tells; the bytes themselves are not kept."""

    __slots__ = ("_finder", "_imports", "_names", "content", "framework", "path", "words")

    def __init__(self, path: str, data: bytes, finder: Finder) -> None:
        self.path = path
        self.framework = any(word in data for word in FRAMEWORKS) or _UNIMPORTED.search(data) is not None
        self.words = any(word in data for word in WORDS)
        self.content = blake2b(data, digest_size=16).hexdigest()
        self._names = frozenset(imported(data))
        self._finder = finder
        self._imports: tuple[str, ...] | None = None

    @property
    def imports(self) -> tuple[str, ...]:
        """The project files that this one imports, each once, in order of their paths."""
        if self._imports is None:
            found = (self._finder.find(self.path, dotted, level) for dotted, level in self._names)
            self._imports = tuple(sorted({str(f) for f in found if f is not None} - {self.path}))
        return self._imports

    @property
    def fingerprint(self) -> str:
        """Changes when the file's content does, or where its imports lead."""
        return blake2b(
            "\0".join((self.content, *self.imports)).encode(errors="surrogateescape"), digest_size=16
        ).hexdigest()


class Files:
    """The project's files as far as they were looked at: which can matter, and what state each is in."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._seen: dict[str, Glance] = {}

    def glance(self, path: str, data: bytes | None = None) -> Glance:
        """A look at a file (``data``: its bytes, where they are at hand); one that can't be read is empty."""
        known = self._seen.get(path)
        if known is None:
            known = self._seen[path] = Glance(path, _bytes(path) if data is None else data, self._finder)
        return known

    def matters(self, path: str) -> bool:
        """Whether anything could be found in a file, alone or with what it imports, directly or not."""
        framework = words = False
        seen, waiting = {path}, [path]
        while waiting:
            glance = self.glance(waiting.pop())
            framework, words = framework or glance.framework, words or glance.words
            if framework and words:
                return True
            waiting += [i for i in glance.imports if i not in seen]
            seen.update(glance.imports)
        return False


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
