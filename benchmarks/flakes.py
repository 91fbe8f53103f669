"""Run all tests again and again: in random orders, plain and on two workers, under several kernels.

Usage: ``python benchmarks/flakes.py [--runs N] [--write] [ARGUMENT ...]``; arguments go to pytest.
Each run takes the next of the kernels and, in turn, one process or two workers of pytest-xdist; the
seed of pytest-randomly is told. A row of the log follows each run, and ``--write`` puts the rows
into the table of docs/reliability.md. It returns 1 where a test failed in any run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- flakes -->", "<!-- end of flakes -->"
HEAD = (
    "| run | kernels | workers | order | passed | failed | seconds |\n|---|---|---|---|---|---|---|"
)

FEATURES = (
    "import numpy; print(*numpy.show_config(mode='dicts')['SIMD Extensions'].get('found', []))"
)


@dataclass(frozen=True)
class Run:
    """One run of the tests, and what came of it."""

    number: int
    kernels: str
    workers: int
    seed: int
    passed: int = 0
    failed: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def row(self) -> str:
        """Its row of the table."""
        failed = ", ".join(f"`{name}`" for name in self.failed) or "0"
        workers = f"`-n{self.workers}`" if self.workers else "plain"
        cells = [self.number, self.kernels, workers, self.seed, self.passed, failed]
        return f"| {' | '.join(map(str, cells))} | {self.seconds:.0f} |"


def kernels() -> dict[str, dict[str, str]]:
    """Return the kernels to run under, each with the variables that choose it.

    NumPy names the extensions that this processor has, the oldest first.
    """
    told = subprocess.run(
        [sys.executable, "-c", FEATURES], capture_output=True, text=True, check=True
    )
    found = told.stdout.split()
    chosen: dict[str, dict[str, str]] = {"all of the processor's": {}}
    if len(found) > 1:
        chosen[f"NumPy without {found[-1]}"] = {"NPY_DISABLE_CPU_FEATURES": found[-1]}
    if found:
        chosen["NumPy's baseline"] = {"NPY_DISABLE_CPU_FEATURES": " ".join(found)}
    chosen["OpenBLAS's Prescott"] = {"OPENBLAS_CORETYPE": "Prescott"}
    return chosen


def planned(count: int, seed: int) -> Iterator[tuple[Run, dict[str, str]]]:
    """Yield so many runs, each with the variables of its kernels."""
    choices = list(kernels().items())
    for number in range(count):
        name, variables = choices[number % len(choices)]
        yield Run(number + 1, name, 2 * (number // len(choices) % 2), seed + number), variables


def done(run: Run, variables: dict[str, str], arguments: list[str]) -> Run:
    """Run the tests, and return what came of it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        xml = Path(folder) / "junit.xml"
        options = ["-q", "-p", "no:cacheprovider", "-p", "randomly", f"--randomly-seed={run.seed}"]
        workers = [f"-n{run.workers}"] if run.workers else []
        began = time.perf_counter()
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *workers, f"--junitxml={xml}", *arguments],
            cwd=ROOT,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=False,
        )
        seconds = time.perf_counter() - began
        cases = list(ET.parse(xml).iter("testcase")) if xml.exists() else []
    failed = [case for case in cases if any(child.tag in ("failure", "error") for child in case)]
    names = tuple(f"{case.get('classname')}.{case.get('name')}" for case in failed)
    if ended.returncode and not names:
        names = (f"exit code {ended.returncode}",)
    skipped = sum(any(child.tag == "skipped" for child in case) for case in cases)
    passed = len(cases) - len(failed) - skipped
    return Run(run.number, run.kernels, run.workers, run.seed, passed, names, seconds)


def joined(text: str, rows: list[str]) -> str:
    """Return the text of the page with rows in the place of its table's."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return "\n".join([before + BEGIN, HEAD, *rows, END + after])


def main() -> int:
    """Run, print the rows, and return 1 where a test failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1_000_000)
    parser.add_argument("--write", action="store_true")
    options, arguments = parser.parse_known_args()
    print(HEAD, flush=True)
    runs: list[Run] = []
    for run, variables in planned(options.runs, options.seed):
        runs.append(done(run, variables, arguments))
        print(runs[-1].row, flush=True)
        if options.write:
            page = joined(PAGE.read_text("utf-8"), [one.row for one in runs])
            PAGE.write_text(page, encoding="utf-8")
    return int(any(run.failed for run in runs))


if __name__ == "__main__":
    sys.exit(main())
