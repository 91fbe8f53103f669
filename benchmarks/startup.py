"""What the plugin costs a test suite that checks no gradient.

Two suites are written to a temporary folder: one of a single test, which shows the bare start of
pytest, and one of 2,000 that do nothing, which shows what a test costs. Each is run in processes of
its own, in turn with the plugin and without it, all other plugins being left out. pytest finds the
plugin by its entry point, as it does for whoever has installed it, and every module is read from
byte code, as `pip` leaves it, so that no run compiles what another only loads.

A figure is the median over the rounds of the ratio of two runs of the same round, in wall time and
in CPU time, beside the quartiles. Next to it stands pytest against itself, run in just the same
way: how far chance alone moves a figure. (Of 2,000 tests and not of 1,000, where pytest's last full
collection of garbage comes a few tests before its end with the plugin, and after it without.)

Usage: ``python benchmarks/startup.py [--quick] [--runs N]``; exits with 1 where the CPU time with
the plugin is more than 1.03 times that without, and than chance explains.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from importlib.metadata import entry_points
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

ALLOWED = 1.03
PLUGIN = "gradcheck"
ONE = "def test_one():\n    assert True\n"
MANY = """import pytest

@pytest.mark.parametrize("n", range(2000))
def test_n(n):
    assert n >= 0
"""

Times = dict[str, list[float]]
"""Seconds of every run, by way."""


def ways() -> dict[str, list[str]]:
    """Return the options of each way to run pytest: they name the plugins that it leaves out."""
    others = {entry.name for entry in entry_points(group="pytest11")}
    if PLUGIN not in others:
        raise SystemExit("pytest does not find the plugin: pip install it first")
    left_out = [f"-pno:{name}" for name in ("cacheprovider", *sorted(others - {PLUGIN}))]
    without = [*left_out, f"-pno:{PLUGIN}"]
    return {"alone": without, "itself": without, "plugin": left_out}


def run(suite: Path, options: list[str]) -> tuple[float, float]:
    """Run pytest on a suite in a process of its own; return its wall time and its CPU time."""
    left_out = ("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    environment["PYTHONPYCACHEPREFIX"] = str(suite.parent / "bytecode")
    command = [sys.executable, "-m", "pytest", "-q", *options, str(suite)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = perf_counter()
    subprocess.run(command, env=environment, cwd=suite, stdout=subprocess.DEVNULL, check=True)
    wall = perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def timed(suite: Path, runs: int) -> tuple[Times, Times]:
    """Return the wall and the CPU times of each way, every round in another order."""
    options = ways()
    names = list(options)
    walls: Times = {name: [] for name in names}
    cpus: Times = {name: [] for name in names}
    for number in range(runs + 1):
        for place in range(len(names)):
            name = names[(number + place) % len(names)]
            wall, cpu = run(suite, options[name])
            if number:  # the first round writes byte code and warms the disk
                walls[name].append(wall)
                cpus[name].append(cpu)
    return walls, cpus


def ratios(times: Times, name: str) -> list[float]:
    """Return the quartiles of the ratio to pytest alone, round by round."""
    return quantiles(
        (taken / alone for taken, alone in zip(times[name], times["alone"], strict=True)), n=4
    )


def row(kind: str, times: Times) -> str:
    """Return a row of the table."""
    text = f"  {kind:5} {median(times['alone']) * 1e3:5.0f} ms"
    for name in ("plugin", "itself"):
        low, middle, high = ratios(times, name)
        text += f"    {middle:.3f} [{low:.3f} {high:.3f}]"
    return text


def main() -> int:
    """Print the table; return 1 where the plugin costs more than is allowed."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer runs")
    parser.add_argument("--runs", type=int, default=0, help="of each; default: 30, or 5 if quick")
    options = parser.parse_args()
    runs = options.runs or (5 if options.quick else 30)
    print(f"time over that of pytest without the plugin, {runs} runs of each")
    print("           alone    plugin [quartiles]       itself [quartiles]")
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, text in {"one test": ONE, "2,000 tests": MANY}.items():
            suite = Path(folder) / name
            suite.mkdir()
            (suite / "test_suite.py").write_text(text, encoding="utf-8")
            walls, cpus = timed(suite, runs)
            print(name, row("wall", walls), row("CPU", cpus), sep="\n", flush=True)
            worst = max(worst, ratios(cpus, "plugin")[1] / max(1.0, ratios(cpus, "itself")[1]))
    print(f"CPU time with the plugin: {worst:.3f} of that without (allowed: {ALLOWED:.2f})")
    return int(worst > ALLOWED)


if __name__ == "__main__":
    raise SystemExit(main())
