"""Solvers that stop at a tolerance, with the gradients of exact solutions, and with wrong ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Report, check_gradients
from pytest_gradcheck.numdiff.evaluators import SerialEvaluator
from pytest_gradcheck.numdiff.noise import Noise, NoiseKind
from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.verdict.tolerances import _Jump, _Search

Array = npt.NDArray[np.float64]


class Pair(NamedTuple):
    """A cost, the gradient of what it stands for, and a point."""

    cost: Callable[[Array], float]
    grad: Callable[[Array], Array]
    start: Array


def jacobi(seed: int, tol: float) -> Pair:
    """Return a misfit of the solution of A u = b, by Jacobi's iteration, as a function of b."""
    rng = np.random.default_rng(seed)
    A = np.diag(rng.uniform(3, 5, 5)) + rng.uniform(-0.5, 0.5, (5, 5))
    target, start = rng.normal(size=5), rng.normal(size=5)
    diagonal, rest = np.diag(A), A - np.diag(np.diag(A))

    def solved(b: Array) -> Array:
        before, u = np.full(5, np.inf), np.zeros(5)
        while np.max(np.abs(u - before)) >= tol:
            before, u = u, (b - rest @ u) / diagonal
        return u

    def grad(b: Array) -> Array:
        return np.asarray(np.linalg.solve(A.T, np.linalg.solve(A, b) - target))

    return Pair(lambda b: float(0.5 * np.sum((solved(b) - target) ** 2)), grad, start)


def jacobi_of_a_matrix(seed: int, tol: float) -> Pair:
    """Return one number of the solution of A u = b as a function of A, at a relative tolerance."""
    rng = np.random.default_rng(seed)
    start = np.diag(rng.uniform(3, 5, 4)) + rng.uniform(-0.5, 0.5, (4, 4))
    b, weights = rng.normal(size=4), rng.normal(size=4)

    def cost(A: Array) -> float:
        diagonal, u = np.diag(A), np.zeros(4)
        for _ in range(500):
            before, u = u, (b - (A - np.diag(diagonal)) @ u) / diagonal
            if np.linalg.norm(u - before) < tol * np.linalg.norm(u):
                break
        return float(weights @ u)

    def grad(A: Array) -> Array:
        return -np.outer(np.linalg.solve(A.T, weights), np.linalg.solve(A, b))

    return Pair(cost, grad, start)


def sinkhorn(seed: int, tol: float) -> Pair:
    """Return the cost of an entropic transport plan, by Sinkhorn's iteration."""
    rng = np.random.default_rng(seed)
    start, a, b = rng.uniform(size=(6, 6)), np.full(6, 1 / 6), rng.dirichlet(np.full(6, 5.0))

    def plan(C: Array, tol: float) -> Array:
        K, u, before = np.exp(-C / 0.15), np.ones(6), np.zeros(6)
        v = b
        while np.max(np.abs(u - before)) >= tol * np.max(u):
            v = b / (K.T @ u)
            before, u = u, a / (K @ v)
        return np.asarray(u[:, None] * K * v)

    def cost(C: Array) -> float:
        P = plan(C, tol)
        return float(np.sum(P * C) + 0.15 * np.sum(P * (np.log(P) - 1)))

    return Pair(cost, lambda C: plan(C, 1e-13), start)


def descended(seed: int, tol: float) -> Pair:
    """Return a function of the minimum of a quadratic, by gradient descent that stops early."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    A, start, weights = (turn * np.geomspace(1, 8, 5)) @ turn.T, *rng.normal(size=(2, 5))

    def cost(b: Array) -> float:
        x = np.zeros(5)
        while np.linalg.norm(A @ x - b) >= tol:
            x = x - 0.1 * (A @ x - b)
        return float(weights @ np.tanh(x))

    def grad(b: Array) -> Array:
        slope = 1 - np.tanh(np.linalg.solve(A, b)) ** 2
        return np.asarray(np.linalg.solve(A, weights * slope))

    return Pair(cost, grad, start)


def newton(seed: int, tol: float) -> Pair:
    """Return a misfit of the roots of y + y**3 = theta, by Newton's method."""
    rng = np.random.default_rng(seed)
    start, target = rng.uniform(0.5, 2, 4), rng.normal(size=4)

    def root(theta: Array, tol: float) -> Array:
        y, step = np.zeros(4), np.full(4, np.inf)
        while np.max(np.abs(step)) >= tol:
            step = (y + y**3 - theta) / (1 + 3 * y * y)
            y = y - step
        return y

    def grad(theta: Array) -> Array:
        y = root(theta, 1e-12)
        return np.asarray(2 * (y - target) / (1 + 3 * y * y))

    return Pair(lambda theta: float(np.sum((root(theta, tol) - target) ** 2)), grad, start)


