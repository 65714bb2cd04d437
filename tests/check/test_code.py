"""What of a file is code: its words count, those of its comments and docstrings don't."""

from __future__ import annotations

from pathlib import Path

import pytest

from finallayer.check.chunk import analyse_chunk
from finallayer.check.code import code_of
from finallayer.check.glance import Files
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
    assert closely(tmp_path / "told.py") == {str(tmp_path / "told.py")}


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
    assert told.dependencies == (str(tmp_path / "other.py"),)
    assert broken.unread
