"""The summary of a run, its gate, its reports, and that it costs nothing where it is not used."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from conftest import INI, Suite

MIXED = """
def test_good(gradcheck):
    gradcheck(cost, good, PARAMS)

def test_bad(gradcheck):
    gradcheck(cost, bad, PARAMS)

def test_two():
    check_gradients(cost, good, PARAMS)
    check_gradients(lambda p: 0.0, lambda p: {k: 0 * v for k, v in p.items()}, PARAMS)

@pytest.mark.xfail
def test_expected(gradcheck):
    gradcheck(cost, bad, PARAMS)

def test_unrelated():
    pass

def test_problem(gradcheck):
    gradcheck(broken, good, PARAMS)
"""
TOTALS = "5 checks in 4 tests: 3 right, 1 wrong, 1 wrong as expected; * cost calls*"


def section(result: pytest.RunResult) -> list[str]:
    """Return the lines of the plugin's own section."""
    lines = result.stdout.lines
    start = next(i for i, line in enumerate(lines) if "= gradient checks =" in line) + 1
    end = next(i for i, line in enumerate(lines[start:], start) if line.startswith("=="))
    return lines[start:end]


def test_the_summary_has_the_totals_and_what_failed(
    suite: Suite, plugin_args: tuple[str, ...]
) -> None:
    suite.file(MIXED)
    lines = section(suite.run(*plugin_args))
    assert len(lines) == 4
    pytest.LineMatcher(lines).fnmatch_lines(
        [
            TOTALS,
            "FAIL   test_it.py::test_bad: b1 is 4.000 x *",
            "REFUSED test_it.py::test_problem: cost-raised: *",
            "1 check with warnings (-v shows them)",
        ]
    )


def test_verbose_shows_every_check_and_its_warnings(suite: Suite) -> None:
    suite.file(MIXED)
    pytest.LineMatcher(section(suite.run("-v"))).fnmatch_lines(
        [
            TOTALS,
            "FAIL   test_it.py::test_bad",
            "       b1 is 4.000 x the numerical gradient: *",
            "wrong  test_it.py::test_expected",
            "ok     test_it.py::test_good",
            "       9 components, relative error * (great), resolution 1e-05",
            "ok     test_it.py::test_two (worst of 2 checks)",
            "       warning: *",
        ],
        consecutive=False,
    )


def test_quiet_is_one_line_and_very_quiet_none(suite: Suite) -> None:
    suite.file(MIXED)
    result = suite.run("-q")
    result.stdout.fnmatch_lines([TOTALS])
    result.stdout.no_fnmatch_line("*= gradient checks =*")
    result.stdout.no_fnmatch_line("FAIL   *")
    suite.run("-qq").stdout.no_fnmatch_line("*checks in*")


def test_a_run_of_many_failures_lists_the_first(suite: Suite) -> None:
    suite.file(
        '@pytest.mark.parametrize("i", range(30))\n'
        "def test_bad(gradcheck, i):\n    gradcheck(cost, bad, PARAMS)\n"
    )
    lines = section(suite.run("--tb=no"))
    assert lines[0].startswith("30 checks in 30 tests: 30 wrong; ")
    assert lines[-1] == "… and 10 more"
    assert len(lines) == 22


def test_a_run_without_checks_shows_no_section(suite: Suite, plugin_args: tuple[str, ...]) -> None:
    suite.file("def test_unrelated():\n    pass\n")
    result = suite.run("-v", *plugin_args)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*gradient*")


