"""Skips, by a scan of bytes, the files that can't matter, before anything is parsed.

A finding takes a way to say an operation (a framework, or a method that every tensor has) and a word of our trade: a
loss, a softmax, a log. A file that holds neither still matters when what it imports of the project does, since it may
be the one that hands the model's output to the loss.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable

from finallayer.catalog.frameworks import BY_ROOT, UNIMPORTED
from finallayer.check.code import code_of
from finallayer.disk import digest
from finallayer.source.files import Unreadable
from finallayer.source.imported import (
    Finder,
    asked_by_text,
    asked_for_any,
    attributes,
    imported,
    puts_names_together,
    run_by_text,
    runs_a_text,
)
from finallayer.source.plain import plain
from finallayer.source.project import fingerprint
from finallayer.source.reading import bytes_of

_ROOTS = tuple(root.encode() for root in BY_ROOT if len(root) > 2)
#: Without one of these, or a name that everyone gives them, no framework is meant.
FRAMEWORKS = tuple(word for word in _ROOTS if not any(other in word for other in _ROOTS if other != word))

#: Without one of these no rule has anything to look at ...
WORDS = (
    *b"loss Loss entropy Entropy xent nll NLL bce BCE kl_div KLDiv kld KLD kullback mse MSE".split(),
    *b"softmax Softmax SoftMax sigmoid Sigmoid expit logit Logit logsumexp LogSumExp softplus Softplus".split(),
    *b"metric Metric accuracy Accuracy".split(),
    *b"ategorical ernoulli ultinomial inomial".split(),  # distributions, with either initial
    *b"regression NeuralNet".split(),  # tflearn and skorch bring a loss along
)
#: ... nor without one of these as a word of its own, or a ``log`` that isn't a logger's name.
LOG = r"log(?!\s*(?:\.|=(?!=)))"
SHORT_WORDS = (
    "log_ log1p log1p_ log2 log2_ log10 log10_ exp exp_ expm1 Exp exponential logistic xlogy xlogy_ xlog1py logaddexp"
).split()
#: What every tensor has as a method, whatever the file imports, and no framework need be named for.
METHODS = "log log_ log2 log2_ log10 log10_ log1p log1p_ exp exp_ xlogy xlogy_ logaddexp addmm addmm_ scatter_".split()
#: How a text begins in which no word is seen, and which Python doesn't read: UTF-16 and UTF-32.
_NO_PYTHON = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
#: What leaves no doubt, whichever module it is imported from.
SELF_EXPLAINING = (b"softmax", b"sigmoid", b"logsumexp")


def _alone(names: Iterable[str], before: str = "") -> re.Pattern[bytes]:
    """These names as whole words, also behind a line end as a notebook's JSON spells it."""
    starts = before or r"(?:(?<!\w)|(?<=\\[nt]))"
    return re.compile(f"{starts}(?:{'|'.join(names)})(?!\\w)".encode())


_SHORT_WORDS = _alone([LOG, *SHORT_WORDS])
# A snippet that imports nothing, and means a framework by the names that everyone gives its modules and layers.
_UNIMPORTED = _alone(UNIMPORTED)
# x.log, also with a line's end behind the dot, and getattr(x, "log").
_METHODS = _alone(METHODS, r"""(?:\.(?:\s|\\[nt]|[",\\])*|["'])""")


def _says_an_operation(data: bytes) -> bool:
    """Whether a file can name an operation: of a framework, of a tensor, or of a module that isn't at hand."""
    return (
        any(word in data for word in FRAMEWORKS)
        or any(word in data for word in SELF_EXPLAINING)
        or _UNIMPORTED.search(data) is not None
        or _METHODS.search(data) is not None
    )


def _says_a_word(data: bytes) -> bool:
    return any(word in data for word in WORDS) or _SHORT_WORDS.search(data) is not None


def _said(path: str, data: bytes, closely: bool) -> tuple[bool, bool]:
    """Whether a file says an operation, and a word of our trade."""
    words = _says_a_word(data)
    code = code_of(path, data) if closely and words else data
    return _says_an_operation(code), words and (code is data or _says_a_word(code))


