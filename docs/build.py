"""Builds the site into ``site/``: the scripts with npm, the pages with Sphinx; any warning is an error.

python docs/build.py [FOLDER]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parent


def main(folder: str) -> None:
    browser = DOCS / "browser"
    if not (browser / "node_modules").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=browser, check=True)
    subprocess.run(["npm", "run", "--silent", "build"], cwd=browser, check=True)
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "--builder",
        "html",
        "--fail-on-warning",
        "--keep-going",
        "--quiet",
        "--fresh-env",
        "--write-all",
    ]
    subprocess.run([*command, str(DOCS), folder], check=True)
    subprocess.run(["node", "prepare.mjs", str(Path(folder, "_static").resolve())], cwd=browser, check=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "site")
    except subprocess.CalledProcessError as error:
        sys.exit(f"docs/build.py: {error.cmd[0]} ended with {error.returncode}")
