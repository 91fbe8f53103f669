"""Sizes that spread over up to 18 decades in one vector: lengths, steps and resolutions hold."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Report, check_gradients

Array = npt.NDArray[np.float64]


class Case(NamedTuple):
    """A cost, its gradient, and the point of the check."""

    cost: Callable[[Array], float]
    grad: Callable[[Array], Array]
    x: Array


def waves(decades: float, seed: int, n: int = 300) -> Case:
    """Return sines of numbers at scales of their own, each coupled to another scale's."""
    rng = np.random.default_rng(seed)
    s = 10 ** rng.uniform(-decades / 2, decades / 2, n)

    def grad(x: Array) -> Array:
        u = x / s
        return np.asarray((np.cos(u) + 0.2 * u[::-1]) / s)

    def cost(x: Array) -> float:
        u = x / s
        return float(np.sum(np.sin(u) + 0.1 * u[::-1] * u))

    return Case(cost, grad, s * rng.normal(size=n))


def tails(decades: float, seed: int, n: int = 15) -> Case:
    """Return bumps that are flat far away: a step that is too long sees no slope at all."""
    rng = np.random.default_rng(seed)
    s = 10 ** rng.uniform(-decades / 2, decades / 2, n)

    def grad(x: Array) -> Array:
        return np.asarray(-2 * x / s**2 * np.exp(-((x / s) ** 2)))

    x = s * rng.uniform(0.3, 2, n) * rng.choice((-1.0, 1.0), n)
    return Case(lambda x: float(np.sum(np.exp(-((x / s) ** 2)))), grad, x)


def blocks(seed: int) -> Case:
    """Return weights, rates and counts in one flat vector, as optimizers take them."""
    rng = np.random.default_rng(seed)
    s = np.repeat([1e-2, 3e4, 1e-7], [200, 20, 4])
    w = rng.uniform(1, 2, s.size)
    return Case(
        lambda x: float(w @ np.tanh(x / s)),
        lambda x: w / s / np.cosh(x / s) ** 2,
        s * rng.normal(size=s.size),
    )


CASES: dict[str, Callable[[int], Case]] = {
    **{f"waves over {d} decades": partial(waves, d) for d in (4, 10, 18)},
    "tails over 12 decades": partial(tails, 12),
    "blocks": blocks,
}


def checked(case: Case, gradient: Array, mode: Any, seed: int) -> Report:
    return check_gradients(case.cost, lambda x: gradient, case.x, mode=mode, seed=seed)


@pytest.mark.parametrize("mode", ["full", "probe", "sample"])
@pytest.mark.parametrize("name", CASES)
def test_right_gradients_pass(name: str, mode: str) -> None:
    for seed in range(4):
        case = CASES[name](seed)
        report = checked(case, case.grad(case.x), mode, seed)
        assert report.passed
        assert report.verdict == "ok"


@pytest.mark.parametrize("name", CASES)
def test_right_gradients_take_two_calls_a_component_and_a_constant(name: str) -> None:
    case = CASES[name](7)
    report = checked(case, case.grad(case.x), "full", 0)
    assert report.evaluations <= 2 * case.x.size + 120


@pytest.mark.parametrize("mode", ["full", "probe"])
@pytest.mark.parametrize("name", CASES)
def test_a_fault_of_twice_the_stated_resolution_fails(name: str, mode: str) -> None:
    """In probe mode that is of a component as large as the parameter's root mean square."""
    for seed in range(3):
        case = CASES[name](seed)
        right = case.grad(case.x)
        resolution = checked(case, right, mode, seed).parameters[0].resolution
        usual = float(np.sqrt(np.mean(right**2)))
        rng = np.random.default_rng([seed, 1])
        for place in rng.choice(right.size, 6, replace=False).tolist():
            size = max(usual if mode == "probe" else 0.0, abs(float(right[place])))
            if 2 * resolution >= 1 or not size:
                continue
            gradient = right.copy()
            gradient[place] += size * 4 * resolution / (1 - 2 * resolution)
            assert not checked(case, gradient, mode, seed).passed


@pytest.mark.parametrize("mode", ["full", "probe"])
@pytest.mark.parametrize("name", ["waves over 18 decades", "tails over 12 decades", "blocks"])
def test_a_component_that_is_forgotten_is_named(name: str, mode: str) -> None:
    for seed in range(2):
        case = CASES[name](seed)
        for place in np.random.default_rng([seed, 2]).choice(case.x.size, 5, replace=False):
            gradient = case.grad(case.x)
            if abs(gradient[place] * case.x[place]) < 1e-2:
                continue
            gradient[place] = 0.0
            report = checked(case, gradient, mode, seed)
            bad = [c.index for c in report.components if c.verdict == "bug"]
            assert bad == [(place,)]


@pytest.mark.parametrize("seed", range(6))
def test_a_slope_that_rounding_hides_and_the_cost_outgrows_is_not_called_wrong(seed: int) -> None:
    case = waves(14, seed, 60)
    small = np.argsort(np.abs(case.x))[:8]
    scales, heights = np.abs(case.x[small]), 1e-19

    def cost(x: Array) -> float:
        rest = x.copy()
        rest[small] = case.x[small]
        return case.cost(rest) + heights * float(np.tanh(x[small] / scales).sum())

    gradient = case.grad(case.x)
    gradient[small] = heights / scales / np.cosh(case.x[small] / scales) ** 2
    right = checked(Case(cost, case.grad, case.x), gradient, "full", seed)
    assert right.passed
    assert {c.verdict for c in right.components} <= {"inconclusive"}
    gradient[small[0]] = 1e-3 / scales[0]
    wrong = checked(Case(cost, case.grad, case.x), gradient, "full", seed)
    assert [c.index[0] for c in wrong.components if c.verdict == "bug"] == [small[0]]
