"""The points at which a pair is checked: given, random initializations, after some training."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.layers import name_of
from pytest_gradcheck.problem import Pair
from pytest_gradcheck.settings import Settings

__all__ = ["Start", "descend", "starts"]


@dataclass(frozen=True)
class Start:
    """Parameters to begin at, and the name of that point."""

    name: str
    params: Any


def starts(params: Any, settings: Settings, seed: int) -> Iterator[Start]:
    """Yield the given parameters, or a fresh random initialization for every seed.

    Raises
    ------
    ProblemError
        ``bad-setting`` where more than one seed is asked for and params cannot be drawn,
        ``unbound-argument`` where a callable wants more than a generator.
    """
    if not callable(params):
        if settings.seeds > 1:
            raise ProblemError(
                "bad-setting",
                f"seeds={settings.seeds} draws random initializations, so params must be a "
                "callable params(rng) that returns one",
            )
        yield Start("given", params)
        return
    takes_generator = _accepts(params, 1)
    if not takes_generator and not _accepts(params, 0):
        raise ProblemError(
            "unbound-argument",
            f"{name_of(params)} is called as params(rng), and has other arguments that nothing "
            "fills: give them defaults, or bind them with functools.partial",
        )
    for number in range(settings.seeds):
        rng = np.random.default_rng([seed, number])
        drawn = params(*([rng] if takes_generator else []))
        yield Start(f"random initialization {number + 1}", drawn)


def _accepts(params: Any, count: int) -> bool:
    """Return whether a callable can be called with so many arguments."""
    try:
        inspect.signature(params).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # a builtin that tells no signature
        return True
    return True


def descend(pair: Pair, settings: Settings, point: str) -> None:
    """Move theta by some steps of gradient descent with the user's own gradient.

    Raises
    ------
    ProblemError
        ``nonfinite-cost`` where the descent runs away.
    """
    theta = pair.theta
    selected = np.concatenate([np.arange(p.start, p.stop) for p in theta.selected])
    for step in range(1, settings.train + 1):
        with np.errstate(all="ignore"):  # it is our doing that a descent may run away
            gradient = pair.gradient()
            moved = theta.base.copy()
            moved[selected] -= settings.learning_rate * gradient[selected]
        if not np.all(np.isfinite(moved)):
            raise ProblemError(
                "nonfinite-cost",
                f"gradient descent from the point {point!r} ran away at step {step} of "
                f"{settings.train}: lower learning_rate={settings.learning_rate:g}",
            )
        theta.move_base(moved)
