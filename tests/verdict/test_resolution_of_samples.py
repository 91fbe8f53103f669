"""The resolution that is stated where some of a parameter's components were looked at."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Report, check_gradients

Array = npt.NDArray[np.float64]

SLOPES = np.linspace(0.5, 2, 40) * np.where(np.arange(40) % 3, 1, -1)


def sampled(scale: float, level: float, fault: float, samples: int = 6) -> Report:
    """Check some components of a noisy cost, all of whose slopes are off by a part."""
    usual = scale * float(np.sqrt(np.mean(SLOPES**2)))
    grain = level * scale

    def cost(x: Array) -> float:
        exact = scale * float(SLOPES @ x + 0.1 * SLOPES @ x**2)
        return grain * round(exact / grain)

    return check_gradients(
        cost,
        lambda x: scale * SLOPES * (1 + 0.2 * x) + fault * usual * np.sign(SLOPES),
        np.linspace(-1, 1, 40),
        mode="sample",
        samples=samples,
        seed=3,
    )


def test_fewer_than_all_were_looked_at_and_the_words_say_so() -> None:
    parameter = sampled(1.0, 1e-12, 0.0).parameters[0]
    assert parameter.checked == 6 < parameter.size


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("level", [1e-7, 1e-5, 1e-4])
def test_a_fault_of_twice_the_resolution_is_seen_and_one_of_a_hundredth_is_not(
    scale: float, level: float
) -> None:
    right = sampled(scale, level, 0.0)
    resolution = right.parameters[0].resolution
    assert right.passed
    assert 0 < resolution < 0.5
    # e is a part of the sum of both gradients, and a sampled component may be twice the usual one.
    assert not sampled(scale, level, 8 * resolution / (1 - resolution)).passed
    assert sampled(scale, level, resolution / 100).passed


def test_no_fault_of_twice_the_resolution_passes_in_a_component_that_was_looked_at() -> None:
    passed = []
    for seed in range(120):
        rng = np.random.default_rng([seed, 4])
        n, offset = int(rng.integers(30, 200)), 10 ** rng.uniform(0, 8)
        w, x = rng.normal(size=n), rng.normal(size=n)
        asked: set[int] = set()

        def cost(
            y: Array, w: Array = w, x: Array = x, offset: float = offset, asked: set[int] = asked
        ) -> float:
            moved = np.flatnonzero(y != x)
            asked |= {int(moved[0])} if moved.size == 1 else set()
            return float(w @ np.sin(y) + offset)

        right = w * np.cos(x)
        report = check_gradients(cost, lambda _, g=right: g, x, mode="sample", seed=seed)
        (parameter,) = report.parameters
        assert report.passed
        assert parameter.covered == len(asked) < parameter.size
        usual = np.sqrt(np.mean(right[list(asked)] ** 2))
        number = min(asked, key=lambda k: abs(abs(right[k]) - usual))
        fault = 2 * parameter.resolution
        if fault < 0.8:
            gradient = right.copy()
            gradient[number] *= (1 + fault) / (1 - fault)
            again = check_gradients(cost, lambda _, g=gradient: g, x, mode="sample", seed=seed)
            passed += [seed] if again.passed else []
    assert not passed


def test_a_report_says_of_how_many_components_it_speaks() -> None:
    report = sampled(1.0, 1e-12, 0.0)
    assert "6 of 40 components were looked at, and agree" in str(report)


def test_the_resolution_is_the_threshold_where_nothing_limits_it() -> None:
    assert sampled(1.0, 1e-13, 0.0).parameters[0].resolution == 1e-5
