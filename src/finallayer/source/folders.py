"""Which files and folders hold a project's own programs."""

from __future__ import annotations

import os

SUFFIXES = (".py", ".ipynb")

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