def test_a_suite_without_checks_pays_nothing(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import sys

        def pytest_sessionfinish(session):
            print(sorted(m for m in sys.modules if m.startswith(("numpy", "pytest_gradcheck"))))
            names = [name for name, _ in session.config.pluginmanager.list_name_plugin()]
            print(sorted(name for name in names if name.startswith("gradcheck")))
        """
    )
    pytester.makepyfile("def test_unrelated(tmp_path):\n    pass\n")
    before = {path.name for path in pytester.path.iterdir()}
    result = pytester.runpytest_subprocess("-s", "-p", "no:cacheprovider", "-p", "no:asyncio")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*'pytest_gradcheck.plugin'*"])
    result.stdout.fnmatch_lines(["*['gradcheck'?"])
    result.stdout.no_fnmatch_line("*numpy*")
    result.stdout.no_fnmatch_line("*pytest_gradcheck.api*")
    result.stdout.no_fnmatch_line("*pytest_gradcheck.report*")
    result.stdout.no_fnmatch_line("*pytest_gradcheck.plugin.session*")
    result.stdout.no_fnmatch_line("*pytest_gradcheck.plugin.markers*")
    made = {path.name for path in pytester.path.iterdir()} - before
    made -= {"__pycache__", "stdout", "stderr"}
    assert [name for name in made if not name.startswith("runpytest-")] == []


GATED = """
def test_good(gradcheck):
    gradcheck(cost, good, PARAMS)
    gradcheck(cost, good, PARAMS)

def test_told():
    check_gradients(cost, good, PARAMS)

@pytest.mark.skip
def test_skipped(gradcheck):
    gradcheck(cost, good, PARAMS)

def test_problem():
    with pytest.raises(ProblemError):
        imported(broken, good, PARAMS)
"""


def test_the_gate_counts_tests_that_completed_a_check(
    suite: Suite, plugin_args: tuple[str, ...]
) -> None:
    suite.file(GATED)
    assert suite.run("--gradcheck-min=2", *plugin_args).ret == 0
    result = suite.run("--gradcheck-min=3", *plugin_args)
    assert result.ret == 1
    result.assert_outcomes(passed=3, skipped=1)
    result.stdout.fnmatch_lines(["2 tests completed a gradient check, --gradcheck-min asks for 3"])


@pytest.mark.parametrize(
    "args",
    [
        ("-k", "nothing_like_it"),
        ("-m", "not gradcheck"),
        ("--deselect", "test_it.py"),
        ("--ignore=test_it.py",),
        ("--gradcheck-off", "-k", "test_good"),
        ("-p", "no:terminal", "-k", "test_skipped"),
        ("-q", "-k", "test_skipped"),
        ("--setup-plan",),
        ("-k", "test_skipped", "-n2"),
        ("-k", "nothing_like_it", "-n2"),
    ],
    ids=" ".join,
)
def test_the_gate_cannot_be_passed_by_doing_nothing(suite: Suite, args: tuple[str, ...]) -> None:
    suite.file(GATED)
    result = suite.run("--gradcheck-min=2", *args)
    assert result.ret == 1
    if "no:terminal" not in args:
        result.stdout.fnmatch_lines(["* completed a gradient check, --gradcheck-min asks for 2"])


def test_the_gate_stays_shut_when_a_test_ends_the_run(suite: Suite) -> None:
    suite.file('def test_exit():\n    pytest.exit("enough", returncode=0)\n')
    assert suite.run().ret == 0
    assert suite.run("--gradcheck-min=1").ret == 1


def test_hooks_at_the_end_of_a_run_see_that_its_gate_is_not_met(suite: Suite) -> None:
    suite.pytester.makepyfile(
        **{
            "old": "",
            "unit/test_it": """
                def test_right(gradcheck):
                    gradcheck(lambda x: x * x, lambda x: 2 * x, 3.0)
            """,
            # loaded in collection, so after the plugin: of its rank, its hooks are called first
            "unit/conftest": """
                def pytest_sessionfinish(session):
                    print("exit status", int(session.exitstatus))
            """,
        }
    )
    result = suite.run("-s", "--gradcheck-compare=old.py")  # which is no report
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*exit status 1"])


@pytest.mark.parametrize("args", [("--fixtures",), ("--markers",), ("--help",), ("--version",)])
def test_the_gate_is_none_where_no_tests_are_run(suite: Suite, args: tuple[str, ...]) -> None:
    suite.pytester.makeini(INI + "addopts = --gradcheck-min=3 --gradcheck-report=out.json\n")
    result = suite.run(*args)
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*completed a gradient check*")
    assert not (suite.pytester.path / "out.json").exists()


def test_every_report_that_is_asked_for_is_written(
    suite: Suite, plugin_args: tuple[str, ...]
) -> None:
    suite.file(
        MIXED
        + """
def test_nan(gradcheck):
    gradcheck(lambda x: float(x @ x), lambda x: x * np.nan, np.ones(2))

@pytest.mark.parametrize("name", ["<b>|"])
def test_markup(gradcheck, name):
    gradcheck(lambda p: float(p[name] ** 2), lambda p: {name: 3 * p[name]}, {name: 3.0})
"""
    )
    paths = [f"deep/down/out{suffix}" for suffix in (".json", ".md", ".html")]
    suite.run(*(f"--gradcheck-report={path}" for path in paths), *plugin_args)
    data, markdown, page = (
        (suite.pytester.path / path).read_text(encoding="utf-8") for path in paths
    )

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    found: dict[str, Any] = json.loads(data, parse_constant=refuse)
    checks = {check["test"].partition("::")[2]: check for check in found["checks"]}
    assert found["schema"] == 2
    assert len(found["checks"]) == 7
    assert set(checks) == {
        "test_bad", "test_expected", "test_good", "test_markup[<b>|]", "test_nan", "test_two"
    }  # fmt: skip
    assert checks["test_bad"]["verdict"] == "bug"
    assert checks["test_bad"]["components"][0]["name"] == "b1[2]"
    assert checks["test_bad"]["settings"]["fail_on"] == "suspect"
    assert checks["test_nan"]["components"][0]["analytic"] == "nan"
    tests = {test["test"].partition("::")[2]: test for test in found["tests"]}
    assert tests["test_problem"]["state"] == "refused"
    assert tests["test_problem"]["refusals"][0]["code"] == "cost-raised"
    assert tests["test_expected"]["state"] == "expected"
    assert "| `test_it.py::test_problem` | failed |  |  | cost-raised: " in markdown
    assert "| `test_it.py::test_bad` | bug | 9 | 5.7e-01 (bug) | b1 is 4.000 x " in markdown
    assert "`test_it.py::test_markup[<b>\\|]`" in markdown
    assert page.isascii()
    assert "test_markup[&lt;b&gt;|]" in page
    assert "<b>" not in page
    assert page.index("test_it.py::test_bad") < page.index("test_it.py::test_expected")
    assert page.index("test_it.py::test_expected") < page.index("test_it.py::test_good")


def test_a_report_that_cannot_be_written_is_refused_before_any_test_runs(suite: Suite) -> None:
    suite.file("def test_good(gradcheck):\n    gradcheck(cost, good, PARAMS)\n")
    (suite.pytester.path / "taken").touch()
    result = suite.run("--gradcheck-report=taken/out.json", "--gradcheck-report=out.md")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--gradcheck-report taken/out.json: *taken is no folder"])


def test_an_html_report_without_jinja_is_a_usage_error_that_says_what_to_install(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.file("def test_good(gradcheck):\n    gradcheck(cost, good, PARAMS)\n")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    result = suite.run("--gradcheck-report=out.html")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*--gradcheck-report out.html*pip install 'pytest-gradcheck[[]html]'"]
    )


FORKING = """
import json
import os
import pytest
from _pytest.runner import runtestprotocol

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    receiver, sender = os.pipe()
    if not (child := os.fork()):
        with os.fdopen(sender, "w") as pipe:
            for report in runtestprotocol(item, nextitem=nextitem, log=False):
                hook = item.config.hook.pytest_report_to_serializable
                print(json.dumps(hook(config=item.config, report=report)), file=pipe)
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver) as pipe:
        for line in pipe:
            hook = item.config.hook.pytest_report_from_serializable
            report = hook(config=item.config, data=json.loads(line))
            item.ihook.pytest_runtest_logreport(report=report)
    os.waitpid(child, 0)
    return True
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")
def test_checks_that_only_other_processes_make_are_heard_of(suite: Suite) -> None:
    suite.file(MIXED)
    suite.pytester.makeconftest(FORKING)
    lines = section(suite.run())
    pytest.LineMatcher(lines).fnmatch_lines(
        [TOTALS, "FAIL   test_it.py::test_bad: b1 is 4.000 x *"]
    )


