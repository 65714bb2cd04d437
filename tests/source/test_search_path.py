"""Where a program's imports lead: packages that don't say so, and folders that it adds to ``sys.path``."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from finallayer.check import run
from finallayer.check.config import find
from finallayer.check.glance import Files
from finallayer.rules import all_rules
from finallayer.source import Project
from finallayer.source.search_path import added_folders

RULES = all_rules()
NET = "from torch import nn\ndef head(z):\n    return nn.Softmax(1)(z)\n"
LOSS = "import torch.nn.functional as F\ndef step(z, y):\n    return F.cross_entropy({}, y)\n"
BESIDE = "os.path.dirname(os.path.abspath(__file__))"


def lay(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def rules_found(root: Path, **options: bool) -> list[str]:
    outcome = run.check([root], find([root], RULES), RULES, jobs=1, use_cache=options.get("cached", False))
    return [f.rule.code for f in outcome.findings]


@pytest.mark.parametrize(
    ("program", "folders"),
    [
        ("sys.path.append('lib')", ("lib",)),
        ("sys.path.insert(0, './lib')", ("lib",)),
        ("sys.path.extend(['a', 'b'])", ("a", "b")),
        ("sys.path += ['a']", ("a",)),
        ("sys.path = ['a'] + sys.path", ("a",)),
        ("sys.path[0:0] = ['a']", ("a",)),
        ("site.addsitedir('a')", ("a",)),
        ("from sys import path\npath.append('a')", ("a",)),
        (f"sys.path.append(os.path.join({BESIDE}, '..', 'lib'))", ("/p/lib",)),
        (f"here = {BESIDE}\nsys.path.append(here + '/lib')", ("/p/s/lib",)),
        (f"here = {BESIDE}\nsys.path.append(f'{{here}}/lib')", ("/p/s/lib",)),
        ("sys.path.append(str(Path(__file__).resolve().parent.parent / 'lib'))", ("/p/lib",)),
        ("sys.path.append(Path(__file__).parents[1].joinpath('lib').as_posix())", ("/p/lib",)),
        ("sys.path.append(os.path.join(os.getcwd(), os.pardir))", ("..",)),
        ("for part in ('a', 'b'):\n    sys.path.append(os.path.join('lib', part))", ("lib/a", "lib/b")),
        (
            "def add(path, at=0):\n    if path not in sys.path:\n        sys.path.insert(at, path)\nadd('a')\nadd('b')",
            ("a", "b"),
        ),
        ("sys.path.append(sys.argv[1])", ()),
        ("sys.path.append(os.path.join(root, 'lib'))", ()),
        ("a = b\nb = a\nsys.path.append(a)", ()),
        ("names.path.append('a')\npaths.append('b')", ()),
        ("sys.path.append(','.join(['a', 'b']))", ()),
    ],
)
def test_the_folders_that_a_program_adds(program: str, folders: tuple[str, ...]) -> None:
    assert added_folders(ast.parse(program), "/p/s/train.py") == folders


@pytest.mark.parametrize(
    ("files", "call"),
    [
        ({"train.py": "import a.b.net", "a/b/net.py": NET}, "a.b.net.head(z)"),
        ({"train.py": "import a.b.net\nfrom a import b", "a/b/net.py": NET}, "b.net.head(z)"),
        ({"train.py": "import sys\nsys.path.append('lib')\nfrom net import head", "lib/net.py": NET}, "head(z)"),
        ({"train.py": "import sys\nsys.path.append('lib')\nimport a.net", "lib/a/net.py": NET}, "a.net.head(z)"),
        ({"run/train.py": "import sys\nsys.path.append('lib')\nimport net", "lib/net.py": NET}, "net.head(z)"),
        (
            {
                "train.py": "import paths\nimport net",
                "paths.py": "import sys\nsys.path.append('lib')",
                "lib/net.py": NET,
            },
            "net.head(z)",
        ),
        ({"train.py": "from a.net import head", "src/a/net.py": NET, "src/a/__init__.py": ""}, "head(z)"),
    ],
)
def test_a_model_is_found_where_its_import_leads(tmp_path: Path, files: dict[str, str], call: str) -> None:
    program = next(name for name in files if name.endswith("train.py"))
    lay(tmp_path, files | {program: f"{files[program]}\n{LOSS.format(call)}"})
    assert rules_found(tmp_path) == ["FL101"]
    imports = Files(Project()).glance(str(tmp_path / program)).imports
    assert any(name.endswith("net.py") for name in imports)  # so that the cache and the search for relevant files know


@pytest.mark.parametrize(
    "files",
    [
        {"lib/net.py": NET, "net.py": "def head(z):\n    return z\n"},  # beside the program goes first
        {"other/net.py": NET},
    ],
)
def test_a_module_of_that_name_elsewhere_is_not_meant(tmp_path: Path, files: dict[str, str]) -> None:
    program = "import sys\nsys.path.append('lib')\nfrom net import head\n"
    lay(tmp_path, files | {"train.py": program + LOSS.format("head(z)")})
    assert not rules_found(tmp_path)


def test_a_folder_without_modules_hides_no_library(tmp_path: Path) -> None:
    lay(tmp_path, {"odd/data.csv": "", "odd/more/data.csv": "", "train.py": "import odd.net\n"})
    assert Project().find(str(tmp_path / "train.py"), "odd") is None
    lay(tmp_path, {"other/more/net.py": ""})
    assert Project().find(str(tmp_path / "train.py"), "other") == tmp_path / "other" / "__init__.py"


NAMESPACE = "import a.net\nhead = a.net.head\n"
ADDED = "import paths\nimport sys\nsys.path.append('a')\nfrom net import head\n"


@pytest.mark.parametrize(
    ("program", "before", "change"),
    [
        (NAMESPACE, {"a/net.py": NET.replace("Softmax", "LogSoftmax")}, {"a/net.py": NET}),
        (NAMESPACE, {"a/other.py": ""}, {"a/net.py": NET}),
        (ADDED, {"paths.py": "", "a/net.py": NET.replace("Softmax", "LogSoftmax")}, {"a/net.py": NET}),
        (ADDED, {"paths.py": "", "a/other.py": ""}, {"a/net.py": NET}),
        (ADDED, {"b/net.py": NET, "paths.py": ""}, {"paths.py": "import sys\nsys.path.append('b')\n"}),
    ],
)
def test_kept_results_follow_the_import(
    tmp_path: Path, program: str, before: dict[str, str], change: dict[str, str]
) -> None:
    lay(tmp_path, before | {"train.py": program + LOSS.format("head(z)")})
    assert "FL101" not in rules_found(tmp_path, cached=True)
    lay(tmp_path, change)
    assert "FL101" in rules_found(tmp_path, cached=True)


def test_what_is_asked_for_by_a_text_is_looked_at(tmp_path: Path) -> None:
    lay(tmp_path, {"train.py": "m = __import__('net')\n", "net.py": NET})
    imports = Files(Project()).glance(str(tmp_path / "train.py")).imports
    assert imports == (str(tmp_path / "net.py"),)
    assert "net" not in sys.modules
