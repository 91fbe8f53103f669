"""What a call of a check is, and the containers that params come in."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, make_dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..programs import Array, Core, Values

if TYPE_CHECKING:
    from ..problems import Problem

__all__ = [
    "ONE",
    "Call",
    "Shape",
    "by_name",
    "container",
    "dictionary",
    "listed",
    "nested",
    "signed",
    "split",
    "value",
]


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


def dictionary(count: int) -> Container:
    """Return a dict of arrays."""
    names = [f"W{number}" for number in range(count)]
    return Container(
        lambda arrays: dict(zip(names, arrays, strict=True)),
        lambda params: [params[name] for name in names],
        names,
    )


def listed(count: int) -> Container:
    """Return a list of arrays."""
    return Container(list, list, [f"[{number}]" for number in range(count)])


def _tuple(count: int) -> Container:
    return Container(tuple, list, [f"[{number}]" for number in range(count)])


def nested(count: int) -> Container:
    """Return a network as dicts and a list, with a string in it."""

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


CONTAINERS = (dictionary, listed, _tuple, nested, _fields, _named_tuple)


def container(problem: Problem) -> Container:
    """Return the container of a problem, one of all kinds."""
    rng = _draws(problem)
    return CONTAINERS[int(rng.integers(len(CONTAINERS)))](len(problem.values))


def _draws(problem: Problem) -> np.random.Generator:
    """Return what decides about details of a call, the same for the same problem."""
    return np.random.default_rng([0x63616C6C, problem.seed])


def by_name(container: Container) -> Callable[[Sequence[Array]], dict[str, Array]]:
    """Return how to name one array a parameter, in a container."""
    return lambda arrays: dict(zip(container.names, arrays, strict=True))


ONE = np.ones(())


def value(core: Core, values: Values) -> float:
    """Return a cost as a number."""
    return float(core.output(values))


def split(values: Values) -> tuple[Callable[[Array], list[Array]], Callable[..., Array]]:
    """Return how to take one vector apart, and how to put it together."""
    ends = np.cumsum([value.size for value in values])[:-1]

    def joined(arrays: Sequence[Array]) -> Array:
        return np.concatenate([np.ravel(one) for one in arrays])

    def split(theta: Array) -> list[Array]:
        parts = np.split(theta, ends)
        return [part.reshape(value.shape) for part, value in zip(parts, values, strict=True)]

    return split, joined


def signed(function: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    """Give a function of any inputs the arguments' names that it would have been written with."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature([inspect.Parameter(name, kind) for name in names])
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


Shape = Callable[["Problem"], Call]
"""Hands a problem over."""
