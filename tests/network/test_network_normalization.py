"""Inputs at one scale."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pytest_gradcheck.network import Normalizer

inputs = arrays(
    np.float64,
    array_shapes(min_dims=2, max_dims=2, max_side=8),
    elements=st.floats(-1e6, 1e6) | st.sampled_from([0.1, 1e-200, 3.0]),
)


@given(inputs)
def test_the_training_set_has_mean_0_and_variance_1_afterwards(
    X: npt.NDArray[np.float64],
) -> None:
    normalize = Normalizer.fit(X)
    N = normalize(X)
    assert np.isfinite(N).all()
    # The mean of a feature is only as good as the digits of its largest value.
    digits_lost = 1e-14 * np.abs(X).max(axis=1) / normalize.scale[:, 0]
    assert (np.abs(N.mean(axis=1)) <= 1e-10 + digits_lost).all()
    # Below 1e-100 the squares of the deviations begin to underflow.
    measurable = (np.ptp(X, axis=1) > 1e-100) & (digits_lost < 1e-10)
    np.testing.assert_allclose(N.var(axis=1)[measurable], 1.0)


@given(inputs)
def test_a_scale_is_never_zero(X: npt.NDArray[np.float64]) -> None:
    assert (Normalizer.fit(X).scale > 0).all()


@pytest.mark.parametrize("value", [0.0, 0.1, 1e17, -1e-300])
def test_a_constant_feature_is_moved_to_zero_and_not_scaled(value: float) -> None:
    normalize = Normalizer.fit(np.full((1, 7), value))
    assert normalize.scale.tolist() == [[1.0]]
    np.testing.assert_allclose(normalize(np.array([[value]])), 0.0, atol=1e-15 * abs(value))


def test_other_sets_get_the_figures_of_the_training_set() -> None:
    rng = np.random.default_rng(0)
    train, test = rng.normal(3.0, 2.0, size=(4, 50)), rng.normal(5.0, 1.0, size=(4, 20))
    expected = (test - train.mean(axis=1, keepdims=True)) / train.std(axis=1, keepdims=True)
    np.testing.assert_allclose(Normalizer.fit(train)(test), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_a_feature_that_cannot_be_measured_is_named(value: float) -> None:
    X = np.ones((3, 4))
    X[2, 1] = value
    with pytest.raises(ValueError, match=r"X\[2\] has mean .*NaN, infinite or huge"):
        Normalizer.fit(X)


def test_a_set_with_other_features_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the training set had 3 features"):
        Normalizer.fit(np.ones((3, 4)))(np.ones((4, 3)))


def test_an_empty_training_set_is_refused() -> None:
    with pytest.raises(ValueError, match="holds no examples"):
        Normalizer.fit(np.ones((3, 0)))
