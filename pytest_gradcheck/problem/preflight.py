"""The preflight of a pair: whether it can be checked at all."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.errors import ProblemError, wishes
from pytest_gradcheck.params.rounding import digits_shown
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.theta import FloatArray, Indices, Theta
from pytest_gradcheck.problem.pair import Pair

__all__ = [
    "DROPOUT",
    "alike_within",
    "differs",
    "differs_in_all",
    "examined",
    "hidden_by",
    "refuse_changed",
    "refuse_undefined",
    "refuse_unreached",
    "spare_memory",
]

SAME = 1e-13
"""Two calls are equal within this relative difference: threaded sums may change their order."""

ALIKE = 4 * float(np.finfo(np.float32).eps)
"""Two calls differ by noise within this relative difference, as float32 sums do whose order changes
from call to call. A dropout mask changes far more."""

ALIKE_IN_SINGLE = 1e-5
"""Like `ALIKE`, where both calls return float32 numbers: long sums differ by more."""

OUTWARD, NEARER = (1e-2, 1.0, 100.0), (1e-4, 1e-6, 1e-8)
"""Relative distances at which a function is asked whether it sees a shared array move."""

UNDEFINED_STEP = 6e-6
"""The step, in lengths, of a call for the error of a cost that has no value at any step."""

DROPOUT = (
    "is dropout still on, or a generator unseeded? Pass keep_prob by data=, use "
    "dropout='freeze', or seed inside the function"
)


ACCUMULATES = (
    "each call adds the same to the one before, so gradients accumulate: set them to 0 at the "
    "start of the backward pass (grad[...] = 0, zero_grad())"
)


def examined(pair: Pair, noise: float | None = None) -> tuple[float, FloatArray, FloatArray | None]:
    """Call cost and gradient twice at the present theta, and return their answers.

    Parameters
    ----------
    pair : Pair
    noise : float, optional
        The relative noise of the cost, if the user states it.

    Returns
    -------
    cost0 : float
    gradient : array
    again : array or None
        The gradient of the second call, if it differs.

    Raises
    ------
    ProblemError
        ``nonfinite-cost``, ``nondeterministic-cost``, ``nondeterministic-gradient`` or
        ``mutated-params``, and the errors of the calls themselves.
    """
    before = pair.theta.references
    here = pair.cost()
    refuse_changed(pair.theta, "cost")
    if not math.isfinite(here):
        raise ProblemError(
            "nonfinite-cost",
            f"the cost is {here} at this theta, where it must be a finite number: start elsewhere, "
            "or use a stable form (log-sum-exp, logaddexp) of it",
        )
    gradient = pair.gradient()
    refuse_changed(pair.theta, "gradient")
    if pair.theta.references > before and not pair.is_batched:
        spare_memory(pair.theta, pair.value_of, here)
    again = pair.cost()
    if again != here and differs(np.array([here]), np.array([again]), noise).any():
        raise ProblemError(
            "nondeterministic-cost",
            f"two calls of the cost at the same theta returned {here!r} and {again!r}: {DROPOUT}",
        )
    second = pair.gradient()
    if gradient.data == second.data:  # comparing the numbers takes 10 % of a check of 20
        return here, gradient, None
    _compare_gradients(gradient, second, pair, noise)
    return here, gradient, second


@np.errstate(all="ignore")
def spare_memory(
    theta: Theta, call: Callable[[Any], float | FloatArray], here: float | FloatArray
) -> None:
    """Pass copies of theta to a function that compares it with an array it has kept.

    ``if not np.array_equal(self.theta, theta): self.theta = theta; ...`` compares an array with
    itself, and never sees its numbers change. The test: a new array gives another value than the
    shared one, at a point where the function differs from `here`. Such a point is looked for
    outward, or nearer by where the function raises at the first.
    """
    signs = np.where(np.cos(np.arange(1.0, theta.base.size + 1)) < 0, -1.0, 1.0)
    reach = np.where(theta.base == 0, 1.0, np.abs(theta.base))
    distances = list(OUTWARD)
    while distances:
        distance = distances.pop(0)
        values = theta.base + distance * signs * reach
        try:
            with theta.at(values):
                shared = call(theta.tree)
            own = call(theta.copied(values))
        except wishes():
            raise
        except Exception:  # out of the domain
            distances = [nearer for nearer in NEARER if nearer < distance <= OUTWARD[0]]
            continue
        if not _alike(own, here):
            if not _alike(own, shared):
                theta.hand_out_copies()
            return
        call(theta.tree)  # it keeps the shared array again, and not the copy


def _alike(one: float | FloatArray, other: float | FloatArray) -> bool:
    return bool(np.all(np.abs(np.subtract(one, other)) <= SAME * np.abs(other)))


@np.errstate(all="ignore")
def alike_within(values: FloatArray, noise: float | None) -> float:
    """Return the relative difference that two calls with such values may have."""
    single = np.array_equal(values, values.astype(np.float32), equal_nan=True)
    return max(ALIKE_IN_SINGLE if single else ALIKE, noise or 0.0)


@np.errstate(all="ignore")
def differs(one: FloatArray, other: FloatArray, noise: float | None) -> npt.NDArray[np.bool_]:
    """Return where two calls of a function differ by more than noise, each by its own size."""
    both = np.stack([one, other])
    tolerances = alike_within(both, noise) * np.abs(both).max(axis=0)
    return np.asarray(~(np.abs(other - one) <= tolerances))


@np.errstate(all="ignore")
def differs_in_all(one: FloatArray, other: FloatArray, tolerance: float) -> npt.NDArray[np.bool_]:
    """Return where two calls of a derivative differ by more than a part of its largest value.

    NaN equals NaN: a derivative without a value gets its verdict later.
    """
    alike = (one == other) | (np.abs(one - other) <= tolerance * largest(one))
    return np.asarray(~(alike | (np.isnan(one) & np.isnan(other))))


def largest(values: FloatArray) -> float:
    """Return the largest absolute value that is finite, or 0."""
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def _compare_gradients(
    first: FloatArray, second: FloatArray, pair: Pair, noise: float | None
) -> None:
    tolerance = alike_within(first, noise)
    apart = differs_in_all(first, second, tolerance)
    if not apart.any():
        return
    number = int(np.flatnonzero(apart)[0])
    parameter = pair.theta.owner(number)
    name = parameter.component_name(parameter.index(number))
    slack = tolerance * largest(first)
    reason = ACCUMULATES if _accumulates(first, second, pair, slack) else DROPOUT
    raise ProblemError(
        "nondeterministic-gradient",
        f"two calls of the gradient at the same theta returned {float(first[number])!r} and "
        f"{float(second[number])!r} for {name}: {reason}",
    )


def _accumulates(first: FloatArray, second: FloatArray, pair: Pair, slack: float) -> bool:
    """Return whether every call adds the same to the gradient of the one before."""
    third = pair.gradient()
    with np.errstate(all="ignore"):
        added, more = second - first, third - second
        return bool(np.all(np.abs(added - more) <= 4 * slack))


def refuse_changed(theta: Theta, culprit: str) -> None:
    """Raise ``mutated-params`` if a call of the culprit has changed theta."""
    name = theta.changed()
    if name is None:
        return
    raise ProblemError(
        "mutated-params",
        f"the {culprit} changes the parameters it is given: {name} was not what it had been after "
        f"a call. Write {name} = {name} - … instead of {name} -= …, or work on a copy",
    )


def refuse_undefined(pair: Pair, numbers: Indices) -> None:
    """Raise ``cost-raised`` where the cost raises on either side of a component.

    Parameters
    ----------
    pair : Pair
    numbers : int array
        Components at which the cost had no value at any step; the first is tried.
    """
    if not numbers.size:
        return
    theta, number = pair.theta, int(numbers[0])
    parameter = theta.owner(number)
    name = parameter.component_name(parameter.index(number))
    step = UNDEFINED_STEP * float(lengths(theta)[number])
    for distance in (step, -step):
        with theta.moved(slice(number, number + 1), np.ones(1), distance):
            try:
                pair.cost()
            except ProblemError as error:
                said = str(error).removeprefix(f"{error.code}: ")
                raise ProblemError(
                    error.code,
                    f"{said} at {name} {'+' if distance > 0 else '-'} {step:.2g}, and has no value "
                    f"at any step on either side of {name}: start inside of its domain",
                ) from error.__cause__


def hidden_by(size: float) -> float:
    """Return the largest share of a component that a cost of this size need not show.

    A share is the slope times the component's length. What is left of a saturated unit falls like
    exp(-u), or like a Gaussian. Where that is below the rounding of the cost, u is the logarithm of
    the rounding, and its slope over the length has u or 2 u times its value. A cost of 0 that
    stands still is a sum whose terms cancel: the gradient has their rounding, and they may be of
    order 1.
    """
    unit = 2.0 ** (1 - digits_shown(size))
    return 2 * math.log(1 / unit) * unit * (abs(size) or 1.0)


def refuse_unreached(moved: bool, gradient: FloatArray, theta: Theta, size: float) -> None:
    """Raise ``unreached-params`` if the cost is constant though the gradient is not zero.

    A gradient counts as zero where no change of theta need show: saturated units leave 1e-50.
    """
    if moved or not any(gradient[parameter.slice].any() for parameter in theta.selected):
        return
    shares = np.abs(gradient * lengths(theta))[theta.is_selected]
    if np.all(shares <= hidden_by(size)):
        return
    instead = (
        "hand over the very arrays that the network reads, and no copies of them; it must compute "
        "anew at each call, and not return what it kept from another"
        if theta.inplace
        else "if the network owns its arrays, hand over those arrays and say inplace=True; else "
        "the cost must use the parameters that it is given, and not what it kept from another call"
    )
    raise ProblemError(
        "unreached-params",
        "the cost does not move with the parameters, near or far, though its gradient is not zero: "
        + instead,
    )
