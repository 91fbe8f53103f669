"""The layout of theta: the parameters of a structure, their names, shapes and slices.

`lay_out` walks any nesting of dicts, lists, tuples, named tuples, dataclasses and object arrays
once, and gives every float leaf a slice of one flat vector. No number is written here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.params.frameworks import Taken
from pytest_gradcheck.params.frameworks.taken import digits_of
from pytest_gradcheck.params.objects import attributes_of, holds_floats
from pytest_gradcheck.params.tree import (
    Branch,
    Flattener,
    Leaf,
    Node,
    PathEntry,
    Static,
    assign,
    children_of,
    describe,
    foreign_children,
    is_immutable,
    leaves,
)
from pytest_gradcheck.settings import nearest

FloatArray = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

Selection = slice | Indices
"""Components of theta: a slice, or their numbers in ascending order."""

PARTS = ("real", "imag")
"""The parts of a complex number, as NumPy calls them."""

WHOLE = "theta"
"""The name of a parameter that is the whole of params."""


def scatter(part: npt.NDArray[Any], place: Selection, size: int, fill: Any = 0) -> npt.NDArray[Any]:
    """Return values over the whole of theta from those in a place, and `fill` elsewhere."""
    if part.size == size:
        return part
    result = np.full(size, fill, part.dtype)
    result[place] = part
    return result


@dataclass(frozen=True)
class Parameter:
    """One float leaf: its name, its shape, and its place in theta.

    Attributes
    ----------
    name : str
        ``W1``, ``layers[0].bias``, ``theta`` (params is one array), ``[1]`` (params is a list).
    shape : tuple of int
        Empty for a scalar. A complex parameter has a last axis of two: real and imaginary part.
    start, stop : int
        Its slice of theta.
    dtype : numpy dtype
        The user's own.
    scalar : bool
        Whether the leaf is a Python or NumPy scalar, of which there is no view.
    digits : int
        Binary digits of the numbers that the functions get: 53 for float64, 24 for float32.
    """

    name: str
    shape: tuple[int, ...]
    start: int
    stop: int
    dtype: np.dtype[Any]
    scalar: bool
    digits: int = 53

    @property
    def size(self) -> int:
        """Number of components."""
        return self.stop - self.start

    @property
    def slice(self) -> slice:
        """Its slice of theta."""
        return slice(self.start, self.stop)

    @property
    def is_complex(self) -> bool:
        """Whether its components are the real and imaginary parts of complex numbers."""
        return self.dtype.kind == "c"

    @property
    def leaf_shape(self) -> tuple[int, ...]:
        """The shape of the user's array."""
        return self.shape[:-1] if self.is_complex else self.shape

    @property
    def leaf_size(self) -> int:
        """The number of the user's numbers, complex ones counted once."""
        return self.size // 2 if self.is_complex else self.size

    def shaped(self, values: FloatArray) -> npt.NDArray[Any]:
        """Return components, along the last axis of an array, in the shape of the user's array.

        The result is a view, complex if the user's array is.
        """
        lead = values.shape[:-1]
        if not self.is_complex:
            return values.reshape((*lead, *self.shape))
        pairs: npt.NDArray[Any] = values.view(np.complex128)
        return pairs.reshape((*lead, *self.leaf_shape))

    def index(self, component: int) -> tuple[int, ...]:
        """Return the index, within the parameter, of a component of theta.

        For a complex number it ends with 0, the real part, or 1, the imaginary part.
        """
        return tuple(int(i) for i in np.unravel_index(component - self.start, self.shape))

    def indices(self, components: Indices) -> list[tuple[int, ...]]:
        """Return the indices of several components of theta; see `index`."""
        if not self.shape:
            return [()] * components.size
        places = np.unravel_index(components - self.start, self.shape)
        return list(zip(*map(np.ndarray.tolist, places), strict=True))

    def component_name(self, index: tuple[int, ...]) -> str:
        """Return the expression by which a user reads a component: ``W1[3, 7]``, ``z[3].imag``."""
        if self.is_complex and index:
            return f"{self._named(index[:-1])}.{PARTS[index[-1]]}"
        return self._named(index)

    def _named(self, index: tuple[int, ...]) -> str:
        return f"{self.name}[{', '.join(map(str, index))}]" if index else self.name

    @property
    def _real_dtype(self) -> np.dtype[Any]:
        return np.empty(0, self.dtype).real.dtype

    def rounded(self, values: FloatArray) -> FloatArray:
        """Return `values` rounded to the precision that the functions get."""
        if self.digits >= 53:
            return values
        if digits_of(self.dtype) == self.digits:
            return values.astype(self._real_dtype).astype(np.float64)
        mantissa, exponent = np.frexp(values)
        rounded = np.round(np.ldexp(mantissa, self.digits))
        return np.asarray(np.ldexp(rounded, exponent - self.digits), np.float64)

    def spacing(self, value: float) -> float:
        """Return the distance from `value` to the next number of that precision."""
        if self.digits >= 53:
            return float(np.spacing(abs(value)))
        if digits_of(self.dtype) == self.digits:
            return float(np.spacing(np.abs(np.asarray(value, self._real_dtype))))
        return float(np.ldexp(1.0, int(np.frexp(value)[1]) - self.digits)) if value else 1e-38


