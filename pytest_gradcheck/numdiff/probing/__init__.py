"""Random directions over all parameters: a screen of any number of components in a few calls.

The slope of the cost along a direction v is compared with v . g. What they differ by is the sum of
v_i times the fault of component i, so that one wrong component among a million shows as soon as its
share stands clear of the error bar. Where it does, the search goes from all parameters to single
arrays, and from there to single components.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from pytest_gradcheck.numdiff.directions import ProbeResult
from pytest_gradcheck.numdiff.evaluators import Evaluator
from pytest_gradcheck.numdiff.ladder import Slope
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.numdiff.probing.locating import Locator
from pytest_gradcheck.numdiff.probing.results import results
from pytest_gradcheck.numdiff.probing.screen import Screen
from pytest_gradcheck.params.theta import FloatArray, Indices
from pytest_gradcheck.settings import Settings

__all__ = ["Probed", "probed"]

MANY = 3
"""Components at least that are differenced where noise over larger distances is asked for."""

AUTO_PROBES = 2
"""Directions in ``mode="auto"`` at most, where samples tell as well."""


@dataclass
class Probed:
    """What is known from random directions.

    Attributes
    ----------
    noise : Noise
        Of the cost, as the directions have it.
    seen : dict
        By the parameter's name; None for all together, where that shows what none alone does.
    slopes : dict
        Of the components that were differenced on the way, by number.
    asked : dict
        By where a parameter starts, the numbers of its components to be differenced: some of those
        in which too much is wrong to be named.
    """

    noise: Noise
    seen: dict[str | None, ProbeResult] = field(default_factory=dict)
    slopes: dict[int, Slope] = field(default_factory=dict)
    asked: dict[int, Indices] = field(default_factory=dict)


def probed(
    evaluator: Evaluator,
    gradient: FloatArray,
    noise: Noise,
    settings: Settings,
    spent: Callable[[], int],
    rng: np.random.Generator,
) -> Probed:
    """Look at all parameters along random directions, and follow what they show.

    Where that are many components, jumps of the cost may be wider apart than the steps: its noise
    is then measured over larger distances, and where it is larger there all is asked again. If that
    leaves nothing but components to be differenced, these begin with the noise near theta: what has
    nothing to do with the jumps is told from the rest by differences alone.

    Parameters
    ----------
    evaluator : Evaluator
    gradient : array laid out like theta
    noise : Noise
    settings : Settings
        For `mode`, `probes`, `samples`, `search_calls` and the threshold `suspect`.
    spent : callable
        Returns the number of cost calls so far.
    rng : numpy Generator
    """
    last = spent() + settings.search_calls
    found = _found(evaluator, gradient, noise, settings, lambda: last - spent(), rng)
    asked = sum(numbers.size for numbers in found.asked.values())
    few = max(asked, len(found.slopes)) < MANY
    all_differenced = not found.seen  # which ask for it themselves
    if noise.measure_far is None or few or all_differenced:
        return found
    far = noise.with_far(math.inf)
    if far.level <= noise.level:
        return found
    again = _found(evaluator, gradient, far, settings, lambda: last - spent(), rng)
    return again if again.seen else Probed(noise, asked=again.asked)


def _found(
    evaluator: Evaluator,
    gradient: FloatArray,
    noise: Noise,
    settings: Settings,
    left: Callable[[], int],
    rng: np.random.Generator,
) -> Probed:
    """Return what directions show of a cost with that noise."""
    screen = Screen(evaluator, gradient, noise, settings.suspect, rng)
    locator = Locator(screen, settings.samples, left)
    count = settings.probes if settings.mode == "probe" else min(settings.probes, AUTO_PROBES)
    evaluator.progress.expect(count)
    for _ in range(count):
        locator.look()
        evaluator.progress.advance(1)
        if locator.is_open:  # what more directions would show is known
            break
    locator.finish()
    locator.stir()
    return Probed(noise, results(screen, locator), screen.slopes, locator.asked)
