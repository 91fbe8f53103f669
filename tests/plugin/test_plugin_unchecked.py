"""Markers that check nothing, and checks that are switched off."""

from __future__ import annotations

import pytest
from conftest import Suite, surprises

UNCHECKED = """
import asyncio
import unittest

@pytest.mark.gradcheck
def test_passes_bare():
    pass

@pytest.mark.gradcheck(seeds=2)
def test_passes_with_settings():
    pass

@pytest.mark.gradcheck
class TestClass:
    def test_passes_method(self):
        pass

@pytest.mark.gradcheck
class TestUnittest(unittest.TestCase):
    def test_passes_unittest(self):
        pass

@pytest.mark.gradcheck
class TestAsyncUnittest(unittest.IsolatedAsyncioTestCase):
    async def test_passes_async_unittest(self):
        pass

@pytest.mark.gradcheck
@pytest.mark.asyncio
async def test_passes_async():
    pass

@pytest.mark.gradcheck
def test_passes_not_calling(gradcheck):
    pass
"""


def test_a_label_without_a_check_passes_and_is_warned_of_once_a_run(
    suite: Suite, plugin_args: tuple[str, ...]
) -> None:
    suite.file(UNCHECKED)
    result = suite.run("--junitxml=junit.xml", *plugin_args)
    assert result.ret == 0
    outcomes = suite.last_outcomes()
    assert len(outcomes) == 7
    assert surprises(outcomes) == {}
    result.assert_outcomes(passed=7, warnings=1)
    result.stdout.fnmatch_lines(
        [
            "*GradcheckWarning: test_it.py::TestAsyncUnittest::test_passes_async_unittest is a "
            "gradcheck test, but no gradient was checked in it (nor in 6 more such tests)*"
        ]
    )
    result.stdout.no_fnmatch_line("*= gradient checks =*")


def test_a_label_fails_only_under_strict(suite: Suite, plugin_args: tuple[str, ...]) -> None:
    suite.file(UNCHECKED.replace("test_passes_", "test_fails_"))
    result = suite.run("--gradcheck-strict", "--junitxml=junit.xml", *plugin_args)
    outcomes = suite.last_outcomes()
    assert len(outcomes) == 7
    assert surprises(outcomes) == {}
    # the sentence alone: no line of the test is to blame, and none of pytest's is worth reading
    result.stdout.fnmatch_lines(
        ["test_it.py::test_fails_bare is marked gradcheck, but checked no gradient"]
    )
    result.stdout.no_fnmatch_line("*GradcheckWarning*")


@pytest.mark.parametrize("args", [("-W", "error"), ("-W", "error", "-n2")], ids=["plain", "n2"])
def test_a_label_is_no_failure_even_where_warnings_are(suite: Suite, args: tuple[str, ...]) -> None:
    suite.file("@pytest.mark.gradcheck\ndef test_bare():\n    pass\n")
    result = suite.run(*args)
    assert result.ret == 0
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["test_it.py::test_bare is a gradcheck test, but no gradient*"])


def test_the_warning_can_be_silenced(suite: Suite) -> None:
    suite.file("@pytest.mark.gradcheck\ndef test_bare():\n    pass\n")
    result = suite.run("-W", "ignore::pytest_gradcheck.GradcheckWarning")
    result.assert_outcomes(passed=1, warnings=0)
    result.stdout.no_fnmatch_line("*no gradient was checked*")


def test_a_test_that_checked_gets_no_warning(suite: Suite) -> None:
    suite.file(
        """
pytestmark = pytest.mark.gradcheck

@pytest.fixture
def in_setup(gradcheck):
    gradcheck(cost, good, PARAMS)

def test_setup(in_setup):
    pass

def test_telling():
    check_gradients(cost, good, PARAMS)

def test_import():
    imported(cost, good, PARAMS)

def test_returned():
    return Problem(cost, good, PARAMS)
"""
    )
    suite.run("-W", "error", "--gradcheck-strict").assert_outcomes(passed=4, warnings=0)


@pytest.mark.parametrize("value", ["5", "[]", "{}", "[Problem(cost, bad, PARAMS), 5]", "'text'"])
def test_a_value_other_than_problems_is_left_to_pytests_own_warning(
    suite: Suite, value: str
) -> None:
    suite.file(f"@pytest.mark.gradcheck\ndef test_value():\n    return {value}\n")
    result = suite.run()
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*PytestReturnNotNoneWarning*"])
    suite.run("--gradcheck-strict").assert_outcomes(failed=1)


def test_without_a_marker_nothing_returned_is_touched(suite: Suite) -> None:
    suite.file("def test_value():\n    return Problem(cost, bad, PARAMS)\n")
    result = suite.run()
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*PytestReturnNotNoneWarning*"])


def test_off_skips_at_the_first_check_and_complains_of_nothing(
    suite: Suite, plugin_args: tuple[str, ...]
) -> None:
    suite.file(
        """
import unittest

seen = []

def test_skips_fixture(gradcheck):
    gradcheck(broken, bad, PARAMS)

def test_skips_import():
    imported.layer(lambda x: (x, None), lambda d, c: (3 * d,), np.ones(2))

@pytest.mark.gradcheck
def test_skips_returned():
    return Problem(cost, bad, PARAMS)

@pytest.mark.gradcheck(**WRONG)
def test_skips_named():
    pass

@pytest.mark.gradcheck
@pytest.mark.asyncio
async def test_skips_async():
    return Problem(cost, bad, PARAMS)

@pytest.mark.gradcheck
def test_passes_bare():
    pass

def test_passes_telling():
    assert check_gradients(cost, bad, PARAMS).verdict == "bug"

def test_fails_before_the_check(gradcheck):
    assert check_gradients(cost, bad, PARAMS).passed
    gradcheck(cost, good, PARAMS)

@pytest.fixture
def net(gradcheck):
    gradcheck(cost, bad, PARAMS)

def test_skips_in_a_fixture(net):
    raise AssertionError("not reached")

@pytest.mark.xfail(strict=True)
def test_skips_xfail(gradcheck):
    gradcheck(cost, bad, PARAMS)

class TestUnittest(unittest.TestCase):
    def test_skips_unittest(self):
        imported(cost, bad, PARAMS)
"""
    )
    result = suite.run(
        "--gradcheck-off", "--gradcheck-strict", "--junitxml=junit.xml", "-rs", *plugin_args
    )
    outcomes = suite.last_outcomes()
    assert len(outcomes) == 11
    assert surprises(outcomes) == {}
    result.stdout.fnmatch_lines(["SKIPPED*test_it.py:*gradient checks are off (--gradcheck-off)"])
    result.stdout.no_fnmatch_line("*GradcheckWarning*")
    result.stdout.no_fnmatch_line("*gradcheck/plugin/*")
