"""The truth about a problem: is its gradient wrong, where, and can anyone see it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from .problems import Problem
from .programs import ROUNDINGS, Array, Core, core_of
from .shapes import Call

__all__ = ["DUST", "SAME", "Label", "can_be_decided", "labelled", "lengths", "may_be_blamed"]

SAME = 1e-7
"""Relative errors up to here are rounding: the gradient is right."""

VISIBLE = 1e-4
"""Relative errors from here on are visible, where a difference quotient can be formed at all."""

DUST = 1e-14
"""Differences are rounding that change the cost by no more than this part of what theta does."""

NEAR, ELSEWHERE = 1e-9, 1e-7
"""How near a point is that has the same gradient, in lengths, and how far one that has others."""

LOOKED_AT = 3
"""So many of the worst components are looked at."""

COARSE = frozenset(ROUNDINGS) - {"", "float32"}
"""Roundings whose quanta are wider than the steps of usual differences."""

LONGEST = 0.3
"""The longest step of a difference, in lengths: beyond, truncation is larger."""

ROUNDED_AT = 21
"""Places at which a rounded cost is compared with the exact one, up to that step."""

DECIDED = 1e-3
"""The part of a component that its difference may be off by and tell right from wrong."""

SLIGHT = 1e-5
"""The part of a component up to which a disagreement is none."""

SAFETY = 16.0
"""Standard deviations of the noise that an error bar has, over the step: eight, and a check knows
the noise within a factor of two."""


@dataclass(frozen=True)
class Label:
    """The truth about a problem.

    Attributes
    ----------
    kind : str
        ``right``; ``visible``, ``grey`` or ``invisible`` where a fault was put in (invisible: it
        changes nothing here); ``unsure`` where the exact gradient is no limit of gradients nearby,
        or an iteration stops too early to have the slope of its limit.
    exact, given : dict
        The exact gradients and the user's, by the names of a report; of a Jacobian, with a row for
        each output.
    errors : dict
        The relative error of every component.
    """

    kind: str
    exact: dict[str, Array]
    given: dict[str, Array]
    errors: dict[str, Array]

    def wrong(self) -> dict[str, float]:
        """Return the largest relative error of a component, by parameter."""
        return {name: float(one.max(initial=0.0)) for name, one in self.errors.items()}


@dataclass(frozen=True)
class Weighed:
    """The outputs of a problem, weighed: a cost, with its exact gradient and the user's."""

    problem: Problem
    core: Core
    upstream: Array
    exact: list[Array]
    given: list[Array]

    def cost(self, values: Sequence[Array]) -> float:
        """Return the weighed sum of the outputs."""
        return float((self.core.output(values) * self.upstream).sum())

    def moved(self, number: int, place: int, step: float) -> float:
        """Return the weighed sum where one component of a parameter is further by a step."""
        moved = [np.array(value, np.float64) for value in self.problem.values]
        moved[number].flat[place] += step
        return self.cost(moved)

    def errors(self, dust: float = 0.0) -> list[Array]:
        """Return relative errors; 0 where a difference is dust beside what theta does."""
        reach = lengths(self.problem.values)
        size = max(float((np.abs(e) * r).max()) for e, r in zip(self.exact, reach, strict=True))
        found = []
        for e, g, r in zip(self.exact, self.given, reach, strict=True):
            off, both = np.abs(e - g), np.abs(e) + np.abs(g)
            relative = np.where(both > 0, off / both, 0.0)
            if self.upstream.ndim:  # with other weights a difference is a larger part
                relative = np.where(off > 0, np.maximum(relative, 2 * SAME), 0.0)
            found.append(np.where(off * r <= dust * size, 0.0, relative))
        return found


def lengths(values: Sequence[Array]) -> list[Array]:
    """Return how far each component can be moved to see something: its size, or its array's."""
    usual = [float(np.sqrt(np.mean(value * value))) or 1.0 for value in values]
    return [
        np.where(value == 0, size, np.abs(value)) for value, size in zip(values, usual, strict=True)
    ]


def labelled(problem: Problem, call: Call) -> Label:
    """Return the truth about a problem."""
    with np.errstate(all="ignore"):
        weighed = list(_weighed(problem, call.rows))
        kinds = [_kind(one) for one in weighed]
        kind = next(k for k in ("unsure", "visible", "grey", "invisible", "right") if k in kinds)
        relative = [one.errors() for one in weighed]
    if not call.rows:
        one = weighed[0]
        return Label(kind, call.named(one.exact), call.named(one.given), call.named(relative[0]))
    return Label(
        kind,
        call.named(_stacked([one.exact for one in weighed])),
        call.named(_stacked([one.given for one in weighed])),
        call.named(_stacked(relative)),
    )


