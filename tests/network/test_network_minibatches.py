"""A step for every few examples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_gradcheck.network import mini_batches


@given(st.integers(1, 300), st.integers(1, 100), st.integers(0, 2**32))
def test_every_example_is_dealt_once_in_batches_of_the_given_size(
    m: int, batch_size: int, seed: int
) -> None:
    batches = list(mini_batches(m, batch_size, np.random.default_rng(seed)))
    assert sorted(np.concatenate(batches)) == list(range(m))
    assert all(batch.size == batch_size for batch in batches[:-1])
    assert 1 <= batches[-1].size <= batch_size


def test_batches_are_dealt_anew_each_time() -> None:
    rng = np.random.default_rng(0)
    first, second = next(mini_batches(100, 50, rng)), next(mini_batches(100, 50, rng))
    assert set(first) != set(second)


def test_a_batch_without_examples_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size is 0"):
        next(mini_batches(10, 0, np.random.default_rng(0)))
