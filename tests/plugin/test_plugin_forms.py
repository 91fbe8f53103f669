"""Every way to say what is to be checked, alone and on xdist."""

from __future__ import annotations

import json

import pytest
from conftest import SINCE_PYTEST_9, Suite, surprises

FORMS = """
import asyncio
import unittest
from hypothesis import Phase, given, settings as hypothesis_settings, strategies as st

def test_passes_fixture(gradcheck):
    report = gradcheck(cost, good, PARAMS)
    assert report.passed and report.verdict == "ok"

def test_fails_fixture(gradcheck):
    gradcheck(cost, bad, PARAMS)

def test_fails_import():
    imported(cost, bad, PARAMS)

def test_passes_fixture_is_the_import(gradcheck):
    assert gradcheck is imported

def test_passes_telling():
    report = check_gradients(cost, bad, PARAMS)
    assert not report.passed and report.verdict == "bug"

def double(x):
    return 2 * x, None

def test_fails_layer(gradcheck):
    gradcheck.layer(double, lambda dout, cache: (3 * dout,), np.ones(3))

def test_passes_layer(gradcheck):
    gradcheck.layer(double, lambda dout, cache: (2 * dout,), np.ones(3))

def test_fails_vjp(gradcheck):
    gradcheck.vjp(lambda x: (2 * x, lambda dout: 3 * dout), np.ones(3))

@pytest.mark.gradcheck(fail_on="bug")
def test_passes_marker_with_settings(gradcheck):
    with pytest.warns(UserWarning, match="suspect"):
        report = gradcheck(cost, slightly, PARAMS)
    assert report.settings.fail_on == "bug"

def test_fails_without_those_settings(gradcheck):
    gradcheck(cost, slightly, PARAMS)

@pytest.mark.gradcheck
def test_passes_returned():
    return Problem(cost, good, PARAMS)

@pytest.mark.gradcheck
def test_fails_returned():
    return Problem(cost, bad, PARAMS)

@pytest.mark.gradcheck
def test_passes_returned_list():
    return [Problem(cost, good, PARAMS), Problem(cost, good, PARAMS)]

@pytest.mark.gradcheck
def test_fails_returned_list():
    return [Problem(cost, good, PARAMS), Problem(cost, bad, PARAMS)]

@pytest.mark.gradcheck
def test_fails_returned_tuple():
    return Problem(cost, good, PARAMS), Problem(cost, bad, PARAMS)

@pytest.mark.gradcheck(fail_on="suspect")
def test_passes_settings_of_a_problem_rank_as_the_calls():
    return Problem(cost, slightly, PARAMS, settings={"suspect": 1e-2, "bug": 1e-1})

@pytest.mark.gradcheck(**RIGHT)
def test_passes_named():
    pass

@pytest.mark.gradcheck(**WRONG)
def test_fails_named():
    pass

@pytest.mark.gradcheck(**WRONG)
def test_fails_named_and_returned():
    return Problem(cost, good, PARAMS)

def scaled(params, scale):
    return scale * cost(params)

def unscaled(params, scale):
    return good(params)

@pytest.mark.gradcheck(cost=scaled, grad=unscaled, params=PARAMS, args=(2.0,))
def test_fails_named_with_args():
    pass

@pytest.mark.gradcheck(cost=scaled, grad=good, params=PARAMS, data={"scale": 1.0})
def test_passes_named_with_data():
    pass

@pytest.mark.parametrize("grad", [good, good], ids="ab")
@pytest.mark.gradcheck
def test_passes_parametrized(grad):
    return Problem(cost, grad, PARAMS)

@pytest.mark.parametrize(
    "grad", [pytest.param(slightly, marks=pytest.mark.gradcheck(suspect=1e-2, bug=1e-1))]
)
def test_passes_marked_parameter(grad, gradcheck):
    gradcheck(cost, grad, PARAMS)

@pytest.mark.gradcheck(**WRONG)
class TestClass:
    @pytest.mark.gradcheck(grad=good)
    def test_passes_nearer_gradient(self):
        pass

    def test_fails_gradient_of_the_class(self):
        pass

    @staticmethod
    @pytest.mark.gradcheck(grad=good, seed=5)
    def test_passes_static(gradcheck):
        assert gradcheck(cost, good, PARAMS).seed == 5

    @staticmethod
    def test_fails_static():
        pass

    @classmethod
    def test_fails_classmethod(cls):
        pass

class TestReturning:
    @pytest.mark.gradcheck
    def test_fails_method(self):
        return Problem(cost, bad, PARAMS)

    @staticmethod
    @pytest.mark.gradcheck
    def test_fails_staticmethod():
        return Problem(cost, bad, PARAMS)

@pytest.mark.gradcheck(seed=1, suspect=1e-7)
class TestMerged:
    @pytest.mark.gradcheck(suspect=1e-6)
    def test_passes_closest_wins_and_others_stay(self, gradcheck):
        settings = gradcheck(cost, good, PARAMS).settings
        assert (settings.seed, settings.suspect, settings.bug) == (1, 1e-6, 1e-3)

class TestUnittest(unittest.TestCase):
    def test_passes_unittest(self):
        imported(cost, good, PARAMS)

    def test_fails_unittest(self):
        imported(cost, bad, PARAMS)

@pytest.mark.gradcheck
class TestMarkedUnittest(unittest.TestCase):
    def test_passes_unittest_returned(self):
        return Problem(cost, good, PARAMS)

    def test_fails_unittest_returned(self):
        return Problem(cost, bad, PARAMS)

    @pytest.mark.gradcheck(**WRONG)
    def test_fails_unittest_named(self):
        pass

    def test_skips_unittest(self):
        self.skipTest("not today")

    @unittest.expectedFailure
    def test_xfails_unittest(self):
        imported(cost, bad, PARAMS)

@pytest.mark.gradcheck
class TestAsyncUnittest(unittest.IsolatedAsyncioTestCase):
    async def test_passes_async_unittest(self):
        await asyncio.sleep(0)
        return Problem(cost, good, PARAMS)

    async def test_fails_async_unittest(self):
        await asyncio.sleep(0)
        return Problem(cost, bad, PARAMS)

@pytest.mark.asyncio
async def test_passes_async(gradcheck):
    await asyncio.sleep(0)
    gradcheck(cost, good, PARAMS)

@pytest.mark.asyncio
@pytest.mark.gradcheck
async def test_passes_async_returned():
    await asyncio.sleep(0)
    return Problem(cost, good, PARAMS)

@pytest.mark.gradcheck
@pytest.mark.asyncio
async def test_fails_async_returned():
    await asyncio.sleep(0)
    return [Problem(cost, bad, PARAMS)]

@pytest.mark.asyncio
@pytest.mark.gradcheck(**WRONG)
async def test_fails_async_named():
    pass

few = hypothesis_settings(max_examples=3, deadline=None, database=None, phases=[Phase.generate])

@few
@given(st.floats(0.5, 2.0))
def test_passes_hypothesis(gradcheck, scale):
    gradcheck(lambda p: scale * float(p @ p), lambda p: 2 * scale * p, np.ones(3))

@few
@given(scale=st.floats(0.5, 2.0))
def test_fails_hypothesis_import(scale):
    imported(lambda p: scale * cost(p), bad, PARAMS)

@pytest.mark.gradcheck(**WRONG)
@few
@given(scale=st.floats(0.5, 2.0))
def test_fails_hypothesis_named(scale):
    pass

@pytest.mark.gradcheck(seed=3)
@few
@given(scale=st.floats(0.5, 2.0))
def test_passes_hypothesis_settings(gradcheck, scale):
    assert gradcheck(cost, good, PARAMS).seed == 3
"""


