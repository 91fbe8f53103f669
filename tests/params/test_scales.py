"""Lengths over which a cost is expected to change, from the sizes of the parameters alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck.params.scales import lengths, rms
from pytest_gradcheck.params.theta import Theta

Array = npt.NDArray[np.float64]


def mixed(count: int, decades: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return scales that spread over so many decades, and numbers of these scales."""
    scales = 10 ** rng.uniform(-decades / 2, decades / 2, count)
    return scales, scales * rng.normal(size=count)


@pytest.mark.parametrize("draw", ["normal", "uniform", "laplace"])
@pytest.mark.parametrize("count", [1, 3, 20, 1000, 100_000])
def test_numbers_of_one_scale_are_as_long_as_their_root_mean_square(draw: str, count: int) -> None:
    rng = np.random.default_rng(count)
    x = rng.uniform(-1, 1, count) if draw == "uniform" else getattr(rng, draw)(size=count)
    own = lengths(Theta(x))
    usual = np.maximum(np.abs(x), rms(x))
    assert np.all(own <= usual * (1 + 1e-12))
    assert np.all(own >= 0.05 * usual)


@pytest.mark.parametrize("decades", [6, 12, 18])
@pytest.mark.parametrize("count", [60, 300, 20_000])
def test_numbers_of_many_scales_have_lengths_of_their_own(decades: int, count: int) -> None:
    scales, x = mixed(count, decades, np.random.default_rng(decades))
    own = lengths(Theta(x), 1 / scales)
    assert np.all(own >= np.abs(x))
    assert np.median(own / scales) < 30
    assert np.max((own / scales)[scales > np.quantile(scales, 0.2)]) < 1e3


def test_few_numbers_of_many_scales_have_lengths_near_their_own() -> None:
    own = lengths(Theta(np.array([1e-9, 1.0, 1e9])))
    assert own[0] < 1e-4
    assert own[1] < 1e4
    assert own[2] == 1e9


def test_small_numbers_of_a_gentle_cost_keep_the_usual_length() -> None:
    x = 10 ** np.random.default_rng(1).uniform(-6, 0, 200)
    np.testing.assert_allclose(lengths(Theta(x), 3 * x**2), np.maximum(x, rms(x)))


def test_a_block_of_small_numbers_beside_large_ones_has_the_length_of_its_own() -> None:
    x = np.append(1e-2 * np.random.default_rng(2).normal(size=500), [3e6, -1e6])
    own = lengths(Theta({"both": x}))
    assert np.all(own[:500] < 0.1)
    assert np.all(own[500:] >= 1e6)


def test_zeros_among_numbers_of_many_scales_have_a_length() -> None:
    _, x = mixed(100, 18, np.random.default_rng(3))
    x[::5] = 0.0
    own = lengths(Theta(x))
    assert np.all(own > 0)
    assert np.all(own[::5] < rms(x))


def test_a_parameter_of_zeros_is_as_long_as_the_others_and_at_most_1() -> None:
    np.testing.assert_array_equal(
        lengths(Theta([np.zeros(2), np.full(2, 0.1)]))[:2], rms(np.array([0.0, 0.0, 0.1, 0.1]))
    )
    np.testing.assert_array_equal(lengths(Theta([np.zeros(2), np.full(2, 1e3)]))[:2], 1.0)
