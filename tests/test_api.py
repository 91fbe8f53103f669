"""gradcheck and check_gradients from end to end: the count of calls, the classical check."""

from __future__ import annotations

import importlib.metadata
import inspect
import itertools
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import pytest_gradcheck
from pytest_gradcheck import (
    GradcheckWarning,
    GradientError,
    Problem,
    ProblemError,
    check_gradients,
    gradcheck,
)

Array = npt.NDArray[np.float64]


class Counted:
    """Counts the calls of a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.calls, self._function = 0, function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return self._function(*args, **kwargs)


def network(sizes: tuple[int, ...], seed: int) -> tuple[Any, Any, dict[str, Array]]:
    """Return a tanh network's cost, its backprop and its parameters."""
    rng = np.random.default_rng(seed)
    X, Y = rng.standard_normal((sizes[0], 12)), rng.standard_normal((sizes[-1], 12))
    params: dict[str, Array] = {}
    for i, (n_in, n_out) in enumerate(itertools.pairwise(sizes), 1):
        params[f"W{i}"] = rng.standard_normal((n_out, n_in)) / np.sqrt(n_in)
        params[f"b{i}"] = rng.standard_normal((n_out, 1)) / 3
    layers = len(sizes) - 1

    def forward(p: dict[str, Array]) -> list[Array]:
        activations = [X]
        for i in range(1, layers + 1):
            z = p[f"W{i}"] @ activations[-1] + p[f"b{i}"]
            activations.append(np.tanh(z) if i < layers else z)
        return activations

    def cost(p: dict[str, Array]) -> float:
        return float(np.sum((forward(p)[-1] - Y) ** 2) / 24)

    def grad(p: dict[str, Array]) -> dict[str, Array]:
        activations = forward(p)
        d = (activations[-1] - Y) / 12
        answer: dict[str, Array] = {}
        for i in range(layers, 0, -1):
            answer[f"dW{i}"] = d @ activations[i - 1].T
            answer[f"db{i}"] = d.sum(axis=1, keepdims=True)
            d = (p[f"W{i}"].T @ d) * (1 - activations[i - 1] ** 2)
        return answer

    return cost, grad, params


SIZES = [(3, 4, 1), (5, 8, 6, 2), (10, 20, 1)]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_a_passing_check_takes_two_calls_a_component_and_a_small_constant(
    sizes: tuple[int, ...], seed: int
) -> None:
    cost, grad, params = network(sizes, seed)
    counted, backprop = Counted(cost), Counted(grad)
    report = check_gradients(counted, backprop, params)
    size = sum(value.size for value in params.values())
    assert report.verdict == "ok"
    assert counted.calls == report.evaluations
    assert 2 * size < counted.calls <= 2 * size + 40
    assert backprop.calls == 2


def with_cache(w: Array, lambd: float) -> tuple[float, Array]:
    return float(np.sum(np.sin(w))) + lambd * float(w @ w), w


COUNTED: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "a wrong gradient": (lambda w: float(w @ w), lambda w: 3 * w, {}),
    "the classical check": (lambda w: float(w @ w), lambda w: 2 * w, {"eps": 1e-7}),
    "grad=True": (lambda w: (float(w @ w), 2 * w), True, {"train": 3}),
    "a cache and a penalty": (
        with_cache,
        lambda cache, lambd: np.cos(cache) + 2 * lambd * cache,
        {"data": {"lambd": 0.5}, "train": 2},
    ),
    "kinks": (lambda w: float(np.abs(w - 1).sum()), lambda w: np.sign(w - 1), {}),
    "frozen dropout": (lambda w: float(w @ w), lambda w: 2 * w, {"dropout": "freeze"}),
    "float32": (lambda w: np.float32(w @ w), lambda w: 2 * w, {}),
}


@pytest.mark.parametrize(("cost", "grad", "how"), COUNTED.values(), ids=COUNTED.keys())
def test_evaluations_counts_every_call_of_the_cost(
    cost: Any, grad: Any, how: dict[str, Any]
) -> None:
    calls = []

    if "data" in how:

        def counting(w: Array, lambd: float) -> Any:
            calls.append(1)
            return cost(w, lambd)
    else:

        def counting(w: Array) -> Any:  # type: ignore[misc]
            calls.append(1)
            return cost(w)

    report = check_gradients(counting, grad, np.arange(1.0, 6.0), **how)
    assert report.evaluations == len(calls) > 10


