"""A wrong gradient is a failure of an ordinary test: xfail, skip, pytest's options, …"""

from __future__ import annotations

import sys

import pytest
from conftest import INI, SINCE_PYTEST_9, Suite, surprises

OUTCOMES = """
@pytest.mark.xfail
def test_xfails_marked(gradcheck):
    gradcheck(cost, bad, PARAMS)

@pytest.mark.xfail(strict=True)
def test_xfails_strict(gradcheck):
    gradcheck(cost, bad, PARAMS)

@pytest.mark.xfail(strict=True)
def test_fails_strict_xfail_with_a_right_gradient(gradcheck):
    gradcheck(cost, good, PARAMS)

@pytest.mark.xfail(raises=AssertionError, strict=True)
def test_xfails_assertion(gradcheck):
    gradcheck(cost, bad, PARAMS)

@pytest.mark.xfail(raises=GradientError, strict=True)
def test_xfails_gradient_error(gradcheck):
    gradcheck(cost, bad, PARAMS)

@pytest.mark.xfail(raises=GradientError, strict=True)
def test_fails_for_another_reason_than_expected(gradcheck):
    gradcheck(broken, good, PARAMS)

@pytest.mark.xfail(raises=ProblemError, strict=True)
def test_xfails_problem_error(gradcheck):
    gradcheck(broken, good, PARAMS)

@pytest.mark.xfail(run=False)
def test_xfails_not_run(gradcheck):
    gradcheck(cost, good, PARAMS)

def test_xfails_imperatively(gradcheck):
    gradcheck(cost, good, PARAMS)
    pytest.xfail("later")

@pytest.mark.xfail(strict=True, raises=GradientError)
@pytest.mark.gradcheck
def test_xfails_returned():
    return Problem(cost, bad, PARAMS)

@pytest.mark.gradcheck(**WRONG)
@pytest.mark.xfail(strict=True, raises=GradientError)
def test_xfails_named():
    pass

@pytest.mark.parametrize(
    "grad", [good, pytest.param(bad, marks=pytest.mark.xfail(strict=True))], ids=["good", "bad"]
)
@pytest.mark.gradcheck
def test_passes_or_xfails(grad):
    return Problem(cost, grad, PARAMS)

@pytest.mark.skip
def test_skips_marked(gradcheck):
    gradcheck(cost, bad, PARAMS)

@pytest.mark.gradcheck
@pytest.mark.skipif(True, reason="so")
def test_skips_if():
    return Problem(cost, bad, PARAMS)

@pytest.mark.gradcheck(**WRONG)
def test_skips_imperatively():
    pytest.skip("not here")

@pytest.mark.gradcheck
def test_fails_on_its_own():
    assert 1 == 2

@pytest.mark.gradcheck
@pytest.mark.xfail
def test_passes_although_expected_to_fail():
    pass

def test_passes_catching(gradcheck):
    with pytest.raises(GradientError, match="b1 is 4.000 x") as caught:
        gradcheck(cost, bad, PARAMS)
    assert caught.value.report.components[0].name.startswith("b1[")

@pytest.mark.gradcheck(strict=True)
def test_passes_strict_catching_a_problem(gradcheck):
    with pytest.raises(ProblemError) as caught:
        gradcheck(broken, good, PARAMS)
    assert caught.value.code == "cost-raised"
"""


def test_every_outcome_is_pytests_own_and_none_is_called_unchecked(
    suite: Suite, plugin_args: tuple[str, ...]
) -> None:
    suite.file(OUTCOMES)
    result = suite.run("--junitxml=junit.xml", *plugin_args)
    outcomes = suite.last_outcomes()
    assert outcomes.pop("test_passes_or_xfails[good]") == "passes"
    assert outcomes.pop("test_passes_or_xfails[bad]") == "xfails"
    assert surprises(outcomes) == {}
    assert len(outcomes) == OUTCOMES.count("def test_") - 1
    result.stdout.no_fnmatch_line("*GradcheckWarning*")
    result.stdout.fnmatch_lines(["11 checks in 11 tests: 3 right, 8 wrong as expected; *"])
    result.stdout.no_fnmatch_line("FAIL *")


def test_only_a_test_that_fails_for_it_is_listed_as_wrong(suite: Suite) -> None:
    suite.file(
        """
def test_fails(gradcheck):
    gradcheck(cost, bad, PARAMS)

def test_tells():
    assert not check_gradients(cost, bad, PARAMS).passed
"""
    )
    result = suite.run()
    result.stdout.fnmatch_lines(
        [
            "2 checks in 2 tests: 1 wrong, 1 wrong as expected; * cost calls",
            "FAIL   test_it.py::test_fails: b1 is 4.000 x *",
        ]
    )
    result.stdout.no_fnmatch_line("*test_tells*")


