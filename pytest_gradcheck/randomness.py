"""Dropout off or frozen: what makes two calls of a stochastic cost comparable.

Off is the course's way: one mask less, a cost that can be differentiated. Frozen keeps dropout on
under one mask, as CS231n advises, so that its own backward pass is checked as well.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np

from pytest_gradcheck.errors import ProblemError

__all__ = ["around_calls", "around_check", "disabled", "without_penalty"]

KEEP = ("keep_prob", "keep_probs")
DROP = ("dropout", "dropout_rate", "drop_prob", "p_drop")
PENALTIES = ("lambd", "l2", "l1", "weight_decay")


def disabled(
    data: Mapping[str, Any] | None, disable: Mapping[str, Any] | None, frozen: bool
) -> tuple[Mapping[str, Any] | None, tuple[str, ...]]:
    """Return `data` with dropout switched off, and what was changed for that, in words.

    Raises
    ------
    ProblemError
        ``bad-setting`` where `disable` names an entry that `data` lacks.
    """
    if disable and (data is None or any(name not in data for name in disable)):
        missing = [name for name in disable if data is None or name not in data]
        raise ProblemError(
            "bad-setting",
            f"disable names {', '.join(missing)}, which data does not hold: put it into data=",
        )
    if data is None:
        return None, ()
    off = dict(data)
    if not frozen:
        off |= {name: _like(data[name], 1.0) for name in KEEP if name in data}
        off |= {name: _like(data[name], 0.0) for name in DROP if name in data}
    off |= dict(disable or {})
    said = [
        f"{name} {data[name]!r} -> {off[name]!r}"
        for name in data
        if off[name] is not data[name] and not _equal(off[name], data[name])
    ]
    return off, tuple(said)


def _like(value: Any, off: float) -> Any:
    """Return the off value in the shape of what it replaces."""
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_)):
        return bool(off)
    if isinstance(value, Mapping):
        return {key: _like(item, off) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_like(item, off) for item in value)
    if isinstance(value, np.ndarray):
        return np.full_like(value, off)
    return off


def _equal(one: Any, other: Any) -> bool:
    return bool(np.all(np.asarray(one == other)))


def without_penalty(data: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return `data` with its penalty switched off, or None where it holds none."""
    if data is None:
        return None
    off = {
        name: _like(data[name], 0.0)
        for name in PENALTIES
        if name in data and not _equal(data[name], _like(data[name], 0.0))
    }
    return {**data, **off} if off else None


def around_check(dropout: Any) -> AbstractContextManager[Any]:
    """Return the context manager that holds for a whole check.

    Raises
    ------
    ProblemError
        ``bad-setting`` where `dropout` is none of the forms it can have.
    """
    if dropout is None or dropout in ("off", "freeze"):
        return nullcontext()
    manager = dropout if hasattr(dropout, "__enter__") or not callable(dropout) else dropout()
    if isinstance(manager, AbstractContextManager):
        return manager
    raise ProblemError(
        "bad-setting",
        "dropout is 'off', 'freeze', a context manager or a function that makes one, "
        f"not {dropout!r}",
    )


def around_calls(values: Sequence[Any]) -> Callable[[], AbstractContextManager[None]]:
    """Return a maker of context managers that start every call from one state of all generators.

    Parameters
    ----------
    values : sequence
        What the functions are given; every ``Generator`` and ``RandomState`` among it counts,
        besides NumPy's global generator and `random`. All are put back as they were.
    """
    local = [
        value for value in values if isinstance(value, (np.random.Generator, np.random.RandomState))
    ]
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


States = tuple[Any, Any, list[Any]]


def _states(local: Sequence[Any]) -> States:
    inner = [
        copy.deepcopy(g.bit_generator.state)
        if isinstance(g, np.random.Generator)
        else g.get_state()
        for g in local
    ]
    return np.random.get_state(), random.getstate(), inner


def _set_states(local: Sequence[Any], states: States) -> None:
    np.random.set_state(states[0])
    random.setstate(states[1])
    for generator, state in zip(local, states[2], strict=True):
        if isinstance(generator, np.random.Generator):
            generator.bit_generator.state = state
        else:
            generator.set_state(state)
