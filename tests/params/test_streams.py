"""Private streams: independent of what a test may draw, and the same in every run."""

from __future__ import annotations

import random

import numpy as np
import pytest

from pytest_gradcheck.params.streams import random_bytes, stream

PURPOSES = ["upstream", "directions"]
SEEDS = [0, 1, 42, 3263160640]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_stream_repeats(purpose: str, seed: int) -> None:
    np.testing.assert_array_equal(stream(purpose, seed).random(5), stream(purpose, seed).random(5))
    assert random_bytes(purpose, seed, 9) == random_bytes(purpose, seed, 9)


def test_no_two_purposes_or_seeds_share_a_stream() -> None:
    firsts = [stream(purpose, seed).random() for purpose in PURPOSES for seed in SEEDS]
    assert len(set(firsts)) == len(firsts)
    starts = [random_bytes(purpose, seed, 9) for purpose in PURPOSES for seed in SEEDS]
    assert len(set(starts)) == len(starts)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stream_is_not_what_a_test_draws_from_the_same_seed(seed: int) -> None:
    ours = stream("upstream", seed)
    state = ours.bit_generator.state
    for theirs in (np.random.default_rng(seed), np.random.default_rng([seed, 0])):
        assert state != theirs.bit_generator.state
    drawn = ours.standard_normal(4)
    assert not np.isin(drawn, np.random.default_rng(seed).standard_normal(1000)).any()
    assert not np.isin(drawn, np.random.RandomState(seed).standard_normal(1000)).any()
    assert random_bytes("upstream", seed, 8) != random.Random(seed).randbytes(8)