def test_last_failed_and_exitfirst_see_one_failure_a_test(suite: Suite) -> None:
    suite.file(
        """
def test_good(gradcheck):
    gradcheck(cost, good, PARAMS)

@pytest.mark.gradcheck
def test_bad():
    return [Problem(cost, bad, PARAMS), Problem(cost, bad, PARAMS)]

def test_last(gradcheck):
    gradcheck(cost, bad, PARAMS)
"""
    )
    suite.run("-x").assert_outcomes(passed=1, failed=1)
    suite.run("--lf").assert_outcomes(failed=1)
    suite.run("--maxfail=2", "-n2").assert_outcomes(passed=1, failed=2)
    suite.run("--sw").assert_outcomes(passed=1, failed=1)


def test_the_debugger_stands_in_the_line_of_the_user(suite: Suite) -> None:
    suite.file(
        """
def test_bad(gradcheck):
    a_local_name = 1
    gradcheck(cost, bad, PARAMS)
"""
    )
    result = suite.pytester.run(
        sys.executable, "-m", "pytest", "--pdb", stdin=b"p 'local', a_local_name\nq\n"
    )
    assert result.ret == 2
    result.stdout.fnmatch_lines(
        [
            "> */test_it.py(6)test_bad()",
            "-> gradcheck(cost, bad, PARAMS)",
            "(Pdb) ('local', 1)",
            "*1 failed*",
        ]
    )


def test_control_c_in_a_check_restores_the_arrays_and_interrupts_the_run(suite: Suite) -> None:
    suite.file(
        """
import atexit

ARRAY = np.array([1.0, 2.0, 3.0])
calls = []

def interrupted():
    calls.append(ARRAY.copy())
    if len(calls) == 6:
        raise KeyboardInterrupt
    return float(np.sum(ARRAY ** 2))

@atexit.register
def tell():
    print("array at the end", ARRAY.tolist(), len(calls))

def test_interrupted(gradcheck):
    gradcheck(lambda: interrupted(), lambda: 2 * ARRAY, ARRAY, inplace=True)
"""
    )
    result = suite.pytester.runpytest_subprocess()
    assert result.ret == 2
    result.stdout.fnmatch_lines(["array at the end [[]1.0, 2.0, 3.0] 6"])


def test_without_the_plugin_the_fixture_is_gone_and_the_import_works(
    suite: Suite, plugin_args: tuple[str, ...]
) -> None:
    suite.file(
        """
def test_errors_fixture(gradcheck):
    gradcheck(cost, good, PARAMS)

def test_passes_import():
    assert imported(cost, good, PARAMS).seed == 0

def test_fails_import():
    imported(cost, bad, PARAMS)
"""
    )
    result = suite.pytester.runpytest_subprocess(
        "-p", "no:gradcheck", "--junitxml=junit.xml", *plugin_args
    )
    assert surprises(suite.last_outcomes()) == {}
    result.stdout.fnmatch_lines(["*fixture 'gradcheck' not found"])
    result.stdout.no_fnmatch_line("*gradient checks*")


@pytest.mark.parametrize("args", [(), ("-p", "xdist", "-n2")], ids=["plain", "n2"])
def test_the_plugin_can_be_loaded_by_name(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    suite.pytester.makeini("[pytest]\n")
    suite.file("def test_good(gradcheck):\n    gradcheck(cost, good, PARAMS)\n")
    result = suite.pytester.runpytest_subprocess(
        "-p", "pytest_gradcheck.plugin", "-W", "error", *args
    )
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["1 check in 1 test: 1 right; * cost calls"])


@pytest.mark.parametrize(
    "args",
    [
        ("-W", "error", "--strict-markers", "--strict-config"),
        ("-W", "error", "--strict-markers", "--strict-config", "-n2"),
        ("-s", "-vv", "--showlocals"),
        ("-q",),
        ("-qq",),
        ("-p", "no:terminal"),
        ("-p", "no:warnings"),
        ("-p", "no:warnings", "-n2"),
        ("--no-header", "--no-summary"),
        ("--capture=sys",),
        ("--color=yes", "-n2"),
        ("--setup-show",),
        ("--import-mode=importlib",),
        ("-p", "no:cacheprovider", "--assert=plain"),
        ("--doctest-modules", "-rA"),
    ],
    ids=" ".join,
)
def test_options_of_pytest_change_no_outcome(suite: Suite, args: tuple[str, ...]) -> None:
    suite.pytester.makeini(INI + "pythonpath = .\n")
    suite.file(
        """
def test_passes_fixture(gradcheck):
    gradcheck(cost, good, PARAMS)

@pytest.mark.gradcheck
def test_passes_returned():
    return Problem(cost, good, PARAMS)

@pytest.mark.gradcheck
def test_fails_returned():
    return Problem(cost, bad, PARAMS)
"""
    )
    assert surprises(suite.outcomes(*args)) == {}


