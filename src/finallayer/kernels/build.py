"""Compiles the CPU kernels with the C++ compiler at hand: ``python -m finallayer.kernels.build``.

The build hook calls this too, so it needs nothing but the standard library. Without a compiler there is no
library, and the losses take their framework path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIBRARY_NAME = "libfinallayer_kernels" + {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
COMPILERS = ("c++", "g++", "clang++")
FLAGS = (
    "-std=c++17",
    "-O3",
    "-shared",
    "-fPIC",
    "-fvisibility=hidden",
    "-ffp-contract=fast",  # a multiplication and an addition become one operation where the CPU has it
    "-Wno-psabi",  # vectors are passed between inlined functions only
    "-pthread",
    "-s",
)
# The C++ runtime inside the library, so that one wheel runs beside any other; not every compiler can.
STATIC_RUNTIME = ("-static-libstdc++", "-static-libgcc")


def find_compiler() -> str | None:
    """The C++ compiler: ``$CXX`` if set, else the first of `COMPILERS` on the path, else None."""
    for name in (os.environ.get("CXX"), *COMPILERS):
        if name and (found := shutil.which(name)):
            return found
    return None


def compile_library(folder: Path, extra_flags: tuple[str, ...] = (), sources: Path = HERE) -> Path | None:
    """Compile every ``.cpp`` of ``sources`` into one library in ``folder``; its path, or None if no compiler can.

    The library replaces an older one in one step, so a process that has the old one loaded keeps it.
    """
    compiler = find_compiler()
    if compiler is None:
        return None
    library = folder / LIBRARY_NAME
    files = [str(p) for p in sorted(sources.glob("*.cpp"))]
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        built = Path(scratch) / LIBRARY_NAME
        for runtime in (STATIC_RUNTIME, ()):
            command = [compiler, *FLAGS, *extra_flags, *runtime, *files, "-o", str(built)]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                built.replace(library)
                return library
    return None


def main() -> int:
    """Compile in place, beside the source."""
    library = compile_library(HERE)
    print(f"built {library.name}" if library else "no C++17 compiler found: the framework path will serve")
    return 0 if library else 1


if __name__ == "__main__":
    sys.exit(main())
