"""Run the tests on the oldest versions that the package takes, and on the newest there are.

Usage: ``python benchmarks/versions.py [--age AGE] [--write] [--python PYTHON ...] [ARGUMENT ...]``.
Each interpreter, by default the one that runs this, gets an environment of its own for each age;
arguments go to pytest. ``--write`` puts the rows into the table of docs/compatibility.md, in the
place of those of the same platform, Python and age.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "compatibility.md"
BEGIN, END = "<!-- versions -->", "<!-- end of versions -->"

AGES = ("oldest", "newest")
OLDEST_NUMPY = {"3.10": "1.26", "3.11": "1.26", "3.12": "1.26", "3.13": "2.1", "3.14": "2.3"}
"""The first NumPy from 1.26 on with wheels for a Python."""

VERSIONS = """
import platform, numpy, pluggy, pytest
print(f"{platform.system()} {platform.machine()}", platform.python_version(), pytest.__version__,
      numpy.__version__, pluggy.__version__, sep="|")
"""


def constraints(age: str, minor: str) -> str:
    """Return what pip may install beside the package, as a file of constraints."""
    if age == "newest":
        return ""
    return f"pytest==8.4.*\nnumpy=={OLDEST_NUMPY[minor]}.*\npluggy==1.5.*\n"


def told(command: list[str]) -> str:
    """Return what a program prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def made(python: str, age: str, folder: Path) -> str:
    """Return the interpreter of a new environment with the package and what its tests need."""
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    inside = str(folder / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    minor = told([inside, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
    (folder / "constraints.txt").write_text(constraints(age, minor), encoding="utf-8")
    pip = [inside, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    subprocess.run(
        [*pip, "-c", str(folder / "constraints.txt"), "-e", f"{ROOT}[tests]"], check=True
    )
    return inside


def row(python: str, age: str, arguments: list[str]) -> tuple[str, int]:
    """Run the tests in an environment of an age; return a row of the table, and pytest's code."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        inside = made(python, age, Path(folder) / "environment")
        xml = Path(folder) / "junit.xml"
        surroundings = {
            k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))
        }
        ended = subprocess.run(
            [
                inside,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                f"--junitxml={xml}",
                *arguments,
            ],
            cwd=ROOT,
            env=surroundings,
            check=False,
        )
        platform, *versions = told([inside, "-c", VERSIONS]).split("|")
        counts = outcomes(xml)
    cells = [platform, versions[0], age, *versions[1:], counts]
    return f"| {' | '.join(cells)} |", ended.returncode


def outcomes(xml: Path) -> str:
    """Return how many tests ended how, in words."""
    found = Counter(
        next((child.tag for child in case if child.tag in WORDS), "")
        for case in ET.parse(xml).iter("testcase")
    )
    words = [("passed", found[""])] + [(word, found[tag]) for tag, word in WORDS.items()]
    return ", ".join(f"{count} {word}" for word, count in words if count)


WORDS = {"skipped": "skipped", "failure": "failed", "error": "errors"}


def joined(text: str, rows: list[str]) -> str:
    """Return the text of the page with rows put into its table."""
    before, rest = text.split(BEGIN)
    table, after = rest.split(END)
    head, rule, *old = table.strip().splitlines()
    named = {key(line): line for line in [*old, *rows]}
    lines = [BEGIN, head, rule, *(named[one] for one in sorted(named)), END]
    return before + "\n".join(lines) + after


def key(line: str) -> tuple[str, tuple[int, ...], bool]:
    """Return what a row is of: the platform, Python without its last number, and the age."""
    platform, python, age, *_ = (cell.strip() for cell in line.strip("|").split(" | "))
    return platform, tuple(int(part) for part in python.split(".")[:2]), age == "newest"


def main() -> int:
    """Run the tests in every environment, print the rows, and return 1 where a test fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--age", choices=AGES, action="append")
    parser.add_argument("--python", action="append")
    parser.add_argument("--write", action="store_true")
    options, arguments = parser.parse_known_args()
    failed = 0
    for python in options.python or [sys.executable]:
        for age in options.age or AGES:
            line, code = row(python, age, arguments)
            failed += code != 0
            print(line, flush=True)
            if options.write:
                PAGE.write_text(joined(PAGE.read_text("utf-8"), [line]), encoding="utf-8")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
