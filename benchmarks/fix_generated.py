"""Generated programs, fixed and run before and after: how many fixes are wrong (none may be).

python benchmarks/fix_generated.py [--programs N] [--seed S]
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.fix.generator import torch_program
from tests.fix.running import difference
from tests.fix.workbench import repaired


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for i in range(given.programs):
            if i and i % 100 == 0:
                print(f"{i} programs: {dict(counts)}", flush=True)
            program = torch_program(random.Random(given.seed * 1_000_000 + i))
            path = Path(folder) / "program.py"
            path.write_text(program.text)
            result = repaired(path)
            if not result.changed:
                counts["without a safe fix"] += 1
                continue
            after = result.changed[0][1].decode()
            try:
                why = difference(program.text, after, program.binary)
            except Exception as error:
                why = f"{type(error).__name__}: {error}"
            counts["wrong" if why else "right"] += 1
            if why:
                print(f"--- program {i}: {why}\n{program.text}\n--- after\n{after}")
    print(dict(counts), flush=True)
    sys.exit(counts["wrong"] > 0)


if __name__ == "__main__":
    main()
