"""A random problem from an integer: a program, a condition, a call shape, a fault or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .conditions import CONDITIONS, Condition, Penalty
from .faults import PENALTY_KINDS, amount, candidates
from .programs import Array, Builder, Core, Drawn, Injected, Values, core_of, hessian_of
from .shapes import MANY, SCALAR, SHAPES, SMOOTH

__all__ = ["Problem", "problem"]

STREAM = 0x6E6F6973
"""Begins every seed: other users of small integers draw other numbers."""


FAULTY = 0.5
"""The share of problems with a fault."""


@dataclass(frozen=True)
class Problem:
    """A problem to be checked.

    Attributes
    ----------
    seed : int
    condition, shape : str
        Of `CONDITIONS` and of `SHAPES`.
    fault : str
        Of `faults.KINDS`, or ``none``.
    drawn : Drawn
    injected : Injected or None
        Where the fault is; None also for a fault of the penalty.
    core : Core
        What is computed, without a penalty.
    penalty : Penalty or None
    values : list of array
        The parameters.
    """

    seed: int
    condition: str
    shape: str
    fault: str
    drawn: Drawn
    injected: Injected | None
    core: Core
    penalty: Penalty | None
    values: list[Array]

    @property
    def whole(self) -> Core:
        """The core with its penalty."""
        penalty, core = self.penalty, self.core
        if penalty is None:
            return core

        def added(found: list[Array], slopes: list[Array], upstream: Array) -> list[Array]:
            return [g + upstream * s for g, s in zip(found, slopes, strict=True)]

        def pull(values: Values, upstream: Array) -> list[Array]:
            slopes = penalty.slopes(values, penalty.lambd, penalty.fault)
            return added(core.pull(values, upstream), slopes, upstream)

        return Core(
            lambda values: core.output(values) + penalty.value(values, penalty.lambd),
            pull,
            lambda values, upstream: added(
                core.exact(values, upstream), penalty.slopes(values, penalty.lambd), upstream
            ),
        )

    @property
    def subject(self) -> Core:
        """What is compared: the cost or the outputs, or the gradient where a Hessian is checked."""
        return hessian_of(self.whole) if self.shape == "hessian" else self.whole


def problem(seed: int) -> Problem:
    """Return the problem of a seed."""
    rng = np.random.default_rng([STREAM, seed])
    name = str(rng.choice(list(CONDITIONS)))
    condition = CONDITIONS[name]
    shape = str(rng.choice(list(_shapes(condition, name))))
    drawn = _drawn(rng, condition, shape in SCALAR or shape == "hessian")
    penalty = _penalty(rng, drawn) if condition.penalized else None
    fault, injected = "none", None
    if rng.random() < FAULTY:
        fault, injected = _fault(rng, drawn, penalty)
        if penalty is not None and fault in PENALTY_KINDS:
            penalty = replace(penalty, fault=fault)
    values = [drawn.leaves[number].astype(condition.precision) for number in drawn.parameters]
    core = condition.dress(core_of(drawn, injected), rng, values)
    return Problem(seed, name, shape, fault, drawn, injected, core, penalty, values)


def _shapes(condition: Condition, name: str) -> Mapping[str, Any]:
    """Return the call shapes that a condition can have."""
    if condition.scalar:
        return SCALAR
    if condition.components > 100:
        return MANY
    return SMOOTH if name == "smooth" else SHAPES


def _drawn(rng: np.random.Generator, condition: Condition, scalar: bool) -> Drawn:
    for _ in range(100):
        builder = Builder(rng, condition.leaf, int(rng.integers(1, 7)), condition.components)
        condition.compose(builder)
        drawn = builder.finished(scalar)
        size = sum(drawn.leaves[number].size for number in drawn.parameters)
        if not 0 < size <= condition.components or not _is_sound(drawn):
            continue
        if not condition.curved or _is_curved(drawn):
            return condition.change(drawn, rng)
    raise RuntimeError("no problem within range was drawn")


def _is_sound(drawn: Drawn) -> bool:
    """Return whether output and gradient are finite, and the gradient not 0 throughout."""
    core = core_of(drawn, None)
    values = [drawn.leaves[number] for number in drawn.parameters]
    with np.errstate(all="ignore"):
        out = core.output(values)
        found = core.exact(values, np.ones_like(out))
    sizes = [float(np.abs(one).max(initial=0.0)) for one in found]
    return bool(np.all(np.isfinite(out))) and 0 < max(sizes) < np.inf


def _is_curved(drawn: Drawn) -> bool:
    """Return whether the gradient changes with theta, by more than rounding."""
    core = core_of(drawn, None)
    values = [drawn.leaves[number] for number in drawn.parameters]
    one = np.ones_like(core.output(values))
    with np.errstate(all="ignore"):
        here, there = core.exact(values, one), core.exact([1.1 * v + 0.01 for v in values], one)
    off = max(float(np.abs(a - b).max()) for a, b in zip(here, there, strict=True))
    return off > 1e-4 * max(float(np.abs(one).max()) for one in here)


def _penalty(rng: np.random.Generator, drawn: Drawn) -> Penalty:
    on = [bool(drawn.leaves[number].ndim > 1) for number in drawn.parameters]
    if not any(on):
        on[0] = True
    return Penalty(float(10.0 ** rng.uniform(-2, 1)), int(rng.integers(1, 20)), tuple(on))


def _fault(
    rng: np.random.Generator, drawn: Drawn, penalty: Penalty | None
) -> tuple[str, Injected | None]:
    found = list(candidates(drawn))
    kinds = sorted({kind for kind, _ in found})
    if penalty is not None and rng.random() < 0.6:
        kinds = [
            kind for kind in PENALTY_KINDS if kind != "penalty everywhere" or not all(penalty.on)
        ]
    for _ in range(5):
        kind = str(rng.choice(kinds))
        if kind in PENALTY_KINDS:
            return kind, None
        places = [one for name, one in found if name == kind]
        place = places[int(rng.integers(len(places)))]
        injected = replace(place, amount=amount(kind, place.amount, rng))
        if _changes(drawn, injected):
            break
    return kind, injected


def _changes(drawn: Drawn, injected: Injected) -> bool:
    """Return whether a fault changes the gradient here."""
    core = core_of(drawn, injected)
    values = [drawn.leaves[number] for number in drawn.parameters]
    upstream = np.ones_like(core.output(values))
    with np.errstate(all="ignore"):
        pairs = zip(core.exact(values, upstream), core.pull(values, upstream), strict=True)
        return any(not np.allclose(exact, given) for exact, given in pairs)
