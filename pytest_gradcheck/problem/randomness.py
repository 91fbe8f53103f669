"""Dropout switched off or frozen, so that two calls of a stochastic cost are comparable.

Off is the course's way: without masks the cost is deterministic. Frozen keeps one mask, as CS231n
advises, so that dropout's backward pass is checked as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import numpy as np

from pytest_gradcheck.context import Extensions
from pytest_gradcheck.errors import ProblemError, first_error_wins
from pytest_gradcheck.params.objects import is_initializer
from pytest_gradcheck.problem.problem import Problem
from pytest_gradcheck.settings import nearest

__all__ = [
    "around_check",
    "by_manager",
    "disabled",
    "models_stilled",
    "outside",
    "without_penalty",
]

KEEP = ("keep_prob", "keep_probs")
DROP = ("dropout", "dropout_rate", "drop_prob", "p_drop")
PENALTIES = ("lambd", "l2", "l1", "weight_decay")


def disabled(
    data: Mapping[str, Any] | None, disable: Mapping[str, Any] | None, frozen: bool
) -> tuple[Mapping[str, Any] | None, tuple[str, ...]]:
    """Return `data` with dropout switched off, and notes on the changes.

    Raises
    ------
    ProblemError
        ``bad-setting`` where `data` is no mapping or lacks an entry that `disable` names.
    """
    if data is not None and not isinstance(data, Mapping):
        raise ProblemError(
            "bad-setting",
            "data maps the names of arguments to their values, and is no "
            f"{type(data).__name__}: write data={{'X': X}}",
        )
    if disable and (data is None or any(name not in data for name in disable)):
        missing = [name for name in disable if data is None or name not in data]
        raise ProblemError(
            "bad-setting",
            f"disable names {', '.join(missing)}, which data does not hold"
            f"{nearest(missing[0], data or ())}: put it into data=",
        )
    if data is None:
        return None, ()
    off = dict(data)
    if not frozen:
        off |= {name: _like(data[name], 1.0) for name in KEEP if name in data}
        off |= {name: _like(data[name], 0.0) for name in DROP if name in data}
    off |= dict(disable or {})
    said = [
        f"{name} {_said(data[name])} -> {_said(off[name])}"
        for name in data
        if off[name] is not data[name] and not _equal(off[name], data[name])
    ]
    return off, tuple(said)


def _like(value: Any, off: float) -> Any:
    """Return the off value in the shape of the value that it replaces; only numbers change."""
    if isinstance(value, (bool, np.bool_)):
        return bool(off)
    if isinstance(value, Mapping):
        return {key: _like(item, off) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_make"):
        return value._make(_like(item, off) for item in value)
    if isinstance(value, (list, tuple)):
        return type(value)(_like(item, off) for item in value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return np.full_like(value, off)
    return off if isinstance(value, (int, float, np.number)) else value


def _said(value: Any) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)


def _equal(one: Any, other: Any) -> bool:
    return bool(np.all(np.asarray(one == other)))


def without_penalty(data: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return `data` with its penalty switched off, or None if it has none."""
    if data is None:
        return None
    off = {
        name: _like(data[name], 0.0)
        for name in PENALTIES
        if name in data and not _equal(data[name], _like(data[name], 0.0))
    }
    return {**data, **off} if off else None


def around_check(dropout: Any) -> AbstractContextManager[Any]:
    """Return the context manager around a whole check.

    Raises
    ------
    ProblemError
        ``bad-setting`` where `dropout` has an unknown form.
    """
    if dropout in ("off", "freeze"):
        return nullcontext()
    ready = isinstance(dropout, AbstractContextManager)  # an instance: its class makes one
    manager = dropout() if callable(dropout) and not ready else dropout
    if isinstance(manager, AbstractContextManager):
        return manager
    hint = nearest(dropout, ("off", "freeze")) if isinstance(dropout, str) else ""
    raise ProblemError(
        "bad-setting",
        "dropout is 'off', 'freeze', a context manager or a function that makes one, "
        f"not {dropout!r}{hint}",
    )


def by_manager(dropout: Any) -> tuple[str, ...]:
    """Return a note on what a context manager, or a factory of one, switches off."""
    if dropout is None or isinstance(dropout, str):
        return ()
    name = getattr(dropout, "__qualname__", type(dropout).__qualname__)
    return (f"dropout, by {name.replace('<locals>.', '')}",)


@contextmanager
def outside(manager: AbstractContextManager[Any]) -> Iterator[Any]:
    """Enter a user's context manager around a check.

    It can neither swallow an exception of the check nor replace it.
    """
    entered = manager.__enter__()
    with first_error_wins(lambda: manager.__exit__(None, None, None)):
        yield entered


def models_stilled(
    problem: Problem, data: Mapping[str, Any] | None, extensions: Extensions, stack: ExitStack
) -> list[str]:
    """Switch off the randomness of models among the pair's objects; return their names."""
    owners = [getattr(function, "__self__", None) for function in (problem.cost, problem.grad)]
    given = [] if is_initializer(problem.params, extensions.flatten) else [problem.params]
    models = [*(data or {}).values(), *problem.args, *owners, *given]
    names = []
    for model in {id(model): model for model in models if model is not None}.values():
        manager = extensions.still(model)
        if manager is not None:
            stack.enter_context(outside(manager))
            names.append(type(model).__name__)
    return names
