"""Which components to difference: all of them, or some of every parameter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.settings import Settings
from pytest_gradcheck.theta import FloatArray, Parameter, Theta

__all__ = ["chosen"]

FULL = 10_000
"""Components up to which ``mode="auto"`` takes them all."""

Numbers = npt.NDArray[np.intp]


def chosen(
    theta: Theta, gradient: FloatArray, settings: Settings, rng: np.random.Generator
) -> list[tuple[Parameter, Numbers]]:
    """Return, for every selected parameter, the numbers of its components to difference.

    Raises
    ------
    ProblemError
        ``bad-setting`` for what this version cannot do.
    """
    _refuse_unknown(settings)
    size = sum(parameter.size for parameter in theta.selected)
    full = settings.mode == "full" or (settings.mode == "auto" and size <= FULL)
    return [
        (p, np.arange(p.start, p.stop) if full else _sampled(p, gradient, settings.samples, rng))
        for p in theta.selected
    ]


def _sampled(
    parameter: Parameter, gradient: FloatArray, count: int, rng: np.random.Generator
) -> Numbers:
    """Return the ends, the largest gradient, and random others of a parameter, in order."""
    if parameter.size <= count:
        return np.arange(parameter.start, parameter.stop)
    largest = int(np.argmax(np.abs(np.nan_to_num(gradient[parameter.slice]))))
    first = list(dict.fromkeys([largest, 0, parameter.size - 1]))[:count]
    others = np.setdiff1d(rng.permutation(parameter.size)[: count + 3], first)
    picked = np.concatenate([first, rng.permutation(others)[: count - len(first)]])
    return parameter.start + np.sort(picked.astype(np.intp))


def _refuse_unknown(settings: Settings) -> None:
    if settings.mode == "probe":
        raise ProblemError(
            "bad-setting", "mode='probe' is not in this version yet: use mode='sample' or 'full'"
        )
    if settings.workers > 1:
        raise ProblemError(
            "bad-setting",
            f"workers={settings.workers} is not in this version yet: leave it at 1, and spread "
            "tests with pytest-xdist",
        )
    if settings.batched:
        raise ProblemError(
            "bad-setting",
            "batched=True is not in this version yet: hand over the cost of one theta",
        )
