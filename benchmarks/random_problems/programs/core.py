"""What a drawn problem computes: an output of its parameters, its pullback, and the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .drawing import Drawn
from .tape import Array, Injected

__all__ = ["Core", "Values", "core_of", "hessian_of"]

Values = Sequence[Array]
"""One array a parameter."""


Pull = Callable[[Values, Array], list[Array]]
"""What a backward pass makes of values and an upstream gradient."""


@dataclass(frozen=True)
class Core:
    """An output, and what the chain rule makes of an upstream gradient.

    Attributes
    ----------
    output : callable
        Of the values of all parameters: what the user's function returns.
    pull : callable
        Of the values and an upstream gradient: what the user's backward pass returns.
    exact : callable
        The same without faults, in float64 throughout.
    """

    output: Callable[[Values], Array]
    pull: Pull
    exact: Pull


def core_of(drawn: Drawn, fault: Injected | None) -> Core:
    """Return what a drawn program computes, with a fault in its backward pass or none."""
    program, parameters = drawn.program, drawn.parameters
    shapes = [one.shape for one in drawn.leaves]

    def leaves(values: Values) -> list[Array]:
        whole = list(drawn.leaves)
        for number, value in zip(parameters, values, strict=True):
            whole[number] = value
        return whole

    def pull(values: Values, upstream: Array, broken: Injected | None) -> list[Array]:
        whole = leaves([np.asarray(value, np.float64) for value in values])
        _, tape = program.forward(whole, exact=True)
        if broken is not None and broken.kind == "stale":
            moved = leaves([0.9 * value + 0.03 for value in values])
            with np.errstate(all="ignore"):
                tape[broken.step] = program.forward(moved, exact=True)[1][broken.step]
        found = program.backward(tape, upstream, shapes, broken)
        return [found[number] for number in parameters]

    return Core(
        lambda values: program.forward(leaves(values))[0],
        lambda values, upstream: pull(values, upstream, fault),
        lambda values, upstream: pull(values, upstream, None),
    )


EIGHT_POINTS = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
"""Weights of a difference quotient of the eighth order."""

STEP = 1e-3
"""Of theta's components, which are about 1 where Hessians are drawn."""


def hessian_of(core: Core) -> Core:
    """Return the exact gradient of a cost as an output, with its derivative.

    That of an exact gradient comes from differences of the eighth order, right to some ten digits;
    that of a gradient with a fault is the user's Hessian.
    """

    def gradient(values: Values) -> Array:
        return _flat(core.exact(values, np.ones(())))

    def rows(slopes: Pull, values: Values, upstream: Array) -> list[Array]:
        found = _matrix(lambda moved: _flat(slopes(moved, np.ones(()))), values).T @ upstream
        ends = np.cumsum([value.size for value in values])[:-1]
        parts = np.split(found, ends)
        return [part.reshape(value.shape) for part, value in zip(parts, values, strict=True)]

    return Core(
        gradient,
        lambda values, upstream: rows(core.pull, values, upstream),
        lambda values, upstream: rows(core.exact, values, upstream),
    )


def _flat(arrays: Values) -> Array:
    return np.concatenate([np.ravel(one) for one in arrays])


def _matrix(gradient: Callable[[Values], Array], values: Values) -> Array:
    """Return the derivative of a gradient: a row for each of its components."""
    columns = []
    for number, value in enumerate(values):
        for place in range(value.size):
            column = np.zeros(sum(one.size for one in values))
            for times, weight in EIGHT_POINTS.items():
                for side in (1, -1):
                    moved = [one.copy() for one in values]
                    moved[number].flat[place] += side * times * STEP
                    column += side * weight / STEP * gradient(moved)
            columns.append(column)
    return np.stack(columns, axis=1)
