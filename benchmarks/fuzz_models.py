"""Damages saved models in many ways, then reads, checks, strips and appends them: each is one line, or a model.

    python benchmarks/fuzz_models.py FOLDER [--cases 20000] [--seed 0] [--seconds 600]

FOLDER holds the files to begin with (``.keras``, ``.onnx``, ``.pt2``, folders of SavedModels, checkpoints). Each case
damages one: bytes, lengths, members of an archive, values in its JSON, messages in its protobuf. A case fails where
anything else than NotRead, NotDone or OSError comes of it, where it takes longer than ten seconds, or more memory than
two GiB. Prints the counts, and for each failure the seed that makes it again; exits 1 where there was any.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from finallayer import models
from finallayer.check.saved import analyse_saved
from finallayer.models.model import HEADS, Edited
from finallayer.models.refusals import NotDone, NotRead

SECONDS, BYTES = 10, 2 * 2**30
#: What is put in place of a value, or of some bytes.
ODD: list[Any] = [None, True, -1, 0, 1.5, 2**63, 1e308, "", "x" * 3000, "../..", "\0", [], {}, [[]], {"class_name": 1}]
ODD += [["dense", 0, 0], {"class_name": "Sequential", "config": {"layers": []}}, float("nan"), "keras.layers", [None]]
BYTES_PUT = [b"", b"\0", b"\xff" * 8, b"\x80" * 10, b"PK\3\4", b"PK\5\6", b"\x0a\xff\xff\xff\xff\x0f", b"{" * 500]


class TooLongError(Exception):
    """A case takes too long."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    chosen = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    signal.signal(signal.SIGALRM, _too_long)
    seeds = sorted(p for p in chosen.folder.iterdir())
    counts: Counter[str] = Counter()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        for case in range(chosen.seed, chosen.seed + chosen.cases):
            if time.monotonic() - started > chosen.seconds:
                break
            counts[_case(case, seeds, Path(scratch))] += 1
    print(sum(counts.values()), "cases:", ", ".join(f"{n} {what}" for what, n in counts.most_common()))
    sys.exit(int(any(what.startswith("FAILED") for what in counts)))


def _case(case: int, seeds: list[Path], scratch: Path) -> str:
    """What becomes of one damaged file."""
    chance = random.Random(case)
    seed = chance.choice(seeds)
    path = scratch / seed.name
    try:
        _damaged(seed, path, chance)
        with _bounded():
            return _used(path)
    except (NotRead, OSError):
        return "not read"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        where = traceback.extract_tb(error.__traceback__)[-1]
        print(
            f"case {case} ({seed.name}): {type(error).__name__}: {error} at {where.filename}:{where.lineno}", flush=True
        )
        return f"FAILED with {type(error).__name__}"
    finally:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _used(path: Path) -> str:
    """Put a file before the rules, read it, and change each of its outputs all ways."""
    analyse_saved(str(path))
    model = models.read(path)
    done = "read"
    changes: list[Callable[[str], Edited]] = [model.strip, *(partial(model.append, head) for head in HEADS)]
    for output in model.outputs[:8]:
        json.dumps(output.fields())
        for change in changes:
            try:
                change(output.name).write(io.BytesIO())
                done = "read and changed"
            except NotDone as why:
                assert "\n" not in str(why)
    return done


def _damaged(seed: Path, path: Path, chance: random.Random) -> None:
    """A copy of a seed, damaged in one to three places."""
    if seed.is_dir():
        shutil.copytree(seed, path)
        path = chance.choice(sorted(p for p in path.rglob("*") if p.is_file()))
        seed = path
    data = seed.read_bytes()
    for _ in range(chance.randint(1, 3)):
        if data.startswith(b"PK\3\4") and chance.random() < 0.8:
            data = _archive(data, chance)
        elif data[:1] == b"{" and chance.random() < 0.8:
            data = _json(data, chance)
        elif path.suffix in (".onnx", ".pb") and chance.random() < 0.6:
            data = _message(data, chance)
        else:
            data = _bytes(data, chance)
    path.write_bytes(data)


