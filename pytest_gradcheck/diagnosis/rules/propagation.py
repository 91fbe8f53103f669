"""Causes in several parameters at once: an error that propagates down, another point."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_gradcheck.diagnosis.evidence import Evidence, ParameterEvidence, gradient_at
from pytest_gradcheck.diagnosis.hypotheses import NEEDED
from pytest_gradcheck.diagnosis.rules.factors import fitted_factor
from pytest_gradcheck.diagnosis.words import listed
from pytest_gradcheck.params.scales import rms
from pytest_gradcheck.params.theta import FloatArray

__all__ = ["Spread", "layers", "stale", "upstream"]

FEWEST = 5
"""Components of different sizes that one fitted distance has to explain, at least."""

SEVERAL = 8
NEARLY = 0.7
"""The least cosine of the gradients of two points not far apart, in several components, which
chance does not reach."""

STAYING = 4
"""Wrong components for each right one, at least."""

PROMISING = 0.5
"""The part of the error that a straight line may leave, for a direction to be followed."""

ROUNDS = 8
NUDGE = 1e-6
MOVE = 1e-2

FIT = 1e-6
"""The part of the error that may be left at the point that is found."""

SHARP = 1e-4
"""The widest relative error bar of a component that a distance is fitted to."""

SHRUNK = 0.5
"""How much of theta a step along theta itself takes at most: a decay of weights takes little."""

AWAY = 1e-5
"""The least distance of another point, in sizes of theta: nearer is a jump of the gradient."""

Part = ParameterEvidence
Grouped = list[list[Part]]


@dataclass(frozen=True)
class Spread:
    """A cause that several parameters show together; `parameter` if it is one."""

    code: str
    names: tuple[str, ...]
    message: str
    parameter: str | None = None


# Which layer a parameter belongs to


def layers(parts: Sequence[Part]) -> Grouped:
    """Return parameters by layer, the lowest first.

    The numbers in names (``W1`` and ``b1``, ``layers[0].bias``) tell the layers. If none of them
    repeats, shapes do: matrices are in the order of the layers, and a vector belongs to a matrix
    that it fits.
    """
    numbers = [tuple(map(int, re.findall(r"\d+", part.name))) for part in parts]
    if all(numbers):
        for which in (slice(None), slice(1), slice(-1, None)):  # all numbers, the first, the last
            groups = _grouped(parts, [n[which] for n in numbers])
            if len(groups) < len(parts) and all(_is_layer(group) for group in groups):
                return groups
    return _by_shape(parts)


def _grouped(parts: Sequence[Part], keys: Sequence[tuple[int, ...]]) -> Grouped:
    groups: dict[tuple[int, ...], list[Part]] = {}
    for part, key in zip(parts, keys, strict=True):
        groups.setdefault(key, []).append(part)
    return [groups[key] for key in sorted(groups)]


def _is_layer(group: Sequence[Part]) -> bool:
    """Return whether there is one matrix, or none, and vectors that go with it."""
    matrices = [part for part in group if not _is_vector(part)]
    return len(matrices) <= 1 or any(_is_vector(part) for part in group)


def _by_shape(parts: Sequence[Part]) -> Grouped:
    """Return a layer for each matrix, with the vectors of its size.

    If there are as many vectors as matrices and each fits the matrix of its position, they pair in
    order: ``(W1, W2, b1, b2)``. Otherwise a vector belongs to the matrix before it, if it fits, or
    to the only one that it fits.
    """
    matrices = [part for part in parts if not _is_vector(part)]
    vectors = [part for part in parts if _is_vector(part)]
    if len(matrices) == len(vectors) and all(map(_fits, vectors, matrices)):
        return [list(pair) for pair in zip(matrices, vectors, strict=True)]
    result: Grouped = []
    homes = {id(matrix): [matrix] for matrix in matrices}
    last: Part | None = None
    for part in parts:
        if part in matrices:
            result.append(homes[id(part)])
            last = part
            continue
        fitting = [matrix for matrix in matrices if _fits(part, matrix)]
        if last is not None and any(last is one for one in fitting):
            homes[id(last)].append(part)
        elif len(fitting) == 1:
            homes[id(fitting[0])].append(part)
        else:
            result.append([part])
    return result


def _is_vector(part: Part) -> bool:
    return sum(n > 1 for n in part.shape) < 2


def _fits(bias: Part, weights: Part) -> bool:
    return bias.size == 1 or bias.size in weights.shape


# An error that enters at a layer


def upstream(evidence: Evidence) -> Spread | None:
    """Name an error that enters at a layer: all below are wrong, and all above are right.

    Parameters without a decided component do not count.
    """
    groups = [[p for p in group if p.n_wrong or p.n_right] for group in layers(evidence.parts)]
    groups = [group for group in groups if group]
    wrong = [all(part.n_wrong for part in group) for group in groups]
    if True not in wrong or False not in wrong:
        return None
    depth = wrong.index(False)
    below, above = groups[:depth], groups[depth:]
    if not depth or any(part.n_wrong for group in above for part in group):
        return None
    names = tuple(part.name for group in below for part in group)
    layers_known = len(below[-1]) > 1 or all(re.search(r"\d", name) for name in names)
    if len(names) < 2 or not layers_known or not _one_error(below[-1]):
        return None
    entered = listed([part.name for part in below[-1]])
    message = (
        f"{listed(names)} are wrong, and all above ({listed([p.name for p in above[0]], 3)}"
        f"{', …' if len(above) > 1 else ''}) right: the error enters at {entered}; look at the "
        "activation's derivative or the product that leads there"
    )
    return Spread("upstream", names, message)


def _one_error(layer: Sequence[Part]) -> bool:
    """Return whether weights and biases of a layer may be wrong for one reason.

    An error in a unit's upstream gradient makes its bias and its weights wrong, or neither.
    """
    biases = [part for part in layer if _is_vector(part)]
    weights = [part for part in layer if not _is_vector(part)]
    for bias in biases:
        for weight in weights:
            axes = [axis for axis, n in enumerate(weight.shape) if n == bias.size]
            connected = bias.size > 1 and axes
            if connected and not any(_agree(bias, weight, axis) for axis in axes):
                return False
    return True


def _agree(bias: Part, weight: Part, axis: int) -> bool:
    others = tuple(other for other in range(len(weight.shape)) if other != axis)
    spoiled = weight.wrong.reshape(weight.shape).any(axis=others)
    sound = weight.right.reshape(weight.shape).any(axis=others)
    right = bias.right & ~bias.wrong
    return not np.any(spoiled & right) and not np.any(bias.wrong & sound & ~spoiled)


# The gradient of another point


def stale(evidence: Evidence) -> Spread | None:
    """Name a gradient of another point, or one that is always the same."""
    top = layers(evidence.parts)[-1]
    if not all(part.n_wrong and part.is_legible for part in top):
        return None
    wrong = evidence.wrong_parts
    if not any(part.numerical[part.known].any() for part in wrong):
        return None
    if all(_is_a_multiple(part) for part in wrong):
        return None  # a power or an exponential has such gradients at another theta
    if STAYING * sum(part.n_right for part in wrong) > sum(part.n_wrong for part in wrong):
        return None  # the gradient would have changed with theta
    if _unmoved(evidence):
        names = tuple(part.name for part in wrong)
        message = (
            f"{listed(names)}: the gradient stays the same to the last digit when theta moves, and "
            "the cost's slope does not: it is of a cache, or of another theta"
        )
        return Spread("stale", names, message)
    for some in (wrong, tuple(top)) if len(wrong) > len(top) else (wrong,):
        said = _elsewhere(some, evidence)
        if said is not None:
            names = tuple(part.name for part in some)
            verb = "is" if len(names) == 1 else "are"
            message = (
                f"{listed(names)} {verb} the gradient at another theta, {said}: look for a cache, "
                "or a copy of the parameters from before a step"
            )
            return Spread("stale", names, message, names[0] if len(names) == 1 else None)
    return None


def _is_a_multiple(part: Part) -> bool:
    """Return whether a gradient is a constant times the numerical one where it is wrong."""
    found = fitted_factor(part, part.wrong)
    if found is None:
        return False
    off = np.abs(part.analytic - found.value * part.numerical)
    allowed = found.bars(part) + part.precision * part.scale
    return bool(np.all((off <= allowed)[part.wrong]))


def _unmoved(evidence: Evidence) -> bool:
    """Return whether the gradient is constant while theta and the cost's slope change."""
    theta, pair, parts = evidence.pair.theta, evidence.pair, evidence.parts
    if evidence.noise is None or not all(part.n_wrong for part in parts):
        return False
    direction = np.zeros(theta.base.shape)
    for part in parts:
        signs = np.where(np.arange(part.size) % 2, -1.0, 1.0)
        direction[part.parameter.slice] = signs * (np.abs(part.theta) + (rms(part.theta) or 1.0))
    moved = gradient_at(pair, theta.base + MOVE * direction)
    if moved is None or not np.array_equal(moved, evidence.gradient):
        return False
    if not _alike(parts):
        return False  # constants, and no gradient of a point not far away
    cost = _cost_along(evidence, direction)
    bend = cost(2 * MOVE) - 2 * cost(MOVE) + cost(0.0)
    size = abs(cost(MOVE) - cost(0.0))
    return bool(abs(bend) > 1e-4 * size and abs(bend) > 100 * evidence.noise.level)