class Glance:
    """What one look at a file's bytes tells; the bytes themselves are not kept."""

    __slots__ = ("_finder", "_imports", "_names", "content", "framework", "path", "readable", "words")

    def __init__(self, path: str, data: bytes | None, finder: Finder, closely: bool = False) -> None:
        self.path = path
        self.content = "" if data is None else digest(data)
        self.readable = data is not None and not data.startswith(_NO_PYTHON)
        data = data or b""
        self.framework, self.words = _said(path, data, closely)
        if not (self.framework and self.words):
            meant = plain(path, data)
            if meant is not data:
                data = meant
                self.framework, self.words = _said(path, data, closely)
            self.words = self.words or puts_names_together(data)
            if runs_a_text(data) or any(True for _ in asked_for_any(data)):
                self.framework = self.words = True  # it may import, and do, whatever there is
        self._names = frozenset((*imported(data), *asked_by_text(data), *run_by_text(data)))
        self._finder = finder
        self._imports: tuple[str, ...] | None = None

    @property
    def imports(self) -> tuple[str, ...]:
        """The project files that this one imports, each once, in order of their paths."""
        if self._imports is None:
            found = (self._finder.find(self.path, dotted, level) for dotted, level in self._names)
            named = {str(f) for f in found if f is not None}
            self._imports = tuple(sorted((named | self._members(named)) - {self.path}))
        return self._imports

    def _members(self, files: set[str]) -> set[str]:
        """The modules that may be attributes of the packages among these files: ``package.module.function``."""
        waiting = [f for f in files if f.endswith("__init__.py")]
        names = [name.decode() for name in attributes(plain(self.path, _bytes(self.path) or b""))] if waiting else []
        found: set[str] = set()
        while waiting:
            package = waiting.pop()
            members = {str(f) for name in names if (f := self._finder.find(package, name, 1)) is not None} - found
            found |= members
            waiting += [m for m in members if m.endswith("__init__.py")]
        return found


class Files:
    """The project's files as far as they were looked at: which can matter, and what state each is in.

    ``closely``: what comments and docstrings say doesn't count, which takes longer to tell.
    """

    def __init__(self, finder: Finder, closely: bool = False) -> None:
        self._finder = finder
        self._closely = closely
        self._seen: dict[str, Glance] = {}
        self._contents: dict[str, str] = {}
        self._fingerprints: dict[tuple[str, str], str] = {}

    def glance(self, path: str, data: bytes | None = None) -> Glance:
        """A look at a file (``data``: its bytes, where they are at hand)."""
        known = self._seen.get(path)
        if known is None:
            known = self._seen[path] = Glance(path, _bytes(path) if data is None else data, self._finder, self._closely)
        return known

    def content(self, path: str) -> str:
        """What stands for a file's content, without more of a look than has been."""
        known = self._seen.get(path)
        if known is not None:
            return known.content
        if path not in self._contents:
            data = _bytes(path)
            self._contents[path] = "" if data is None else digest(data)
        return self._contents[path]

    def fingerprint(self, path: str, asked: str) -> str:
        """What a :class:`~finallayer.source.project.State` has for a file that is as it is now."""
        key = path, asked
        if key not in self._fingerprints:
            questions = asked.split("\n") if asked else ()
            named = ((q.lstrip("."), q) for q in questions)
            answers = [self._finder.find(path, dotted, len(q) - len(dotted)) for dotted, q in named]
            self._fingerprints[key] = fingerprint(self.content(path), answers)
        return self._fingerprints[key]

    def matters(self, path: str) -> bool:
        """Whether anything could be found in a file, alone or with what it imports, directly or not.

        A file that can't be read, or imports such a one, matters: that it can't is worth a note.
        """
        return self.ruled_out(path) is None

    def ruled_out(self, path: str) -> frozenset[str] | None:
        """The files that show that nothing can be found in a file, itself included; None where something can."""
        framework = words = False
        seen, waiting = {path}, [path]
        while waiting:
            glance = self.glance(waiting.pop())
            framework, words = framework or glance.framework, words or glance.words
            if (framework and words) or not glance.readable:
                return None
            waiting += [i for i in glance.imports if i not in seen]
            seen.update(glance.imports)
        return frozenset(seen)


def _bytes(path: str) -> bytes | None:
    try:
        return bytes_of(path)
    except Unreadable:
        return None
