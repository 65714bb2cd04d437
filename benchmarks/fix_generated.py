"""Generated programs, fixed and run before and after: how many fixes are wrong (none may be).

KERAS_BACKEND=torch python benchmarks/fix_generated.py {torch,keras,jax} [--programs N] [--seed S] [--plain]
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.fix.generated.layout import laid_out
from tests.fix.generated.programs import GENERATORS
from tests.fix.generated.running import difference
from tests.fix.workbench import repaired


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("framework", choices=GENERATORS)
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="leave the programs' layout alone")
    parser.add_argument("--show-refused", type=int, default=0, metavar="N", help="print N programs without a safe fix")
    given = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "torch")
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for i in range(given.programs):
            if i and i % 100 == 0:
                print(f"{i} programs: {dict(counts)}", flush=True)
            draw = random.Random(given.seed * 1_000_000 + i)
            program = GENERATORS[given.framework](draw)
            path = Path(folder) / "program.py"
            data = program.text.encode() if given.plain else laid_out(program.text, draw)
            path.write_bytes(data)
            result = repaired(path)
            if not result.changed:
                counts["without a safe fix"] += 1
                if counts["without a safe fix"] <= given.show_refused:
                    print(f"--- program {i}\n{data.decode()}\n", *(f.fix for f in result.remaining))
                continue
            after = result.changed[0][1]
            try:
                why = difference(program, after)
            except Exception as error:
                why = f"{type(error).__name__}: {error}"
            counts["wrong" if why else "right"] += 1
            if why:
                print(f"--- program {i}: {why}\n{data.decode()}\n--- after\n{after.decode()}")
    print(dict(counts), flush=True)
    sys.exit(counts["wrong"] > 0)


if __name__ == "__main__":
    main()