def test_pytests_strict_mode_is_kept(suite: Suite) -> None:
    suite.pytester.makeini(INI + "strict = true\n")
    suite.file(
        """
@pytest.mark.gradcheck(seed=2)
def test_passes_marked(gradcheck):
    gradcheck(cost, good, PARAMS)

@pytest.mark.xfail
def test_xfails_here(gradcheck):
    gradcheck(cost, bad, PARAMS)
"""
    )
    assert surprises(suite.outcomes()) == {}


def test_collecting_prints_nothing_of_ours_and_makes_no_file(
    suite: Suite, plugin_args: tuple[str, ...]
) -> None:
    suite.file("def test_good(gradcheck):\n    gradcheck(cost, good, PARAMS)\n")
    result = suite.run(
        "--collect-only", "--gradcheck-report=out.json", "--gradcheck-min=5", *plugin_args
    )
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*gradient*")
    result.stdout.no_fnmatch_line("*seed*")
    assert not (suite.pytester.path / "out.json").exists()


def test_items_that_are_no_functions_are_left_alone(suite: Suite) -> None:
    suite.pytester.makeconftest(
        """
import pytest

class YamlItem(pytest.Item):
    def runtest(self):
        import pair
        pair.check_gradients(pair.cost, pair.good, pair.PARAMS)
        if self.name == "wrong":
            pair.imported(pair.cost, pair.bad, pair.PARAMS)

class YamlFile(pytest.File):
    def collect(self):
        for name in ("right", "wrong"):
            item = YamlItem.from_parent(self, name=name)
            item.add_marker("gradcheck")
            yield item

def pytest_collect_file(parent, file_path):
    if file_path.suffix == ".yaml":
        return YamlFile.from_parent(parent, path=file_path)
"""
    )
    (suite.pytester.path / "some.yaml").touch()
    suite.file(
        '''
pytestmark = pytest.mark.gradcheck

def double(x):
    """
    >>> double(2)
    4
    """
    return 2 * x
'''
    )
    result = suite.run("--doctest-modules", "--gradcheck-strict")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["3 checks in 2 tests: 2 right, 1 wrong; *"])


@SINCE_PYTEST_9
def test_checks_of_subtests_belong_to_their_test(suite: Suite) -> None:
    suite.file(
        """
import unittest

@pytest.mark.gradcheck(strict=True)
def test_with_subtests(subtests):
    for grad in (good, bad, good):
        with subtests.test(msg="one"):
            imported(cost, grad, PARAMS)

class TestCase(unittest.TestCase):
    def test_with_unittests_subtests(self):
        for grad in (good, bad, good):
            with self.subTest(msg="one"):
                imported(cost, grad, PARAMS)
"""
    )
    result = suite.run()
    result.stdout.fnmatch_lines(["6 checks in 2 tests: 4 right, 2 wrong; *"])


def test_checks_in_threads_belong_to_the_test_that_started_them(suite: Suite) -> None:
    suite.file(
        """
from concurrent.futures import ThreadPoolExecutor

@pytest.mark.gradcheck(seed=7)
def test_threads():
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: imported(cost, good, PARAMS), range(8)))
    assert {report.seed for report in reports} == {7}
"""
    )
    result = suite.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["8 checks in 1 test: 8 right; *"])


def test_a_run_inside_a_test_leaves_the_test_its_own_settings(suite: Suite) -> None:
    suite.pytester.makeconftest("pytest_plugins = ['pytester']")
    suite.file(
        '''
@pytest.mark.gradcheck(seed=11)
def test_outer(pytester, gradcheck):
    pytester.makepyfile("""
        from pytest_gradcheck import gradcheck as imported
        def test_inner(gradcheck):
            assert gradcheck(lambda x: x * x, lambda x: 2 * x, 3.0).seed == 5
        def test_wrong():
            imported(lambda x: x * x, lambda x: 3 * x, 3.0)
        """)
    pytester.runpytest_inprocess("--gradcheck-seed=5").assert_outcomes(passed=1, failed=1)
    assert gradcheck(cost, good, PARAMS).seed == 11
'''
    )
    result = suite.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["1 check in 1 test: 1 right; *"])
