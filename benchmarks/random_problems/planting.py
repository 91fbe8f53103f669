"""Faults planted at twice the resolution that a passing check has stated: each has to be found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .labels import DUST, lengths
from .problems import Problem
from .programs import Array, Core, Values
from .running import Outcome, checked

__all__ = ["planted_outcome"]

TIMES = 2.0
"""How many resolutions large a planted fault is."""

LARGEST = 0.2
"""Resolutions above are those of a check that says it cannot see."""


def planted_outcome(one: Problem, mode: str) -> Outcome | None:
    """Return what becomes of a fault planted into a problem that passes; None where none is."""
    label, report, _ = checked(one, mode)
    if isinstance(report, Exception) or label.kind != "right" or report.verdict == "kink":
        return None
    if (
        one.shape in (*ROWS, "complex")
        or one.penalty is not None
        or len(label.exact) != len(one.values)
    ):
        return None
    rng = np.random.default_rng([0x706C616E74, one.seed])
    parameter = report.points[0].parameters[int(rng.integers(len(report.points[0].parameters)))]
    name, resolution = parameter.name, parameter.resolution
    number = list(label.exact).index(name)
    exact = [g.reshape(v.shape) for g, v in zip(label.exact.values(), one.values, strict=True)]
    shares = [np.abs(g) * r for g, r in zip(exact, lengths(one.values), strict=True)]
    place = _place(label.exact[name], parameter.checked < parameter.size, rng)
    if place is None or not report.passed or resolution > LARGEST:
        return None
    if shares[number].flat[place] <= DUST * max(float(share.max()) for share in shares):
        return None  # as good as zero
    factor = (1 + TIMES * resolution) / (1 - TIMES * resolution)
    where = slice(place, place + 1)
    if parameter.covered < parameter.size:
        where = slice(None)  # nobody looked at the others of what was sampled
    broken = replace(one, core=_times(one.core, number, where, factor), fault="planted")
    _, again, seconds = checked(broken, mode)
    if isinstance(again, Exception):
        raise again
    size = sum(value.size for value in one.values)
    return Outcome(
        *(one.seed, one.condition, one.shape, broken.fault, "visible"),
        "missed" if again.passed else "agreed",
        "",
        *(size, size, 0, again.evaluations, seconds),
        f"{name}, component {place}: resolution {resolution:.1e}",
    )


ROWS = ("jacobian", "dense jacobian", "pushforward", "hessian")
"""Where a resolution is that of entries."""


def _place(exact: Array, probed: bool, rng: np.random.Generator) -> int | None:
    """Return a component whose gradient is not 0, at least as large as usual where it is probed."""
    size = np.abs(exact).ravel()
    least = np.sqrt(np.mean(size * size)) if probed else 1e-6 * size.max(initial=0.0)
    fits = np.flatnonzero((size >= least) & (size > 0))
    return int(rng.choice(fits)) if fits.size else None


def _times(core: Core, number: int, where: slice, factor: float) -> Core:
    """Return a core in which components of a gradient are a factor too large."""

    def pull(values: Values, upstream: Array) -> list[Array]:
        found = core.pull(values, upstream)
        found[number] = np.array(found[number])
        found[number].flat[where] *= factor
        return found

    return replace(core, pull=pull)