def _stacked(rows: list[list[Array]]) -> list[Array]:
    """Return a matrix a parameter, a row for each output."""
    return [np.stack([part.ravel() for part in parts]) for parts in zip(*rows, strict=True)]


def _weighed(problem: Problem, rows: bool) -> Iterator[Weighed]:
    """Yield the outputs with random weights, or each of them by itself."""
    core, values = problem.subject, problem.values
    rng = np.random.default_rng([0x7472757468, problem.seed])
    out = core.output(values)
    upstreams = [np.ones(())]
    if rows:
        upstreams = list(np.eye(out.size))
    elif out.ndim:
        upstreams = [rng.uniform(0.5, 1.5, out.shape) * rng.choice([-1, 1], out.shape)]
    for upstream in upstreams:
        exact, given = core.exact(values, upstream), core.pull(values, upstream)
        yield Weighed(problem, core, upstream, exact, given)


def _kind(one: Weighed) -> str:
    if not _is_limit(one) or not _follows(one):
        return "unsure"
    if one.problem.fault == "none":
        return "right"
    flat = _flat(one.errors(DUST))
    if flat.max() <= SAME:
        return "invisible"
    if not np.all(np.isfinite(flat)):
        return "visible"
    worst = np.argsort(-flat)[:LOOKED_AT].tolist()
    seen = any(flat[place] > VISIBLE and _can_be_seen(one, place) for place in worst)
    return "visible" if seen else "grey"


def _is_limit(one: Weighed) -> bool:
    """Return whether the exact gradient is that of points as near as one likes.

    Always so where the cost is smooth; at a kink the chain rule may give what is no subgradient.
    """
    return _point_near(one) is not None or one.problem.condition == "stationary"


def _point_near(one: Weighed) -> list[Array] | None:
    """Return a point very near that has the exact gradient too, if there is one."""
    rng = np.random.default_rng([0x6E75646765, one.problem.seed])
    values = one.problem.values
    for _ in range(40):
        moved = [
            value + NEAR * length * rng.normal(size=value.shape)
            for value, length in zip(values, lengths(values), strict=True)
        ]
        try:
            near = one.core.exact(moved, one.upstream)
        except Exception:  # outside of a domain that the code guards by itself
            continue
        if not any(_apart(n, e).any() for n, e in zip(near, one.exact, strict=True)):
            return moved
    return None


def _apart(one: Array, exact: Array) -> npt.NDArray[np.bool_]:
    """Return where a gradient is another than the exact one, beyond what a point nearby has."""
    close = np.isclose(one, exact, rtol=1e-4, atol=1e-6 * np.abs(exact).max(initial=0.0))
    return np.asarray(~close)


def may_be_blamed(problem: Problem, call: Call, row: int, place: int) -> bool:
    """Return whether a component that is right may be called wrong instead of one that is wrong.

    Where two components tie, the exact gradient is one of two limits, and each says of another
    component that it is wrong. A point very near where the exact gradient is as here is moved along
    one component, the one in question or a wrong one, so that only its ties are decided otherwise:
    there the one in question has to be wrong, and one that is wrong here right.

    Where outputs are weighed, what is wrong with a tiny one may be rounded away beside the others,
    and a check may weigh it more: right is what is right in every output by itself.

    Parameters
    ----------
    problem : Problem
    call : Call
    row : int
        The output that is looked at, where outputs are checked one by one.
    place : int
        The number of the component in question, over all parameters.
    """
    with np.errstate(all="ignore"):
        one = next(islice(_weighed(problem, call.rows), row, None))
        if not call.rows and _is_wrong_by_itself(one, place):
            return True
        near, given = _point_near(one), _flat(one.given)
        if near is None:
            return False
        wrong = _apart(given, _flat(one.exact))
        return any(
            there[place] and np.any(wrong & ~there)
            for k in {place, *np.flatnonzero(wrong).tolist()}
            for there in (_apart(given, exact) for exact in _exact_beside(one, near, k))
        )


def _is_wrong_by_itself(one: Weighed, place: int) -> bool:
    """Return whether a component is wrong in any one of outputs that are weighed."""
    values, shape = one.problem.values, one.upstream.shape
    for upstream in np.eye(one.upstream.size) if shape else ():
        both = (pull(values, upstream.reshape(shape)) for pull in (one.core.exact, one.core.pull))
        exact, given = (_flat(part)[place] for part in both)
        if abs(exact - given) > SAME * (abs(exact) + abs(given)):
            return True
    return False


