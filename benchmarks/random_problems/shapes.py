"""How problems are handed over: every call shape, and every kind of container for the params."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytest_gradcheck import L2

from .programs import Array, Core, Values

if TYPE_CHECKING:
    from .problems import Problem

__all__ = ["MANY", "SCALAR", "SHAPES", "Call", "call"]


@dataclass(frozen=True)
class Call:
    """A call of ``check_gradients`` or one of its methods.

    Attributes
    ----------
    method : str
        ``__call__``, ``layer``, ...
    arguments : tuple
    keywords : dict
    named : callable
        From one array a parameter of the problem to arrays by the names that a report uses.
    rows : bool
        Whether outputs are checked one by one, as those of a Jacobian are.
    """

    method: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    named: Callable[[Sequence[Array]], dict[str, Array]]
    rows: bool = False


class Container(NamedTuple):
    """How params are packed, and what their leaves are called then."""

    pack: Callable[[Sequence[Any]], Any]
    unpack: Callable[[Any], list[Any]]
    names: list[str]


class Triple(NamedTuple):
    """A container with fields."""

    first: Any
    second: Any
    third: Any


def _dict(count: int) -> Container:
    names = [f"W{number}" for number in range(count)]
    return Container(
        lambda arrays: dict(zip(names, arrays, strict=True)),
        lambda params: [params[name] for name in names],
        names,
    )


def _list(count: int) -> Container:
    return Container(list, list, [f"[{number}]" for number in range(count)])


def _tuple(count: int) -> Container:
    return Container(tuple, list, [f"[{number}]" for number in range(count)])


def _nested(count: int) -> Container:
    def pack(arrays: Sequence[Any]) -> Any:
        return {"out": arrays[0], "layers": [{"W": one} for one in arrays[1:]], "kind": "net"}

    def unpack(params: Any) -> list[Any]:
        return [params["out"], *(layer["W"] for layer in params["layers"])]

    return Container(pack, unpack, ["out", *(f"layers[{n}].W" for n in range(count - 1))])


def _fields(count: int) -> Container:
    names = [f"field{number}" for number in range(count)]
    made = make_dataclass("Fields", names)
    return Container(
        lambda arrays: made(*arrays),
        lambda params: [getattr(params, name) for name in names],
        names,
    )


def _named_tuple(count: int) -> Container:
    if count != 3:
        return _tuple(count)
    return Container(lambda arrays: Triple(*arrays), list, list(Triple._fields))


CONTAINERS = (_dict, _list, _tuple, _nested, _fields, _named_tuple)


def _container(problem: Problem) -> Container:
    rng = _draws(problem)
    return CONTAINERS[int(rng.integers(len(CONTAINERS)))](len(problem.values))


def _draws(problem: Problem) -> np.random.Generator:
    """Return what decides about details of a call, the same for the same problem."""
    return np.random.default_rng([0x63616C6C, problem.seed])


def _by_name(container: Container) -> Callable[[Sequence[Array]], dict[str, Array]]:
    return lambda arrays: dict(zip(container.names, arrays, strict=True))


ONE = np.ones(())


def _value(core: Core, values: Values) -> float:
    return float(core.output(values))


def _positional(problem: Problem) -> Call:
    core, box = problem.whole, _container(problem)
    return Call(
        "__call__",
        (
            lambda params: _value(core, box.unpack(params)),
            lambda params: box.pack(core.pull(box.unpack(params), ONE)),
            box.pack(problem.values),
        ),
        {},
        _by_name(box),
    )


def _args(problem: Problem) -> Call:
    core, box = problem.whole, _container(problem)
    return Call(
        "__call__",
        (
            lambda params, share, shift: share * _value(core, box.unpack(params)) + shift,
            lambda params, share, shift: box.pack(core.pull(box.unpack(params), ONE * share)),
            box.pack(problem.values),
            1.0,
            0.0,
        ),
        {},
        _by_name(box),
    )


def _joint(problem: Problem) -> Call:
    core, box = problem.whole, _container(problem)

    def loss(params: Any) -> tuple[float, Any, str]:
        values = box.unpack(params)
        return _value(core, values), box.pack(core.pull(values, ONE)), "extra"

    return Call("__call__", (loss, True, box.pack(problem.values)), {}, _by_name(box))


def _data(problem: Problem) -> Call:
    """Return a call by names; a penalty's strength is among them."""
    core, box, penalty = problem.core, _container(problem), problem.penalty
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
    return Call("__call__", (cost, grad, box.pack(problem.values)), {"data": data}, _by_name(box))


