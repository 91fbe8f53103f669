"""The record of a run: outcomes of pytest in every file, comparison of runs, JUnit, durations."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from conftest import Suite

TESTS = """
def test_right(gradcheck):
    gradcheck(cost, good, PARAMS)

def test_wrong(gradcheck):
    gradcheck(cost, bad, PARAMS)

@pytest.mark.xfail
def test_expected(gradcheck):
    gradcheck(cost, bad, PARAMS)

def test_refused(gradcheck):
    gradcheck(broken, good, PARAMS)

def test_failed_afterwards(gradcheck):
    gradcheck(cost, good, PARAMS)
    assert 1 == 2

@pytest.fixture
def failing():
    raise RuntimeError("no set-up")

def test_error(gradcheck, failing):
    gradcheck(cost, good, PARAMS)

@pytest.fixture
def leaving():
    yield
    raise RuntimeError("no way out")

def test_error_at_its_end(gradcheck, leaving):
    gradcheck(cost, good, PARAMS)

@pytest.mark.skip(reason="another <day> | week")
def test_skipped(gradcheck):
    gradcheck(cost, good, PARAMS)

@pytest.mark.gradcheck
def test_skips_itself():
    pytest.skip("no data")

@pytest.mark.gradcheck
def test_label():
    pass

def test_kinked(gradcheck):
    gradcheck(lambda p: float(np.abs(p).sum()), lambda p: np.ones(2), np.array([0.0, 1.0]))

def test_unrelated():
    assert False