def _alike(parts: Sequence[Part]) -> bool:
    """Return whether two gradients point the same way, as random numbers rarely do."""
    ours = np.concatenate([part.analytic[part.known] for part in parts])
    theirs = np.concatenate([part.numerical[part.known] for part in parts])
    if _different(ours) < SEVERAL or not theirs.any():
        return False
    cosine = np.dot(ours, theirs) / (np.linalg.norm(ours) * np.linalg.norm(theirs))
    free = min(_effective(ours), _effective(theirs)) - 1
    chance = (1 - min(float(cosine), 1.0) ** 2) ** (free / 2)
    return bool(cosine >= NEARLY and chance <= 0.5**NEEDED)


def _effective(values: FloatArray) -> float:
    """Return the effective number of components in the length of a vector."""
    squares = (values / np.abs(values).max()) ** 2
    return float(squares.sum() ** 2 / (squares**2).sum())


def _different(values: FloatArray) -> int:
    """Return the number of distinct values that are not 0, within about a hundredth."""
    sizes = np.abs(values[values != 0])
    return int(np.unique(np.rint(100 * np.log(sizes))).size)


def _cost_along(evidence: Evidence, direction: FloatArray) -> Callable[[float], float]:
    theta, probe = evidence.pair.theta, evidence.pair.prober()

    def cost(distance: float) -> float:
        with theta.at(theta.base + distance * direction), np.errstate(all="ignore"):
            return float(probe())

    return cost