def _cached(problem: Problem) -> Call:
    """Return the course's pair: ``forward(X, Y, params)`` and ``backward(X, Y, cache)``."""
    core, box = problem.whole, _dict(len(problem.values))

    def forward(X: Array, Y: Array, parameters: Any) -> tuple[float, Any]:
        values = box.unpack(parameters)
        return _value(core, values), (values,)

    def backward(X: Array, Y: Array, cache: Any) -> dict[str, Array]:
        found = core.pull(cache[0], ONE)
        return {f"d{name}": g for name, g in zip(box.names, found, strict=True)}

    return Call(
        "__call__",
        (forward, backward, box.pack(problem.values)),
        {"data": {"X": np.ones((2, 3)), "Y": np.ones((1, 3))}},
        _by_name(box),
    )


def _split(values: Values) -> tuple[Callable[[Array], list[Array]], Callable[..., Array]]:
    """Return how to take one vector apart, and how to put it together."""
    ends = np.cumsum([value.size for value in values])[:-1]

    def joined(arrays: Sequence[Array]) -> Array:
        return np.concatenate([np.ravel(one) for one in arrays])

    def split(theta: Array) -> list[Array]:
        parts = np.split(theta, ends)
        return [part.reshape(value.shape) for part, value in zip(parts, values, strict=True)]

    return split, joined


