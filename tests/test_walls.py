"""The walls of the house: which room may import which, where a framework may be imported, what an import costs."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import finallayer
from finallayer.catalog.frameworks import FRAMEWORKS as CATALOGUED

HOUSE = Path(finallayer.__file__).parent
MODULES = {p.relative_to(HOUSE).as_posix(): p for p in sorted(HOUSE.rglob("*.py"))}

CORE = {"kinds", "expr", "canonical", "findings"}
FOUNDATIONS = CORE | {"catalog", "numerics"}
FRONT_ENDS = {"source", "live", "models"}
CHECKER = FOUNDATIONS | FRONT_ENDS | {"disk", "recording", "formulas", "purposes", "rules", "fix"}

#: room -> the rooms that it may import; all may import themselves and the version in finallayer/__init__.py
MAY_IMPORT: dict[str, set[str]] = {
    "__init__": {"auditing", "probing", "watch"},
    "__main__": {"cli"},
    "kinds": set(),
    "expr": {"kinds"},
    "canonical": {"kinds", "expr"},
    "findings": {"kinds", "expr"},
    "catalog": CORE,
    "numerics": CORE,
    "purposes": {"kinds", "expr", "canonical"},
    "formulas": {"kinds", "expr", "canonical"},
    "destinations": {"expr"},
    "recording": CORE | {"formulas", "purposes", "destinations"},
    "rules": FOUNDATIONS | {"formulas"},
    **dict.fromkeys(FRONT_ENDS, FOUNDATIONS | {"disk", "recording", "formulas", "purposes", "loading"}),
    "models": FOUNDATIONS | {"disk", "recording", "processes"},
    "fix": CHECKER - {"fix"},
    "report": CHECKER,
    "loading": set(),
    "processes": set(),
    "disk": set(),
    "check": CHECKER | {"report", "processes"},
    "auditing": CHECKER | {"report", "check"},
    "probing": {"numerics"},
    "testing": {"auditing", "live"},
    "server": CHECKER | {"report", "check"},
    "losses": {"kernels"},
    "kernels": {"losses"},
    "watch": {"numerics", "losses", "probing", "auditing", "findings"},
    "running": CORE | {"numerics", "watch", "auditing", "live", "loading"},
    "compare": {"numerics", "losses", "watch", "report", "fix", "processes", "disk"},
    "cli": CHECKER | {"check", "report", "compare", "losses", "kernels", "server", "auditing", "probing"},
}

#: the rooms within ``fix``, each with those that it stands on: text knows no program, flow no fixer
WITHIN_FIX: dict[str, set[str]] = {
    "text": {"text"},
    "flow": {"text", "flow"},
    "fixers": {"text", "flow", "fixers", "registry"},
    "registry": {"flow"},
    "proof": set(),
    "validation": {"text", "flow", "validation"},
    "proposals": {"text", "flow", "registry", "proof", "validation"},
    "repair": {"text", "flow", "validation"},
    "__init__": set(),
}
#: the folders in which a base name may be one that stands elsewhere, too: a file there is named after ... that it is of
NAMED_ALIKE = {
    "catalog": "a framework",
    "losses": "a framework",
    "cli": "a verb",
    "report": "an output format",
    "probing": "a framework",
    "running": "a framework",
    "watch": "a framework",
}

FRAMEWORKS = {"torch", "tensorflow", "keras", "tf_keras", "jax", "jaxlib", "flax", "optax", "haiku", "equinox", "onnx"}
FRAMEWORKS |= {"lightning", "pytorch_lightning", "transformers"}
#: where a framework may be imported at module level: front ends, losses, and what trains (in a process of its own)
FRAMEWORK_ROOMS = ("live/", "losses/", "watch/", "probing/frameworks/", "running/frameworks/", "compare/train_")
#: what neither ``import finallayer`` nor the command's start may load
HEAVY = FRAMEWORKS | {"numpy", "mpmath", "scipy", "sklearn", "matplotlib"}

START_UP_BUDGET = 0.050  # processor seconds over bare Python


def room_of(path: str) -> str:
    return path.split("/")[0].removesuffix(".py")


def imported(tree: ast.AST, path: str) -> Iterator[str]:
    """The dotted name of every module or member that a file imports, at any depth, relative ones made absolute."""
    package = ["finallayer", *path.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = [*base, *([node.module] if node.module else [])]
            yield from (".".join([*module, a.name]) for a in node.names)


def rooms_entered(source: str, path: str) -> set[str]:
    """The rooms other than its own that a file imports from."""
    entered = set()
    for name in imported(ast.parse(source), path):
        parts = name.split(".")
        if parts[0] == "finallayer" and len(parts) > 1 and not parts[1].startswith("__"):
            entered.add(parts[1])
    return entered - {room_of(path)}


def import_graph(files: dict[str, str]) -> dict[str, set[str]]:
    """The modules that each module imports, at any depth and for type checkers too. Files by path -> their source."""
    names = {
        path: ".".join(["finallayer", *Path(path).with_suffix("").parts]).removesuffix(".__init__") for path in files
    }
    modules = set(names.values())
    graph: dict[str, set[str]] = {}
    for path, source in files.items():
        found = imported(ast.parse(source), path)
        own = {name if name in modules else name.rpartition(".")[0] for name in found}
        graph[names[path]] = own & modules - {names[path]}
    return graph


def circle(files: dict[str, str]) -> list[str]:
    """Modules of which each imports the next and the last is the first; empty where there are none."""
    try:
        TopologicalSorter(import_graph(files)).prepare()
    except CycleError as found:
        return list(found.args[1])
    return []


class _Executed(ast.NodeTransformer):
    """Keeps what runs when the module is imported: drops function bodies and what only type checkers read."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        return None

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        return None

    def visit_If(self, node: ast.If) -> ast.AST:
        if "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = [ast.Pass()]
        return self.generic_visit(node)