def test_every_form_of_a_check_passes_or_fails_as_its_gradient_is(
    suite: Suite, plugin_args: tuple[str, ...]
) -> None:
    suite.file(FORMS)
    outcomes = suite.outcomes("-p", "hypothesispytest", *plugin_args)
    assert len(outcomes) == FORMS.count("def test_") + 1  # one of them is parametrized
    assert surprises(outcomes) == {}


def test_a_marker_of_the_module_is_the_weakest(suite: Suite) -> None:
    suite.file(
        """
        pytestmark = pytest.mark.gradcheck(seed=1, suspect=1e-7, bug=1e-2)

        def test_passes_module(gradcheck):
            settings = gradcheck(cost, good, PARAMS).settings
            assert (settings.seed, settings.suspect, settings.bug) == (1, 1e-7, 1e-2)

        @pytest.mark.gradcheck(seed=2, suspect=1e-6)
        class TestClass:
            @pytest.mark.gradcheck(seed=3)
            def test_passes_all_three(self, gradcheck):
                settings = gradcheck(cost, good, PARAMS).settings
                assert (settings.seed, settings.suspect, settings.bug) == (3, 1e-6, 1e-2)

            def test_passes_call(self, gradcheck):
                settings = gradcheck(cost, good, PARAMS, seed=4).settings
                assert (settings.seed, settings.suspect, settings.bug) == (4, 1e-6, 1e-2)
        """.replace("\n        ", "\n")
    )
    outcomes = suite.outcomes()
    assert len(outcomes) == 3
    assert surprises(outcomes) == {}