def _flat(problem: Problem) -> Call:
    """Return the pair that SciPy's optimizers take: everything in one vector."""
    core, values = problem.whole, problem.values
    split, joined = _split(values)
    return Call(
        "__call__",
        (
            lambda theta: _value(core, split(theta)),
            lambda theta: joined(core.pull(split(theta), ONE)),
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
        return _value(self.core, self.arrays)

    def gradient(self) -> list[Array]:
        """Return the gradients, in arrays that it keeps."""
        found = self.core.pull(self.arrays, ONE)
        if not self.buffers:
            self.buffers = [np.empty_like(one) for one in found]
        for buffer, one in zip(self.buffers, found, strict=True):
            buffer[...] = one
        return self.buffers


def _inplace(problem: Problem) -> Call:
    network = Network(problem.whole, [value.copy() for value in problem.values])
    return Call(
        "__call__",
        (network.loss, network.gradient, network.arrays),
        {"inplace": True},
        _by_name(_list(len(problem.values))),
    )


def _buffered(problem: Problem) -> Call:
    """Return a cost that answers in an array which it uses again."""
    core, box, buffer = problem.whole, _container(problem), np.zeros(())

    def cost(params: Any) -> Array:
        buffer[...] = _value(core, box.unpack(params))
        return buffer

    def grad(params: Any) -> Any:
        return box.pack(core.pull(box.unpack(params), ONE))

    return Call("__call__", (cost, grad, box.pack(problem.values)), {}, _by_name(box))


@dataclass
class Remembering:
    """What SciPy's users write: the last theta is kept, and its results are used again."""

    core: Core
    split: Callable[[Array], list[Array]]
    theta: Array | None = None
    value: float = 0.0
    slopes: list[Array] = field(default_factory=list)

    def _update(self, theta: Array) -> None:
        if self.theta is None or not np.array_equal(self.theta, theta):
            self.theta = theta
            values = self.split(theta)
            self.value, self.slopes = _value(self.core, values), self.core.pull(values, ONE)

    def fun(self, theta: Array) -> float:
        """Return the cost."""
        self._update(theta)
        return self.value

    def jac(self, theta: Array) -> Array:
        """Return the gradient."""
        self._update(theta)
        return np.concatenate([np.ravel(one) for one in self.slopes])


def _remembering(problem: Problem) -> Call:
    flat = _flat(problem)
    split, _ = _split(problem.values)
    model = Remembering(problem.whole, split)
    return Call("__call__", (model.fun, model.jac, flat.arguments[2]), {}, flat.named)


def _regularized(problem: Problem) -> Call:
    """Return a cost without its penalty, which the check is told of."""
    penalty = problem.penalty
    if penalty is None:
        return _joint(problem)
    core, whole, box = problem.core, problem.whole, _dict(len(problem.values))
    only = [name for name, on in zip(box.names, penalty.on, strict=True) if on]
    return Call(
        "__call__",
        (
            lambda params: _value(core, box.unpack(params)),
            lambda params: box.pack(whole.pull(box.unpack(params), ONE)),
            box.pack(problem.values),
        ),
        {"regularization": L2(penalty.lambd, penalty.m, only=only)},
        _by_name(box),
    )


def _signature(function: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    """Give a function of any inputs the arguments' names that it would have been written with."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature([inspect.Parameter(name, kind) for name in names])
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


def _layer(problem: Problem) -> Call:
    core, names = problem.whole, [f"x{number}" for number in range(len(problem.values))]

    def forward(*inputs: Array) -> tuple[Array, Any]:
        return core.output(inputs), inputs

    def backward(dout: Array, cache: Any) -> Any:
        return tuple(core.pull(cache, dout))

    return Call(
        "layer",
        (_signature(forward, names), backward, *problem.values),
        {},
        lambda arrays: dict(zip(names, arrays, strict=True)),
    )


def _pullback(problem: Problem) -> Call:
    core, names = problem.whole, [f"x{number}" for number in range(len(problem.values))]

    def f(*inputs: Array) -> tuple[Array, Callable[[Array], Any]]:
        return core.output(inputs), lambda upstream: tuple(core.pull(inputs, upstream))

    return Call(
        "vjp",
        (_signature(f, names), *problem.values),
        {},
        lambda arrays: dict(zip(names, arrays, strict=True)),
    )


def _rows(core: Core, values: Values) -> list[Array]:
    """Return the Jacobian of every parameter, of the shape of the outputs and its own."""
    out = core.output(values)
    rows = [core.pull(values, upstream) for upstream in np.eye(out.size)]
    return [np.stack(parts) for parts in zip(*rows, strict=True)]


def _jacobian(problem: Problem) -> Call:
    """Return residuals and their Jacobian, a structure like the params."""
    core, box = problem.whole, _container(problem)
    return Call(
        "jacobian",
        (
            lambda params: core.output(box.unpack(params)),
            lambda params: box.pack(_rows(core, box.unpack(params))),
            box.pack(problem.values),
        ),
        {},
        _by_name(box),
        rows=True,
    )


def _dense_jacobian(problem: Problem) -> Call:
    """Return what SciPy's least_squares takes: residuals, and a matrix, of one vector."""
    core, values = problem.whole, problem.values
    split, joined = _split(values)

    def matrix(theta: Array) -> Array:
        parts = _rows(core, split(theta))
        return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)

    return Call(
        "jacobian",
        (lambda theta: core.output(split(theta)), matrix, joined(values)),
        {},
        lambda arrays: {"theta": np.concatenate(arrays, axis=1)},
        rows=True,
    )


Shape = Callable[["Problem"], Call]

SCALAR: Mapping[str, Shape] = {
    "positional": _positional,
    "args": _args,
    "joint": _joint,
    "data": _data,
    "cached": _cached,
    "flat": _flat,
    "inplace": _inplace,
    "buffered": _buffered,
    "remembering": _remembering,
    "regularized": _regularized,
}
"""Call shapes of a cost."""

MANY: Mapping[str, Shape] = {**SCALAR, "layer": _layer, "vjp": _pullback}
"""Those for many components."""

SHAPES: Mapping[str, Shape] = {
    **MANY,
    "jacobian": _jacobian,
    "dense jacobian": _dense_jacobian,
}
"""All of them."""


def call(problem: Problem) -> Call:
    """Return the call that checks a problem."""
    return SHAPES[problem.shape](problem)
