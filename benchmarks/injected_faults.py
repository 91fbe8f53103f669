"""What happens when a user's function goes wrong at its k-th call, for every k of a check.

``python -m benchmarks.injected_faults`` prints the table of docs/reliability.md.

Each fault is injected into a pair that is right, at one call out of all that a check makes, in
every form of a pair. Then nothing of the user's may have changed, and what comes out is a report, a
`ProblemError`, or what the function raised: never an error of our own.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from unittest import SkipTest

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import ProblemError, Report, check_gradients

__all__ = ["FAULTS", "FORMS", "Outcome", "injected", "outcomes", "table"]

Array = npt.NDArray[Any]
FIRST = 6
"""Calls at which every fault is injected always: those before anything is compared."""

Fault = Callable[[Any, Any], Any]
"""Takes what a function was given and what it would return, and returns something else."""


def raising(error: type[BaseException], *args: Any) -> Fault:
    """Return a fault that raises."""

    def fault(given: Any, value: Any) -> Any:
        raise error(*args)

    return fault


def returning(change: Callable[[Any], Any]) -> Fault:
    """Return a fault that changes every number of what is returned."""

    def changed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: changed(item) for key, item in value.items()}
        if isinstance(value, tuple):
            return tuple(map(changed, value))
        return value if callable(value) else change(value)

    return lambda given, value: changed(value)


def _interrupted(given: Any, value: Any) -> Any:
    signal.raise_signal(signal.SIGINT)
    return value


def _skipped(given: Any, value: Any) -> Any:
    pytest.skip("no data")


def _exited(given: Any, value: Any) -> Any:
    pytest.exit("enough")


def _endless(given: Any, value: Any) -> Any:
    return _endless(given, value)


def _arrays(given: Any) -> Iterator[Array]:
    if isinstance(given, np.ndarray):
        yield given
    elif isinstance(given, dict):
        for item in given.values():
            yield from _arrays(item)
    elif isinstance(given, (tuple, list)):
        for item in given:
            yield from _arrays(item)


def _overwritten(given: Any, value: Any) -> Any:
    for array in _arrays(given):
        with suppress(ValueError):  # read-only
            array[...] = 7.0
    return value


def _emptied(given: Any, value: Any) -> Any:
    for item in given:
        if isinstance(item, dict):
            item.clear()
    return value


def _nested(given: Any, value: Any) -> Any:
    check_gradients(lambda x: float(x @ x), lambda x: 2 * x, np.array([1.0, 2.0]))
    return value


def _threaded(given: Any, value: Any) -> Any:
    thread = threading.Thread(target=_nested, args=(given, value))
    thread.start()
    thread.join()
    return value


def _viewed(given: Any, value: Any) -> Any:
    arrays = {array.shape: array for array in _arrays(given)}
    return returning(lambda item: arrays.get(np.shape(item), item))(given, value)


_buffers: dict[tuple[int, ...], Array] = {}


def _reused(given: Any, value: Any) -> Any:
    """Return every array in a buffer that the next call writes over."""

    def kept(item: Any) -> Any:
        buffer = _buffers.setdefault(np.shape(item), np.zeros(np.shape(item)))
        buffer[...] = item
        return buffer

    return returning(kept)(given, value)


FAULTS: dict[str, Fault] = {
    "raises an Exception": raising(ValueError, "no such row"),
    "raises MemoryError": raising(MemoryError),
    "raises AssertionError": raising(AssertionError, "not so"),
    "raises StopIteration": raising(StopIteration),
    "recurses without end": _endless,
    "Ctrl-C, a real signal": _interrupted,
    "raises SystemExit": raising(SystemExit, 3),
    "raises GeneratorExit": raising(GeneratorExit),
    "calls pytest.skip": _skipped,
    "raises unittest.SkipTest": raising(SkipTest, "no data"),
    "calls pytest.exit": _exited,
    "returns NaN": returning(lambda value: value * np.nan),
    "returns Inf": returning(lambda value: value + np.inf),
    "returns 1e300 times as much": returning(lambda value: value * 1e300),
    "returns 1e-300 times as much": returning(lambda value: value * 1e-300),
    "returns complex numbers": returning(lambda value: value + 1j),
    "returns None": lambda given, value: None,
    "returns a string": lambda given, value: "0.5",
    "returns an object": lambda given, value: object(),
    "returns Decimals": returning(lambda value: np.vectorize(Decimal)(value)),
    "returns another shape": returning(lambda value: np.ones((*np.shape(value), 2))),
    "returns an empty array": returning(lambda value: np.zeros(0)),
    "returns views of its arguments": _viewed,
    "returns a buffer that is used again": _reused,
    "overwrites its arguments": _overwritten,
    "empties its containers": _emptied,
    "calls gradcheck": _nested,
    "calls gradcheck in a thread": _threaded,
}


class Calls:
    """Counts the calls of all functions of a pair, and injects a fault into one of them."""

    def __init__(self, number: int = 0, fault: Fault | None = None) -> None:
        self.count, self.number, self.fault = 0, number, fault
        self.raised: BaseException | None = None

    def of(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that is counted."""

        def counted(*args: Any) -> Any:
            self.count += 1
            value = function(*args)
            if self.count == self.number and self.fault is not None:
                try:
                    return self.fault((*args, *self.within), value)
                except BaseException as error:
                    self.raised = error
                    raise
            return value

        return counted

    within: tuple[Any, ...] = ()
    """What the functions reach without being given it."""


