"""From a keystroke to its diagnostics: the language server in a process of its own, on a program of so many lines.

The bar is 100 ms on a file of 500 lines whose project has been read: 20 ms of that are the pause in which the next key
would come. Run it with ``python benchmarks/server_latency.py [--lines 500] [--keys 50]``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MODEL = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Linear(20, 30), nn.Linear(30, 10)

    def forward(self, x):
        return torch.softmax(self.head(torch.relu(self.first(x))), dim=1)


"""
#: As long programs are: functions that train and evaluate, each a little different.
STEP = """\
def step_{n}(net, loader, optimizer, criterion=nn.CrossEntropyLoss()):
    net.train()
    total = {n}.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(net(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(loader)


step_{n}(Net(), loader, torch.optim.SGD(Net().parameters(), lr=0.1))


"""


class Client:
    """Speaks to a server on its standard input and output."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "finallayer", "server"]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def say(self, method: str, params: dict[str, Any], **more: Any) -> None:
        assert self._server.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, **more}).encode()
        self._server.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._server.stdin.flush()

    def heard(self, method: str | None) -> dict[str, Any]:
        """The next message of a method, or the next answer."""
        assert self._server.stdout is not None
        while True:
            length = 0
            while line := self._server.stdout.readline().strip():
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            message: dict[str, Any] = json.loads(self._server.stdout.read(length))
            if message.get("method") == method:
                return message

    def end(self) -> None:
        self.say("shutdown", {}, id=2)
        self.heard(None)
        self.say("exit", {})
        self._server.wait(10)


def measured(lines: int, keys: int) -> tuple[float, list[float], int]:
    """Seconds until the first diagnostics, those of each key, and how many findings there are."""
    program = MODEL + "".join(STEP.format(n=n) for n in range(lines))
    program = "\n".join(program.split("\n")[:lines]) + "\n"
    with tempfile.TemporaryDirectory() as folder:
        uri, client = Path(folder, "train.py").as_uri(), Client()
        client.say("initialize", {"capabilities": {}, "processId": None, "rootUri": Path(folder).as_uri()}, id=1)
        client.heard(None)
        client.say("initialized", {})
        opened = time.perf_counter()
        document = {"uri": uri, "languageId": "python", "version": 0, "text": program}
        client.say("textDocument/didOpen", {"textDocument": document})
        client.heard("textDocument/publishDiagnostics")
        first, each, found = time.perf_counter() - opened, [], 0
        for key in range(1, keys + 1):
            typed = {"range": {"start": {"line": 12, "character": 0}, "end": {"line": 12, "character": 0}}, "text": "#"}
            pressed = time.perf_counter()
            change = {"textDocument": {"uri": uri, "version": key}, "contentChanges": [typed]}
            client.say("textDocument/didChange", change)
            found = len(client.heard("textDocument/publishDiagnostics")["params"]["diagnostics"])
            each.append(time.perf_counter() - pressed)
        client.end()
    return first, each, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=500)
    parser.add_argument("--keys", type=int, default=50)
    options = parser.parse_args()
    first, each, found = measured(options.lines, options.keys)
    each.sort()
    print(f"{options.lines} lines, {found} findings; first diagnostics after {first * 1000:.0f} ms")
    late = each[int(len(each) * 0.95)]
    print(f"a key: median {statistics.median(each) * 1000:.0f} ms, 95 % within {late * 1000:.0f} ms")


if __name__ == "__main__":
    main()
