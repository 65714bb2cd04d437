"""Which files and folders hold a project's own programs."""

from __future__ import annotations

import os

from finallayer.disk import head

SUFFIXES = (".py", ".pyw", ".ipynb")

#: Folders of other people's code, of build products and of caches: never entered, though checked when named.
EXCLUDED_FOLDERS = frozenset(
    """
    .bzr .direnv .eggs .finallayer_cache .git .hg .hypothesis .ipynb_checkpoints .mypy_cache .nox .pants.d .pyenv
    .pytest_cache .pytype .ruff_cache .svn .tox .venv .vscode __pycache__ __pypackages__ _build buck-out build dist
    node_modules site-packages venv
    """.split()
)


def is_foreign(folder: os.DirEntry[str]) -> bool:
    """Whether a folder is none of the project's own."""
    return folder.name in EXCLUDED_FOLDERS or os.path.exists(os.path.join(folder.path, "pyvenv.cfg"))  # noqa: PTH110, PTH118


def is_program(entry: os.DirEntry[str]) -> bool:
    """Whether a file is a program by its name, or a script without an ending that says it is one."""
    if "." in entry.name:
        return entry.name.endswith(SUFFIXES)
    try:
        if not (entry.is_file() and entry.stat().st_mode & 0o111):
            return False
        first = head(entry.path, _LONGEST_FIRST_LINE).partition(b"\n")[0]
    except OSError:
        return False
    return first.startswith(b"#!") and b"python" in first


#: No system reads more of a script's first line.
_LONGEST_FIRST_LINE = 256
