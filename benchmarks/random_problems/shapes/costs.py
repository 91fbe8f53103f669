"""Call shapes of a cost and its gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_gradcheck import L2

from ..programs import Array, Core
from .calls import ONE, Call, by_name, container, dictionary, listed, nested, split, value

if TYPE_CHECKING:
    from ..problems import Problem


def positional(problem: Problem) -> Call:
    """Return two functions of the params."""
    core, box = problem.whole, container(problem)
    return Call(
        "__call__",
        (
            lambda params: value(core, box.unpack(params)),
            lambda params: box.pack(core.pull(box.unpack(params), ONE)),
            box.pack(problem.values),
        ),
        {},
        by_name(box),
    )


def args(problem: Problem) -> Call:
    """Return two functions with further positional arguments."""
    core, box = problem.whole, container(problem)
    return Call(
        "__call__",
        (
            lambda params, share, shift: share * value(core, box.unpack(params)) + shift,
            lambda params, share, shift: box.pack(core.pull(box.unpack(params), ONE * share)),
            box.pack(problem.values),
            1.0,
            0.0,
        ),
        {},
        by_name(box),
    )


def joint(problem: Problem) -> Call:
    """Return one function of cost and gradients, and more."""
    core, box = problem.whole, container(problem)

    def loss(params: Any) -> tuple[float, Any, str]:
        values = box.unpack(params)
        return value(core, values), box.pack(core.pull(values, ONE)), "extra"

    return Call("__call__", (loss, True, box.pack(problem.values)), {}, by_name(box))


def data(problem: Problem) -> Call:
    """Return a call by names; a penalty's strength is among them."""
    core, box, penalty = problem.core, container(problem), problem.penalty
    share = np.ones(())

    def cost(params: Any, share: Array, lambd: float) -> float:
        values = box.unpack(params)
        more = 0.0 if penalty is None else penalty.value(values, lambd)
        return float(core.output(values) * share) + more

    def grad(params: Any, lambd: float) -> Any:
        values = box.unpack(params)
        found = core.pull(values, ONE)
        if penalty is not None:
            slopes = penalty.slopes(values, lambd, penalty.fault)
            found = [g + s for g, s in zip(found, slopes, strict=True)]
        return box.pack(found)

    data = {"share": share, "lambd": 0.0 if penalty is None else penalty.lambd}
    return Call("__call__", (cost, grad, box.pack(problem.values)), {"data": data}, by_name(box))


def cached(problem: Problem) -> Call:
    """Return the course's pair: ``forward(X, Y, params)`` and ``backward(X, Y, cache)``."""
    core, box = problem.whole, dictionary(len(problem.values))

    def forward(X: Array, Y: Array, parameters: Any) -> tuple[float, Any]:
        values = box.unpack(parameters)
        return value(core, values), (values,)

    def backward(X: Array, Y: Array, cache: Any) -> dict[str, Array]:
        found = core.pull(cache[0], ONE)
        return {f"d{name}": g for name, g in zip(box.names, found, strict=True)}

    return Call(
        "__call__",
        (forward, backward, box.pack(problem.values)),
        {"data": {"X": np.ones((2, 3)), "Y": np.ones((1, 3))}},
        by_name(box),
    )


def flat(problem: Problem) -> Call:
    """Return the pair that SciPy's optimizers take: everything in one vector."""
    core, values = problem.whole, problem.values
    apart, joined = split(values)
    return Call(
        "__call__",
        (
            lambda theta: value(core, apart(theta)),
            lambda theta: joined(core.pull(apart(theta), ONE)),
            joined(values),
        ),
        {},
        lambda arrays: {"theta": joined(arrays)},
    )


@dataclass
class Network:
    """An object that owns its arrays, and the buffers that it answers in."""

    core: Core
    arrays: list[Array]
    buffers: list[Array] = field(default_factory=list)

    def loss(self) -> float:
        """Return the cost of its own arrays."""
        return value(self.core, self.arrays)

    def gradient(self) -> list[Array]:
        """Return the gradients, in arrays that it keeps."""
        found = self.core.pull(self.arrays, ONE)
        if not self.buffers:
            self.buffers = [np.empty_like(one) for one in found]
        for buffer, one in zip(self.buffers, found, strict=True):
            buffer[...] = one
        return self.buffers


def inplace(problem: Problem) -> Call:
    """Return methods of an object that owns its arrays, and the arrays."""
    network = Network(problem.whole, [value.copy() for value in problem.values])
    return Call(
        "__call__",
        (network.loss, network.gradient, network.arrays),
        {"inplace": True},
        by_name(listed(len(problem.values))),
    )


