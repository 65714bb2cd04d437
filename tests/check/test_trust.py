"""What check and fix promise whoever runs them over code that they don't trust: SECURITY.md, line by line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .programs import DOUBLE, lay

#: Runs a statement and prints what Python's audit events say was done by or to the folder of strangers' code.
WATCHED = """
import os, sys

folder, statement = sys.argv[1:]
ALWAYS = ("socket.", "urllib.", "http.", "ftplib.", "smtplib.", "webbrowser.", "pty.", "os.system", "os.exec",
          "os.fork", "os.posix_spawn", "os.spawn", "os.startfile", "subprocess.", "ctypes.", "shutil.")
IN_FOLDER = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.link", "os.symlink", "os.truncate")
done = set()

def within(path):
    if not isinstance(path, (str, bytes)) or os.fsdecode(path).startswith("<"):  # a descriptor, or <string>
        return False
    return os.path.realpath(os.fsdecode(path)).startswith(folder)

def watch(event, args):
    if event.startswith(ALWAYS):
        done.add(event)
    elif event == "exec" and within(getattr(args[0], "co_filename", None)):
        done.add("exec")
    elif event == "import" and args[0] in ("trap", "conftest", "setup"):
        done.add("import")
    elif event == "open" and within(args[0]) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        done.add("write " + os.path.relpath(os.path.realpath(os.fsdecode(args[0])), folder).split(os.sep)[0])
    elif event in IN_FOLDER and within(args[0]):
        done.add(event)

from finallayer.cli import main
sys.addaudithook(watch)
try:
    exec(statement)
except SystemExit as ended:
    assert ended.code in (0, 1), ended.code
print("did:", *sorted(done), sep="|")
"""
TRAP = "open({!r}, 'w')\nraise SystemExit('executed')\n"
UNSTABLE = "import torch\n\n\ndef loss(z, y):\n    return -(y * torch.log(torch.softmax(z, dim=1))).sum()\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project that does harm wherever it is run: imported, executed, taken for a configuration or a shell's."""
    root = tmp_path / "project"
    root.mkdir()
    trap = TRAP.format(str(tmp_path / "ran"))
    lay(root, trap=trap, conftest=trap, setup=trap, sitecustomize=trap, torch=trap, json=trap, ast=trap)
    lay(root, **{"package/__init__": trap, "package/part": "from trap import *\n" + DOUBLE})
    lay(root, double="import trap, package.part\nfrom setup import *\n" + DOUBLE, unstable=UNSTABLE)
    cells = ["!touch ran", "%run trap.py", "%%bash\ntouch ran", "import trap", DOUBLE]
    notebook = {
        "cells": [{"cell_type": "code", "source": source, "metadata": {}, "outputs": []} for source in cells],
        "metadata": {},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (root / "notebook.ipynb").write_text(json.dumps(notebook))
    (root / "pyproject.toml").write_text("[tool.finallayer]\nignore = ['FL3']\n")
    return root


def done(folder: Path, statement: str) -> set[str]:
    """What was done by or to the folder while the statement ran there, which must not have run anything of it."""
    path = f"import sys; sys.path[:] = {[entry for entry in sys.path if entry]}\n"
    command = [sys.executable, "-P", "-c", path + WATCHED, str(folder.resolve()), statement]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.splitlines()[-1].split("|")[1:])


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        (["check", "--no-cache", "--jobs", "1", "."], set()),
        (["check", "--no-cache", "--jobs", "1", "--output-format", "json", "."], set()),
        (["fix", "--diff", "--unsafe-fixes", "--jobs", "1", "."], set()),
        (["check", "--jobs", "1", "."], {"write .finallayer_cache", "os.mkdir", "os.rename"}),
    ],
    ids=["check", "check as json", "fix as a diff", "check with a cache"],
)
def test_nothing_is_run_imported_sent_or_written(folder: Path, arguments: list[str], written: set[str]) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert done(folder, f"main({arguments})") == written
    assert {path: path.read_bytes() for path in before} == before
    assert not (folder.parent / "ran").exists()


def test_fix_writes_the_files_that_it_names_and_no_other(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    did = done(folder, "main(['fix', '--jobs', '1', 'unstable.py', 'double.py'])")
    changed = {path.name for path, data in before.items() if path.read_bytes() != data}
    assert changed == {"unstable.py", "double.py"} and not did & {"exec", "import"}
    assert not (folder.parent / "ran").exists()


def test_started_as_a_module_nothing_of_the_working_folder_runs(folder: Path) -> None:
    trap = (folder / "trap.py").read_text()
    lay(folder, click=trap, fnmatch=trap, bisect=trap, multiprocessing=trap, inspect=trap)
    command = [sys.executable, "-m", "finallayer", "check", "--no-cache", "--jobs", "2", "."]
    path = os.pathsep.join(entry for entry in sys.path if entry)
    ran = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "FL201" in ran.stdout, ran.stderr
    assert not (folder.parent / "ran").exists()


@pytest.mark.parametrize(
    ("statement", "event"),
    [
        ("exec(compile('1', folder + '/double.py', 'exec'))", "exec"),
        ("sys.path.insert(0, '.')\ntry:\n    import trap\nexcept SystemExit:\n    pass", "import"),
        ("open('double.py', 'a')", "write double.py"),
        ("import socket; socket.socket().close()", "socket.__new__"),
        ("import subprocess; subprocess.run(['true'])", "subprocess.Popen"),
        ("os.remove('double.py')", "os.remove"),
    ],
)
def test_the_watch_sees_what_must_not_be_done(folder: Path, statement: str, event: str) -> None:
    assert event in done(folder, statement)
