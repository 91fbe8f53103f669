"""What a drawn problem computes: an output of its parameters, its pullback, and the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .drawing import Drawn
from .tape import Array, Injected

__all__ = ["Core", "Values", "core_of"]

Values = Sequence[Array]
"""One array a parameter."""


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
    pull: Callable[[Values, Array], list[Array]]
    exact: Callable[[Values, Array], list[Array]]


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
        whole = leaves(values)
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
