"""The truth about a problem: is its gradient wrong, where, and can anyone see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .problems import Problem
from .programs import Array, Core
from .shapes import Call

__all__ = ["Label", "can_be_decided", "labelled"]

SAME = 1e-7
"""Relative errors up to here are rounding: the gradient is right."""

VISIBLE = 1e-4
"""Relative errors from here on are visible, where a difference quotient can be formed at all."""

LOOKED_AT = 3
"""So many of the worst components are looked at."""


@dataclass(frozen=True)
class Label:
    """The truth about a problem.

    Attributes
    ----------
    kind : str
        ``right``; ``visible``, ``grey`` or ``invisible`` where a fault was put in (invisible: it
        changes nothing here); ``unsure`` where the exact gradient is no limit of gradients nearby.
    exact, given : dict
        The exact gradients and the user's, by the names of a report.
    errors : dict
        The relative error of every component; rounding beside what theta as a whole does is none.
    """

    kind: str
    exact: dict[str, Array]
    given: dict[str, Array]
    errors: dict[str, Array]

    def wrong(self) -> dict[str, float]:
        """Return the largest relative error of a component, by parameter."""
        return {name: float(one.max(initial=0.0)) for name, one in self.errors.items()}


def lengths(values: Sequence[Array]) -> list[Array]:
    """Return how far each component can be moved to see something: its size, or its array's."""
    usual = [float(np.sqrt(np.mean(value * value))) or 1.0 for value in values]
    return [
        np.where(value == 0, size, np.abs(value)) for value, size in zip(values, usual, strict=True)
    ]


def _errors(values: Sequence[Array], exact: list[Array], given: list[Array]) -> list[Array]:
    """Return relative errors; 0 where the difference is rounding beside what theta does."""
    reach = lengths(values)
    size = max(float((np.abs(e) * r).max()) for e, r in zip(exact, reach, strict=True))
    found = []
    for e, g, r in zip(exact, given, reach, strict=True):
        off, both = np.abs(e - g), np.abs(e) + np.abs(g)
        relative = np.where(both > 0, off / both, 0.0)
        found.append(np.where(off * r <= 1e-14 * size, 0.0, relative))
    return found


def labelled(problem: Problem, call: Call) -> Label:
    """Return the truth about a problem."""
    core, values = problem.whole, problem.values
    rng = np.random.default_rng([0x7472757468, problem.seed])
    with np.errstate(all="ignore"):
        out = core.output(values)
        upstream = rng.uniform(0.5, 1.5, out.shape) * rng.choice([-1, 1], out.shape)
        upstream = upstream if out.ndim else np.ones(())
        exact, given = core.exact(values, upstream), core.pull(values, upstream)
        relative = _errors(values, exact, given)
        kind = _kind(problem, core, upstream, exact, given)
    return Label(kind, call.named(exact), call.named(given), call.named(relative))


def _kind(
    problem: Problem, core: Core, upstream: Array, exact: list[Array], given: list[Array]
) -> str:
    if not _is_limit(problem, core, upstream, exact):
        return "unsure"
    if problem.fault == "none":
        return "right"
    relative = _errors(problem.values, exact, given)
    flat = np.concatenate([np.ravel(one) for one in relative])
    if flat.max() <= SAME:
        return "invisible"
    if not np.all(np.isfinite(flat)):
        return "visible"
    for place in np.argsort(-flat)[:LOOKED_AT]:
        if flat[place] > VISIBLE and _can_be_seen(
            problem, core, upstream, int(place), exact, given
        ):
            return "visible"
    return "grey"


def _is_limit(problem: Problem, core: Core, upstream: Array, exact: list[Array]) -> bool:
    """Return whether the exact gradient is that of points as near as one likes.

    Always so where the cost is smooth; at a kink the chain rule may give what is no subgradient.
    """
    rng = np.random.default_rng([0x6E75646765, problem.seed])
    for _ in range(40):
        moved = [
            value + 1e-9 * length * rng.normal(size=value.shape)
            for value, length in zip(problem.values, lengths(problem.values), strict=True)
        ]
        try:
            near = core.exact(moved, upstream)
        except Exception:  # outside of a domain that the code guards by itself
            continue
        if all(
            np.allclose(n, e, rtol=1e-4, atol=1e-6 * np.abs(e).max(initial=0.0))
            for n, e in zip(near, exact, strict=True)
        ):
            return True
    return problem.condition == "stationary"


def can_be_decided(problem: Problem) -> bool:
    """Return whether difference quotients can confirm any large component of a right gradient."""
    core, one = problem.whole, np.ones(())
    with np.errstate(all="ignore"):
        if core.output(problem.values).ndim:
            return True
        exact = core.exact(problem.values, one)
        flat = np.concatenate([np.ravel(part) for part in exact])
        if not flat.any():
            return True
        larger = [1.02 * part for part in exact]
        return any(
            _can_be_seen(problem, core, one, int(place), exact, larger)
            for place in np.argsort(-np.abs(flat))[:LOOKED_AT]
        )


def _can_be_seen(
    problem: Problem,
    core: Core,
    upstream: Array,
    place: int,
    exact: list[Array],
    given: list[Array],
) -> bool:
    """Return whether difference quotients at three steps in a row tell right from wrong."""
    number = 0
    while place >= exact[number].size:
        place -= exact[number].size
        number += 1
    true = exact[number].flat[place]
    off = abs(true - given[number].flat[place])
    value = problem.values[number]
    length = max(abs(value.flat[place]), 0.0 if "scale" in problem.condition else 1.0)

    def cost(step: float) -> float:
        moved = [one.copy() for one in problem.values]
        moved[number].flat[place] += step
        return float((core.output(moved) * upstream).sum())

    close = []
    for power in range(1, 11):
        step = length * 10.0**-power
        try:
            slope = (cost(step) - cost(-step)) / (2 * step)
        except Exception:  # outside of a domain that the code guards by itself
            slope = np.nan
        close.append(abs(slope - true) < off / 20)
    return any(all(close[k : k + 3]) for k in range(len(close) - 2))
