"""The search for faults along a direction, on costs that are linear, and so without noise."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import tried

from pytest_gradcheck.numdiff.directions import DirectionalProbe, Residual, random_weights
from pytest_gradcheck.numdiff.ladder import Slope
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.numdiff.probing.search import Interval, Look, Search, one_slice
from pytest_gradcheck.params.theta import FloatArray, Selection, Theta

Array = npt.NDArray[np.float64]

QUIET = Noise(level=1e-13, magnitude=1.0, rise=1.0, moved=True)


class Hunt:
    """A linear cost with slope 1 everywhere, a gradient with faults, and a search for them."""

    def __init__(self, shape: tuple[int, ...], faults: dict[int, float], calls: int = 10_000):
        x = np.zeros(shape)
        self.theta = Theta(x)
        gradient = np.ones(x.size)
        for place, fault in faults.items():
            gradient[place] += fault
        self.calls = calls
        self.differenced: list[int] = []
        self.questions = DirectionalProbe(self.cost, self.theta, gradient, 0.0, QUIET)
        self.weights = random_weights(np.ones(x.size), np.random.default_rng(0))

    def cost(self) -> float:
        self.calls -= 1
        return float(np.sum(self.theta.tree))

    def slope_of(self, number: int) -> Slope:
        self.differenced.append(number)
        return Slope(1.0, 1e-12)

    @property
    def right(self) -> FloatArray:
        right: FloatArray = self.questions.right
        return right

    def ask(self, place: Selection, weights: FloatArray, shrink: float) -> Residual:
        return self.questions.ask(place, weights, 1e-3 * shrink)

    def look(self) -> Look:
        place = slice(0, self.weights.size)
        return Look(place, self.weights, self.ask(place, self.weights, 1.0), 1.0)

    def search(self) -> Search:
        return Search(self, self.look(), lambda: self.calls)

    def ends(self) -> bool:
        """Search until nothing is left; return whether it came to that."""
        search = self.search()
        *_, last = search.levels([search.whole])
        return not last


faults_of = st.dictionaries(
    st.integers(0, 4999),
    st.floats(0.01, 10).flatmap(lambda size: st.sampled_from([size, -size])),
    min_size=1,
    max_size=12,
)


@given(faults=faults_of)
@tried(60)
def test_every_fault_is_found_and_put_right(faults: dict[int, float]) -> None:
    hunt = Hunt((5000,), faults)
    assert hunt.ends()
    assert set(faults) <= set(hunt.differenced)
    np.testing.assert_array_equal(hunt.questions.right, 1.0)
    assert not hunt.search().whole.is_loud


@given(place=st.integers(0, 99_999), fault=st.sampled_from([1e-4, -0.1, 3.0]))
@tried(40)
def test_one_fault_among_a_hundred_thousand_takes_a_few_questions(place: int, fault: float) -> None:
    hunt = Hunt((100_000,), {place: fault}, calls=1000)
    search = hunt.search()
    assert search.split(search.whole) == []
    assert hunt.differenced == [place]
    assert 1000 - hunt.calls <= 16


class OffHunt(Hunt):
    """A hunt in which the noise of the whole direction fills most of its error bar."""

    def look(self) -> Look:
        look = super().look()
        off, bar = look.answer
        return look._replace(answer=Residual(off + 0.9 * bar, bar))


@pytest.mark.parametrize("place", [0, 1, 2500, 4998, 4999])
def test_noise_of_the_whole_is_not_searched_for_beside_a_fault(place: int) -> None:
    """What is left of the whole beside the fault is asked about by itself, and is silent."""
    hunt = OffHunt((5000,), {place: 0.1}, calls=1000)
    search = hunt.search()
    assert search.split(search.whole) == []
    assert hunt.differenced == [place]
    assert 1000 - hunt.calls <= 20


@given(places=st.sets(st.integers(0, 4999), min_size=2, max_size=5))
@tried(40)
def test_a_little_fault_beside_a_large_one_is_found_all_the_same(places: set[int]) -> None:
    large, *little = sorted(places)
    hunt = OffHunt((5000,), {large: 1.0, **dict.fromkeys(little, 1e-6)})
    assert hunt.ends()
    assert {large, *little} == set(hunt.differenced)


def test_a_component_is_put_right_as_exactly_as_it_is_known() -> None:
    """A first difference of it may be coarser than what the direction sees, which would be asked
    about again as something wrong."""

    class Coarse(Hunt):
        def slope_of(self, number: int) -> Slope:
            self.differenced.append(number)
            return Slope(1.0 + 3e-7, 1e-6)

    hunt = Coarse((5000,), {1234: 0.1})
    assert hunt.ends()
    assert hunt.differenced == [1234]
    assert abs(hunt.right[1234] - 1.0) <= 1e-8
    assert not hunt.search().whole.is_loud


def test_a_component_whose_differences_contradict_its_direction_is_put_right_by_them() -> None:
    class Other(Hunt):
        def slope_of(self, number: int) -> Slope:
            self.differenced.append(number)
            return Slope(1.0 + 3e-5, 1e-6)

    hunt = Other((5000,), {1234: 0.1})
    search = hunt.search()
    search.split(search.whole)
    assert hunt.right[1234] == 1.0 + 3e-5


def test_a_search_ends_when_its_calls_are_used_up() -> None:
    hunt = Hunt((5000,), dict.fromkeys(range(0, 5000, 100), 0.1), calls=60)
    assert not hunt.ends()
    assert hunt.calls > -60


def test_a_search_gives_up_early_where_nearly_all_is_wrong() -> None:
    hunt = Hunt((5000,), dict.fromkeys(range(5000), 0.1), calls=4000)
    assert not hunt.ends()
    assert hunt.calls > 3000


@pytest.mark.parametrize(("axis", "position"), [(0, 0), (0, 39), (1, 17)])
def test_one_slice_is_read_off(axis: int, position: int) -> None:
    shape = (40, 60)
    inside = np.take(np.arange(2400).reshape(shape), position, axis=axis)
    rng = np.random.default_rng(1)
    hunt = Hunt(shape, {int(n): float(rng.normal()) for n in inside})
    (parameter,) = hunt.theta.parameters
    found = one_slice(hunt, parameter, hunt.look())
    assert found is not None
    assert found[:2] == (axis, position)
    np.testing.assert_array_equal(found[2], inside)


def test_two_slices_are_not_taken_for_one() -> None:
    shape = (40, 60)
    inside = np.arange(2400).reshape(shape)[[3, 20]].reshape(-1)
    hunt = Hunt(shape, {int(n): 0.1 for n in inside})
    (parameter,) = hunt.theta.parameters
    assert one_slice(hunt, parameter, hunt.look()) is None


def test_weights_are_a_random_sign_times_a_half_to_three_halves() -> None:
    weights = random_weights(np.full(10_000, 2.0), np.random.default_rng(0))
    assert 1.0 <= np.abs(weights).min() < 1.01
    assert 2.99 < np.abs(weights).max() <= 3.0
    assert abs(np.mean(weights > 0) - 0.5) < 0.02
    assert math.sqrt(np.mean(weights**2)) == pytest.approx(2 * math.sqrt(13 / 12), rel=0.01)


@pytest.mark.parametrize("size", [2, 7, 5000])
def test_a_run_that_shows_nothing_by_a_bit_is_left(size: int) -> None:
    hunt = Hunt((size,), {})
    assert hunt.search().split(Interval(0, size, 0.0, 1e-9)) == []
    assert hunt.differenced == []


def test_a_run_without_an_error_bar_that_shows_nothing_is_silent() -> None:
    assert not Interval(0, 2, 0.0, 0.0).is_loud
    assert Interval(0, 2, 1e-300, 0.0).is_loud
    assert Interval(0, 2, math.nan, 0.0).is_loud