class Owned(NamedTuple):
    """The place of a parameter in the user's structure.

    Attributes
    ----------
    holder : object
        The container that holds the leaf, or None if params is the leaf.
    key : Key or None
        The step from the holder to the leaf.
    leaf : object
        The leaf itself.
    write : callable, optional
        Writes numbers to the original of a copied leaf: a tensor of a framework.
    """

    holder: Any
    key: PathEntry | None
    leaf: Any
    write: Callable[[Any], None] | None = None


@dataclass(frozen=True)
class Layout:
    """The parameters of a structure, and how the structure holds them.

    Attributes
    ----------
    parameters : tuple of Parameter
        Every float leaf, in the order of the structure.
    selected : tuple of Parameter
        Those that are checked.
    root : Node
        The structure, to walk another one in parallel.
    owned : tuple of Owned
        The places of the parameters.
    holders : tuple of Branch
        The user's containers that hold a parameter somewhere below.
    starts, sizes : int arrays
        The start of each parameter in theta, and how many components it has.
    numbered : tuple of (int, Parameter)
        The parameters that are checked, each with its number, in the order of theta.
    selected_numbers : frozenset of int
        Their numbers.
    foreign_numbers : frozenset of int
        The numbers of parameters in containers or arrays of other libraries.
    is_coarse : bool
        Whether the functions get some parameter in less precision than float64.
    """

    parameters: tuple[Parameter, ...]
    selected: tuple[Parameter, ...]
    root: Node
    owned: tuple[Owned, ...]
    holders: tuple[Branch, ...]
    starts: Indices
    sizes: Indices
    numbered: tuple[tuple[int, Parameter], ...]
    selected_numbers: frozenset[int]
    foreign_numbers: frozenset[int]
    is_coarse: bool

    @property
    def checked_size(self) -> int:
        """How many components are checked."""
        return sum(parameter.size for parameter in self.selected)

    @property
    def is_rebuilt(self) -> bool:
        """Whether some leaf has no view, so that each call gets a new structure."""
        return bool(self.foreign_numbers) or any(p.scalar for p in self.parameters)

    @cached_property
    def is_selected(self) -> npt.NDArray[np.bool_]:
        """Which components of theta are checked."""
        chosen = np.zeros(len(self.parameters), np.bool_)
        chosen[list(self.selected_numbers)] = True
        return np.repeat(chosen, self.sizes)

    def owners(self, numbers: Indices) -> Indices:
        """Return the number of the parameter of every component."""
        return np.searchsorted(self.starts, numbers, "right") - 1

    def owner(self, number: int) -> Parameter:
        """Return the parameter of a component."""
        return self.parameters[int(self.owners(np.array(number)))]

    @cached_property
    def _all_pieces(self) -> list[tuple[int, Selection, slice]]:
        """The pieces of the whole of theta, cached for moves along dense vectors."""
        return [(n, slice(0, p.size), p.slice) for n, p in enumerate(self.parameters)]

    def pieces(self, place: Selection) -> Iterator[tuple[int, Selection, slice]]:
        """Yield for each parameter its number, its components, and their positions in `place`."""
        if isinstance(place, slice):
            if (place.start, place.stop) == (0, self.parameters[-1].stop):
                yield from self._all_pieces
                return
            ends = place.start, place.stop - 1
        elif place.size:
            ends = int(place[0]), int(place[-1])
        else:
            return
        lowest, highest = self.owners(np.array(ends)).tolist()
        for number in range(lowest, highest + 1):
            parameter = self.parameters[number]
            if isinstance(place, slice):
                first, last = max(place.start, parameter.start), min(place.stop, parameter.stop)
                if first < last:
                    there = slice(first - parameter.start, last - parameter.start)
                    yield number, there, slice(first - place.start, last - place.start)
            else:
                low, high = np.searchsorted(place, (parameter.start, parameter.stop))
                if low < high:
                    yield number, place[low:high] - parameter.start, slice(low, high)


