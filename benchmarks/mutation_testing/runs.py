"""Which tests see a mutant: those that run its line, nearest and fastest first.

All tests are collected once. A change inside of a function is made in a fork, in the function
itself; any other change, and one of what an import runs, takes a process that imports it anew.
"""

from __future__ import annotations

import contextlib
import difflib
import gc
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType

import pytest
from coverage import CoverageData

from .mutants import Mutant, changed

__all__ = ["Coverings", "Runner"]


@dataclass
class Coverings:
    """Which tests run which line, and how long each takes."""

    lines: dict[str, dict[int, set[str]]]
    imported: dict[str, set[int]]
    seconds: dict[str, float]

    @classmethod
    def read(
        cls, data: Path, measured: Path, durations: Path, failed: set[str], package: Path
    ) -> Coverings:
        """Read what coverage wrote of a run of all tests, but for those that failed in it.

        Lines are those of the package as it is; it may have been measured at an earlier time.
        """
        seconds = dict(json.loads(line) for line in durations.read_text().splitlines())
        stored = CoverageData(str(data))
        stored.read()
        lines: dict[str, dict[int, set[str]]] = {}
        imported: dict[str, set[int]] = {}
        for file in stored.measured_files():
            module = str(Path(file).relative_to(measured))
            if not (package / module).exists():
                continue
            now = _moved(measured / module, package / module)
            found: dict[int, set[str]] = defaultdict(set)
            imported[module] = set()
            for line, contexts in stored.contexts_by_lineno(file).items():
                if line not in now:
                    continue
                if "" in contexts:
                    imported[module].add(now[line])
                for context in contexts:
                    if context in seconds and context not in failed:
                        found[now[line]].add(context)
            lines[module] = dict(found)
        return cls(lines, imported, seconds)

    def runs_at_import(self, mutant: Mutant) -> bool:
        """Return whether an import runs a mutant's line."""
        return mutant.line in self.imported.get(mutant.module, ())

    def tests(self, mutant: Mutant) -> list[str]:
        """Return the tests that run a mutant's line, those of its room first, then the fastest.

        Of each function one set of parameters comes first, then the second of each: what differs
        in parameters alone sees much the same. A line that an import runs is left to the tests of
        all lines of its module: of those that import it, few do so while they are measured.
        """
        by_line = self.lines.get(mutant.module, {})
        found = set() if self.runs_at_import(mutant) else by_line.get(mutant.line, set())
        found = found or set().union(*by_line.values())
        near = f"tests/{mutant.room}/"

        def weight(test: str) -> float:
            return self.seconds[test] * (0.2 if test.startswith(near) else 1)

        turns: dict[str, int] = defaultdict(int)
        ordered: list[tuple[int, float, str]] = []
        for test in sorted(found, key=weight):
            function = test.partition("[")[0]
            ordered.append((turns[function], weight(test), test))
            turns[function] += 1
        return [test for _, _, test in sorted(ordered)]


def _moved(before: Path, after: Path) -> dict[int, int]:
    """Return the present number of each line of a file that is still there."""
    old, new = (path.read_text(encoding="utf-8").splitlines() for path in (before, after))
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    return {
        one + 1 + step: other + 1 + step
        for one, other, size in matcher.get_matching_blocks()
        for step in range(size)
    }