def _exact_beside(one: Weighed, near: list[Array], place: int) -> Iterator[Array]:
    """Yield the exact gradients, flat, where one component is further on either side."""
    ends = np.cumsum([value.size for value in near])[:-1]
    step = ELSEWHERE * _flat(lengths(one.problem.values))[place]
    for side in (1, -1):
        moved = _flat(near)
        moved[place] += side * step
        parts = zip(np.split(moved, ends), near, strict=True)
        try:
            exact = one.core.exact([part.reshape(v.shape) for part, v in parts], one.upstream)
        except Exception:  # outside of a domain that the code guards by itself
            continue
        yield _flat(exact)


def _flat(arrays: Sequence[Array]) -> Array:
    return np.concatenate([np.ravel(one) for one in arrays])


def _follows(one: Weighed) -> bool:
    """Return whether a cost with an iteration inside has the slope that the iteration's limit has.

    Where all points around take the same number of iterations, it has another, by its tolerance.
    """
    if one.problem.condition != "inner iteration":
        return True
    values = one.problem.values
    for number, reach in enumerate(lengths(values)):
        for place in range(reach.size):
            step = 1e-4 * float(reach.flat[place])
            slope = (one.moved(number, place, step) - one.moved(number, place, -step)) / (2 * step)
            true = float(one.exact[number].flat[place])
            if abs(slope - true) > 1e-6 * abs(true):
                return False
    return True


def can_be_decided(problem: Problem) -> bool:
    """Return whether difference quotients confirm the largest components of a right gradient.

    And whether they have to: where an operation rounds coarsely, those at steps below its quanta
    are of what is left of the cost.
    """
    if problem.values[0].dtype != np.float64 and problem.shape in ("inplace", "object"):
        return False  # where the user's own arrays are perturbed, all is in float32
    with np.errstate(all="ignore"):
        one = next(_weighed(problem, rows=False))
        if _is_blurred(one):
            return False
        flat = _flat(one.exact)
        if one.upstream.ndim or not flat.any():
            return True
        larger = replace(one, given=[1.02 * part for part in one.exact])
        worst = np.argsort(-np.abs(flat))[:LOOKED_AT].tolist()
        return all(_can_be_seen(larger, place) for place in worst)


def _is_blurred(one: Weighed) -> bool:
    """Return whether an operation rounds so coarsely that no component can be decided.

    What the rounded cost and the exact one differ by is a line and its noise. The error bar of a
    difference is a multiple of the noise over the step, and what the exact cost bends over it: at
    all steps more than a thousandth of the component, or of a usual one of its array. And where the
    line has a slope, a rounded factor gives the component another gradient.
    """
    problem = one.problem
    if not any(step.rounding in COARSE for step in problem.drawn.program.steps):
        return False
    exact = replace(one, core=core_of(problem.drawn.unrounded, None))
    for number, value in enumerate(problem.values):
        usual = float(np.sqrt(np.mean(value * value))) or 1.0
        slopes = np.abs(one.exact[number])
        sizes = np.maximum(2 * slopes, np.sqrt(np.mean(slopes * slopes)))
        for place in range(value.size):
            steps = LONGEST * max(usual, abs(value.flat[place])) * np.linspace(-1, 1, ROUNDED_AT)
            costs, rounded = (
                np.array([those.moved(number, place, h) for h in steps]) for those in (exact, one)
            )
            if _shows(one.exact[number].flat[place], sizes.flat[place], steps, costs, rounded):
                return False
    return True


def _shows(slope: float, size: float, steps: Array, costs: Array, rounded: Array) -> bool:
    """Return whether rounded costs show the slope that the exact ones have, at any step."""
    off = rounded - costs
    line, shift = np.polynomial.polynomial.polyfit(steps, off, 1)
    noise = float(np.std(off - line - shift * steps))
    ahead = steps > 0
    bends = np.abs((costs[ahead] - costs[::-1][ahead]) / (2 * steps[ahead]) - slope)
    sharp = bends + SAFETY * noise / steps[ahead] <= DECIDED * size
    return bool(sharp.any() and abs(shift) <= max(SLIGHT * size, 3 * noise / steps.max()))


def _can_be_seen(one: Weighed, place: int) -> bool:
    """Return whether difference quotients at three steps in a row tell right from wrong."""
    number = 0
    while place >= one.exact[number].size:
        place -= one.exact[number].size
        number += 1
    values = one.problem.values
    true = one.exact[number].flat[place]
    off = abs(true - one.given[number].flat[place])
    least = 0.0 if "scale" in one.problem.condition else 1.0
    length = max(abs(values[number].flat[place]), least)
    close = []
    for power in range(1, 11):
        step = length * 10.0**-power
        try:
            slope = (one.moved(number, place, step) - one.moved(number, place, -step)) / (2 * step)
        except Exception:  # outside of a domain that the code guards by itself
            slope = np.nan
        close.append(abs(slope - true) < off / 20)
    return any(all(close[k : k + 3]) for k in range(len(close) - 2))
