"""What ends `finallayer fix` from outside: signals, a full disk, an output that nobody reads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import pytest

import finallayer
from finallayer.cli.signals import interruptible, never_lost

UNSTABLE = """\
import torch
import torch.nn.functional as F

torch.manual_seed(0)


def loss(net, x, y):
    return -(y * torch.log(F.softmax(net(x), dim=1))).sum()
"""
#: Runs the command, but is slow where the second argument says (module:function), and tells when it has come there.
SLOW = """\
import importlib, sys, time
from finallayer.cli import main
owner, name = sys.argv.pop(1).split(":")
module = importlib.import_module(owner)
real = getattr(module, name)
def slow(*args, **options):
    print("there", file=sys.stderr, flush=True)
    time.sleep(1)
    return real(*args, **options)
setattr(module, name, slow)
main()
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(finallayer.__file__).parents[1])}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("place", ["finallayer.fix.repair:unused_imports", "finallayer.fix.text.documents:_Staged"])
def test_a_signal_leaves_whole_files_and_nothing_else(tmp_path: Path, number: int, place: str) -> None:
    (tmp_path / "a.py").write_text(UNSTABLE)
    command = [sys.executable, "-P", "-c", SLOW, place, "fix", "a.py"]
    run = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    assert run.stderr is not None and run.stdout is not None
    assert run.stderr.readline() == b"there\n"
    run.send_signal(number)
    out, err = run.communicate(timeout=60)
    assert (run.returncode, out, err) == (130, b"", b"finallayer: interrupted\n")
    assert (tmp_path / "a.py").read_text() == UNSTABLE
    assert [p.name for p in tmp_path.iterdir()] == ["a.py"]


def test_what_was_written_before_a_signal_is_told(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text(UNSTABLE)
    command = [sys.executable, "-P", "-c", SLOW, "finallayer.fix.text.documents:_Staged", "fix", "."]
    run = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE)
    assert run.stderr is not None
    assert [run.stderr.readline() for _ in range(2)] == [b"there\n", b"there\n"]
    run.send_signal(signal.SIGTERM)
    _, err = run.communicate(timeout=60)
    assert (run.returncode, err) == (130, b"finallayer: already fixed: a.py\nfinallayer: interrupted\n")
    assert ("log_softmax" in (tmp_path / "a.py").read_text(), (tmp_path / "b.py").read_text()) == (True, UNSTABLE)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.py", "b.py"]


def test_held_back_signals_come_afterwards() -> None:
    steps = []
    with pytest.raises(KeyboardInterrupt), interruptible() as signals:
        with signals.held_back():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
            steps.append("written")
        steps.append("gone on")
    assert steps == ["written"]


def test_a_signal_that_comes_where_nothing_can_be_raised_comes_again() -> None:
    class Watched:
        pass

    watched = Watched()
    watching = weakref.ref(watched, lambda _: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt), never_lost(), interruptible():
        del watched  # what a weak reference calls can raise nothing
        time.sleep(10)
    assert watching() is None


def test_what_was_ignored_stays_ignored_and_handlers_come_back() -> None:
    before, of_term = signal.signal(signal.SIGHUP, signal.SIG_IGN), signal.getsignal(signal.SIGTERM)
    try:
        with interruptible():
            assert signal.getsignal(signal.SIGTERM) is not of_term
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.getsignal(signal.SIGTERM) is of_term


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(
    ("verb", "output", "code", "says"),
    [
        ("fix", "/dev/full", 2, b"finallayer: the output could not be written: No space left on device\n"),
        ("check", "/dev/full", 2, b"finallayer: the output could not be written: No space left on device\n"),
        ("fix", None, 0, b""),
        ("check", None, 1, b""),
    ],
    ids=["fix, full", "check, full", "fix, closed", "check, closed"],
)
def test_an_output_that_can_not_be_written_is_no_traceback(
    tmp_path: Path, verb: str, output: str | None, code: int, says: bytes
) -> None:
    (tmp_path / "a.py").write_text(UNSTABLE)
    to = f">{output}" if output else ">&-"
    command = ["sh", "-c", f'"$0" -P -m finallayer {verb} a.py {to}', sys.executable]
    run = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (run.returncode, run.stderr) == (code, says)
    assert ("log_softmax" in (tmp_path / "a.py").read_text()) == (verb == "fix")