def test_evaluations_counts_those_of_a_point_that_could_not_be_checked() -> None:
    counted = Counted(lambda w: (float(np.sum(w**4)), -4 * w**3))
    report = check_gradients(counted, True, np.ones(2), train=50)
    assert report.evaluations == counted.calls


# The classical check, as the course writes it


def gradient_check_n(
    J: Callable[[Array], float], theta: Array, grad: Array, epsilon: float
) -> tuple[float, Array]:
    """Return the difference and the approximations as the course's assignment computes them."""
    gradapprox = np.zeros(theta.shape)
    for i in range(theta.size):
        thetaplus = theta.copy()
        thetaplus[i] = thetaplus[i] + epsilon
        thetaminus = theta.copy()
        thetaminus[i] = thetaminus[i] - epsilon
        gradapprox[i] = (J(thetaplus) - J(thetaminus)) / (2 * epsilon)
    numerator = np.linalg.norm(grad - gradapprox)
    denominator = np.linalg.norm(grad) + np.linalg.norm(gradapprox)
    return float(numerator / denominator), gradapprox


@pytest.mark.parametrize("epsilon", [1e-7, 1e-5, 1e-4])
@pytest.mark.parametrize("factor", [1.0, 1 + 3e-5, 1.05, -1.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_fixed_step_gives_the_courses_figures(epsilon: float, factor: float, seed: int) -> None:
    cost, grad, params = network((3, 4, 1), seed)
    names, shapes = list(params), [value.shape for value in params.values()]
    ends = np.cumsum([value.size for value in params.values()])[:-1]

    def flat(p: dict[str, Array], prefix: str = "") -> Array:
        return np.concatenate([p[prefix + name].ravel() for name in names])

    def J(theta: Array) -> float:
        parts = zip(names, np.split(theta, ends), shapes, strict=True)
        return float(cost({name: part.reshape(shape) for name, part, shape in parts}))

    analytic = {key: value * (factor if "W" in key else 1.0) for key, value in grad(params).items()}
    difference, gradapprox = gradient_check_n(J, flat(params), flat(analytic, "d"), epsilon)
    counted = Counted(cost)
    report = check_gradients(counted, lambda p: analytic, params, eps=epsilon)

    assert report.relative_error == pytest.approx(difference, rel=1e-12, abs=1e-15)
    names_of = [
        f"{n}[{i}, {j}]" for n, s in zip(names, shapes, strict=True) for i, j in np.ndindex(s)
    ]
    approximations = dict(zip(names_of, gradapprox, strict=True))
    analytics = dict(zip(names_of, flat(analytic, "d"), strict=True))
    for component in report.components:
        assert component.numerical == approximations[component.name]  # bit for bit
        assert component.error_bar == 0.0
    expected = {}
    for name, D in approximations.items():
        g = analytics[name]
        error = abs(D - g) / (abs(D) + abs(g))
        if error > 1e-5:
            expected[name] = "bug" if error > 1e-3 else "suspect"
    assert {c.name: c.verdict for c in report.components} == expected
    assert report.evaluations == counted.calls == 2 * flat(params).size + 2


def test_a_fixed_step_knows_no_kinks() -> None:
    report = check_gradients(lambda w: float(abs(w)), lambda w: 0.5, 0.0, eps=1e-7)
    assert report.verdict == "bug"
    assert report.components[0].numerical == 0.0


def test_a_fixed_step_does_not_excuse_float32() -> None:
    report = check_gradients(
        lambda w: np.float32(w @ w), lambda w: 2 * w, np.arange(1.0, 5.0), eps=1e-7
    )
    assert report.verdict == "bug"
    assert not report.passed


# The two callables


def wrong(w: Array) -> Array:
    return 2 * w * (np.arange(3) + 1)


def test_gradcheck_raises_and_check_gradients_returns_a_report() -> None:
    with pytest.raises(GradientError) as error:
        gradcheck(lambda w: float(w @ w), wrong, np.ones(3))
    report = check_gradients(lambda w: float(w @ w), wrong, np.ones(3))
    assert not report.passed
    assert error.value.report.to_dict() == report.to_dict()


@pytest.mark.parametrize(
    "grad",
    [
        lambda w: 0 * w,
        lambda w: -2 * w,
        lambda w: w * np.nan,
        lambda w: w * np.inf,
        lambda w: w * 1e300,
        lambda w: w * 1e-300,
        lambda w: 2 * w[::-1],
        lambda w: np.zeros(3, int),
    ],
)
@pytest.mark.parametrize(
    "settings", [{}, {"eps": 1e-7}, {"train": 30}, {"mode": "sample"}], ids=str
)
def test_check_gradients_never_raises_for_a_wrong_gradient(
    grad: Callable[[Array], Array], settings: dict[str, Any]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the user's own arithmetic on the way
        report = check_gradients(
            lambda w: float(w @ w), grad, np.array([1.0, 2.0, 4.0]), **settings
        )
    assert not report.passed
    assert str(report)


def test_suspects_that_pass_are_warned_of() -> None:
    pair = (lambda w: float(w @ w), lambda w: 2.0001 * w, np.ones(3))
    with pytest.warns(GradcheckWarning, match=r"3 suspect components, the worst theta\[\d\]"):
        assert gradcheck(*pair, fail_on="bug").passed
    assert check_gradients(*pair, fail_on="bug").verdict == "suspect"


def test_gradcheck_returns_the_report() -> None:
    report = gradcheck(lambda w: float(w @ w), lambda w: 2 * w, np.ones(3))
    assert (report.passed, report.points[0].name) == (True, "given")


def test_a_marked_test_repeats_exactly() -> None:
    def run() -> dict[str, Any]:
        return check_gradients(lambda w: float(np.abs(w).sum()), wrong, np.zeros(3)).to_dict()

    assert run() == run()


def test_no_generator_of_the_users_is_touched() -> None:
    before = (str(np.random.get_state()), random.getstate())
    check_gradients(lambda w: float(w @ w), wrong, np.ones(3), mode="sample")
    assert (str(np.random.get_state()), random.getstate()) == before


def test_the_floating_point_settings_of_the_user_are_left_alone() -> None:
    with np.errstate(all="raise"):
        before = np.geterr()
        assert check_gradients(
            lambda w: float(np.sum(np.log(w))), lambda w: 1 / w, np.array([1e-3, 1.0])
        ).passed
        assert np.geterr() == before


def test_everything_of_the_contract_is_importable_from_the_package() -> None:
    names = "gradcheck check_gradients Problem Report PointReport ParameterReport Component Finding"
    for name in [*names.split(), "L1", "L2", "GradientError", "ProblemError"]:
        assert getattr(pytest_gradcheck, name) is not None
        assert name in pytest_gradcheck.__all__
        assert name in dir(pytest_gradcheck)


def test_what_the_package_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'gradchek'"):
        pytest_gradcheck.gradchek  # noqa: B018


def test_a_check_inside_a_cost_may_be_nested() -> None:
    def cost(w: Array) -> float:
        gradcheck(lambda v: float(v @ v), lambda v: 2 * v, w.copy(), eps=1e-4)
        return float(w @ w)

    assert check_gradients(cost, lambda w: 2 * w, np.ones(2)).passed


def test_settings_of_a_problem_are_checked_like_those_of_a_call() -> None:
    problem = Problem(np.sum, np.ones_like, np.zeros(2), settings={"esp": 1})
    with pytest.raises(ProblemError, match="did you mean 'eps'"):
        check_gradients(problem.cost, problem.grad, problem.params, **problem.settings)


def test_the_package_has_its_version() -> None:
    assert pytest_gradcheck.__version__ == importlib.metadata.version("pytest-gradcheck")


@pytest.mark.parametrize("form", ["jacobian", "hessian", "jvp", "layer", "vjp", "autograd"])
def test_a_problem_takes_what_the_method_of_its_form_takes(form: str) -> None:
    method, made = (inspect.signature(getattr(of, form)) for of in (gradcheck, Problem))
    assert made.parameters == method.parameters
    assert inspect.getdoc(getattr(gradcheck, form))
