"""Causes that show in several parameters at once: an error on its way down, another point."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.diagnosis.evidence import FIT, Evidence, Part, gradient_at
from pytest_gradcheck.diagnosis.words import listed
from pytest_gradcheck.params.scales import rms
from pytest_gradcheck.params.theta import FloatArray
from pytest_gradcheck.report.report import Finding

__all__ = ["layers", "stale", "upstream"]

FEWEST = 5
"""Components that one unknown distance has to explain."""

SEVERAL = 8
ALIKE = 0.7
"""The cosine that the gradients of two points not far apart have at least, in several components;
numbers at random have no such one."""

PROMISING = 0.5
"""What a straight line may leave of the error at most, for a direction to be followed."""

ROUNDS = 8
NUDGE = 1e-6
MOVE = 1e-2

AWAY = 1e-5
"""How far away another point is at least, in sizes of theta; a jump in the gradient is none."""

Grouped = list[list[Part]]
Numbers = npt.NDArray[np.intp]


def layers(parts: Sequence[Part]) -> Grouped:
    """Return parameters by layer, the lowest first.

    Layers are told by the numbers in names (``W1`` and ``b1``, ``layers[0].bias``); where none of
    them repeats, a vector belongs to the matrix before it.
    """
    numbers = [tuple(map(int, re.findall(r"\d+", part.name))) for part in parts]
    if all(numbers):
        for which in (slice(None), slice(1), slice(-1, None)):  # all numbers, the first, the last
            groups = _grouped(parts, [n[which] for n in numbers])
            if len(groups) < len(parts) and all(_is_layer(group) for group in groups):
                return groups
    result: Grouped = []
    for part in parts:
        if result and _is_bias(part, result[-1][0]) and not _is_vector(result[-1][0]):
            result[-1].append(part)
        else:
            result.append([part])
    return result


def _grouped(parts: Sequence[Part], keys: Sequence[tuple[int, ...]]) -> Grouped:
    groups: dict[tuple[int, ...], list[Part]] = {}
    for part, key in zip(parts, keys, strict=True):
        groups.setdefault(key, []).append(part)
    return [groups[key] for key in sorted(groups)]


def _is_layer(group: Sequence[Part]) -> bool:
    """Return whether there is one matrix, or none, and vectors that go with it."""
    matrices = [part for part in group if not _is_vector(part)]
    return len(matrices) <= 1 or any(_is_vector(part) for part in group)


def _is_vector(part: Part) -> bool:
    return sum(n > 1 for n in part.shape) < 2


def _is_bias(part: Part, weights: Part) -> bool:
    size = part.analytic.size
    return _is_vector(part) and (size == 1 or size in weights.shape)


def upstream(parts: Sequence[Part], evidence: Evidence) -> Finding | None:
    """Name an error that enters at a layer: all below are wrong, and all above are right."""
    groups = layers(parts)
    wrong = [all(part.wrong.any() for part in group) for group in groups]
    if True not in wrong or False not in wrong:
        return None
    depth = wrong.index(False)
    below, above = groups[:depth], groups[depth:]
    if not depth or any(part.wrong.any() for group in above for part in group):
        return None
    if not any(part.right.any() for part in above[0]):
        return None
    names = [part.name for group in below for part in group]
    told = len(below[-1]) > 1 or all(re.search(r"\d", part.name) for part in parts)
    if len(names) < 2 or not told or not _one_error(below[-1]):
        return None
    entered = listed([part.name for part in below[-1]])
    message = (
        f"{listed(names)} are wrong, all above ({listed([p.name for p in above[0]], 3)}"
        f"{', …' if len(above) > 1 else ''}) right: the error enters at {entered}; look at the "
        "activation's derivative or the product that leads there"
    )
    return Finding("upstream", "cause", None, message, None, evidence.point)


def _one_error(layer: Sequence[Part]) -> bool:
    """Return whether weights and biases of a layer may be wrong for one reason.

    An error in what flows into a unit spoils its bias and its weights, or neither.
    """
    biases = [part for part in layer if _is_vector(part)]
    weights = [part for part in layer if not _is_vector(part)]
    for bias in biases:
        for weight in weights:
            axes = [axis for axis, n in enumerate(weight.shape) if n == bias.analytic.size]
            connected = bias.analytic.size > 1 and axes
            if connected and not any(_agree(bias, weight, axis) for axis in axes):
                return False
    return True


def _agree(bias: Part, weight: Part, axis: int) -> bool:
    others = tuple(other for other in range(len(weight.shape)) if other != axis)
    spoiled = weight.wrong.reshape(weight.shape).any(axis=others)
    sound = weight.right.reshape(weight.shape).any(axis=others)
    right = bias.right & ~bias.wrong
    return not np.any(spoiled & right) and not np.any(bias.wrong & sound & ~spoiled)


def stale(parts: Sequence[Part], evidence: Evidence) -> Finding | None:
    """Name a gradient that is that of another point, or of always the same one."""
    groups = layers(parts)
    top = groups[-1]
    if not all(part.wrong.any() for part in top) or not all(part.fits for part in top):
        return None
    wrong = [part for part in parts if part.wrong.any()]
    if _unmoved(parts, evidence):
        message = (
            f"{listed([p.name for p in wrong])}: the gradient stays the same to the last digit "
            "when theta moves, and the cost's slope does not: is it of a cache, or another theta?"
        )
        return Finding("stale", "cause", None, message, None, evidence.point)
    for some in (wrong, top) if len(wrong) > len(top) else (wrong,):
        said = _elsewhere(some, evidence)
        if said is not None:
            message = (
                f"{listed([p.name for p in some])}: the gradient is that at another theta, {said}: "
                "look for a cache or a copy of the parameters from before a step"
            )
            name = wrong[0].name if len(wrong) == 1 else None
            return Finding("stale", "cause", name, message, None, evidence.point)
    return None


def _unmoved(parts: Sequence[Part], evidence: Evidence) -> bool:
    """Return whether the gradient stays put while theta and the cost's slope move."""
    theta, pair = evidence.pair.theta, evidence.pair
    if evidence.noise is None or not all(part.wrong.any() for part in parts):
        return False
    direction = np.zeros(theta.base.shape)
    for part in parts:
        signs = np.where(np.arange(part.theta.size) % 2, -1.0, 1.0)
        direction[part.parameter.slice] = signs * (np.abs(part.theta) + (rms(part.theta) or 1.0))
    moved = gradient_at(pair, theta.base + MOVE * direction)
    if moved is None or not np.array_equal(moved, evidence.gradient):
        return False
    if not _alike(parts):
        return False  # constants of some kind, and not the gradient of a point not far away
    cost = _cost_along(evidence, direction)
    bend = cost(2 * MOVE) - 2 * cost(MOVE) + cost(0.0)
    size = abs(cost(MOVE) - cost(0.0))
    return bool(abs(bend) > 1e-4 * size and abs(bend) > 100 * evidence.noise.level)