def test_what_travels_with_pytests_reports_is_builtin(suite: Suite) -> None:
    suite.file(
        MIXED
        + """
def test_nan(gradcheck):
    gradcheck(lambda x: float(x @ x), lambda x: x * np.nan, np.ones(2, dtype=np.float32))

@pytest.mark.gradcheck(seed=np.int64(3), bug=np.float64(1e-2))
def test_numpy_settings(gradcheck):
    gradcheck(lambda p: float(p @ p), lambda p: 2 * p, lambda rng: rng.normal(size=3),
              seeds=np.int64(2), only=np.str_("theta"), suspect=np.float32(1e-5))
"""
    )
    suite.pytester.makeconftest(
        """
        def foreign(value):
            if type(value) in (list, dict):
                items = [*value, *value.values()] if type(value) is dict else value
                return [found for item in items for found in foreign(item)]
            return [] if type(value) in (str, int, float, bool, type(None)) else [type(value)]

        def pytest_runtest_logreport(report):
            if hasattr(report, "gradcheck"):
                print("foreign", report.nodeid, foreign(report.gradcheck))
        """
    )
    result = suite.run("-s", "--gradcheck-report=out.json")
    lines = [line for line in result.stdout.lines if "foreign test_it" in line]
    assert len(lines) == 3 * 6 + 2  # every phase of a test tells what it has seen
    assert [line for line in lines if not line.endswith(" []")] == []