"""

STATES = {
    "test_right": ("passed", "right"),
    "test_wrong": ("failed", "wrong"),
    "test_expected": ("xfailed", "expected"),
    "test_refused": ("failed", "refused"),
    "test_failed_afterwards": ("failed", "failed"),
    "test_error": ("error", "failed"),
    "test_error_at_its_end": ("error", "failed"),
    "test_skipped": ("skipped", "skipped"),
    "test_skips_itself": ("skipped", "skipped"),
    "test_label": ("passed", "unchecked"),
    "test_kinked": ("passed", "undecided"),
}


def read(suite: Suite, name: str = "run.json") -> dict[str, Any]:
    """Return a JSON report that keeps to its schema."""
    found: dict[str, Any] = json.loads((suite.pytester.path / name).read_text(encoding="utf-8"))
    schema = json.loads(files("pytest_gradcheck.report").joinpath("report.schema.json").read_text())
    jsonschema.validate(found, schema)
    return found


def test_every_test_that_was_to_have_a_check_is_in_the_record_with_its_outcome(
    suite: Suite, plugin_args: tuple[str, ...]
) -> None:
    suite.file(TESTS)
    suite.run("--gradcheck-report=run.json", *plugin_args)
    found = read(suite)
    tests = {test["test"].partition("::")[2]: test for test in found["tests"]}
    assert {name: (test["outcome"], test["state"]) for name, test in tests.items()} == STATES
    assert tests["test_skipped"]["reason"] == "another <day> | week"
    assert tests["test_failed_afterwards"]["reason"] == "assert 1 == 2"
    assert tests["test_error"]["reason"] == "RuntimeError: no set-up"
    assert tests["test_right"]["reason"] == tests["test_label"]["reason"] == ""
    assert tests["test_refused"]["refusals"][0]["code"] == "cost-raised"
    assert tests["test_wrong"]["path"] == "test_it.py"
    assert tests["test_wrong"]["line"] == 7
    assert found["passed"] is False
    assert found["exit_status"] == 1
    assert found["cut_short"] is False
    assert found["environment"]["pytest"] == pytest.__version__
    assert found["totals"]["checks"] == len(found["checks"]) == 6


def test_every_worker_may_run_every_test(suite: Suite) -> None:
    suite.file(TESTS)
    suite.run("-n2", "--dist", "each", "--gradcheck-report=run.json")
    found = read(suite)
    tests = {test["test"].partition("::")[2]: test for test in found["tests"]}
    assert {name: (test["outcome"], test["state"]) for name, test in tests.items()} == STATES
    assert {name: test["checks"] for name, test in tests.items() if test["checks"]} == {
        "test_right": 2,
        "test_wrong": 2,
        "test_expected": 2,
        "test_failed_afterwards": 2,
        "test_error_at_its_end": 2,
        "test_kinked": 2,
    }


def test_components_are_in_a_json_report_once(suite: Suite) -> None:
    suite.file(TESTS)
    suite.run("--gradcheck-report=run.json", "-k", "wrong")
    text = (suite.pytester.path / "run.json").read_text(encoding="utf-8")
    assert text.count('"name": "b1[2]"') == 1
    assert read(suite)["checks"][0]["components_left_out"] == 0


def test_every_form_of_a_report_tells_of_every_outcome(suite: Suite) -> None:
    suite.file(TESTS)
    suite.run("--gradcheck-report=run.md", "--gradcheck-report=run.HTM")
    for name in ("run.md", "run.HTM"):
        text = (suite.pytester.path / name).read_text(encoding="utf-8")
        assert [test for test in STATES if f"::{test}" not in text] == []
        assert "<day>" not in text
    markdown = (suite.pytester.path / "run.md").read_text(encoding="utf-8")
    assert markdown.startswith("# ❌ Gradient checks")
    assert "another &lt;day&gt; \\| week" in markdown
    assert "ok (the test failed)" in markdown


def test_a_run_that_is_cut_short_says_so(suite: Suite) -> None:
    suite.file(TESTS)
    suite.run("-x", "--gradcheck-report=run.json")
    assert read(suite)["cut_short"] is True


def test_markdown_is_added_to_the_summary_of_a_step(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.file("def test_right(gradcheck):\n    gradcheck(cost, good, PARAMS)\n")
    (suite.pytester.path / "summary").write_text("# Build\n")
    (suite.pytester.path / "step.md").write_text("# Build\n")
    (suite.pytester.path / "own.md").write_text("# Build\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(suite.pytester.path / "step.md"))
    suite.run(*(f"--gradcheck-report={name}" for name in ("summary", "step.md", "own.md")))
    first = [
        (suite.pytester.path / name).read_text(encoding="utf-8").splitlines()[0]
        for name in ("summary", "step.md", "own.md")
    ]
    assert first == ["# Build", "# Build", "# ✅ Gradient checks"]


def test_what_got_worse_is_reported_and_fails_a_strict_run(
    suite: Suite, plugin_args: tuple[str, ...]
) -> None:
    suite.file(
        "def test_a(gradcheck):\n    gradcheck(cost, good, PARAMS)\n"
        "def test_b(gradcheck):\n    gradcheck(cost, good, PARAMS)\n"
        "def test_c(gradcheck):\n    gradcheck(cost, good, PARAMS)\n"
    )
    assert suite.run("--gradcheck-report=old.json").ret == 0
    suite.file(
        "@pytest.mark.xfail\ndef test_a(gradcheck):\n    gradcheck(cost, bad, PARAMS)\n"
        "@pytest.mark.skip\ndef test_b(gradcheck):\n    gradcheck(cost, good, PARAMS)\n"
        "def test_c(gradcheck):\n    gradcheck(cost, good, PARAMS, seed=3)\n"
        "def test_new(gradcheck):\n    gradcheck(cost, good, PARAMS)\n"
    )
    args = ("--gradcheck-compare=old.json", "--gradcheck-report=new.json", *plugin_args)
    result = suite.run(*args)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "worse  test_it.py::test_a: newly wrong: *",
            "worse  test_it.py::test_b: no longer checked: *skipped*",
        ]
    )
    changes = {change["test"]: change["kind"] for change in read(suite, "new.json")["changes"]}
    assert changes == {
        "test_it.py::test_a": "newly wrong",
        "test_it.py::test_b": "no longer checked",
    }
    strict = suite.run(*args, "--gradcheck-strict")
    assert strict.ret == 1
    strict.stdout.fnmatch_lines(["2 tests got worse since old.json, and the run is strict"])


def test_a_run_is_compared_with_the_last_report_of_a_folder(suite: Suite) -> None:
    suite.file("def test_a(gradcheck):\n    gradcheck(cost, good, PARAMS)\n")
    suite.run("--gradcheck-report=runs/1.json")
    result = suite.run("--gradcheck-compare=runs")
    assert result.ret == 0
    result.stdout.no_fnmatch_line("worse*")


@pytest.mark.parametrize("text", ["{}", "[]", "no json", '{"schema": 1, "checks": []}'])
def test_what_is_no_report_is_not_compared_with(suite: Suite, text: str) -> None:
    suite.file("def test_a(gradcheck):\n    gradcheck(cost, good, PARAMS)\n")
    (suite.pytester.path / "old.json").write_text(text)
    result = suite.run("--gradcheck-compare=old.json")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["--gradcheck-compare old.json: *"])


def test_a_report_to_compare_with_has_to_exist(suite: Suite) -> None:
    result = suite.run("--gradcheck-compare=none.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--gradcheck-compare none.json: no such file*"])


def test_junit_has_the_figures_of_a_test_as_properties(
    suite: Suite, plugin_args: tuple[str, ...]
) -> None:
    suite.file(TESTS)
    suite.run("--junitxml=junit.xml", *plugin_args)
    cases = {case.attrib["name"]: case for case in ET.parse("junit.xml").iter("testcase")}
    properties = {
        one.attrib["name"]: one.attrib["value"] for one in cases["test_wrong"].iter("property")
    }
    assert properties["gradcheck_verdict"] == "bug"
    assert float(properties["gradcheck_relative_error"]) == pytest.approx(0.57, abs=0.01)
    assert float(properties["gradcheck_resolution"]) > 0
    assert int(properties["gradcheck_calls"]) > 18
    assert not list(cases["test_unrelated"].iter("property"))


def test_the_header_says_what_is_set_and_nothing_without(suite: Suite) -> None:
    suite.file("def test_a(gradcheck):\n    gradcheck(cost, good, PARAMS)\n")
    suite.run().stdout.no_fnmatch_line("gradcheck: *")
    result = suite.run("--gradcheck-strict", "--gradcheck-canary", "--gradcheck-seeds=1")
    result.stdout.fnmatch_lines(["gradcheck: strict, seeds=1, canary"])


def test_the_slowest_checks_are_listed_with_their_calls(suite: Suite) -> None:
    suite.file(TESTS)
    lines = suite.run("--gradcheck-durations=2", "--tb=no").stdout.lines
    start = lines.index("slowest 2 checks")
    assert [("calls" in line and "us each" in line) for line in lines[start + 1 : start + 4]] == [
        True, True, False
    ]  # fmt: skip


def test_suspects_that_pass_are_counted_apart(suite: Suite) -> None:
    suite.file(
        "@pytest.mark.gradcheck(fail_on='bug')\n"
        "def test_a(gradcheck):\n    gradcheck(cost, slightly, PARAMS)\n"
    )
    suite.run().stdout.fnmatch_lines(["1 check in 1 test: 1 suspect but passed; *"])


def test_examples_of_hypothesis_are_one_test_with_the_smallest_failing_one(suite: Suite) -> None:
    suite.file(
        """
