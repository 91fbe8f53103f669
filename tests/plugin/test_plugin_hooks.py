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


def test_a_hook_gets_every_finished_check(pytester: pytest.Pytester, args: list[str]) -> None:
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


FOREIGN = """
import numpy as np
import pytest
from library import Layer, Tensor
from pytest_gradcheck import ProblemError, check_gradients, gradcheck

X = np.linspace(-1.0, 1.0, 6).reshape(2, 3)
NET = {
    "first": Layer(Tensor(np.arange(1.0, 7.0).reshape(3, 2) / 7), 0.5),
    "last": [Tensor([0.3, -0.7, 1.1])],
}

def hidden(net):
    return np.tanh(net["first"].weight.numpy() @ X + net["first"].bias)

def cost(net):
    assert isinstance(net["last"][0], Tensor)
    return float(np.sum((net["last"][0].numpy() @ hidden(net)) ** 2))

def grad(net):
    A, w = hidden(net), net["last"][0].numpy()
    out = 2 * w @ A
    dZ = np.outer(w, out) * (1 - A**2)
    return {"first": Layer(Tensor(dZ @ X.T), dZ.sum()), "last": [Tensor(A @ out)]}

def wrong(net):
    found = grad(net)
    found["first"].weight.values[2, 1] *= 1.5
    return found
"""

LIBRARY = """
import numpy as np

class Tensor:
    def __init__(self, values): self.values = np.array(values)
    def numpy(self): return self.values.copy()
    __array__ = None  # NumPy itself makes nothing of it

class Layer:
    __slots__ = ("weight", "bias")
    def __init__(self, weight, bias): self.weight, self.bias = weight, bias
"""

FLATTEN = """
from library import Layer, Tensor

def pytest_gradcheck_flatten(value):
    if isinstance(value, Layer):
        return {"weight": value.weight, "bias": value.bias}, lambda parts: Layer(**parts)
    if isinstance(value, Tensor):
        return value.numpy(), Tensor
"""


@pytest.fixture
def library(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(library=LIBRARY)
    pytester.syspathinsert()


@pytest.mark.usefixtures("library")
def test_a_hook_takes_foreign_containers_and_arrays_apart(
    pytester: pytest.Pytester, args: list[str]
) -> None:
    pytester.makeconftest(FLATTEN)
    pytester.makepyfile(
        FOREIGN
        + """
def test_right(gradcheck):
    report = gradcheck(cost, grad, NET)
    names = [(p.name, p.shape) for p in report.parameters]
    assert names == [("first.weight", (3, 2)), ("first.bias", ()), ("last[0]", (3,))]

def test_wrong():
    report = check_gradients(cost, wrong, NET)
    assert [c.name for c in report.components] == ["first.weight[2, 1]"]

def test_one_tensor(gradcheck):
    report = gradcheck(lambda t: float(np.sum(t.numpy() ** 3)),
                       lambda t: Tensor(3 * t.numpy() ** 2), Tensor([1.0, 2.0]))
    assert report.parameters[0].name == "theta"

def test_a_network_that_owns_them():
    layer = Layer(np.ones((2, 2)), np.zeros(2))
    before = layer.weight.copy()
    loss = lambda: float(np.sum(np.sin(layer.weight @ [1.0, 2.0] + layer.bias)))
    slope = lambda: np.cos(layer.weight @ [1.0, 2.0] + layer.bias)
    report = gradcheck(loss, lambda: [np.outer(slope(), [1.0, 2.0]), slope()], layer, inplace=True)
    assert [p.name for p in report.parameters] == ["weight", "bias"]
    assert np.array_equal(layer.weight, before)

def test_probes(gradcheck):
    gradcheck(cost, grad, NET, mode="probe")

def test_a_cost_that_changes_them():
    def careless(net):
        net["first"].bias += 1.0
        return cost(net)
    with pytest.raises(ProblemError) as raised:
        gradcheck(careless, grad, NET)
    assert raised.value.code == "mutated-params"
    assert "first.bias" in str(raised.value)

def test_workers():
    with pytest.raises(ProblemError, match="hook of this process"):
        gradcheck(cost, grad, NET, workers=2)
"""
    )
    pytester.runpytest(*args).assert_outcomes(passed=7)


@pytest.mark.usefixtures("library")
def test_without_the_hook_foreign_types_are_refused_by_name(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(FOREIGN + "\ndef test_it(gradcheck): gradcheck(cost, grad, NET)\n")
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E * ProblemError: unknown-params: first.weight is a Tensor*"])


@pytest.mark.usefixtures("library")
def test_a_hook_that_returns_something_else_is_reported(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(FLATTEN.replace("value.numpy(), Tensor", "value.numpy()"))
    pytester.makepyfile(FOREIGN + "\ndef test_it(gradcheck): gradcheck(cost, grad, NET)\n")
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E * bad-setting: pytest_gradcheck_flatten returned an array*"])


def test_hooks_of_others_see_a_marked_test_with_its_name_and_attributes(
    pytester: pytest.Pytester, args: list[str]
) -> None:
    pytester.makeconftest(
        """
        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_pyfunc_call(pyfuncitem):
            with open("called", "a") as out:
                print(pyfuncitem.obj.__name__, pyfuncitem.obj.owner, file=out)
            return (yield)
        """
    )
    pytester.makepyfile(
        PAIR
        + """
import pytest
from pytest_gradcheck import Problem

def owned(test):
    test.owner = "optics"
    return test

@pytest.mark.gradcheck
@owned
def test_plain():
    return Problem(cost, right, np.ones(3))

@pytest.mark.gradcheck
@pytest.mark.asyncio
@owned
async def test_async():
    return Problem(cost, right, np.ones(3))
"""
    )
    pytester.runpytest(*args).assert_outcomes(passed=2)
    lines = (pytester.path / "called").read_text().splitlines()
    assert sorted(lines) == ["test_async optics", "test_plain optics"]