Form = Callable[[Calls, dict[str, Array]], Report]


def _cost(p: dict[str, Array]) -> float:
    return float(np.sum(np.sin(p["W"])) + p["b"] @ p["b"])


def _grad(p: dict[str, Array]) -> dict[str, Array]:
    return {"W": np.cos(p["W"]), "b": 2 * p["b"]}


def _plain(calls: Calls, p: dict[str, Array]) -> Report:
    return check_gradients(calls.of(_cost), calls.of(_grad), p)


def _joint(calls: Calls, p: dict[str, Array]) -> Report:
    return check_gradients(calls.of(lambda q: (_cost(q), _grad(q))), True, p)


def _inplace(calls: Calls, p: dict[str, Array]) -> Report:
    calls.within = (p,)
    return check_gradients(
        calls.of(lambda *_: _cost(p)), calls.of(lambda *_: _grad(p)), p, inplace=True
    )


def _frozen(calls: Calls, p: dict[str, Array]) -> Report:
    def cost(q: dict[str, Array]) -> float:
        return _cost(q) * float(np.random.random() > -1) + 0 * random.random()

    return check_gradients(calls.of(cost), calls.of(_grad), p, dropout="freeze")


def _probed(calls: Calls, p: dict[str, Array]) -> Report:
    return check_gradients(calls.of(_cost), calls.of(_grad), p, mode="probe")


def _trained(calls: Calls, p: dict[str, Array]) -> Report:
    return check_gradients(calls.of(_cost), calls.of(_grad), p, train=2)


def _classical(calls: Calls, p: dict[str, Array]) -> Report:
    return check_gradients(calls.of(_cost), calls.of(_grad), p, eps=1e-7)


def _layer(calls: Calls, p: dict[str, Array]) -> Report:
    def forward(W: Array, b: Array) -> tuple[Array, Any]:
        return np.sin(W) @ b, (W, b)

    def backward(dout: Array, cache: Any) -> tuple[Array, Array]:
        W, b = cache
        return np.outer(dout, b) * np.cos(W), np.sin(W).T @ dout

    return check_gradients.layer(calls.of(forward), calls.of(backward), p["W"], p["b"])


def _jacobian(calls: Calls, p: dict[str, Array]) -> Report:
    return check_gradients.jacobian(
        calls.of(lambda b: np.sin(p["W"]) @ b**2),
        calls.of(lambda b: 2 * np.sin(p["W"]) * b),
        p["b"],
    )