SOLVERS = {
    "Jacobi": (jacobi, 1e-4),
    "Jacobi, of a matrix": (jacobi_of_a_matrix, 1e-4),
    "Jacobi, of a matrix, tighter": (jacobi_of_a_matrix, 1e-6),
    "Sinkhorn": (sinkhorn, 1e-4),
    "Sinkhorn, tighter": (sinkhorn, 1e-6),
    "gradient descent": (descended, 1e-4),
    "Newton": (newton, 1e-2),
}


def checked(pair: Pair, factor: float, seed: int) -> Report:
    """Return the report on a gradient times a factor."""
    return check_gradients(pair.cost, lambda x: factor * pair.grad(x), pair.start, seed=seed)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", SOLVERS)
def test_the_gradient_of_the_solution_is_never_called_wrong(name: str, seed: int) -> None:
    make, tol = SOLVERS[name]
    report = checked(make(seed, tol), 1.0, seed)
    assert report.verdict in ("ok", "inconclusive")
    if report.verdict == "inconclusive":
        assert any("tolerance" in finding.message for finding in report.findings)


def test_a_solver_that_converges_slowly_is_known_by_places_close_together() -> None:
    """Its cost jumps often and by little, beside what the residual changes from place to place."""
    make, tol = SOLVERS["gradient descent"]
    verdicts = {seed: checked(make(seed, tol), 1.0, seed).verdict for seed in range(5, 30)}
    assert {seed: verdict for seed, verdict in verdicts.items() if verdict == "bug"} == {}
    assert {seed: verdict for seed, verdict in verdicts.items() if verdict == "suspect"} == {}


@pytest.mark.parametrize("factor", [2.0, -1.0, 0.5])
@pytest.mark.parametrize("name", SOLVERS)
def test_what_no_tolerance_explains_is_wrong(name: str, factor: float) -> None:
    make, tol = SOLVERS[name]
    for seed in range(2):
        assert checked(make(seed, tol), factor, seed).verdict == "bug"


@pytest.mark.parametrize("name", ["Jacobi", "Sinkhorn, tighter", "gradient descent"])
def test_a_slight_factor_beyond_the_tolerance_is_wrong(name: str) -> None:
    make, tol = SOLVERS[name]
    for seed in range(3):
        assert checked(make(seed, tol), 1.1, seed).verdict == "bug"


@pytest.mark.parametrize("height", [0.0, 1e-6, 1e-3])
@pytest.mark.parametrize("turn", [0.0, 0.5])
def test_other_jumps_and_branches_hide_no_slight_fault(height: float, turn: float) -> None:
    """A fault of no pattern, beside a branch of the cost with another value and another slope."""
    rng = np.random.default_rng(3)
    start, weights = rng.normal(size=6), rng.uniform(0.5, 2, 6)
    edge = float(weights @ start) + 0.3

    def cost(x: Array) -> float:
        over = float(weights @ x) - edge
        return float(np.sin(x).sum()) + (over > 0) * (height + turn * over)

    def grad(x: Array) -> Array:
        there = float(weights @ x) > edge
        return np.asarray(np.cos(x) + there * turn * weights)

    assert check_gradients(cost, grad, start).passed
    for seed in range(3):
        off = 1 + 0.01 * np.random.default_rng(seed).normal(size=6)
        assert check_gradients(cost, lambda x, off=off: off * grad(x), start).verdict == "bug"


