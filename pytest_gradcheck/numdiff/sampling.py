"""Which components to difference one by one: all of them, or some of every parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pytest_gradcheck.params.streams import stream
from pytest_gradcheck.params.theta import FloatArray, Indices, Parameter, Theta
from pytest_gradcheck.settings import Settings

__all__ = ["chosen", "is_probed", "sampled"]

FULL = 10_000
"""Components up to which ``mode="auto"`` takes them all."""

NOTHING: Mapping[int, Indices] = {}

NONFINITE = 20
"""How many components that are no number are looked at."""

LARGEST = 4
"""Of how many samples one is among the largest gradients."""


def is_probed(theta: Theta, settings: Settings) -> bool:
    """Return whether random directions are to look at all components."""
    return settings.mode == "probe" or (settings.mode == "auto" and not _is_full(theta, settings))


def chosen(
    theta: Theta,
    gradient: FloatArray,
    settings: Settings,
    seed: int,
    asked: Mapping[int, Indices] = NOTHING,
) -> Indices:
    """Return the numbers of the components to difference, in ascending order.

    Parameters
    ----------
    theta : Theta
    gradient : array laid out like theta
    settings : Settings
        For `mode` and `samples`.
    seed : int
        Of what is drawn.
    asked : mapping of int to array of int
        By where a parameter starts, components that are to be differenced in any case.
    """
    if _is_full(theta, settings):
        if theta.selected == theta.parameters:
            return np.arange(theta.base.size)
        return np.concatenate([np.arange(p.start, p.stop) for p in theta.selected])
    rng = stream("samples", seed)
    counts = _counts(theta, settings, bool(asked), rng)
    drawn = {
        p.start: sampled(p, theta, gradient, count, rng)
        for p, count in zip(theta.selected, counts, strict=True)
    }
    return np.concatenate(
        [
            np.union1d(numbers, asked[start]) if start in asked else numbers
            for start, numbers in drawn.items()
        ]
    )


def _counts(
    theta: Theta, settings: Settings, found: bool, rng: np.random.Generator
) -> Sequence[int]:
    """Return how many components to sample of every parameter.

    Where random directions look at all of them, `samples` is of all together, and none where they
    found something: what that is tells more.
    """
    among = len(theta.selected)
    if settings.mode == "probe" or (settings.mode == "auto" and found):
        return [0] * among
    if settings.mode == "sample" or settings.eps is not None:
        return [settings.samples] * among
    each, rest = divmod(settings.samples, among)
    counts = np.full(among, each)
    counts[rng.choice(among, rest, replace=False)] += 1
    return [int(count) for count in counts]


def _is_full(theta: Theta, settings: Settings) -> bool:
    return settings.mode == "full" or (settings.mode == "auto" and theta.checked_size <= FULL)


def sampled(
    parameter: Parameter,
    theta: Theta,
    gradient: FloatArray,
    count: int,
    rng: np.random.Generator,
) -> Indices:
    """Return the ends, in place and in value, the largest gradients, and random others, in order.

    A penalty's fault may show on one side of 0 only, hence the ends in value. What is no number is
    known to be wrong without a call of the cost, and is always among them.
    """
    if parameter.size <= count:
        return np.arange(parameter.start, parameter.stop)
    wrong = np.flatnonzero(~np.isfinite(gradient[parameter.slice]))[:NONFINITE].tolist()
    if not count:
        return parameter.start + np.array(wrong, np.intp)
    values = theta.base[parameter.slice]
    ends = [0, parameter.size - 1, int(values.argmin()), int(values.argmax())]
    most = max(1, count // LARGEST)
    size = np.abs(gradient[parameter.slice])
    largest = np.argpartition(size, parameter.size - most)[-most:]
    others = rng.choice(parameter.size, size=min(parameter.size, 2 * count), replace=False)
    first = [*ends, *largest.tolist()] if count >= LARGEST else []
    count = max(count, len(wrong))
    picked = list(dict.fromkeys([*wrong, *first, *others.tolist()]))[:count]
    return parameter.start + np.sort(np.array(picked, np.intp))
