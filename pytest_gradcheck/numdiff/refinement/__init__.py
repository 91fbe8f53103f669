"""What a first difference leaves open: proof in groups, second looks, and ladders for the rest."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.evaluators import Evaluator, LadderRequest
from pytest_gradcheck.numdiff.ladder import RATIO, SAME_STEP, Kind, Slope
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.numdiff.refinement.groups import proven_bars
from pytest_gradcheck.numdiff.refinement.looks import looked_closer
from pytest_gradcheck.numdiff.refinement.outward import looked_outward
from pytest_gradcheck.numdiff.refinement.undecided import Settled, Undecided, storage_unit

__all__ = ["Refined", "Settled", "Undecided", "refined", "storage_unit"]


class Refined(NamedTuple):
    """What became of components that a first difference left open.

    Attributes
    ----------
    settled : list of Settled
        Those that groups and looks settled.
    slopes : dict
        Of the others, by number: what their ladders of steps say.
    """

    settled: list[Settled]
    slopes: dict[int, Slope]


def refined(evaluator: Evaluator, first: Undecided, noise: Noise) -> Refined:
    """Approximate components that a first difference leaves open as well as their verdicts need."""
    if not first.numbers.size:
        return Refined([], {})
    bars = proven_bars(evaluator, first, noise)
    proven = np.isfinite(bars)
    settled = [Settled(first.numbers[proven], first.values[proven], bars[proven])]
    looks = [first]
    _tell(evaluator, first, settled)
    outward = looked_outward(evaluator, first.of(~proven), noise)
    settled.append(outward.settled)
    looks += [outward.after, outward.between]
    _tell(evaluator, first, settled)
    unseen = ~proven & ~np.isin(first.numbers, outward.after.numbers)
    for look in looked_closer(evaluator, first.of(unseen), noise):
        settled.append(look.settled)
        looks.append(look.after)
        _tell(evaluator, first, settled)
    done = np.concatenate([found.numbers for found in settled])
    rest = ~np.isin(first.numbers, done)
    ends = outward.noise_ends[rest[~proven]]
    requests = list(_ladder_requests(first.of(rest), looks, ends, noise.grows_from))
    slopes = evaluator.slopes(requests, noise.level, first.suspect)
    climbed = {request.number: slope for request, slope in zip(requests, slopes, strict=True)}
    return Refined(settled, {**climbed, **dict(_told_better(climbed, outward.held))})


def _told_better(climbed: Mapping[int, Slope], held: Settled) -> Iterator[tuple[int, Slope]]:
    """Yield what a look outward tells of components better than their ladders, which agree."""
    for number, value, bar in zip(*map(np.ndarray.tolist, held), strict=True):
        slope = climbed[number]
        smooth = slope.kind == Kind.SMOOTH and math.isfinite(slope.value)
        if smooth and bar < slope.error_bar and abs(value - slope.value) <= slope.error_bar:
            yield number, Slope(value, bar)


def _tell(evaluator: Evaluator, first: Undecided, settled: Sequence[Settled]) -> None:
    """Tell who waits how many components have turned out wrong."""
    wrong = 0
    for numbers, values, error_bars in settled:
        analytic = first.analytic[np.searchsorted(first.numbers, numbers)]
        slack = first.suspect * (np.abs(values) + np.abs(analytic))
        wrong += int(np.count_nonzero(np.abs(values - analytic) > error_bars + slack))
    evaluator.progress.find(wrong, evaluator.theta.checked_size)


def _ladder_requests(
    open_: Undecided,
    looks: Sequence[Undecided],
    noise_ends: npt.NDArray[np.bool_],
    magnitude: float,
) -> Iterator[LadderRequest]:
    """Yield the ladders of components, with the costs that are known already.

    A ladder starts at the step of the first difference, or at the next coarser one where noise
    leaves that an error bar too wide: no finer one has a narrower bar. After a look outward it
    starts one rung below that. Where noise ends at the first step, finer ones are not even asked.
    """
    noisy = RATIO * open_.roundings > open_.tolerances
    arrays = (
        open_.numbers,
        open_.steps * np.where(noisy, RATIO, 1.0),
        open_.lengths,
        open_.analytic,
        open_.tolerances,
        np.where(noise_ends, (1 - SAME_STEP) * open_.steps, 0.0),
    )
    rows = zip(*map(np.ndarray.tolist, arrays), strict=True)
    for number, step, length, analytic, tolerance, least in rows:
        known = tuple(sides for look in looks if (sides := look.sides(number)) is not None)
        start = max(step, *(sides.distance / RATIO for sides in known))
        yield LadderRequest(number, start, length, analytic, tolerance, least, known, magnitude)
