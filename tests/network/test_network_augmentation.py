"""New examples of old ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_gradcheck.network import add_noise, shift


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 3), st.integers(0, 2**32))
def test_every_image_is_moved_as_a_whole(height: int, width: int, pixels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.uniform(1, 2, size=(height * width, 4))
    moved = shift(X, rng, shape=(height, width), pixels=pixels)
    assert moved.shape == X.shape
    for before, after in zip(X.T, moved.T, strict=True):
        candidates = []
        frame = np.zeros((height + 2 * pixels, width + 2 * pixels))
        frame[pixels : pixels + height, pixels : pixels + width] = before.reshape(height, width)
        for top in range(2 * pixels + 1):
            for left in range(2 * pixels + 1):
                candidates.append(frame[top : top + height, left : left + width].ravel())
        assert any((after == candidate).all() for candidate in candidates)


def test_images_are_moved_independently_of_each_other() -> None:
    image = np.zeros((25, 1))
    image[12] = 1.0
    moved = shift(np.tile(image, 200), np.random.default_rng(0), shape=(5, 5))
    assert set(moved.argmax(axis=0)) == {6, 7, 8, 11, 12, 13, 16, 17, 18}


def test_the_background_comes_in_from_outside() -> None:
    moved = shift(np.ones((9, 50)), np.random.default_rng(0), shape=(3, 3), background=-7.0)
    assert set(np.unique(moved)) == {-7.0, 1.0}


def test_a_shift_of_no_pixels_changes_nothing() -> None:
    X = np.random.default_rng(0).normal(size=(6, 5))
    np.testing.assert_array_equal(shift(X, np.random.default_rng(0), shape=(2, 3), pixels=0), X)


def test_noise_has_the_given_size_and_no_mean() -> None:
    X = np.full((100, 1000), 3.0)
    noise = add_noise(X, np.random.default_rng(0), std=0.2) - X
    assert noise.std() == pytest.approx(0.2, rel=0.01)
    assert abs(noise.mean()) < 0.005
    assert (X == 3.0).all()


def test_the_same_seed_gives_the_same_examples() -> None:
    X = np.random.default_rng(0).normal(size=(6, 5))
    one, two = (shift(X, np.random.default_rng(3), shape=(2, 3)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"images of shape \(3, 3\) have 9 pixels"):
        shift(np.ones((8, 2)), np.random.default_rng(0), shape=(3, 3))


def test_negative_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="pixels is -1"):
        shift(np.ones((9, 2)), np.random.default_rng(0), shape=(3, 3), pixels=-1)
    with pytest.raises(ValueError, match=r"std is -0\.1"):
        add_noise(np.ones((9, 2)), np.random.default_rng(0), std=-0.1)
