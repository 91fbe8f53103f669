"""What tests of documents share: their blocks, pytest run as a reader would, comparable outputs.

What stands above a block in a comment says what becomes of it:

* ``file: NAME``: it is written to the folder of its page under that name, for what follows;
* ``failure: ARGS``: what ``pytest ARGS`` shows there of the test that fails;
* ``summary: ARGS``: what it shows there from the summary of checks on;
* ``printed: NAME``: what running the Python file of that name there prints;
* ``made: NAME`` above any text up to ``end of NAME``: what `made` makes of the sources.

A block of Python without such a comment is a snippet, which runs with the names of `readme_names`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest

ADDOPTS = "-p no:randomly -p no:hypothesispytest"
"""Options of every run of pytest inside of a test: no plugin of the outer run orders its tests.

The plugin of Hypothesis takes more than half of the time that two workers of a small run need to
start. A test that is about it asks for it by ``-p hypothesispytest``.
"""

BLOCK = re.compile(
    r"(?:<!-- (?P<kind>file|failure|summary|printed): (?P<said>[^\n]*?) -->\n)?"
    r"^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)

FRAMEWORKS = ("torch", "jax", "autograd", "mygrad", "micrograd", "tinygrad")

OF_CI = ("CI", "BUILD_NUMBER")
"""Where either is set, pytest does not cut the lines of its summary."""

INI = "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
"""What pytest-asyncio would ask for with a warning."""


class Block(NamedTuple):
    """A fenced block of a page: what is said of it, its language and its text."""

    kind: str
    said: str
    language: str
    text: str


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    return [Block(*(found or "" for found in match.groups())) for match in BLOCK.finditer(text)]


def of_a_framework(block: Block) -> bool:
    """Return whether a block begins with the import of a framework, which may not be there."""
    return re.match(rf"(?:import|from) ({'|'.join(FRAMEWORKS)})\b", block.text) is not None


def outputs_anew(text: str, folder: Path) -> str:
    """Return a page whose outputs are those of runs of its files in a folder, from its top down."""

    def anew(match: re.Match[str]) -> str:
        kind, said = match["kind"], match["said"]
        if kind == "file":
            (folder / said).write_text(match["text"], encoding="utf-8")
        if kind not in MAKERS:
            return match[0]
        first, last = match.start("text") - match.start(), match.end("text") - match.start()
        return match[0][:first] + MAKERS[kind](folder, said) + match[0][last:]

    return BLOCK.sub(anew, text)


def run_as_test(pytester: pytest.Pytester, source: str) -> None:
    """Run a snippet as a test file, with the names it uses, and ask for a check in it."""
    if "def test_" not in source:
        source = f"def test_snippet(gradcheck):\n{textwrap.indent(source, '    ')}"
    pytester.syspathinsert(Path(__file__).parent)
    pytester.makepyfile(test_snippet=f"import numpy as np\nfrom readme_names import *\n\n{source}")
    pytester.makeini(INI)
    result = pytester.runpytest("-p", "no:cacheprovider", "--gradcheck-min=1", "-Werror")
    assert result.ret == pytest.ExitCode.OK
    assert set(result.parseoutcomes()) == {"passed"}


def run_pytest(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder, in 80 columns, whatever the surroundings are.

    No other plugin is loaded, which takes most of the time of a small run.
    """
    plugins = ("-p", "no:cacheprovider", "-p", "pytest_gradcheck.plugin", "-p", "still_clock")
    return _run(folder, "-m", "pytest", *plugins, *args)


def _run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    theirs = ("PYTEST", "PY_COL", *OF_CI)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(theirs)}
    environment |= {"COLUMNS": "80", "PYTHONUTF8": "1", "NO_COLOR": "1"}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    beside = [str(Path(__file__).parent), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, beside))
    # On matrices as small as these, threads of linear algebra only wait for each other.
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *args],
        cwd=folder,
        env=environment,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        encoding="utf-8",
        check=False,
    )


def _failure(folder: Path, args: str) -> str:
    """Return what pytest shows of a test that fails, from the line of its call on."""
    lines = _lines_of_pytest(folder, args)
    first = next(i for i, line in enumerate(lines) if line.startswith(">"))
    last = next(i for i in range(first, len(lines)) if re.match(r"\S+\.py:\d+: ", lines[i]))
    return "\n".join(lines[first : last + 1]) + "\n"


def _summary(folder: Path, args: str) -> str:
    """Return what pytest shows from the summary of checks to the line before the last."""
    lines = _lines_of_pytest(folder, args)
    first = next(i for i, line in enumerate(lines) if "= gradient checks =" in line)
    return "\n".join(lines[first:-1]) + "\n"


def _lines_of_pytest(folder: Path, args: str) -> list[str]:
    run = run_pytest(folder, *args.split())
    assert run.returncode in (0, 1), run.stdout + run.stderr
    return [line.rstrip() for line in run.stdout.splitlines()]


def _printed(folder: Path, name: str) -> str:
    run = _run(folder, "-m", "still_clock", *name.split())
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


MAKERS = {"failure": _failure, "summary": _summary, "printed": _printed}
"""How the output of each kind is made, from the folder and what is said of it."""


def comparable(report: str) -> list[str]:
    """Return the lines of a report without what rounding makes of it on another machine."""
    report = re.sub(r"\d\.\de-(0[7-9]|1\d)", "rounding", report)
    report = re.sub(r"(\d\.\d{5,})\d\b", r"\1", report)  # the last digit of a difference
    report = re.sub(r"resolution \d\.\de-\d\d", "some resolution", report)
    report = re.sub(r" *\d+\.\d+ s\b", " some s", report)
    report = re.sub(r" *[\d,]+ us each", " some us each", report)
    return re.sub(r" *\d+ (cost )?calls", " some calls", report).splitlines()