@pytest.mark.parametrize("mode", ["full", "probe"])
@pytest.mark.parametrize("start", [1e-2, 1e-3])
def test_a_cost_that_is_larger_some_way_off_rounds_more_there_and_has_no_tolerance(
    start: float, mode: Any
) -> None:
    for seed in range(6):
        rng = np.random.default_rng([seed, 83])
        x, w = rng.uniform(0.5, 1.5, 2), rng.uniform(1, 2, 2)
        offset = start - float(w @ np.sin(x))

        def cost(x: Array, w: Array = w, offset: float = offset) -> Any:
            return np.float32(w @ np.sin(x) + offset)

        wrong = w * [1.0, 1 + 5e-4]
        report = check_gradients(cost, lambda x, w=wrong: w * np.cos(x), x, mode=mode)
        assert not report.passed
        assert check_gradients(cost, lambda x, w=w: w * np.cos(x), x, mode=mode).passed


@pytest.mark.parametrize("size", [8, 60])
def test_arrays_of_float32_in_place_make_no_jumps_of_a_tolerance(size: int) -> None:
    for seed in range(6):
        rng = np.random.default_rng([seed, 89])
        x = (rng.uniform(0.5, 1.5, size) * rng.choice([-1, 1], size)).astype(np.float32)
        w = rng.uniform(1, 2, size) / size
        wrong = w * np.where(np.arange(size) == 3, 1 + 1e-4, 1.0)

        def cost(x: Any, w: Array = w) -> float:
            return float(w @ np.sin(x.astype(float)))

        def grad(x: Any, w: Array = wrong) -> Array:
            return np.asarray(w * np.cos(x.astype(float)))

        assert not check_gradients(cost, grad, x, inplace=True).passed


@pytest.mark.parametrize("seed", range(5))
def test_a_solver_whose_parameters_are_all_zero_is_known_along_random_lines(seed: int) -> None:
    """No line leads from theta to 0, or to twice theta."""
    make, tol = SOLVERS["Sinkhorn"]
    away = make(seed, tol)
    pair = Pair(
        lambda d: away.cost(away.start + d), lambda d: away.grad(away.start + d), 0 * away.start
    )
    assert checked(pair, 1.0, seed).verdict in ("ok", "inconclusive")


# How a jump is searched for


class Searched:
    """A cost of one number that counts its calls, with a gradient of 1, and a search along it."""

    def __init__(self, cost: Callable[[float], float], noise: Noise) -> None:
        self.theta, self.places = Theta(np.zeros(1)), list[float]()
        self._cost = cost
        self._search = _Search(self, SerialEvaluator(self._value, self.theta, 0.0), noise, 1.0)  # type: ignore[arg-type]

    def _value(self) -> float:
        self.places.append(float(self.theta.tree[0]))
        return self._cost(self.places[-1])

    def gradient_after_cost(self) -> Array:
        return np.ones(1)

    def jump(self) -> _Jump | None:
        return self._search.jump(np.ones(1))


def test_a_residual_that_noise_alone_changes_is_followed_no_further() -> None:
    """Two intervals are halved once each, and no more than noise is left of them."""
    levels = np.random.default_rng(0).normal(size=10_000)

    def cost(x: float) -> float:
        return x + 1e-6 * float(levels[round(1e6 * x) % 10_000])

    searched = Searched(cost, Noise(1e-6, 1.0, 1.0, moved=True, kind=NoiseKind.SPREAD))
    assert searched.jump() is None
    assert len(searched.places) == 2 * (10 + 2)


def test_an_interval_is_narrowed_to_four_steps_and_no_further() -> None:
    """Beyond, the differences at both ends would reach over the jump."""

    def cost(x: float) -> float:
        return x + (x > 0.0123) * (5e-3 + 5e-3 * (x - 0.0123))

    coarse = Noise(1e-12, 1e-6, 0.0, moved=True, kind=NoiseKind.DECIMALS)
    searched = Searched(cost, coarse)
    found = searched.jump()
    assert found is not None
    assert found.height == pytest.approx(5e-3, rel=0.01)
    step = 0.5 * (searched.places[1] - searched.places[0])
    assert step == pytest.approx(1e-3)
    halvings = 5  # of 0.1 to a 32nd of it: more than two steps, and less than four
    assert len(searched.places) == 2 * (10 + halvings + 2)
