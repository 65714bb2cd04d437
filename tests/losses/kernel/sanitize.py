"""Runs the kernel's own tests on a build with the address and undefined-behaviour sanitizers.

python tests/losses/kernel/sanitize.py [PYTEST-ARGUMENTS]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from finallayer.kernels import build

FLAGS = ("-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
TESTS = ("test_accuracy.py", "test_edges.py")


def main() -> int:
    """The exit status of pytest; anything a sanitizer finds ends the process at once."""
    compiler = build.find_compiler()
    if compiler is None:
        print("no C++ compiler")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        library = build.compile_library(Path(folder), FLAGS)
        assert library is not None, "the sanitized build failed"
        runtimes = [
            subprocess.run(
                [compiler, f"-print-file-name={r}"], capture_output=True, text=True, check=True
            ).stdout.strip()
            for r in ("libasan.so", "libubsan.so")
        ]
        environment = {
            **os.environ,
            "LD_PRELOAD": " ".join(runtimes),  # the interpreter itself is not sanitized
            "ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "FINALLAYER_TEST_KERNEL": str(library),
        }
        tests = [str(Path(__file__).parent / t) for t in TESTS]
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-s",
            "-p",
            "no:cacheprovider",
            "-k",
            "not qemu",
            *sys.argv[1:],
            *tests,
        ]
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