class Runner:
    """Runs tests on mutants: a plugin of pytest, whose loop over the tests is one over mutants.

    Parameters
    ----------
    tree : Path
        A copy of the repository, in which modules are changed.
    log : Path
        Where the last tests' output goes.
    work : callable
        Is called with this when the tests are collected.
    """

    def __init__(self, tree: Path, log: Path, work: Callable[[Runner], None]) -> None:
        self.tree, self.log, self._work = tree, log, work
        self.items: dict[str, pytest.Item] = {}
        self._times = int(time.time())
        self._failed = ""
        self._known: dict[tuple[str, bool], bool] = {}

    def main(self) -> int:
        """Collect the tests of the tree, and do the work."""
        assert not any(name.startswith("pytest_gradcheck") for name in sys.modules)
        sys.path.insert(0, str(self.tree))
        os.environ |= {"PYTHONPATH": str(self.tree), "PYTHONDONTWRITEBYTECODE": "1"}
        sys.dont_write_bytecode = True
        os.chdir(self.tree)
        return int(pytest.main([*OPTIONS, "-s", "tests", "examples"], plugins=[self]))

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Do the work in the place of running the tests."""
        self.items = {item.nodeid: item for item in session.items}
        self._work(self)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the first failure."""
        if report.failed and not self._failed:
            self._failed = report.nodeid

    def outcome(
        self, mutant: Mutant, tests: list[str], seconds: float, imported: bool
    ) -> tuple[str, str]:
        """Return ``killed``, ``survived`` or ``timeout``, and the test that saw the mutant."""
        path = self.tree / "pytest_gradcheck" / mutant.module
        source = path.read_text(encoding="utf-8")
        text = changed(source, mutant)
        functions = _functions(str(path), source, text)
        before = path.stat()
        self._times += 7  # a time that no compiled file knows
        try:
            path.write_text(text, encoding="utf-8")  # for the processes that tests start
            os.utime(path, (self._times, self._times))
            limit = 30 + 3 * seconds
            if functions is None or imported:
                return self._anew(tests, limit)
            return self.run(tests, limit, functions)
        finally:
            path.write_text(source, encoding="utf-8")
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def passes(self, test: str, imported: bool) -> bool:
        """Return whether a test passes here without any change, run as those of a mutant are."""
        key, limit = (test, imported), 300.0
        if key not in self._known:
            ended, _ = self._anew([test], limit) if imported else self.run([test], limit, {})
            self._known[key] = ended == "survived"
        return self._known[key]

    def may_pass(self, test: str, imported: bool) -> bool:
        """Return whether a test has not been seen to fail without any change."""
        return self._known.get((test, imported), True)

    def run(
        self, tests: list[str], limit: float, functions: dict[CodeType, CodeType]
    ) -> tuple[str, str]:
        """Run tests in a fork, in which functions have other code."""
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._child(tests, functions, writing)
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

    def _child(self, tests: list[str], functions: dict[CodeType, CodeType], writing: int) -> None:
        code = 99
        try:
            out = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(out, 1)
            os.dup2(out, 2)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for function in gc.get_objects() if functions else ():
                if type(function) is FunctionType and function.__code__ in functions:
                    function.__code__ = functions[function.__code__]
            items = [self.items[test] for test in tests if test in self.items]
            for item, after in zip(items, [*items[1:], None], strict=True):
                item.ihook.pytest_runtest_protocol(item=item, nextitem=after)
                if self._failed:
                    break
            code = int(bool(self._failed))
            os.write(writing, self._failed.encode()[:4000])
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)

    def _anew(self, tests: list[str], limit: float) -> tuple[str, str]:
        """Run tests in a process that imports the package anew."""
        command = [sys.executable, "-m", "pytest", "-x", *OPTIONS, *tests]
        with self.log.open("w") as out:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
            try:
                code = process.wait(limit)
            except subprocess.TimeoutExpired:
                return "timeout", ""
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        lines = self.log.read_text(errors="replace").splitlines()
        said = " ".join(line for line in lines if line.startswith(("FAILED ", "ERROR ")))
        failed = [test for test in tests if f"FAILED {test}" in said or f"ERROR {test}" in said]
        test = max(failed, key=len, default=f"exit code {code}")  # a name may begin another one
        return ("survived" if code == 0 else "killed"), test


OPTIONS = ["-q", "-p", "no:randomly", "-p", "no:cacheprovider", "--tb=short"]


def _functions(path: str, source: str, text: str) -> dict[CodeType, CodeType] | None:
    """Return the code of functions that differ, or None where more than functions does."""
    found: dict[CodeType, CodeType] = {}
    one, other = compile(source, path, "exec"), compile(text, path, "exec")
    return found if _compared(one, other, found) else None


def _compared(one: CodeType, other: CodeType, found: dict[CodeType, CodeType]) -> bool:
    """Add functions that differ in a module or a class; return whether nothing else does."""
    inner = [[c for c in code.co_consts if isinstance(c, CodeType)] for code in (one, other)]
    if len(inner[0]) != len(inner[1]) or _body(one) != _body(other):
        return False
    for before, after in zip(*inner, strict=True):
        if before == after:
            continue
        if before.co_name.endswith(("comp>", "genexpr>")):
            return False
        if not before.co_flags & 0x02:  # of a class: functions alone are run again and again
            if not _compared(before, after, found):
                return False
        elif before.co_freevars != after.co_freevars or before.co_name != after.co_name:
            return False
        else:
            found[before] = after
    return True


def _body(code: CodeType) -> tuple[object, ...]:
    """Return what a module or a class does when it is run, but for the functions that it makes."""
    plain = [repr(c) for c in code.co_consts if not isinstance(c, CodeType)]
    return code.co_code, code.co_names, plain


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
