"""Functions that keep the arrays which they are given, and compare by reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import check_gradients
from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.problem.preflight import spare_memory

Array = npt.NDArray[np.float64]


class Model:
    """Computes cost and gradient at once, and again only where theta is another."""

    def __init__(self, fault: float = 1.0) -> None:
        self.theta: Any = None
        self.fault = fault

    def is_known(self, theta: Any) -> bool:
        return self.theta is not None and np.array_equal(self.theta, theta)

    def update(self, theta: Any) -> None:
        if not self.is_known(theta):
            self.theta = theta
            self.value = float(np.sum(np.sin(theta) * np.arange(1, theta.size + 1)))
            self.slope = self.fault * np.cos(theta) * np.arange(1, theta.size + 1)

    def fun(self, theta: Any) -> float:
        self.update(theta)
        return self.value

    def jac(self, theta: Any) -> Array:
        self.update(theta)
        return np.array(self.slope)


class ById(Model):
    """Looks at whether it is the same array."""

    def is_known(self, theta: Any) -> bool:
        return self.theta is theta


class Flattened(Model):
    """Keeps a view."""

    def update(self, theta: Any) -> None:
        super().update(theta.reshape(-1))


X = np.array([0.3, -1.2, 0.7])


@pytest.mark.parametrize("kind", [Model, ById, Flattened])
def test_a_function_that_remembers_theta_by_reference_gets_a_right_answer(
    kind: type[Model],
) -> None:
    right, wrong = kind(), kind(fault=1.01)

    assert check_gradients(right.fun, right.jac, X).verdict == "ok"
    assert check_gradients(wrong.fun, wrong.jac, X).verdict == "bug"


@pytest.mark.parametrize("start", [X, np.zeros(3)])
@pytest.mark.parametrize("number", range(3))
def test_a_remembered_theta_is_seen_to_move_whichever_component_the_cost_depends_on(
    number: int, start: Array
) -> None:
    kept: list[Any] = []

    def cost(theta: Array) -> float:
        if not kept or not np.array_equal(kept[0], theta):
            kept[:] = [theta, float(np.sin(theta[number]))]
        return float(kept[1])

    assert check_gradients(cost, lambda theta: np.cos(theta) * np.eye(3)[number], start).passed


def test_a_remembered_theta_is_seen_to_move_at_a_minimum_in_a_narrow_domain() -> None:
    """A step of 1e-4 leaves the domain, and one of 1e-8 does not show in the cost."""
    kept: list[Any] = []

    def cost(theta: Array) -> float:
        if np.abs(theta - X).max() > 1e-5:
            raise ValueError("outside of the domain")
        if not kept or not np.array_equal(kept[0], theta):
            kept[:] = [theta, 1 + float(np.sum((theta - X) ** 2))]
        return float(kept[1])

    theta = Theta(X)
    spare_memory(theta, cost, cost(theta.tree))
    with theta.at(X + 1e-6):
        assert cost(theta.tree) > 1


def test_a_remembered_theta_is_seen_to_move_where_the_cost_moves_in_coarse_steps_only() -> None:
    kept = Model()

    def cost(theta: Array) -> float:
        return round(kept.fun(theta), 1)

    report = check_gradients(cost, kept.jac, 0.01 * X)

    assert report.verdict not in ("bug", "suspect")


def test_one_remembered_array_among_several_is_seen_to_move() -> None:
    kept = Model()

    def cost(params: dict[str, Any]) -> float:
        return kept.fun(params["W"]) * float(params["scale"]) + float(params["b"] @ params["b"])

    def grad(params: dict[str, Any]) -> dict[str, Any]:
        return {
            "W": np.cos(params["W"]) * np.arange(1, 4) * params["scale"],
            "b": 2 * params["b"],
            "scale": float(np.sum(np.sin(params["W"]) * np.arange(1, 4))),
        }

    report = check_gradients(cost, grad, {"W": X, "b": np.array([0.5, -2.0]), "scale": 1.5})

    assert report.verdict == "ok"


def test_a_remembered_theta_of_residuals_is_seen_to_move() -> None:
    kept: list[Array] = []

    def fun(theta: Array) -> Array:
        if not kept or not np.array_equal(kept[0], theta):
            kept[:] = [theta, np.sin(theta)]
        return kept[1]

    assert check_gradients.jacobian(fun, lambda theta: np.diag(np.cos(theta)), X).verdict == "ok"


def test_a_cache_of_the_input_alone_costs_two_calls_at_most() -> None:
    cache: dict[str, Array] = {}

    def cost(theta: Array) -> float:
        cache["theta"] = theta
        return float(np.sum(theta**2))

    plain = check_gradients(lambda theta: float(np.sum(theta**2)), lambda theta: 2 * theta, X)
    report = check_gradients(cost, lambda theta: 2 * theta, X)

    assert report.verdict == "ok"
    assert report.evaluations <= plain.evaluations + 2


def test_a_function_that_changes_its_copies_is_refused_all_the_same() -> None:
    kept = Model()

    def cost(theta: Array) -> float:
        value = kept.fun(theta)
        theta *= 2
        return value

    with pytest.raises(ValueError, match="changes the parameters"):
        check_gradients(cost, kept.jac, X)


@pytest.mark.parametrize("reach", [0.5, 5e-3, 1e-5])
def test_a_remembered_theta_is_seen_to_move_within_the_domain(reach: float) -> None:
    class Guarded(Model):
        def fun(self, theta: Any) -> float:
            if np.max(np.abs(theta - X)) > reach:
                raise ValueError("outside of the domain")
            return super().fun(theta)

    kept = Guarded()
    report = check_gradients(kept.fun, kept.jac, X)
    assert report.verdict in ("ok", "inconclusive")


def test_a_skip_some_way_off_passes_through() -> None:
    kept: list[Any] = []

    def cost(theta: Any) -> float:
        kept.append(theta)
        if np.max(np.abs(theta - X)) > 0:
            pytest.skip("not today")
        return float(theta @ theta)

    with pytest.raises(pytest.skip.Exception, match="not today"):
        check_gradients(cost, lambda theta: 2 * theta, X)
