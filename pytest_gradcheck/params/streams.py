"""Random numbers: private streams of a check, and restored states of the user's generators.

The draws of a check are independent of those of a test.

A test's data usually come from ``default_rng(0)`` or another small seed. Numbers from the same seed
would *be* those data: an upstream gradient equal to the input hides every fault that confuses the
two. So each purpose has a stream of its own, with a key that no test uses.
"""

from __future__ import annotations

import copy
import random
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from pytest_gradcheck.params.tree import children_of

KEY = 0x9E3779B97F4A7C15F39CC0605CEDC834
"""A constant, so that a run repeats: digits of the golden ratio, an unlikely seed."""


def _entropy(purpose: str, seed: int) -> list[int]:
    return [KEY, zlib.crc32(purpose.encode()), seed]


def stream(purpose: str, seed: int) -> np.random.Generator:
    """Return a generator for one purpose (``"upstream"``, ``"directions"``), from a check's seed.

    It is independent of ``default_rng(k)``, ``np.random.seed(k)`` and ``random.seed(k)`` for any k.

    Examples
    --------
    >>> bool(stream("upstream", 0).random() == np.random.default_rng(0).random())
    False
    """
    return np.random.default_rng(np.random.SeedSequence(_entropy(purpose, seed)))


def random_bytes(purpose: str, seed: int, count: int) -> bytes:
    """Return random bytes for one purpose, from Python's generator, which starts faster."""
    key, salt, seed = _entropy(purpose, seed)
    return random.Random(f"{key}/{salt}/{seed}").randbytes(count)


def around_calls(values: Sequence[Any]) -> Callable[[], AbstractContextManager[None]]:
    """Return a factory of context managers in which all generators start from one state.

    Parameters
    ----------
    values : sequence
        Arguments of the functions. Every ``Generator`` and ``RandomState`` in them counts, at any
        depth, as do NumPy's global generator, `random` and, if loaded, PyTorch's. All states are
        restored.
    """
    local = list({id(generator): generator for generator in _generators(values, set())}.values())
    start = _states(local)

    @contextmanager
    def same_start() -> Iterator[None]:
        before = _states(local)
        _set_states(local, start)
        try:
            yield
        finally:
            _set_states(local, before)

    return same_start


def _generators(value: Any, seen: set[int]) -> Iterator[Any]:
    """Yield the generators in any nesting of containers."""
    torch: Any = sys.modules.get("torch")
    own = (torch.Generator,) if hasattr(torch, "Generator") else ()
    if isinstance(value, (np.random.Generator, np.random.RandomState, random.Random, *own)):
        yield value
    elif id(value) not in seen:
        seen.add(id(value))
        for _, item in children_of(value) or ():
            yield from _generators(item, seen)


States = tuple[Any, Any, Any, list[Any]]


def _states(local: Sequence[Any]) -> States:
    torch: Any = sys.modules.get("torch")
    return (
        np.random.get_state(),
        random.getstate(),
        torch.get_rng_state() if hasattr(torch, "get_rng_state") else None,
        [_state(generator) for generator in local],
    )


def _state(generator: Any) -> Any:
    if isinstance(generator, np.random.Generator):
        return copy.deepcopy(generator.bit_generator.state)
    return generator.getstate() if isinstance(generator, random.Random) else generator.get_state()


def _set_states(local: Sequence[Any], states: States) -> None:
    np.random.set_state(states[0])
    random.setstate(states[1])
    if states[2] is not None:
        sys.modules["torch"].set_rng_state(states[2])
    for generator, state in zip(local, states[3], strict=True):
        if isinstance(generator, np.random.Generator):
            generator.bit_generator.state = state
        elif isinstance(generator, random.Random):
            generator.setstate(state)
        else:
            generator.set_state(state)
