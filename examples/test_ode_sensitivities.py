"""Sensitivities of a differential equation: how its solution moves with its parameters.

The variational equation is solved beside the equation itself. Its right-hand side needs two
Jacobians, by the state and by the parameters, and each is checked alone; then the whole, whose
accuracy is that of the solver, which the check measures as noise or is told.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.integrate import solve_ivp

from pytest_gradcheck import GradCheck, check_gradients

Array: TypeAlias = npt.NDArray[np.float64]

PARAMS = np.array([0.9, 0.6, 0.8])
"""Growth of the prey, how often it is met, and death of the predators."""

START = np.array([1.0, 0.5])
TIMES = np.linspace(0.5, 4.0, 8)


def rate(state: Array, p: Array) -> Array:
    prey, predators = state
    met = p[1] * prey * predators
    return np.array([p[0] * prey - met, met - p[2] * predators])


def rate_by_state(state: Array, p: Array) -> Array:
    prey, predators = state
    return np.array(
        [[p[0] - p[1] * predators, -p[1] * prey], [p[1] * predators, p[1] * prey - p[2]]]
    )


def rate_by_params(state: Array, p: Array) -> Array:
    prey, predators = state
    return np.array([[prey, -prey * predators, 0.0], [0.0, prey * predators, -predators]])


def solution(p: Array) -> Array:
    """Return prey and predators at some times, of shape (2, times)."""
    solved = solve_ivp(lambda _, s: rate(s, p), (0, 4), START, t_eval=TIMES, rtol=1e-10, atol=1e-12)
    return np.asarray(solved.y)


def sensitivities(p: Array) -> Array:
    """Return how the solution moves with each parameter, of shape (2, times, parameters)."""

    def both(_: float, joint: Array) -> Array:
        state, S = joint[:2], joint[2:].reshape(2, 3)
        change = rate_by_state(state, p) @ S + rate_by_params(state, p)
        return np.concatenate([rate(state, p), change.reshape(-1)])

    start = np.concatenate([START, np.zeros(6)])
    solved = solve_ivp(both, (0, 4), start, t_eval=TIMES, rtol=1e-10, atol=1e-12)
    return np.asarray(solved.y[2:].reshape(2, 3, -1).transpose(0, 2, 1))


def test_jacobians_of_the_right_hand_side(gradcheck: GradCheck) -> None:
    gradcheck.jacobian(lambda s: rate(s, PARAMS), lambda s: rate_by_state(s, PARAMS), START)
    gradcheck.jacobian(lambda p: rate(START, p), lambda p: rate_by_params(START, p), PARAMS)


def test_sensitivities_of_the_solution(gradcheck: GradCheck) -> None:
    report = gradcheck.jacobian(solution, sensitivities, PARAMS)
    assert report.parameters[0].shape == (2, 8, 3)


def test_one_wrong_sensitivity_is_named() -> None:
    def wrong(p: Array) -> Array:
        S = sensitivities(p)
        S[1, -1, 2] = 0.0
        return S

    report = check_gradients.jacobian(solution, wrong, PARAMS)
    assert [component.name for component in report.components] == ["jac[1, 7, 2]"]
    assert report.components[0].output == "out[1, 7]"