def lay_out(
    params: Any,
    only: Sequence[str] = (),
    exclude: Sequence[str] = (),
    foreign: Flattener | None = None,
    inplace: bool = False,
) -> Layout:
    """Give every float leaf of a structure its place in theta.

    Parameters
    ----------
    params : any nesting of containers
    only, exclude : sequences of str
        Names or glob patterns of the parameters to check; the others are held fixed.
    foreign : callable, optional
        Takes containers and arrays apart that only others know.
    inplace : bool
        Whether the user's own arrays are perturbed. A container may then hold itself, while no copy
        of such a structure is a tree; and numbers have the digits of their arrays.

    Raises
    ------
    ProblemError
        ``no-parameters``, ``unknown-params``, ``tied-params`` or ``bad-setting``.

    Examples
    --------
    >>> layout = lay_out({"W1": np.zeros((2, 3)), "b1": 0.5, "depth": 2})
    >>> [(parameter.name, parameter.size) for parameter in layout.parameters]
    [('W1', 6), ('b1', 1)]
    """
    walk = _Walk(foreign, inplace)
    root = walk.node(params, "", None, None)
    if not walk.parameters:
        raise ProblemError("no-parameters", _nothing_found(params))
    parameters = tuple(walk.parameters)
    selected = _select(parameters, only, exclude)
    kept = {parameter.start for parameter in selected}
    numbered = tuple((n, p) for n, p in enumerate(parameters) if p.start in kept)
    return Layout(
        parameters,
        selected,
        root,
        tuple(walk.owned),
        tuple(walk.holders),
        starts=np.array([parameter.start for parameter in parameters]),
        sizes=np.array([parameter.size for parameter in parameters]),
        numbered=numbered,
        selected_numbers=frozenset(number for number, _ in numbered),
        foreign_numbers=frozenset(_foreign_leaves(root)),
        is_coarse=any(parameter.digits < 53 for parameter in parameters),
    )


class _Walk:
    """One walk through a structure, and what it has met so far."""

    def __init__(self, foreign: Flattener | None, inplace: bool) -> None:
        self._foreign, self._inplace = foreign, inplace
        self._open: set[int] = set()
        self.parameters: list[Parameter] = []
        self.owned: list[Owned] = []
        self.holders: list[Branch] = []

    def node(self, value: Any, name: str, key: PathEntry | None, holder: Any) -> Node:
        """Return the structure of a value that stands at a step of its holder."""
        foreign = foreign_children(value, self._foreign)
        children = _children(value) if foreign is None else foreign.children
        if children is None:
            return self._leaf(value, name, key, holder)
        if id(value) in self._open:
            return self._closed_circle(value, name)
        self._open.add(id(value))
        nodes = []
        for step, item in children:
            nodes.append(self.node(item, name + step.text(not name), step, value))
        self._open.remove(id(value))
        if foreign is not None and children and children[0][0].kind == "whole":
            self._complete(nodes[0], foreign.taken, key, holder)
        if all(isinstance(node, Static) for node in nodes):
            return Static(value)
        keys, items = zip(*children, strict=True)
        branch = Branch(keys, tuple(nodes), value, items, foreign)
        if foreign is None:
            self.holders.append(branch)
        return branch

    def _complete(self, node: Node, taken: Taken, key: PathEntry | None, holder: Any) -> None:
        """Add to the leaf of a framework's array what only its adapter knows."""
        if not isinstance(node, Leaf):
            return
        number, write = node.number, taken.write
        self.parameters[number] = replace(self.parameters[number], digits=taken.digits)
        if taken.is_fixed and key is not None and not is_immutable(holder):
            write = partial(_replace, holder, key, taken)
        self.owned[number] = self.owned[number]._replace(write=write)

    def _closed_circle(self, value: Any, name: str) -> Static:
        """Stop at a container that holds itself: harmless in place, no copy of it is a tree."""
        if self._inplace:
            return Static(value)
        raise ProblemError(
            "tied-params",
            f"{name or WHOLE} is a container that holds itself: leave it out of params, or say "
            "inplace=True if the network owns its arrays",
        )

    def _leaf(self, value: Any, name: str, key: PathEntry | None, holder: Any) -> Node:
        if isinstance(value, np.ma.MaskedArray) and holds_floats(value) and np.ma.is_masked(value):
            raise ProblemError("unknown-params", _masked(name or WHOLE))
        if not isinstance(value, (np.ndarray, np.generic, float, complex)):
            if holds_floats(value):
                raise ProblemError("unknown-params", _unknown(value, name or WHOLE))
            return Static(value)
        array = np.asarray(value)
        if array.dtype.kind not in "fc" or array.size == 0:
            if array.dtype.kind in "OV" and holds_floats(array):
                raise ProblemError("unknown-params", _unknown(value, name or WHOLE))
            return Static(value)
        start = self.parameters[-1].stop if self.parameters else 0
        shape = (*array.shape, 2) if array.dtype.kind == "c" else array.shape
        stop, scalar = start + math.prod(shape), not isinstance(value, np.ndarray)
        digits = digits_of(array.dtype) if self._inplace else 53
        self.parameters.append(
            Parameter(name or WHOLE, shape, start, stop, array.dtype, scalar, digits)
        )
        self.owned.append(Owned(holder, key, value))
        return Leaf(len(self.parameters) - 1)