from hypothesis import given, settings, strategies as st

@settings(max_examples=20, deadline=None, database=None, derandomize=True)
@given(st.integers(1, 9))
def test_examples(n):
    imported(lambda p: float(p @ p), lambda p: (2 + (n > 3)) * p, np.arange(1.0, n + 1))
"""
    )
    options = ("-p", "hypothesispytest", "--tb=no", "--gradcheck-report=run.md")
    lines = suite.run(*options).stdout.lines
    (failing,) = [line for line in lines if line.startswith("FAIL   ")]
    assert "(smallest of" in failing
    markdown = (suite.pytester.path / "run.md").read_text(encoding="utf-8")
    assert markdown.count("test_examples") == 1


@pytest.mark.parametrize(
    "name", ["$\\frac$", "a\\nb|<i>", "\\x1b[31m", "\\ud800", "W_{hh}*_x_", "]]>"]
)
def test_no_name_harms_a_report(suite: Suite, name: str) -> None:
    suite.file(
        f"""
NAME = "{name}"
def test_named(gradcheck):
    gradcheck(lambda p: float(p[NAME] @ p[NAME]) + p["b"] ** 2,
              lambda p: {{NAME: 3 * p[NAME], "b": 2 * p["b"]}},
              {{NAME: np.arange(1.0, 4), "b": 1.0}})
def test_right(gradcheck):
    gradcheck(lambda p: float(p[NAME] @ p[NAME]), lambda p: {{NAME: 2 * p[NAME]}},
              {{NAME: np.arange(1.0, 4)}})
"""
    )
    paths = ("run.json", "run.html", "run.md")
    result = suite.run(*(f"--gradcheck-report={path}" for path in paths))
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.no_fnmatch_line("--gradcheck-report*")
    assert len(read(suite)["checks"]) == 2
    page = (suite.pytester.path / "run.html").read_text(encoding="ascii")
    assert "<i>" not in page
    assert page.count("<svg") == 5  # maps of three parameters, a scatter, a curve


def test_where_git_is_not_the_commit_is_that_of_the_variables_of_ci(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.file("def test_a(gradcheck):\n    gradcheck(cost, good, PARAMS)\n")
    monkeypatch.setenv("PATH", str(suite.pytester.path))
    monkeypatch.setenv("GITHUB_SHA", "abc123")
    monkeypatch.setenv("GITHUB_REF_NAME", "topic")
    assert suite.run("--gradcheck-report=run.json").ret == 0
    found = read(suite)["environment"]
    assert (found["commit"], found["branch"]) == ("abc123", "topic")


def test_a_report_into_the_place_of_a_folder_is_refused(suite: Suite) -> None:
    (suite.pytester.path / "out.json").mkdir()
    result = suite.run("--gradcheck-report=out.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*out.json: it could not be written: it is a folder"])