def _archive(data: bytes, chance: random.Random) -> bytes:
    """An archive with one member damaged, gone, doubled or renamed."""
    try:
        members = [
            (i.filename, zipfile.ZipFile(io.BytesIO(data)).read(i))
            for i in zipfile.ZipFile(io.BytesIO(data)).infolist()
        ]
    except Exception:
        return _bytes(data, chance)
    told = [i for i, (name, _) in enumerate(members) if name.endswith(".json")]
    if not told:
        return _bytes(data, chance)
    at = chance.choice(told)
    name, content = members[at]
    way = chance.random()
    if way < 0.85:
        members[at] = name, _json(content, chance)
    elif way < 0.9:
        del members[at]
    elif way < 0.95:
        members.append((name, content))
    else:
        members.append((chance.choice(["../a", "/etc/passwd", "a/../../b", "\\..\\a"]), b""))
    made = io.BytesIO()
    warnings.simplefilter("ignore")  # of members of one name
    with zipfile.ZipFile(made, "w", chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content)
    return made.getvalue()


def _json(data: bytes, chance: random.Random) -> bytes:
    """JSON with one value replaced, one removed, or one copied to another place."""
    try:
        whole = json.loads(data)
    except ValueError:
        return _bytes(data, chance)
    places = list(_places(whole))
    if not places:
        return _bytes(data, chance)
    owner, key = chance.choice(places)
    way = chance.random()
    if way < 0.5:
        owner[key] = chance.choice(ODD)
    elif way < 0.65:
        del owner[key]
    elif way < 0.9:
        other, name = chance.choice(places)
        try:
            owner[key] = json.loads(json.dumps(other[name]))
        except (KeyError, IndexError):
            owner[key] = None
    else:
        deep: Any = 0
        for _ in range(chance.choice([30, 500, 900])):
            deep = {"class_name": "Sequential", "config": {"layers": [deep]}} if chance.random() < 0.5 else [deep]
        owner[key] = deep
    try:
        return json.dumps(whole).encode()
    except (ValueError, RecursionError):
        return data


def _places(part: Any) -> Iterator[tuple[Any, Any]]:
    waiting = [part]
    while waiting:
        owner = waiting.pop()
        items = owner.items() if isinstance(owner, dict) else enumerate(owner) if isinstance(owner, list) else ()
        for key, value in items:
            yield owner, key
            waiting.append(value)


def _message(data: bytes, chance: random.Random) -> bytes:
    """A protobuf with a field of one of its messages cleared, doubled, or exchanged for another's."""
    import onnx

    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception:
        return _bytes(data, chance)
    messages: list[Any] = [model]
    for message in messages:
        for field, value in message.ListFields():
            if field.message_type is not None:
                messages += value if hasattr(value, "add") else [value]
    message = chance.choice(messages)
    fields = message.ListFields()
    if not fields:
        return _bytes(data, chance)
    field, value = chance.choice(fields)
    if chance.random() < 0.3:
        message.ClearField(field.name)
    elif hasattr(value, "append") and field.message_type is None and len(value):
        value[chance.randrange(len(value))] = type(value[0])(chance.choice([0, 1, 3, 99]))
    elif hasattr(value, "add") and len(value):
        value.add().CopyFrom(chance.choice(list(value)))
    elif field.message_type is None and isinstance(value, (int, float)):
        try:
            setattr(message, field.name, type(value)(chance.choice([-1, 0, 1, 7, 2**31 - 1, 2**62])))
        except ValueError:
            message.ClearField(field.name)
    elif isinstance(value, (str, bytes)):
        others = [v for m in messages for f, v in m.ListFields() if type(v) is type(value)]
        try:
            setattr(message, field.name, chance.choice(others))
        except ValueError:  # of what TensorFlow calls bytes, ONNX may call a text
            message.ClearField(field.name)
    try:
        damaged: bytes = model.SerializeToString()
    except Exception:
        return data
    return damaged


def _bytes(data: bytes, chance: random.Random) -> bytes:
    """Bytes cut off, turned over, put in, or copied."""
    at, other = (chance.randrange(len(data) + 1) for _ in range(2))
    way = chance.random()
    if way < 0.25:
        return data[:at]
    if way < 0.6 and at < len(data):
        return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
    if way < 0.8:
        return data[:at] + chance.choice(BYTES_PUT) + data[at + chance.choice([0, 1, 8]) :]
    return data[:at] + data[min(at, other) : max(at, other)] + data[at:]


@contextmanager
def _bounded() -> Iterator[None]:
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


def _too_long(*_: object) -> None:
    raise TooLongError(f"longer than {SECONDS} s")


if __name__ == "__main__":
    main()