def test_the_fixture_serves_fixtures_of_every_scope(suite: Suite) -> None:
    suite.file(
        """
@pytest.fixture(scope="session")
def session_net(gradcheck):
    return gradcheck(cost, good, PARAMS)

@pytest.fixture(scope="module")
def wrong_net(gradcheck):
    gradcheck(cost, bad, PARAMS)

@pytest.fixture
def checked_at_the_end(gradcheck):
    yield
    gradcheck(cost, good, PARAMS)

def test_passes_session(session_net):
    assert session_net.passed

def test_passes_end(checked_at_the_end):
    pass

def test_errors_module(wrong_net):
    pass
"""
    )
    outcomes = suite.outcomes("--gradcheck-report=all.json")
    assert len(outcomes) == 3
    assert surprises(outcomes) == {}
    report = json.loads((suite.pytester.path / "all.json").read_text(encoding="utf-8"))
    assert len(report["checks"]) == 3


def test_the_function_of_a_test_is_put_back_for_a_rerun(
    suite: Suite, plugin_args: tuple[str, ...]
) -> None:
    suite.file(
        """
from pathlib import Path

def runs(name):
    file = Path(name)
    file.write_text(f"{file.read_text() if file.exists() else ''}x")
    return len(file.read_text())

@pytest.mark.gradcheck
def test_passes_second_time():
    return Problem(cost, good if runs("function") == 2 else bad, PARAMS)

@pytest.mark.gradcheck
class TestClass:
    def test_passes_method_second_time(self):
        return Problem(cost, good if runs("method") == 2 else bad, PARAMS)

def test_fails_always(gradcheck):
    gradcheck(cost, good, PARAMS)
    gradcheck(cost, bad, PARAMS)
"""
    )
    result = suite.run("--reruns=2", "--junitxml=junit.xml", *plugin_args)
    assert surprises(suite.last_outcomes()) == {}
    result.stdout.fnmatch_lines(["4 checks in 3 tests: 3 right, 1 wrong; * cost calls"])
    result.stdout.fnmatch_lines(["*1 failed, 2 passed, 4 rerun*"])


@SINCE_PYTEST_9
def test_checks_of_subtests_count_where_tests_are_rerun(suite: Suite) -> None:
    suite.file(
        """
import unittest
from pathlib import Path
from pytest_gradcheck import gradcheck as check

def runs(name):
    file = Path(name)
    file.write_text(f"{file.read_text() if file.exists() else ''}x")
    return len(file.read_text())

def test_passes(subtests, gradcheck):
    for number in range(3):
        with subtests.test(number=number):
            gradcheck(cost, good, PARAMS)

def test_passes_second_time(subtests, gradcheck):
    with subtests.test():
        gradcheck(cost, good, PARAMS)
    gradcheck(cost, good, PARAMS)
    assert runs("second") == 2

class TestCase(unittest.TestCase):
    def test_passes_third_time(self):
        with self.subTest():
            check(cost, good, PARAMS)
        assert runs("third") == 3
"""
    )
    result = suite.run("--reruns=2", "--gradcheck-min=3")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["6 checks in 3 tests: 6 right; * cost calls"])
    result.stdout.fnmatch_lines(["*3 passed*3 rerun*"])


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ("gradcheck", {"test_fixture", "test_through_a_fixture", "test_marked"}),
        ("not gradcheck", {"test_other"}),
    ],
)
def test_the_marker_selects_users_of_the_fixture_as_well(
    suite: Suite, expression: str, selected: set[str]
) -> None:
    suite.file(
        """
@pytest.fixture
def net(gradcheck):
    return gradcheck(cost, good, PARAMS)

def test_fixture(gradcheck):
    gradcheck(cost, good, PARAMS)

def test_through_a_fixture(net):
    pass

@pytest.mark.gradcheck(**RIGHT)
def test_marked():
    pass

def test_other():
    pass
"""
    )
    assert set(suite.outcomes("-m", expression)) == selected


