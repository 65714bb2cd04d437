"""What was fixed, a line a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from finallayer.fix.repair import Fixed
from finallayer.report.places import plain, shown_path


def lines(mended: Iterable[Fixed], verb: str) -> Iterator[str]:
    """``Fixed train.py: 2 × FL201 (log-of-softmax)``, and which other files changed for it."""
    by_file: dict[str, list[Fixed]] = {}
    for fixed in mended:
        by_file.setdefault(fixed.path, []).append(fixed)
    for path, of_file in sorted(by_file.items()):
        counts: Counter[tuple[str, str]] = Counter()
        for fixed in of_file:
            counts[fixed.rule.code, fixed.rule.name] += fixed.number
        rules = ", ".join(f"{n} × {code} ({name})" for (code, name), n in sorted(counts.items()))
        others = sorted(plain(shown_path(p)) for p in {p for fixed in of_file for p in fixed.by} - {path})
        also = f"; changes {', '.join(others)}, too" if others else ""
        yield f"{verb} {plain(shown_path(path))}: {rules}{also}"
