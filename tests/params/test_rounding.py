"""The precision that a number shows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck.params.rounding import DOUBLE, digits_shown

NUMBERS = np.random.default_rng(0).normal(size=1000)


def brain(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return numbers in bfloat16."""
    mantissas, exponents = np.frexp(numbers)
    return np.ldexp(np.round(mantissas * 2**8) / 2**8, exponents)


@pytest.mark.parametrize("size", [1e-30, 1e-3, 1.0, 1e3, 1e30])
def test_numbers_of_float32_and_float64_are_told_apart(size: float) -> None:
    numbers = size * NUMBERS

    assert {digits_shown(x) for x in numbers.tolist()} == {DOUBLE}
    assert [digits_shown(x) for x in numbers.astype(np.float32).tolist()].count(24) > 980


def test_most_numbers_of_coarser_types_are_known_and_none_is_taken_for_a_finer_one() -> None:
    halves, brains = NUMBERS.astype(np.float16).tolist(), brain(NUMBERS).tolist()

    assert [digits_shown(x) for x in halves].count(11) > 600
    assert 24 not in map(digits_shown, halves)
    assert [digits_shown(x) for x in brains].count(8) > 600
    assert {digits_shown(x) for x in brains} == {8, DOUBLE}


@pytest.mark.parametrize(
    "number", [0.0, 1.0, -0.75, 3.0, 150.0, 2.0**-10, 12345678.0, np.inf, -np.inf, np.nan]
)
def test_short_numbers_and_none_say_nothing(number: float) -> None:
    assert digits_shown(number) == DOUBLE