def _elsewhere(parts: Sequence[Part], evidence: Evidence) -> str | None:
    """Return the theta at which the gradient function returns the present numerical gradient.

    A gradient taken at theta - d returns the right one if called with theta + d.
    """
    base = evidence.pair.theta.base
    target = _Target(parts, evidence)
    for name, direction in _directions(evidence):
        if target.different >= FEWEST and np.any(direction):
            found = target.reached(direction)
            if found is not None and (name != "theta" or abs(found) <= SHRUNK):
                away = float(np.max(np.abs(found * direction)))
                return (
                    f"theta {'-' if found > 0 else '+'} {abs(found):.4g} x {name}"
                    if away >= AWAY * (rms(base) or 1.0)
                    else None
                )
    return None


def _directions(evidence: Evidence) -> Iterator[tuple[str, FloatArray]]:
    base = evidence.pair.theta.base
    yield "1", np.ones_like(base)
    yield "theta", base
    if np.all(np.isfinite(evidence.gradient)):
        yield "gradient", evidence.gradient


class _Target:
    """Some components of the numerical gradient, and a search for a theta that explains them."""

    def __init__(self, parts: Sequence[Part], evidence: Evidence) -> None:
        places = [np.arange(p.parameter.start, p.parameter.stop)[p.known] for p in parts]
        self._pair, self._places = evidence.pair, np.concatenate(places)
        self._numerical = np.concatenate([p.numerical[p.known] for p in parts])
        self._bars = np.concatenate([p.bars[p.known] for p in parts])
        self._here = evidence.gradient[self._places]
        self._precision = evidence.precision
        sharp = self._bars <= SHARP * np.abs(self._numerical)
        self.different = _different(self._numerical[sharp])

    def reached(self, direction: FloatArray) -> float | None:
        """Return the distance in a direction that explains the gradient, or None."""
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
                return distance
        return None

    def _explains(self, gradient: FloatArray) -> bool:
        """Return whether a gradient is the numerical one in every component.

        The distance has the precision of a Newton step, so a part of the error may be left.
        """
        off = np.abs(gradient - self._numerical)
        size = np.maximum(np.abs(gradient), np.abs(self._numerical))
        error = np.abs(self._here - self._numerical)
        close = rms(off) <= FIT * rms(error) + rms(self._bars)
        window = self._bars + self._precision * size + FIT * np.maximum(error, rms(error))
        return bool(close and np.all(off <= window))

    def _at(self, direction: FloatArray, distance: float) -> FloatArray | None:
        gradient = gradient_at(self._pair, self._pair.theta.base + distance * direction)
        return None if gradient is None else gradient[self._places]