def _alike(parts: Sequence[Part]) -> bool:
    """Return whether two gradients point the same way, more or less, in enough components."""
    ours = np.concatenate([part.analytic[part.known] for part in parts])
    theirs = np.concatenate([part.numerical[part.known] for part in parts])
    if ours.size < SEVERAL or not ours.any() or not theirs.any():
        return False
    cosine = np.dot(ours, theirs) / (np.linalg.norm(ours) * np.linalg.norm(theirs))
    return bool(cosine >= ALIKE)


def _cost_along(evidence: Evidence, direction: FloatArray) -> Callable[[float], float]:
    theta, probe = evidence.pair.theta, evidence.pair.prober()

    def cost(distance: float) -> float:
        with theta.at(theta.base + distance * direction), np.errstate(all="ignore"):
            return float(probe())

    return cost


def _elsewhere(parts: Sequence[Part], evidence: Evidence) -> str | None:
    """Return at which theta the gradient function returns the numerical gradient of this one.

    A gradient that is taken at theta - d is the right one where it is called with theta + d.
    """
    base = evidence.pair.theta.base
    places = np.concatenate([np.arange(p.parameter.start, p.parameter.stop) for p in parts])
    known = np.concatenate([part.known for part in parts])
    numerical = np.concatenate([part.numerical for part in parts])[known]
    bars = np.concatenate([part.bars for part in parts])[known]
    target = _Target(evidence, places[known], numerical, bars)
    basis = {"1": np.ones_like(base), "theta": base, "gradient": evidence.gradient}
    if not np.all(np.isfinite(evidence.gradient)):
        del basis["gradient"]
    for name, direction in basis.items():
        if numerical.size >= FEWEST and direction.any():
            found = target.reached(direction)
            if found is not None:
                return f"theta {'-' if found > 0 else '+'} {abs(found):.4g} x {name}"
    return None


class _Target:
    """Some components of the numerical gradient, and a search for a theta that explains them."""

    def __init__(
        self, evidence: Evidence, places: Numbers, numerical: FloatArray, bars: FloatArray
    ) -> None:
        self._pair, self._places = evidence.pair, places
        self._numerical, self._bars = numerical, bars
        self._here = evidence.gradient[self._places]
        self._size = rms(evidence.pair.theta.base) or 1.0

    def reached(self, direction: FloatArray) -> float | None:
        """Return how far to go in a direction, or None where none of it explains the gradient."""
        size = float(np.max(np.abs(direction)))
        distance, gradient = 0.0, self._here
        for _ in range(ROUNDS):
            ahead = self._at(direction, distance + NUDGE / size)
            if ahead is None:
                return None
            slopes = (ahead - gradient) * size / NUDGE
            off = self._numerical - gradient
            if not slopes.any():
                return None
            step = float(np.dot(slopes, off) / np.dot(slopes, slopes))
            if rms(off - step * slopes) > PROMISING * rms(off):
                return None
            moved = self._at(direction, distance + step)
            if moved is None:
                return None
            distance, gradient = distance + step, moved
            if self._explains(gradient):
                return distance if abs(distance) * size >= AWAY * self._size else None
        return None

    def _explains(self, gradient: FloatArray) -> bool:
        off = np.abs(gradient - self._numerical)
        size = np.maximum(np.abs(gradient), np.abs(self._numerical))
        error = rms(self._here - self._numerical)
        close = rms(off) <= FIT * error + rms(self._bars)
        return bool(close and np.all(off <= self._bars + FIT * size))

    def _at(self, direction: FloatArray, distance: float) -> FloatArray | None:
        gradient = gradient_at(self._pair, self._pair.theta.base + distance * direction)
        return None if gradient is None else gradient[self._places]
