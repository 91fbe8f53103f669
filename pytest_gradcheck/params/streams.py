"""Private streams of random numbers: what a check draws is independent of what a test draws.

A test's data usually come from ``default_rng(0)`` or another small seed. Numbers drawn from the
same seed would *be* those data: an upstream gradient equal to the input hides every fault that
confuses the two. So each purpose has a stream of its own, behind a key that no test uses.
"""

from __future__ import annotations

import random
import zlib

import numpy as np

KEY = 0x9E3779B97F4A7C15F39CC0605CEDC834
"""Fixed, so that a run repeats: the digits of the golden ratio, which nobody takes for a seed."""


def _entropy(purpose: str, seed: int) -> list[int]:
    return [KEY, zlib.crc32(purpose.encode()), seed]


def stream(purpose: str, seed: int) -> np.random.Generator:
    """Return a generator for one purpose (``"upstream"``, ``"directions"``), from a check's seed.

    Independent of ``default_rng(k)``, ``np.random.seed(k)`` and ``random.seed(k)`` for every k.

    Examples
    --------
    >>> bool(stream("upstream", 0).random() == np.random.default_rng(0).random())
    False
    """
    return np.random.default_rng(np.random.SeedSequence(_entropy(purpose, seed)))


def random_bytes(purpose: str, seed: int, count: int) -> bytes:
    """Return random bytes for one purpose, from Python's generator, which is ready sooner."""
    key, salt, seed = _entropy(purpose, seed)
    return random.Random(f"{key}/{salt}/{seed}").randbytes(count)