MATRICES = """
import numpy as np

X = np.array([0.3, -0.7, 1.1])

def fun(x):
    return np.outer(x, x).ravel()

def jac(x):
    eye = np.eye(3)
    return (eye[:, None, :] * x[None, :, None] + x[:, None, None] * eye[None]).reshape(9, 3)

def wrong_jac(x):
    matrix = jac(x)
    matrix[4, 1] *= 3
    return matrix

def slope(x):
    return x**3 + x.sum()

def hess(x):
    return np.diag(3 * x**2) + 1

def push(x, dx):
    return jac(x) @ dx

@pytest.mark.gradcheck
def test_passes_returned_jacobian():
    return Problem.jacobian(fun, jac, X)

@pytest.mark.gradcheck
def test_fails_returned_jacobian():
    return Problem.jacobian(fun, wrong_jac, X)

@pytest.mark.gradcheck
def test_passes_returned_hessian():
    return Problem.hessian(slope, hess, X)

@pytest.mark.gradcheck
def test_fails_returned_hessian():
    return Problem.hessian(slope, lambda x: np.triu(hess(x)), X)

@pytest.mark.gradcheck
def test_passes_returned_jvp():
    return Problem.jvp(fun, push, X, vjp=lambda x, u: jac(x).T @ u)

@pytest.mark.gradcheck
def test_fails_returned_jvp():
    return Problem.jvp(fun, lambda x, dx: wrong_jac(x) @ dx, X)

@pytest.mark.gradcheck
def test_fails_returned_list():
    return [Problem.jacobian(fun, jac, X), Problem.hessian(slope, lambda x: 2 * hess(x), X)]

def slightly(x):
    return jac(x) * (1 + 1e-4)

@pytest.mark.gradcheck(fail_on="bug")
@pytest.mark.filterwarnings("ignore::pytest_gradcheck.GradcheckWarning")
def test_passes_with_a_setting_of_the_marker():
    return Problem.jacobian(fun, slightly, X)

@pytest.mark.gradcheck
def test_fails_without_it():
    return Problem.jacobian(fun, slightly, X)

@pytest.mark.gradcheck(seeds=2)
def test_passes_drawn():
    return Problem.jacobian(fun, jac, lambda rng: rng.normal(size=3))

@pytest.mark.gradcheck(workers=2)
def test_fails_a_setting_for_costs():
    return Problem.jacobian(fun, jac, X)

@pytest.mark.gradcheck(only="theta", eps=1e-6)
class TestClass:
    def test_passes_in_a_class(self, gradcheck):
        assert gradcheck.hessian(slope, hess, X).settings.eps == 1e-6

    def test_fails_in_a_class(self, gradcheck):
        gradcheck.jacobian(fun, wrong_jac, X)
"""


@pytest.mark.parametrize("args", [(), ("-p", "xdist", "-n", "2")], ids=["alone", "xdist"])
def test_marked_tests_return_problems_of_matrices(suite: Suite, args: tuple[str, ...]) -> None:
    suite.file(MATRICES)
    outcomes = suite.outcomes(*args)
    assert len(outcomes) == 13
    assert surprises(outcomes) == {}


def test_the_failure_of_a_returned_matrix_names_its_entry(suite: Suite) -> None:
    suite.file(MATRICES)
    result = suite.run("-k", "test_fails_returned_jacobian or test_fails_returned_hessian")
    text = result.stdout.str()
    assert "jac[4, 1]" in text
    assert "hess[1, 0]" in text
    assert max(len(line) for line in text.splitlines() if line.startswith("E ")) <= 80