def _children(value: Any) -> list[tuple[PathEntry, Any]] | None:
    """Return the children of a container or an object, or None for anything else."""
    children = children_of(value)
    return attributes_of(value) if children is None else children


def _replace(holder: Any, key: PathEntry, taken: Taken, numbers: Any) -> None:
    """Replace an immutable array of a framework by one of other numbers."""
    assign(holder, key, taken.rebuild(numbers))


def _unknown(value: Any, name: str) -> str:
    kind = type(value).__name__
    return (
        f"{name} is {describe(value)}, which holds floats and cannot be taken apart, so it would "
        "go unchecked. Hand over its numbers as arrays, or say in conftest.py how it is taken "
        "apart:\n"
        "    def pytest_gradcheck_flatten(value):\n"
        f"        if isinstance(value, {kind}):\n"
        f"            return value.to_numpy(), {kind}.from_numpy  # its numbers; what makes another"
    )


def _masked(name: str) -> str:
    return (
        f"{name} is a masked array, and a masked entry is no parameter: hand over "
        f"{name}.compressed(), or {name}.data with all of its entries"
    )


def _foreign_leaves(node: Node) -> Iterator[int]:
    """Yield the numbers of the parameters in foreign containers and arrays."""
    if not isinstance(node, Branch):
        return
    if node.foreign is not None:
        yield from leaves(node)
        return
    for child in node.children:
        yield from _foreign_leaves(child)


def _select(
    parameters: tuple[Parameter, ...], only: Sequence[str], exclude: Sequence[str]
) -> tuple[Parameter, ...]:
    if not only and not exclude:
        return parameters
    names = [parameter.name for parameter in parameters]
    for setting, patterns in (("only", only), ("exclude", exclude)):
        for pattern in patterns:
            if not any(_matches(name, pattern) for name in names):
                raise ProblemError(
                    "bad-setting",
                    f"{setting}={pattern!r} matches no parameter{nearest(pattern, names)}; "
                    f"there are {', '.join(names)}",
                )
    kept = [
        parameter
        for parameter in parameters
        if (not only or any(_matches(parameter.name, pattern) for pattern in only))
        and not any(_matches(parameter.name, pattern) for pattern in exclude)
    ]
    if not kept:
        raise ProblemError(
            "bad-setting",
            "only and exclude together leave no parameter to check; relax one of them",
        )
    return tuple(kept)


def _matches(name: str, pattern: str) -> bool:
    """Match a name against a pattern; brackets (``[1]``) also match literally."""
    return name == pattern or fnmatchcase(name, pattern)


def _nothing_found(params: Any) -> str:
    what = f"params is {describe(params)}"
    if isinstance(params, np.ndarray) and params.dtype.kind in "iub":
        return f"{what}, and integers are held fixed: hand over params.astype(float)"
    if isinstance(params, int):
        return f"{what}, and integers are held fixed: write {params}.0"
    children = children_of(params)
    if children:
        inside = ", ".join(f"{key.text(True)} ({describe(item)})" for key, item in children[:5])
        return (
            f"{what} with {inside}: no float array or number among them. "
            "Integers are held fixed: convert what is to be checked with .astype(float); other "
            "types are taken apart by a hook of yours, pytest_gradcheck_flatten"
        )
    return (
        f"{what}: hand over its float arrays in a dict, a list or one array, or let a hook of "
        "yours, pytest_gradcheck_flatten, take it apart"
    )
