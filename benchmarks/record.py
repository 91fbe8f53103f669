"""Run a benchmark and keep what it prints, with the machine and the day: benchmarks/runs/NAME.txt.

Usage: ``python benchmarks/record.py NAME SCRIPT [ARGUMENT ...]``. The page of benchmarks is made of
these runs: no figure stands there that no run has printed.
"""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "benchmarks" / "runs"


def processor() -> str:
    """Return the name of the processor, as Linux tells it, or else as Python does."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def commit() -> str:
    """Return the commit that is measured."""
    asked = ["git", "log", "-1", "--format=%h"]
    run = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)
    return run.stdout.strip()


def head(command: list[str]) -> str:
    """Return what a run is known by: command, day, commit, machine and versions."""
    rows = {
        "command": "python " + " ".join(command),
        "date": datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
        "commit": commit(),
        "machine": f"{processor()}, {os.cpu_count()} cores, {platform.system()}",
        "versions": f"Python {platform.python_version()}, NumPy {version('numpy')}",
    }
    return "".join(f"{name}: {told}\n" for name, told in rows.items())


def main() -> int:
    """Run what is asked for, and keep what it prints."""
    name, command = sys.argv[1], sys.argv[2:]
    first = head(command)
    run = subprocess.run(
        [sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8", check=False
    )
    RUNS.mkdir(exist_ok=True)
    (RUNS / f"{name}.txt").write_text(f"{first}\n{run.stdout}", encoding="utf-8")
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
