"""What of a file is code: its words count, those of its comments and docstrings don't."""

from __future__ import annotations

from pathlib import Path

import pytest

from finallayer.check import config
from finallayer.check.chunk import analyse_chunk
from finallayer.check.code import code_of
from finallayer.check.glance import Files
from finallayer.check.run import check
from finallayer.rules import all_rules
from finallayer.source import Project

from .programs import lay

DOCUMENTED = '''"""Trains with a cross_entropy loss."""
import torch  # its softmax
class Net:
    r"""Gives \\"""logits\\""" to the loss:
    'softmax' of them.
    """
    size: int = 3
    """What the softmax is over:
    """
    def f(self, x):
        # log(x)
        return x + 1
'''


def closely(path: Path) -> frozenset[str] | None:
    return Files(Project(), closely=True).ruled_out(str(path))


def test_what_is_only_spoken_of_is_ruled_out(tmp_path: Path) -> None:
    lay(tmp_path, told=DOCUMENTED)
    assert Files(Project()).matters(str(tmp_path / "told.py"))
    assert closely(tmp_path / "told.py") == frozenset({str(tmp_path / "told.py")})


@pytest.mark.parametrize(
    "code",
    [
        "y = torch.log(x)",
        "y = 1 # '''\nz = torch.log(x) # '''",
        "y = '#', torch.log(x)",
        "y = '\\'#', torch.log(x)",
        'y = "\'", torch.log(x), "\'"',
        "y = f('''softmax''')",
        "y = f(\n    '''softmax''', x)",
        "y = '''a:\n'''\nz = torch.log(x)\nt = '''b\n'''",
        '"""a \\""" b"""\ny = torch.log(x)\n"""c"""',
        "y = 'it' \"s\" # isn't\nz = torch.log(x) # isn't",
    ],
)
def test_code_stays(tmp_path: Path, code: str) -> None:
    lay(tmp_path, module="import torch\n" + code + "\n")
    assert closely(tmp_path / "module.py") is None


def test_a_notebook_is_taken_as_it_is() -> None:
    assert code_of("a.ipynb", b'["# loss"]') == b'["# loss"]'


def test_what_is_ruled_out_hangs_on_what_it_imports_and_is_read_all_the_same(tmp_path: Path) -> None:
    lay(tmp_path, told=DOCUMENTED + "import other\n", other="y = 1\n", broken=DOCUMENTED + "def\n")
    told, broken = analyse_chunk([str(tmp_path / "told.py"), str(tmp_path / "broken.py")], fixes=False)
    assert [state.path for state in told.states] == [str(tmp_path / "told.py"), str(tmp_path / "other.py")]
    assert broken.unread


def test_what_is_ruled_out_is_analysed_once_what_it_imports_computes_a_loss(tmp_path: Path) -> None:
    spoken = '"""Its softmax."""\ndef f(x):\n    return x\n'
    computed = "import torch.nn.functional as F\ndef f(x):\n    return F.cross_entropy(F.softmax(x, dim=1), 0)\n"
    lay(tmp_path, told="import torch\nimport other  # loss\nother.f(torch.ones(2, 3))\n", other=spoken)
    rules = all_rules()
    settings = config.find([tmp_path], rules)
    assert not check([tmp_path / "told.py"], settings, rules, jobs=1).findings
    lay(tmp_path, other=computed)
    (found,) = check([tmp_path / "told.py"], settings, rules, jobs=1).findings
    assert found.rule.code == "FL101"
