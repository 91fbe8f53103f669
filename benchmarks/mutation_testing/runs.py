"""Which tests see a mutant: those that run its line, nearest and fastest first, in a fork."""

from __future__ import annotations

import compileall
import contextlib
import json
import os
import signal
import sys
import time
import traceback
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest
from coverage import CoverageData

from .mutants import Mutant, changed

__all__ = ["Coverings", "Runner"]

FILES, EACH = 3, 15
"""Files whose tests are tried first, and how many of each: to collect a file takes long."""


@dataclass
class Coverings:
    """Which tests run which line, and how long each takes."""

    lines: dict[str, dict[int, set[str]]]
    seconds: dict[str, float]

    @classmethod
    def read(cls, data: Path, package: Path, durations: Path, failed: set[str]) -> Coverings:
        """Read what coverage wrote of a run of all tests, but for those that failed in it."""
        seconds = dict(json.loads(line) for line in durations.read_text().splitlines())
        stored = CoverageData(str(data))
        stored.read()
        lines: dict[str, dict[int, set[str]]] = {}
        for file in stored.measured_files():
            found: dict[int, set[str]] = defaultdict(set)
            for line, contexts in stored.contexts_by_lineno(file).items():
                for context in contexts:
                    if context in seconds and context not in failed:
                        found[line].add(context)
            lines[str(Path(file).relative_to(package))] = dict(found)
        return cls(lines, seconds)

    def tests(self, mutant: Mutant) -> tuple[list[str], list[str]]:
        """Return the tests to try first, and the others, fastest first.

        A line that only an import runs is left to the tests of all lines of its module.
        """
        by_line = self.lines.get(mutant.module, {})
        found = by_line.get(mutant.line) or set().union(*by_line.values())
        files: dict[str, list[str]] = defaultdict(list)
        for test in sorted(found, key=lambda test: self.seconds[test]):
            files[test.partition("::")[0]].append(test)
        near = f"tests/{mutant.room}/"
        order = sorted(files, key=lambda file: (not file.startswith(near), -len(files[file])))
        first = [test for file in order[:FILES] for test in files[file][:EACH]]
        taken = set(first)
        others = sorted(found - taken, key=lambda test: self.seconds[test])
        return first, others


class _Killer:
    """Keeps the first test that failed."""

    def __init__(self) -> None:
        self.test = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure."""
        if report.failed and not self.test:
            self.test = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a module that could not be imported."""
        if report.failed and not self.test:
            self.test = report.nodeid


class Runner:
    """Runs tests in forks of a process that has imported all but the package."""

    def __init__(self, tree: Path, log: Path) -> None:
        self.tree = tree
        self.log = log
        self._times = int(time.time())

    def preload(self) -> None:
        """Import what takes long, and is not under test."""
        import hypothesis  # noqa: F401
        import joblib.externals.loky  # noqa: F401
        import jsonschema  # noqa: F401
        import numpy.testing  # noqa: F401
        import pytest_asyncio.plugin  # noqa: F401
        import scipy.special  # noqa: F401
        import xdist.plugin  # noqa: F401

        assert not any(name.startswith("pytest_gradcheck") for name in sys.modules)
        sys.path.insert(0, str(self.tree))
        os.environ["PYTHONPATH"] = str(self.tree)
        compileall.compile_dir(self.tree, quiet=1)
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        os.chdir(self.tree)

    def outcome(self, mutant: Mutant, tests: list[str], seconds: float) -> tuple[str, str]:
        """Return ``killed``, ``survived`` or ``timeout``, and the test that saw the mutant."""
        path = self.tree / "pytest_gradcheck" / mutant.module
        source = path.read_text(encoding="utf-8")
        before = path.stat()
        self._times += 7  # a time that no compiled file knows
        try:
            path.write_text(changed(source, mutant), encoding="utf-8")
            os.utime(path, (self._times, self._times))
            return self.run(tests, 20 + 6 * seconds)
        finally:
            path.write_text(source, encoding="utf-8")
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def run(self, tests: list[str], limit: float) -> tuple[str, str]:
        """Run tests in a fork, which ends at the limit."""
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._child(tests, writing)
        os.close(writing)
        try:
            code = _waited(child, limit)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)  # and what the tests have started
        with os.fdopen(reading) as pipe:
            test = pipe.read()
        if code is None:
            return "timeout", ""
        return ("survived" if code == 0 else "killed"), test or f"exit code {code}"

    def _child(self, tests: list[str], writing: int) -> None:
        code = 99
        try:
            out = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            killer = _Killer()
            args = ["-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "--tb=short"]
            args += ["--assert=plain"]  # compiled once, and not for each mutant
            args += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # what is imported already
            code = int(pytest.main([*args, *tests], plugins=[killer]))
            os.write(writing, killer.test.encode()[:4000])
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)


def _waited(child: int, limit: float) -> int | None:
    """Return the exit code of a child, or nothing if it takes too long."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None