def buffered(problem: Problem) -> Call:
    """Return a cost that answers in an array which it uses again."""
    core, box, buffer = problem.whole, container(problem), np.zeros(())

    def cost(params: Any) -> Array:
        buffer[...] = value(core, box.unpack(params))
        return buffer

    def grad(params: Any) -> Any:
        return box.pack(core.pull(box.unpack(params), ONE))

    return Call("__call__", (cost, grad, box.pack(problem.values)), {}, by_name(box))


@dataclass
class Remembering:
    """What SciPy's users write: the last theta is kept, and its results are used again."""

    core: Core
    apart: Callable[[Array], list[Array]]
    theta: Array | None = None
    value: float = 0.0
    slopes: list[Array] = field(default_factory=list)

    def _update(self, theta: Array) -> None:
        if self.theta is None or not np.array_equal(self.theta, theta):
            self.theta = theta
            values = self.apart(theta)
            self.value, self.slopes = value(self.core, values), self.core.pull(values, ONE)

    def fun(self, theta: Array) -> float:
        """Return the cost."""
        self._update(theta)
        return self.value

    def jac(self, theta: Array) -> Array:
        """Return the gradient."""
        self._update(theta)
        return np.concatenate([np.ravel(one) for one in self.slopes])


def remembering(problem: Problem) -> Call:
    """Return methods that keep theta by reference."""
    vector = flat(problem)
    apart, _ = split(problem.values)
    model = Remembering(problem.whole, apart)
    return Call("__call__", (model.fun, model.jac, vector.arguments[2]), {}, vector.named)


def regularized(problem: Problem) -> Call:
    """Return a cost without its penalty, which the check is told of."""
    penalty = problem.penalty
    if penalty is None:
        return joint(problem)
    core, whole, box = problem.core, problem.whole, dictionary(len(problem.values))
    only = [name for name, on in zip(box.names, penalty.on, strict=True) if on]
    return Call(
        "__call__",
        (
            lambda params: value(core, box.unpack(params)),
            lambda params: box.pack(whole.pull(box.unpack(params), ONE)),
            box.pack(problem.values),
        ),
        {"regularization": L2(penalty.lambd, penalty.m, only=only)},
        by_name(box),
    )


@dataclass
class Part:
    """A layer object: its array is one of its attributes."""

    W: Array


class Owner:
    """A network object whose attributes hold objects that hold the arrays."""

    def __init__(self, core: Core, arrays: Sequence[Array]) -> None:
        self.out = arrays[0]
        self.layers = [Part(one) for one in arrays[1:]]
        self.name = "net"
        self._core = core

    def arrays(self) -> list[Array]:
        """Return what it is made of."""
        return [self.out, *(layer.W for layer in self.layers)]

    def loss(self) -> float:
        """Return the cost of its own arrays."""
        return value(self._core, self.arrays())

    def gradient(self) -> list[Array]:
        """Return the gradients, in the order of the arrays."""
        return self._core.pull(self.arrays(), ONE)


def object_(problem: Problem) -> Call:
    """Return methods of an object that owns its arrays, and the object."""
    owner = Owner(problem.whole, [value.copy() for value in problem.values])
    names = nested(len(problem.values)).names
    return Call(
        "__call__",
        (owner.loss, owner.gradient, owner),
        {"inplace": True},
        lambda arrays: dict(zip(names, arrays, strict=True)),
    )


def complex_(problem: Problem) -> Call:
    """Return a cost of one complex vector, whose parts are the components of all parameters."""
    core, values = problem.whole, problem.values
    apart, joined = split(values)
    size = sum(one.size for one in values)

    def parts(arrays: Sequence[Array]) -> Array:
        return np.append(joined(arrays), np.zeros(size % 2)).reshape(-1, 2)

    def real(z: Array) -> list[Array]:
        return apart(np.stack([z.real, z.imag], axis=1).ravel()[:size])

    def packed(arrays: Sequence[Array]) -> Array:
        both = parts(arrays)
        return np.asarray(both[:, 0] + 1j * both[:, 1])

    return Call(
        "__call__",
        (
            lambda z: value(core, real(z)),
            lambda z: packed(core.pull(real(z), ONE)),
            packed(values),
        ),
        {},
        lambda arrays: {"theta": parts(arrays)},
    )


def batched(problem: Problem) -> Call:
    """Return a cost that takes many thetas, on a leading axis of every array."""
    core, box = problem.whole, dictionary(len(problem.values))

    def cost(params: Any) -> Any:
        arrays = box.unpack(params)
        if arrays[0].ndim == problem.values[0].ndim:
            return value(core, arrays)
        return np.array([value(core, row) for row in zip(*arrays, strict=True)])

    return Call(
        "__call__",
        (
            cost,
            lambda params: box.pack(core.pull(box.unpack(params), ONE)),
            box.pack(problem.values),
        ),
        {"batched": True},
        by_name(box),
    )
