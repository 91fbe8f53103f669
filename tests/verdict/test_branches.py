"""Special branches at the very point: the slope in them decides, and both are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Report, check_gradients
from pytest_gradcheck.numdiff.evaluators import SerialEvaluator
from pytest_gradcheck.numdiff.ladder import SAFETY
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.verdict.branches import _Near

Array = npt.NDArray[np.float64]
Pair = tuple[Callable[[Array], float], Callable[[Array], Array], Callable[[Array], Array]]


def codes(report: Report) -> list[str]:
    return [finding.code for finding in report.findings]


def folded(guard: float, at: float = 0.0) -> Pair:
    """Return a cost of slope -1 in the branch and 1 around it, and the gradients of either."""

    def is_inside(x: Array) -> npt.NDArray[np.bool_]:
        return np.asarray(np.abs(x - at) < guard)

    def cost(x: Array) -> float:
        y = x - at
        return float(np.sum(np.where(is_inside(x), -y, y + y**2)))

    def of_branch(x: Array) -> Array:
        return np.where(is_inside(x), -1.0, 1 + 2 * (x - at))

    def of_others(x: Array) -> Array:
        return np.asarray(1 + 2 * (x - at))

    return cost, of_branch, of_others


def sinc(guard: float) -> Pair:
    """Return a sum of sin(x) / x whose series for small x has a wrong term."""

    def is_inside(x: Array) -> npt.NDArray[np.bool_]:
        return np.asarray(np.abs(x) < guard)

    def cost(x: Array) -> float:
        y = np.where(x == 0, 1.0, x)
        return float(np.sum(np.where(is_inside(x), 1 - x / 3, np.sin(x) / y)) + x @ x)

    def grad(x: Array, inside: float) -> Array:
        y = np.where(x == 0, 1.0, x)
        return np.where(is_inside(x), inside, (x * np.cos(x) - np.sin(x)) / y**2) + 2 * x

    return cost, lambda x: grad(x, -1 / 3), lambda x: grad(x, 0.0)


PAIRS: dict[str, tuple[Pair, Array]] = {
    **{
        f"a guard of {guard:g}": (folded(guard), np.zeros(2)) for guard in (1e-7, 1e-8, 1e-9, 1e-10)
    },
    "one of many": (folded(1e-8), np.array([0.7, 0.0, -1.3, 2.2, 0.4321])),
    "at one": (folded(1e-8, at=1.0), np.array([1.0, 0.123456])),
    "at a quarter": (folded(1e-8, at=0.25), np.array([0.25, 0.123456])),
    "at a round decimal": (folded(1e-8, at=0.3), np.array([0.3, 0.123456])),
    "sinc": (sinc(1e-8), np.array([0.0, 0.71, -1.23])),
    "sinc of zeros": (sinc(1e-8), np.zeros(3)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_gradient_of_the_branch_passes_with_a_warning(name: str) -> None:
    (cost, of_branch, _), x = PAIRS[name]
    report = check_gradients(cost, of_branch, x)
    assert report.passed
    assert codes(report) == ["branch"]


@pytest.mark.parametrize("name", PAIRS)
def test_the_gradient_of_the_other_branch_is_wrong(name: str) -> None:
    (cost, _, of_others), x = PAIRS[name]
    report = check_gradients(cost, of_others, x)
    assert report.verdict == "bug"
    assert "branch" in codes(report)


def test_both_slopes_are_reported() -> None:
    (cost, of_branch, _), x = PAIRS["one of many"]
    [finding] = check_gradients(cost, of_branch, x).findings
    assert finding.message.startswith(
        "theta[1]: at the very point the cost has the slope -1, and 1 around it: a special branch"
    )


RIGHT: dict[str, tuple[Callable[[Any], float], Callable[[Any], Any], Any]] = {
    "a right series": (
        lambda x: float(
            np.sum(np.where(np.abs(x) < 1e-8, 1 - x * x / 6, np.sin(x) / np.where(x == 0, 1.0, x)))
        ),
        lambda x: np.where(
            np.abs(x) < 1e-8,
            -x / 3,
            (x * np.cos(x) - np.sin(x)) / np.where(x == 0, 1.0, x) ** 2,
        ),
        np.array([0.0, 0.7, -1.2]),
    ),
    "a ripple": (lambda x: float(np.sin(1e9 * x)), lambda x: 1e9 * np.cos(1e9 * x), 1e-9),
    "small zeros": (
        lambda x: float(np.sum(np.sin(1e7 * x))),
        lambda x: 1e7 * np.cos(1e7 * x),
        np.array([0.0, 1e-7, 2e-7]),
    ),
    "whole numbers": (
        lambda x: float(np.sum(np.sin(x)) + x @ x),
        lambda x: np.cos(x) + 2 * x,
        np.arange(200.0),
    ),
    "a bend": (lambda x: float(np.sum(x**3 - x)), lambda x: 3 * x**2 - 1, np.array([0.0, 1.0])),
    "an offset": (lambda x: 1e6 + float(np.sum(np.sin(x))), lambda x: np.cos(x), np.zeros(3)),
    "a bend at a power": (
        lambda x: float(np.sum(np.abs(x) ** 1.5)),
        lambda x: 1.5 * np.sign(x) * np.abs(x) ** 0.5,
        np.array([0.0, 1.0]),
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_no_branch_is_seen_where_there_is_none(name: str) -> None:
    report = check_gradients(*RIGHT[name])
    assert (report.passed, codes(report)) == (True, [])


def test_looking_for_branches_takes_two_calls() -> None:
    cost, grad, x = RIGHT["whole numbers"]
    assert check_gradients(cost, grad, x).evaluations <= 2 * x.size + 20


def test_a_fault_beside_a_branch_is_found() -> None:
    (cost, of_branch, _), x = PAIRS["one of many"]
    report = check_gradients(cost, lambda x: of_branch(x) * [1, 1, 1, 1.01, 1], x)
    assert [component.name for component in report.components] == ["theta[3]"]


@pytest.mark.parametrize(("rise", "is_branch"), [(1.9, False), (2.1, True)])
def test_a_rise_that_the_rounding_of_two_costs_explains_is_no_branch(
    rise: float, is_branch: bool
) -> None:
    noise = Noise(level=1e-3, magnitude=1.0, rise=1.0, moved=True)
    evaluator = SerialEvaluator(lambda: rise * SAFETY * noise.level, Theta(np.ones(3)), 0.0)
    near = _Near(evaluator, np.zeros(3), noise)
    assert near.differs(np.arange(3), 1e-11) == is_branch