def frameworks_on_import(source: str, path: str) -> set[str]:
    tree = _Executed().visit(ast.parse(source))
    return {name.split(".")[0] for name in imported(tree, path)} & FRAMEWORKS


def breaches(look: Callable[[str, str], set[str]], under: str = "") -> dict[str, set[str]]:
    """What is found in modules that must not be there, by path."""
    found = {path: look(file.read_text("utf-8"), path) for path, file in MODULES.items() if path.startswith(under)}
    return {path: what for path, what in found.items() if what}


def test_every_room_has_its_place() -> None:
    assert {room_of(path) for path in MODULES} <= set(MAY_IMPORT), "a new room; give it its place in MAY_IMPORT"


def test_each_room_imports_only_the_rooms_it_stands_on() -> None:
    assert breaches(lambda source, path: rooms_entered(source, path) - MAY_IMPORT[room_of(path)]) == {}


def test_no_module_imports_itself_through_others() -> None:
    assert circle({path: file.read_text("utf-8") for path, file in MODULES.items()}) == []


@pytest.mark.parametrize(
    "back",
    [
        "from finallayer.a.one import f",
        "from . import one",
        "def f():\n    from .one import g",
        "import finallayer.a.one",
    ],
)
def test_a_circle_is_seen(back: str) -> None:
    files = {"a/__init__.py": "from .one import f", "a/one.py": "from finallayer.a.two import g", "a/two.py": back}
    assert sorted(circle(files)[:-1]) == ["finallayer.a.one", "finallayer.a.two"]
    assert circle(files | {"a/two.py": "from finallayer.b import one"}) == []


def test_each_room_of_fix_imports_only_those_it_stands_on() -> None:
    def beyond(source: str, path: str) -> set[str]:
        names = imported(ast.parse(source), path)
        entered = {name.split(".")[2] for name in names if name.startswith("finallayer.fix.")}
        found_by_walking = {"fixers"} if path == "fix/registry.py" else set()
        return entered - WITHIN_FIX[path.split("/")[1].removesuffix(".py")] - found_by_walking

    assert breaches(beyond, "fix/") == {}


def test_no_two_modules_share_a_base_name() -> None:
    named: dict[str, set[str]] = {}
    for path in MODULES:
        *folders, name = path.removesuffix(".py").removesuffix("/__init__").split("/")
        if (folders or [""])[0] not in NAMED_ALIKE:
            named.setdefault(name, set()).add(path)
    named.pop("__init__")
    assert {name: paths for name, paths in named.items() if len(paths) > 1} == {}


def test_no_framework_is_imported_with_a_module() -> None:
    assert {p: found for p, found in breaches(frameworks_on_import).items() if not p.startswith(FRAMEWORK_ROOMS)} == {}