def _hessian(calls: Calls, p: dict[str, Array]) -> Report:
    return check_gradients.hessian(
        calls.of(lambda b: b**3), calls.of(lambda b: np.diag(3 * b**2)), p["b"]
    )


def _jvp(calls: Calls, p: dict[str, Array]) -> Report:
    return check_gradients.jvp(
        calls.of(lambda b: b**3), calls.of(lambda b, db: 3 * b**2 * db), p["b"]
    )


FORMS: dict[str, Form] = {
    "a pair": _plain,
    "one function of both": _joint,
    "in place": _inplace,
    "frozen dropout": _frozen,
    "probed": _probed,
    "trained": _trained,
    "a fixed step": _classical,
    "a layer": _layer,
    "a Jacobian": _jacobian,
    "a Hessian": _hessian,
    "a pushforward": _jvp,
}


@dataclass(frozen=True)
class Outcome:
    """What a check came to, and what of the user's was not as before."""

    said: str
    changed: tuple[str, ...]


def params() -> dict[str, Array]:
    """Return the params: arrays of an odd memory order, with a zero of either sign."""
    W = np.asfortranarray([[0.3, -1.2], [0.7, 0.4]])
    return {"W": W, "b": np.array([0.5, 9.0, -1.5, 9.0])[::2]}


def _surroundings(p: dict[str, Array], arrays: dict[str, Array]) -> dict[str, Any]:
    """Return all that has to be after a check what it was before, by name."""
    state: Any = np.random.get_state(legacy=False)
    return {
        "the keys of params": list(p),
        "the arrays of params": [p.get(key) is array for key, array in arrays.items()],
        "the numbers of params": [array.tobytes() for array in arrays.values()],
        "NumPy's generator": (state["state"]["key"].tobytes(), state["state"]["pos"]),
        "random's generator": random.getstate(),
        "the error state": np.geterr(),
        "the warnings filters": list(warnings.filters),
        "threads": threading.active_count(),
        "the handler of Ctrl-C": signal.getsignal(signal.SIGINT),
        "the working directory": os.getcwd(),
    }


def injected(form: str, fault: str, number: int) -> Outcome:
    """Inject a fault at one call, and return the outcome."""
    p = params()
    arrays = dict(p)
    calls = Calls(number, FAULTS[fault])
    before = _surroundings(p, arrays)
    try:
        report = FORMS[form](calls, p)
    except ProblemError as error:
        said = f"`{error.code}`"
    except BaseException as error:
        if error is not calls.raised and type(error) is not type(calls.raised):
            raise
        said = "passes through"
    else:
        said = report.verdict
    after = _surroundings(p, arrays)
    return Outcome(said, tuple(name for name in before if before[name] != after[name]))


def calls_of(form: str) -> int:
    """Return how many calls a check of a form makes of the user's functions."""
    calls = Calls()
    assert FORMS[form](calls, params()).verdict == "ok"
    return calls.count


def outcomes(fault: str, every: int = 1) -> dict[tuple[str, int], Outcome]:
    """Inject a fault into every form at every call, or at the first ones and some others."""
    return {
        (form, number): injected(form, fault, number)
        for form in FORMS
        for number in range(1, calls_of(form) + 1)
        if number <= FIRST or number % every == 0
    }


def table() -> str:
    """Return the table of the page: what comes out of each fault, and how often it was injected."""
    rows = ["| the function | what comes out | injected | left changed |", "|---|---|---|---|"]
    for fault in FAULTS:
        found = outcomes(fault)
        said = Counter(outcome.said for outcome in found.values())
        changed = sorted({name for outcome in found.values() for name in outcome.changed})
        told = ", ".join(f"{what} ({count})" for what, count in said.most_common())
        rows.append(f"| {fault} | {told} | {len(found)} | {', '.join(changed) or 'nothing'} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    warnings.simplefilter("error")  # as under pytest: a warning of a user's function raises
    print(table(), end="")
