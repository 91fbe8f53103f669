"""The points at which a pair is checked: given, random initializations, after some training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.problem.binding import accepts
from pytest_gradcheck.problem.layers import name_of
from pytest_gradcheck.problem.pair import Pair
from pytest_gradcheck.settings import Settings

__all__ = ["Start", "descend", "starts"]

LEVEL = 1e-9
"""A cost that rises by no more than this part has not risen: at a minimum, rounding does that."""


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
    takes_generator = accepts(params, 1)
    if not takes_generator and not accepts(params, 0):
        raise ProblemError(
            "unbound-argument",
            f"{name_of(params)} is called as params(rng), and has other arguments that nothing "
            "fills: give them defaults, or bind them with functools.partial",
        )
    for number in range(settings.seeds):
        rng = np.random.default_rng([seed, number])
        drawn = params(*([rng] if takes_generator else []))
        yield Start(f"random initialization {number + 1}", drawn)


def descend(pair: Pair, settings: Settings, point: str) -> str | None:
    """Move theta by some steps of gradient descent with the user's own gradient.

    Returns
    -------
    str or None
        What to say of a descent that led upward.

    Raises
    ------
    ProblemError
        ``nonfinite-cost`` where the descent runs away.
    """
    descent = f"gradient descent from the point {point!r}"
    remedy = f"lower learning_rate={settings.learning_rate:g}"
    before = pair.cost()
    with np.errstate(all="ignore"):  # it is our doing that a descent may run away
        for step in range(1, settings.train + 1):
            if not _stepped(pair, settings.learning_rate):
                raise ProblemError(
                    "nonfinite-cost",
                    f"{descent} ran away at step {step} of {settings.train}: {remedy}",
                )
        after = pair.cost()
    if not math.isfinite(after):
        raise ProblemError(
            "nonfinite-cost",
            f"{descent} ran away: the cost is {after} after {settings.train} steps: {remedy}",
        )
    if after <= before + LEVEL * abs(before):
        return None
    return (
        f"{descent} led upward, from a cost of {before:.3g} to {after:.3g} in {settings.train} "
        f"steps: {remedy}"
    )


def _stepped(pair: Pair, learning_rate: float) -> bool:
    """Take one step, unless it leads to what is not finite."""
    theta, gradient = pair.theta, pair.gradient()
    moved = theta.base.copy()
    for parameter in theta.selected:
        moved[parameter.slice] -= learning_rate * gradient[parameter.slice]
    if not np.all(np.isfinite(moved)):
        return False
    theta.move_base(moved)
    return True