@pytest.mark.parametrize(
    ("path", "source", "entered"),
    [
        ("kinds.py", "from finallayer.expr import Node", {"expr"}),
        ("kinds.py", "from finallayer import expr", {"expr"}),
        ("kinds.py", "def f():\n    import finallayer.rules.base", {"rules"}),
        ("rules/a.py", "from ..source import reader", {"source"}),
        ("rules/a.py", "from .. import source", {"source"}),
        ("rules/deep/a.py", "from .base import Rule\nfrom ..base import Rule", set()),
        ("cli/a.py", "from finallayer import __version__", set()),
    ],
)
def test_a_breach_of_a_wall_is_seen(path: str, source: str, entered: set[str]) -> None:
    assert rooms_entered(source, path) == entered


@pytest.mark.parametrize(
    ("source", "loaded"),
    [
        ("import torch.nn", {"torch"}),
        ("try:\n    from jax import numpy\nexcept ImportError:\n    pass", {"jax"}),
        ("class A:\n    import keras", {"keras"}),
        ("if TYPE_CHECKING:\n    import torch\nelse:\n    import jax", {"jax"}),
        ("def f():\n    import tensorflow", set()),
        ("from finallayer.catalog import torch", set()),
    ],
)
def test_a_framework_imported_at_module_level_is_seen(source: str, loaded: set[str]) -> None:
    assert frameworks_on_import(source, "catalog/a.py") == loaded


#: What a rule's code may not mention; its docstrings and examples do.
FAMILIES = {row.family for row in CATALOGUED if row.family}
EXAMPLES = {"BAD", "GOOD"}


def mentioned(source: str) -> set[str]:
    """The frameworks that a rule's code names: in a name, or in a text that is neither documentation nor an example."""
    tree = ast.parse(source)
    tree.body = [n for n in tree.body if not isinstance(n, ast.Assign) or ast.unparse(n.targets[0]) not in EXAMPLES]
    for node in list(ast.walk(tree)):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and ast.get_docstring(node):
            node.body = node.body[1:]
    fields = ("id", "attr", "name", "module", "arg", "value")
    words = [getattr(node, field, None) for node in ast.walk(tree) for field in fields]
    return {family for word in words if isinstance(word, str) for family in FAMILIES if family in word.lower()}


def test_no_rule_names_a_framework() -> None:
    assert breaches(lambda source, _: mentioned(source), "rules/") == {}


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("def is_keras(x): pass", {"keras"}),
        ("if sighting.framework == 'keras':\n    pass", {"keras"}),
        ("message = 'except on the TensorFlow backend'", {"tensorflow"}),
        ("from finallayer.catalog import torch", {"torch"}),
        ("def f():\n    'Of jax.'\n    return f'{x} or numpy'", {"numpy"}),
        ("'Of torch.'\nBAD = ['import torch']\ndef f():\n    'Of torch.'", set()),
    ],
)
def test_a_framework_named_in_a_rules_code_is_seen(source: str, named: set[str]) -> None:
    assert mentioned(source) == named


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


@pytest.mark.parametrize("module", ["finallayer", "finallayer.cli", "finallayer.numerics", "finallayer.models"])
def test_a_light_import_loads_nothing_heavy(module: str) -> None:
    loaded = set(python(f"import sys, {module}; print(*sys.modules)").split())
    assert module in loaded
    assert loaded & HEAVY == set()


def test_import_finallayer_costs_next_to_nothing() -> None:
    def seconds(code: str) -> float:
        started = resource.getrusage(resource.RUSAGE_CHILDREN)
        python(code)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return ended.ru_utime + ended.ru_stime - started.ru_utime - started.ru_stime

    # pairs, so that both see the same machine; minima, because noise only ever adds
    pairs = [(seconds("pass"), seconds("import finallayer")) for _ in range(7)]
    bare, ours = map(min, zip(*pairs, strict=True))
    assert ours - bare < START_UP_BUDGET


def test_no_package_has_a_name_that_a_module_of_its_own_would_take() -> None:
    """Once such a module is imported, it stands in the name's place."""
    taken = {
        f"{init.parent.name}.{name}"
        for init in HOUSE.rglob("__init__.py")
        for name in _bound(init)
        if (init.parent / f"{name}.py").exists() or (init.parent / name / "__init__.py").exists()
    }
    assert not taken


def _bound(init: Path) -> Iterator[str]:
    """The names that a package's own statements bind, but for its modules."""
    package = ".".join(("finallayer", *init.parent.relative_to(HOUSE).parts))
    for node in ast.parse(init.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.ImportFrom) and node.module != package:
            yield from (a.asname or a.name for a in node.names)
