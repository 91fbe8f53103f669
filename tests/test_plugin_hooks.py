"""The hooks: what a conftest.py adds to checks."""

from __future__ import annotations

import pytest
from conftest import INI

PAIR = """
import numpy as np

def cost(x): return float(x @ x)
def right(x): return 2 * x
def wrong(x): return 5 * x
"""

NOISY = """
import numpy as np

class Model:
    rate, calls = 0.5, 0
    def cost(self, w):
        self.calls += 1
        return float(w @ w) + self.rate * self.calls
    def grad(self, w):
        return 2 * w

def test_method(gradcheck):
    model = Model()
    gradcheck(model.cost, model.grad, np.ones(3))
    assert model.rate == 0.5

def test_data(gradcheck):
    model = Model()
    report = gradcheck(lambda w, model: model.cost(w), lambda w: 2 * w, np.ones(3),
                       data={"model": model})
    assert "switched off: the randomness of Model" in report.notes
"""


@pytest.fixture(params=[[], ["-n2"]], ids=["plain", "n2"])
def args(request: pytest.FixtureRequest) -> list[str]:
    given: list[str] = request.param
    return given


@pytest.fixture(autouse=True)
def settled(pytester: pytest.Pytester) -> None:
    """Say what pytest-asyncio would ask for with a warning."""
    pytester.makeini(INI)


def test_a_hook_switches_off_the_randomness_of_a_model(
    pytester: pytest.Pytester, args: list[str]
) -> None:
    pytester.makeconftest(
        """
        import contextlib

        def pytest_gradcheck_still(value):
            if type(value).__name__ == "Model":
                return without_dropout(value)

        @contextlib.contextmanager
        def without_dropout(model):
            rate, model.rate = model.rate, 0.0
            try:
                yield
            finally:
                model.rate = rate
        """
    )
    pytester.makepyfile(NOISY)
    pytester.runpytest(*args).assert_outcomes(passed=2)


def test_without_the_hook_such_a_model_is_nondeterministic(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(NOISY)
    result = pytester.runpytest()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["E * ProblemError: nondeterministic-cost: *"])


def test_a_model_in_training_mode_is_put_out_of_it_and_back(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import numpy as np

        class Model:
            training = True
            calls = 0
            def train(self): self.training = True
            def eval(self): self.training = False
            def cost(self, w):
                self.calls += 1
                return float(w @ w) + self.calls * self.training
            def grad(self, w): return 2 * w

        def test_model(gradcheck):
            model = Model()
            gradcheck(model.cost, model.grad, np.ones(3))
            assert model.training
        """
    )
    pytester.runpytest().assert_outcomes(passed=1)


def test_a_hook_adds_a_diagnosis_to_what_fails(pytester: pytest.Pytester, args: list[str]) -> None:
    pytester.makeconftest(
        """
        def pytest_gradcheck_diagnose(report):
            from pytest_gradcheck import Finding
            return [Finding("house", "cause", None, f"{report.components[0].name} again")]
        """
    )
    pytester.makepyfile(
        PAIR
        + """
def test_wrong(gradcheck): gradcheck(cost, wrong, np.ones(3))
def test_right(gradcheck): assert gradcheck(cost, right, np.ones(3)).findings == ()
"""
    )
    result = pytester.runpytest(*args)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E * cause (house): theta[[]0[]] again"])


def test_a_hook_hears_of_every_finished_check(pytester: pytest.Pytester, args: list[str]) -> None:
    pytester.makeconftest(
        """
        def pytest_gradcheck_report(report, nodeid):
            with open("heard.txt", "a") as log:
                print(nodeid, report.verdict, file=log)
        """
    )
    pytester.makepyfile(
        test_it=PAIR
        + """
def test_wrong(gradcheck): gradcheck(cost, wrong, np.ones(3))
def test_right(gradcheck): gradcheck(cost, right, np.ones(3))
"""
    )
    pytester.runpytest(*args).assert_outcomes(passed=1, failed=1)
    heard = sorted((pytester.path / "heard.txt").read_text().splitlines())
    assert heard == ["test_it.py::test_right ok", "test_it.py::test_wrong bug"]
