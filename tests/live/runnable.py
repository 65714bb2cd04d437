"""The rules' own examples, run: each function with arguments that it accepts, found by trial."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import itertools
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import finallayer
import finallayer.rules
from finallayer.rules.examples import bad_examples
from finallayer.rules.judging import judge
from finallayer.source import Project, sightings
from finallayer.source.reading import read

#: A finding: its line and the rule's code.
Found = set[tuple[int, str]]
#: More combinations of arguments than these aren't tried.
MOST_TRIES = 400
_IMPORTS = r"^\s*(import|from) "
#: A framework's programs: what they import, and what they import besides and are another's, or can't be run.
_PROGRAMS = {
    "torch": ("torch", "jax|tensorflow|keras|pyro|numpyro|pytorch_lightning|lightning|transformers|ignite|skorch"),
    "jax": ("jax|optax|flax", "torch|tensorflow|keras|numpyro|distrax|haiku|equinox"),
}
#: What a loss of JAX's calls its parameters.
_PARAMETERS = ("params", "weights", "variables")
_MODELS = ("net", "model", "student", "teacher", "policy", "module", "critic", "actor")
_LABELS = r"y|t|target|label|action|index|onehot|truth|a|mask|labels|targets|actions|y_true"
_NUMBERS = r"dim|axis|classes|num|gamma|tau|temperature|eps|alpha|epoch|lr"


def examples(framework: str = "torch") -> Iterator[tuple[str, str]]:
    """Every program of the rules in a framework: good ones, bad ones, and bad ones after their fix."""
    own, others = (f"{_IMPORTS}({packages})" for packages in _PROGRAMS[framework])
    for info in pkgutil.iter_modules(finallayer.rules.__path__):
        module = importlib.import_module(f"finallayer.rules.{info.name}")
        if hasattr(module, "RULE"):
            programs = [(f"good {i}", text) for i, text in enumerate(module.GOOD)]
            for i, example in enumerate(bad_examples(module.RULE)):
                programs += [(f"bad {i}", example.before), (f"bad {i} fixed", example.after or "")]
            for name, text in programs:
                if re.search(own, text, re.M) and not re.search(others, text, re.M):
                    yield f"{module.RULE.code} {name}", text


def of_source(text: str) -> Found:
    """What the source front end makes of a program."""
    seen = sightings(read("example.py", text.encode()), Project())
    return {(j.finding.origin.line, j.finding.rule.code) for j in judge(seen)}


@dataclass
class Run:
    """What was found in a program that ran, and how much of it ran."""

    found: Found = field(default_factory=set)
    lines: set[int] = field(default_factory=set)
    functions: int = 0


def of_run(text: str, file: Path, convert: Callable[[Any], Any] | None = None) -> Run:
    """What audits find of a program: of its module, and of each function that can be called.

    ``convert``: what makes an array of the program's framework of a tensor of torch's.
    """
    import torch  # before the program does, so that its operations are watched

    torch.manual_seed(0)
    functions = vars(torch.nn.functional)
    before = dict(functions)
    try:
        return _of_run(text, file, convert)
    finally:
        functions.update(before)  # an example puts its own function there


def _of_run(text: str, file: Path, convert: Callable[[Any], Any] | None) -> Run:
    file.write_text(text)
    run = Run()
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    load, program = spec.loader.exec_module, _Program(text, module, file, run, convert)

    def as_far_as_it_goes() -> None:
        with suppress(Exception):  # examples may speak of data that are nowhere
            load(module)

    program.audit(as_far_as_it_goes)
    for function in program.functions():
        given = program.arguments_of(function)
        if given is not None:
            program.audit(function, **given)
            run.functions += 1
    run.lines |= _whole_statements(text, run.lines)
    return run


class _Program:
    def __init__(
        self, text: str, module: ModuleType, file: Path, run: Run, convert: Callable[[Any], Any] | None
    ) -> None:
        self.text, self.module, self.file, self.run, self.convert = text, module, str(file), run, convert

    def audit(self, function: Callable[..., Any], **given: Any) -> None:
        sys.settrace(self._trace)
        try:
            with redirect_stdout(StringIO()):
                audit = finallayer.audit(function, **given)
        finally:
            sys.settrace(None)
        self.run.found |= {(f.origin.line, f.rule.code) for f in audit.findings if f.origin.path == self.file}

    def _trace(self, frame: FrameType, event: str, _arg: Any) -> Any:
        if frame.f_code.co_filename != self.file:
            return None
        if event == "line":
            self.run.lines.add(frame.f_lineno)
        return self._trace

    def functions(self) -> Iterator[Callable[..., Any]]:
        for value in list(vars(self.module).values()):
            if getattr(value, "__module__", None) != self.module.__name__:
                continue
            if inspect.isfunction(value):
                yield value
            elif inspect.isclass(value):
                for name, method in vars(value).items():
                    if inspect.isfunction(method) and not re.fullmatch(r"__(?!call__).*__", name):
                        with suppress(Exception):
                            yield getattr(value(), name)

    def arguments_of(self, function: Callable[..., Any]) -> dict[str, Any] | None:
        """Arguments that the function accepts."""
        import torch

        asked = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
        asked = [p for p in asked if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        torch.manual_seed(0)
        ways = itertools.product(*[self._candidates(p.name) for p in asked])
        for way in itertools.islice(ways, MOST_TRIES):
            given = {p.name: v for p, v in zip(asked, way, strict=True)}
            with suppress(Exception), redirect_stdout(StringIO()):
                function(**given)
                return given
        return None

    def _candidates(self, name: str) -> list[Any]:
        """What an argument of this name may be, in the program's framework."""
        import torch

        if self.convert is None:
            return self._candidates_of_torch(name)
        if name in _PARAMETERS:
            shapes = [(20, 5), (4, 5), (784, 10)]
            made = [{"w": torch.rand(*shape), "b": torch.rand(shape[1])} for shape in shapes]
            return [{k: self.convert(v) for k, v in tree.items()} for tree in made]
        found = [c.detach() if isinstance(c, torch.Tensor) else c for c in self._candidates_of_torch(name)]
        return [
            self.convert(c) if isinstance(c, torch.Tensor) else c for c in found if not isinstance(c, torch.nn.Module)
        ]

    def _candidates_of_torch(self, name: str) -> list[Any]:
        import torch
        from torch import nn

        layers = re.findall(r"Linear\((\d+), (\d+)", self.text) or [("20", "5")]
        d, c, n = int(layers[0][0]), int(layers[-1][1]), 8

        def classes(*shape: int) -> Any:
            return torch.randint(0, max(c, 2), shape)

        shapes = [(n, d), (n, c), (n, 1, 28, 28), (n, 3, 32, 32), (n, 3, 8, 8), (n, 784), (n, 4, d), (d,), (n, 1), (n,)]
        data = [*(torch.rand(*shape) for shape in shapes), classes(n, 4)]
        outcomes = torch.randint(0, 2, (n,)).float()
        labels = [
            classes(n),
            outcomes,
            torch.eye(c)[classes(n) % c],
            classes(n, 1),
            outcomes[:, None],
            classes(n, 8, 8),
        ]
        if name == "teacher":
            return [nn.Sequential(nn.Linear(d, c), nn.Softmax(-1))]
        if name in _MODELS:
            return [*self._own_models(), nn.Linear(d, c), nn.Linear(c, c), nn.Conv2d(3, c, 1)]
        if name in ("w", "b"):
            return [torch.rand(*((d, c) if name == "w" else (c,)), requires_grad=True)]
        if name == "h":
            return [torch.rand(n, 4, d)]
        if re.search("criterion|loss_fn|loss_function", name):
            return [nn.CrossEntropyLoss(), nn.BCELoss(), nn.NLLLoss()]
        if re.search(_NUMBERS, name):
            return [1, 2, 0.5]
        if re.search("loader|batches|data$", name):
            return [[(x, y)] for x in data[:6] for y in labels[:5]]
        return labels + data if re.match(_LABELS, name) else data + labels

    def _own_models(self) -> Iterator[Any]:
        from torch import nn

        for value in vars(self.module).values():
            if inspect.isclass(value) and issubclass(value, nn.Module) and value.__module__ == self.module.__name__:
                with suppress(Exception):
                    yield value()


def _whole_statements(text: str, lines: set[int]) -> set[int]:
    """All lines of the statements of which one has run."""
    blocks = (ast.FunctionDef, ast.ClassDef, ast.If, ast.For, ast.With, ast.While, ast.Try)
    plain = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.stmt) and not isinstance(n, blocks)]
    spans = [set(range(n.lineno, (n.end_lineno or n.lineno) + 1)) for n in plain]
    return set().union(*(span for span in spans if span & lines))
