"""How often the line that was spoiled is named: random one-line mutations of backward passes.

``python benchmarks/lines.py [N [SEED]]`` prints the table of N mutants in all (2,000 by default) by
style and by kind of mutation. A mutant counts where the check fails. The search goes by the time
of its own process, so that what else the machine does is of no matter.

line     the very line is named
range    a range of at most three lines around it is
wrong    another line is, or a range without it
silent   nothing is said
"""

from __future__ import annotations

import re
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from mutations import Mutant, loaded, mutants, styles

from pytest_gradcheck import Report
from pytest_gradcheck.api import check_problem
from pytest_gradcheck.diagnosis.line.recording import clock

OUTCOMES = ("line", "range", "wrong", "silent")
PLACE = re.compile(r"[^:]+:(\d+)(?: to (\d+))?: ")
TRIES = 60
"""Mutants that are tried for each that fails its check."""


def outcome(report: Report, line: int) -> str:
    """Return how the line that was spoiled is told."""
    for finding in report.findings:
        place = PLACE.match(finding.message)
        if finding.code == "line" and place is not None:
            first, last = int(place[1]), int(place[2] or place[1])
            if not first <= line <= last:
                return "wrong"
            return "line" if first == last else "range"
    return "silent"


def failing(style: str, count: int, seed: int) -> Iterator[tuple[Mutant, Report, float]]:
    """Yield mutants whose check fails, with the report and the seconds that it took."""
    seen: set[str] = set()
    found = 0
    for number, mutant in enumerate(mutants(style, seed)):
        if found >= count or number >= TRIES * count:
            return
        if mutant.text in seen:
            continue
        seen.add(mutant.text)
        try:
            problem = loaded(style, mutant.text, number).problem()
            problem = replace(problem, settings={**problem.settings, "locate": True})
            start = time.process_time()
            report = check_problem(problem, raising=False)
        except Exception:  # it does not even run
            continue
        if not report.passed and report.verdict != "nonfinite":
            found += 1
            yield mutant, report, time.process_time() - start


def shares(counts: Counter[str]) -> str:
    """Return a row of shares."""
    total = sum(counts.values())
    return "".join(f"{counts[name] / max(total, 1):>9.1%}" for name in OUTCOMES) + f"{total:>8}"


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    clock.now = time.process_time
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    each = -(-wanted // len(styles()))
    by_kind: dict[str, Counter[str]] = defaultdict(Counter)
    every: Counter[str] = Counter()
    seconds: list[float] = []
    print(f"{'':22}{''.join(f'{name:>9}' for name in OUTCOMES)} mutants")
    for style in styles():
        mine: Counter[str] = Counter()
        for mutant, report, took in failing(style, each, seed):
            told = outcome(report, mutant.line)
            seconds.append(took)
            for counts in (mine, by_kind[mutant.kind], every):
                counts[told] += 1
        print(f"{style:22}{shares(mine)}", flush=True)
    for kind, counts in sorted(by_kind.items()):
        print(f"{kind:22}{shares(counts)}")
    print(f"{'all':22}{shares(every)}")
    near = (every["line"] + every["range"]) / max(every.total(), 1)
    print(f"the line, or a range of at most three lines around it: {near:.1%}")
    print(f"a check takes {1e3 * float(np.median(seconds)):.0f} ms, at most {max(seconds):.1f} s")


if __name__ == "__main__":
    main()
