"""Call shapes of many outputs: layers, pullbacks, Jacobians, pushforwards, Hessians."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..programs import Array, Core, Values
from .calls import Call, by_name, container, signed, split

if TYPE_CHECKING:
    from ..problems import Problem


def layer(problem: Problem) -> Call:
    """Return a forward and a backward pass."""
    core, names = problem.whole, [f"x{number}" for number in range(len(problem.values))]

    def forward(*inputs: Array) -> tuple[Array, Any]:
        return core.output(inputs), inputs

    def backward(dout: Array, cache: Any) -> Any:
        return tuple(core.pull(cache, dout))

    return Call(
        "layer",
        (signed(forward, names), backward, *problem.values),
        {},
        lambda arrays: dict(zip(names, arrays, strict=True)),
    )


class Layer:
    """An object with arrays of its own, whose backward pass leaves their gradients beside them."""

    def __init__(self, core: Core, arrays: Sequence[Array]) -> None:
        self._core, self._names = core, [f"W{number}" for number in range(len(arrays))]
        for name, array in zip(self._names, arrays, strict=True):
            setattr(self, name, array)
            setattr(self, f"d{name}", None)
        self._kept: list[Array] = []

    def forward(self, x: Array) -> Array:
        """Return the output."""
        self._kept = [x, *(getattr(self, name) for name in self._names)]
        return self._core.output(self._kept)

    def backward(self, dout: Array) -> Array:
        """Return the gradient of x."""
        dx, *rest = self._core.pull(self._kept, dout)
        for name, found in zip(self._names, rest, strict=True):
            setattr(self, f"d{name}", found)
        return dx


def layer_object(problem: Problem) -> Call:
    """Return a layer object and its input; its own arrays are checked in place."""
    first, *rest = problem.values
    made = Layer(problem.whole, [one.copy() for one in rest])
    names = ["x", *(f"W{number}" for number in range(len(rest)))]
    return Call("layer", (made, first), {}, lambda arrays: dict(zip(names, arrays, strict=True)))


def pullback(problem: Problem) -> Call:
    """Return a function that returns its pullback."""
    core, names = problem.whole, [f"x{number}" for number in range(len(problem.values))]

    def f(*inputs: Array) -> tuple[Array, Callable[[Array], Any]]:
        return core.output(inputs), lambda upstream: tuple(core.pull(inputs, upstream))

    return Call(
        "vjp",
        (signed(f, names), *problem.values),
        {},
        lambda arrays: dict(zip(names, arrays, strict=True)),
    )


def _rows(core: Core, values: Values) -> list[Array]:
    """Return the Jacobian of every parameter, of the shape of the outputs and its own."""
    out = core.output(values)
    rows = [core.pull(values, upstream) for upstream in np.eye(out.size)]
    return [np.stack(parts) for parts in zip(*rows, strict=True)]


def jacobian(problem: Problem) -> Call:
    """Return residuals and their Jacobian, a structure like the params."""
    core, box = problem.whole, container(problem)
    return Call(
        "jacobian",
        (
            lambda params: core.output(box.unpack(params)),
            lambda params: box.pack(_rows(core, box.unpack(params))),
            box.pack(problem.values),
        ),
        {},
        by_name(box),
        rows=True,
    )


def dense_jacobian(problem: Problem) -> Call:
    """Return what SciPy's least_squares takes: residuals, and a matrix, of one vector."""
    core, values = problem.whole, problem.values
    apart, joined = split(values)

    def matrix(theta: Array) -> Array:
        parts = _rows(core, apart(theta))
        return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)

    return Call(
        "jacobian",
        (lambda theta: core.output(apart(theta)), matrix, joined(values)),
        {},
        lambda arrays: {"theta": np.concatenate(arrays, axis=1)},
        rows=True,
    )


def pushforward(problem: Problem) -> Call:
    """Return a function and its pushforward: inputs and tangents go in, tangents come out."""
    core, names = problem.whole, [f"x{number}" for number in range(len(problem.values))]

    def f(*inputs: Array) -> Array:
        return core.output(inputs)

    def jvp(*both: Array) -> Array:
        inputs, tangents = both[: len(names)], both[len(names) :]
        size = core.output(inputs).size
        found = np.zeros(size)
        for part, tangent in zip(_rows(core, inputs), tangents, strict=True):
            found += part.reshape(size, -1) @ np.ravel(tangent)
        return found

    return Call(
        "jvp",
        (signed(f, names), jvp, *problem.values),
        {},
        lambda arrays: dict(zip(names, arrays, strict=True)),
        rows=True,
    )


def hessian(problem: Problem) -> Call:
    """Return the exact gradient of a cost, and its Hessian as one matrix."""
    core, values = problem.subject, problem.values
    apart, joined = split(values)

    def matrix(theta: Array) -> Array:
        parts = _rows(core, apart(theta))
        return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)

    return Call(
        "hessian",
        (lambda theta: core.output(apart(theta)), matrix, joined(values)),
        {},
        lambda arrays: {"theta": np.concatenate(arrays, axis=1)},
        rows=True,
    )
