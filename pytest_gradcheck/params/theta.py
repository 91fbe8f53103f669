"""theta: the parameters of a cost as one flat float64 vector, and the names of its components.

`Theta` walks any nesting of dicts, lists, tuples, named tuples, dataclasses and object arrays, and
lays every float leaf out in one vector. The structure that the user's functions receive is built
once, its arrays being views into that vector: to perturb a component is to write one number. Under
``inplace`` the numbers are written into the user's own arrays instead, and put back.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.params.tree import (
    ABSENT,
    Branch,
    Fixed,
    Foreign,
    Key,
    Leaf,
    Node,
    apart,
    assign,
    children_of,
    described,
    frozen,
    held,
    leaves,
    opened,
    refill,
)
from pytest_gradcheck.settings import nearest

__all__ = ["Cells", "FloatArray", "Numbers", "Parameter", "Place", "Theta", "spread"]

FloatArray = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.intp]

Place = slice | Numbers
"""Components of theta: a run of them, or any by their numbers in ascending order."""


def spread(part: npt.NDArray[Any], place: Place, size: int, fill: Any = 0) -> npt.NDArray[Any]:
    """Return values over the whole of theta from those in a place, and `fill` elsewhere."""
    if part.size == size:
        return part
    result = np.full(size, fill, part.dtype)
    result[place] = part
    return result


WHOLE = "theta"
"""The name of a parameter that is all there is."""

Owned = tuple[Any, Key | None, Any]
"""Where the user keeps a parameter: its container, the step to it, and the leaf itself."""


@dataclass(frozen=True)
class Parameter:
    """One float leaf: its name, its shape, and its place in theta.

    Attributes
    ----------
    name : str
        ``W1``, ``layers[0].bias``, ``theta`` (params is one array), ``[1]`` (params is a list).
    shape : tuple of int
        Empty for a scalar.
    start, stop : int
        Its slice of theta.
    dtype : numpy dtype
        The user's own, whatever it is checked in.
    scalar : bool
        Whether the leaf is a Python or NumPy scalar, which no view can stand for.
    """

    name: str
    shape: tuple[int, ...]
    start: int
    stop: int
    dtype: np.dtype[Any]
    scalar: bool

    @property
    def size(self) -> int:
        """Number of components."""
        return self.stop - self.start

    @property
    def slice(self) -> slice:
        """Its slice of theta."""
        return slice(self.start, self.stop)

    def index(self, component: int) -> tuple[int, ...]:
        """Return the index, within the parameter, of a component of theta."""
        return tuple(int(i) for i in np.unravel_index(component - self.start, self.shape))

    def component_name(self, index: tuple[int, ...]) -> str:
        """Return what a user would type to look at a component: ``W1[3, 7]``."""
        return f"{self.name}[{', '.join(map(str, index))}]" if index else self.name


class Cells(Protocol):
    """The storage of one parameter as a flat, writable sequence."""

    def __getitem__(self, index: Any, /) -> Any: ...

    def __setitem__(self, index: Any, value: Any, /) -> None: ...


class _Scalar:
    """The storage of a scalar in the user's own container, as cells."""

    def __init__(self, container: Any, key: Key, like: type) -> None:
        self._container, self._key, self._like = container, key, like

    def __getitem__(self, index: Any, /) -> Any:
        value = (
            getattr(self._container, self._key.label)
            if self._key.kind == "attribute"
            else self._container[self._key.label]
        )
        return np.asarray([value])[index]

    def __setitem__(self, index: Any, value: Any, /) -> None:
        assign(self._container, self._key, self._like(np.ravel(value)[0]))


class Theta:
    """The parameters as a vector that can be moved and is always put back.

    Parameters
    ----------
    params : any nesting of containers
        What the user handed over. Never written to unless `inplace`.
    inplace : bool
        Perturb the user's own arrays, because the functions look at those.
    only, exclude : sequences of str
        Names or glob patterns of the parameters to check; the others are held fixed.
    foreign : callable, optional
        Takes containers and arrays apart that only others know.

    Attributes
    ----------
    parameters : tuple of Parameter
        Every float leaf, in the order of the structure.
    selected : tuple of Parameter
        Those that are checked.
    params : object
        What the user handed over.
    inplace : bool
        Whether the user's own arrays are perturbed.
    selected_numbers : frozenset of int
        Their numbers, for a quick look-up.
    checked_size : int
        How many components they have.
    starts, sizes : int arrays
        Where the parameters begin in theta, and how many components they have.
    base : float64 array
        theta at the point of the check.
    tree : object
        What the functions are called with.
    rebuilt : bool
        Whether the tree is another object at every look, for the sake of scalars in it, and of what
        others rebuild.
    parts_of_others : set of int
        The numbers of parameters in containers or arrays that only others know.
    root : Node
        The structure, for whoever has to walk another one beside it.

    Raises
    ------
    ProblemError
        ``no-parameters``, ``complex-params``, ``bad-setting``, and under `inplace`
        ``readonly-params`` and ``tied-params``.

    Examples
    --------
    >>> theta = Theta({"W1": np.zeros((2, 3)), "b1": 0.5, "depth": 2})
    >>> [parameter.name for parameter in theta.parameters], theta.base.size
    (['W1', 'b1'], 7)
    """

    def __init__(
        self,
        params: Any,
        inplace: bool = False,
        only: Sequence[str] = (),
        exclude: Sequence[str] = (),
        foreign: Foreign | None = None,
    ) -> None:
        self._foreign = foreign
        self.params = params
        self.inplace = inplace
        self._owned: list[Owned] = []
        self._holders: list[Branch] = []
        self._open: set[int] = set()
        layout: list[Parameter] = []
        self.root = self._walk(params, "", None, None, layout)
        if not layout:
            raise ProblemError("no-parameters", _nothing_found(params))
        self.parts_of_others = _leaves_of_others(self.root) if foreign is not None else set()
        self.parameters = tuple(layout)
        self.selected = _select(self.parameters, only, exclude)
        kept = {parameter.start for parameter in self.selected}
        self.selected_numbers = frozenset(n for n, p in enumerate(layout) if p.start in kept)
        self.checked_size = sum(parameter.size for parameter in self.selected)
        self.starts = np.array([parameter.start for parameter in layout])
        self.sizes = np.array([parameter.size for parameter in layout])
        self.base = np.concatenate(
            [np.asarray(leaf).reshape(-1) for _, _, leaf in self._owned], dtype=np.float64
        )
        if inplace:
            self._check_storage()
            self._saved = [copy.copy(leaf) for _, _, leaf in self._owned]
            self._tree = params
        else:
            self._vector = self.base.copy()
            self._views = [self._view(*pair) for pair in zip(layout, self._owned, strict=True)]
            self._tree = self._build(self.root)
        self.rebuilt = not inplace and bool(
            self.parts_of_others or any(parameter.scalar for parameter in layout)
        )
        self._shown = self.base
        self._cells = [self._cells_of(number) for number in range(len(layout))] if inplace else []

    @property
    def tree(self) -> Any:
        """What the functions are called with, at the present theta."""
        if self.rebuilt:
            self._shown = self._vector.copy()
            self._tree = self._build(self.root)
        return self._tree

    def stacked(self, rows: FloatArray) -> Any:
        """Return the structure with many thetas, the rows of an array, on a leading axis of all.

        Its arrays are views into `rows`, scalars among them.
        """
        views = [rows[:, p.slice].reshape(-1, *p.shape) for p in self.parameters]
        return _stacked(self.root, views)

    @property
    def row(self) -> FloatArray:
        """Theta as it stands at each moment, as the one row of an array."""
        row: FloatArray = self._vector.reshape(1, -1)
        return row

    def cells(self, parameter: Parameter) -> Cells:
        """Return the storage of a parameter, flat, to write perturbed values into."""
        if self.inplace:
            return self._cells[int(self.owners(np.array(parameter.start)))]
        part: Cells = self._vector[parameter.slice]
        return part

    @property
    def is_selected(self) -> npt.NDArray[np.bool_]:
        """Which components of theta are checked."""
        chosen = np.zeros(len(self.parameters), np.bool_)
        chosen[list(self.selected_numbers)] = True
        return np.repeat(chosen, self.sizes)

    def parts(self, value: Any) -> Any:
        """Return what a foreign container or array holds, in a form that is known."""
        taken = apart(value, self._foreign)
        return value if taken is None else taken[0]

    def owners(self, numbers: Numbers) -> Numbers:
        """Return the number of the parameter of every component."""
        return np.searchsorted(self.starts, numbers, "right") - 1

    def owner(self, number: int) -> Parameter:
        """Return the parameter of a component."""
        return self.parameters[int(self.owners(np.array(number)))]

    def runs(self, numbers: Numbers) -> Iterator[tuple[Cells, Numbers, slice]]:
        """Yield components by where they are stored: the cells, where in them, which of `numbers`.

        A memoryview where there is one: it takes single numbers in less time than an array.
        """
        if not self.inplace:
            yield self._vector.data, numbers, slice(0, numbers.size)
            return
        for parameter, cells, _, mine in self._pieces(numbers):
            if isinstance(cells, np.ndarray) and cells.dtype == np.float64:
                cells = cells.data
            yield cells, numbers[mine] - parameter.start, mine

    def write(self, values: FloatArray) -> None:
        """Move theta to `values`, another vector of the same length."""
        if not self.inplace:
            np.copyto(self._vector, values)
            return
        for parameter, cells in zip(self.parameters, self._cells, strict=True):
            cells[:] = values[parameter.slice]

    @contextmanager
    def at(self, values: FloatArray) -> Iterator[None]:
        """Hold theta at `values` for the length of a ``with`` block."""
        try:
            self.write(values)
            yield
        finally:
            self.write(self.base)

    @contextmanager
    def moved(self, place: Place, weights: FloatArray, distance: float) -> Iterator[None]:
        """Hold theta moved along a vector, by a distance, for the length of a ``with`` block.

        Parameters
        ----------
        place : slice or array of int
            The components in which the vector is not zero.
        weights : array
            What it is there.
        distance : float
            In lengths of the vector as it is given.
        """
        with self.kept(place):
            self.move(place, weights, distance)
            yield

    @contextmanager
    def kept(self, place: Place) -> Iterator[None]:
        """Put theta back in a place, however it was moved, at the end of a ``with`` block."""
        try:
            yield
        finally:
            self._move_back(place)

    def move(self, place: Place, weights: FloatArray, distance: float) -> None:
        """Move theta along a vector, from where it stands at the check; see `moved`."""
        if self.inplace:
            for parameter, cells, there, mine in self._pieces(place):
                values = distance * weights[mine] + self.base[parameter.slice][there]
                cells[there] = self._rounded(values, parameter)
        elif isinstance(place, slice):
            part = self._vector[place]  # no array is made, however large theta is
            np.multiply(weights, distance, out=part)
            part += self.base[place]
        else:
            self._vector[place] = distance * weights + self.base[place]

    def _move_back(self, place: Place) -> None:
        if not self.inplace:
            self._vector[place] = self.base[place]
            return
        for parameter, cells, there, _ in self._pieces(place):
            cells[there] = self.base[parameter.slice][there]

    def _pieces(self, place: Place) -> Iterator[tuple[Parameter, Cells, Place, slice]]:
        """Yield a place by parameter: its cells, which of them, and which part of the place."""
        if isinstance(place, slice):
            ends = place.start, place.stop - 1
        elif place.size:
            ends = int(place[0]), int(place[-1])
        else:
            return
        lowest, highest = self.owners(np.array(ends)).tolist()
        touched = slice(lowest, highest + 1)
        for parameter, cells in zip(self.parameters[touched], self._cells[touched], strict=True):
            if isinstance(place, slice):
                first, last = max(place.start, parameter.start), min(place.stop, parameter.stop)
                if first < last:
                    there = slice(first - parameter.start, last - parameter.start)
                    yield parameter, cells, there, slice(first - place.start, last - place.start)
            else:
                low, high = np.searchsorted(place, (parameter.start, parameter.stop))
                if low < high:
                    yield parameter, cells, place[low:high] - parameter.start, slice(low, high)

    def move_base(self, values: FloatArray) -> None:
        """Make `values` the point of the check."""
        self.base = np.concatenate(
            [self._rounded(values[parameter.slice], parameter) for parameter in self.parameters]
        )
        self.write(self.base)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Give the user's arrays back bit by bit at the end of a block, whatever ended it."""
        try:
            yield
        finally:
            self.restore()

    def restore(self) -> None:
        """Put the user's own arrays, bit by bit, and their containers back as they came."""
        if not self.inplace:
            return
        for (_, _, leaf), saved in zip(self._owned, self._saved, strict=True):
            if isinstance(leaf, np.ndarray):
                leaf[...] = saved
        for holder in self._holders:
            refill(holder)

    def changed(self) -> str | None:
        """Return the name of the first parameter that is not what it was, or None."""
        found = held(self._tree, self.root, self._foreign)
        viewed = not (self.inplace or self.rebuilt) and all(map(operator.is_, found, self._views))
        if viewed and _bits(self._vector) == _bits(self.base):
            return None  # at a glance
        for number, (parameter, value) in enumerate(zip(self.parameters, found, strict=True)):
            if not self._intact(number, parameter, value):
                return parameter.name
        return None

    def stored(self, values: FloatArray, place: Place) -> FloatArray:
        """Return `values` as they read back after being written into components."""
        if not self.inplace:
            return values
        pieces = [self._rounded(values[mine], p) for p, _, _, mine in self._pieces(place)]
        return np.concatenate(pieces) if pieces else values

    def _rounded(self, values: FloatArray, parameter: Parameter) -> FloatArray:
        if not self.inplace or parameter.dtype == np.float64:
            return values
        return values.astype(parameter.dtype).astype(np.float64)

    def spacing(self, value: float, parameter: Parameter) -> float:
        """Return the distance from `value` to the next number that the storage can hold."""
        dtype = parameter.dtype if self.inplace else np.dtype(np.float64)
        return float(np.spacing(np.abs(np.asarray(value, dtype))))

    def _walk(
        self, value: Any, name: str, key: Key | None, holder: Any, layout: list[Parameter]
    ) -> Node:
        """Return the structure of a value that stands at a step of its holder."""
        children, rebuild = opened(value, self._foreign) or (children_of(value), None)
        if children is None:
            return self._leaf(value, name, key, holder, layout)
        if id(value) in self._open:
            return self._closed_circle(value, name)
        self._open.add(id(value))
        nodes = []
        for step, item in children:
            nodes.append(self._walk(item, name + step.text(not name), step, value, layout))
        self._open.remove(id(value))
        if all(isinstance(node, Fixed) for node in nodes):
            return Fixed(value)
        keys, items = zip(*children, strict=True)
        branch = Branch(keys, tuple(nodes), value, items, rebuild)
        if rebuild is None:
            self._holders.append(branch)
        return branch

    def _closed_circle(self, value: Any, name: str) -> Fixed:
        """Stop at a container that holds itself: harmless in place, no copy of it is a tree."""
        if self.inplace:
            return Fixed(value)
        raise ProblemError(
            "tied-params",
            f"{name or WHOLE} is a container that holds itself: leave it out of params, or say "
            "inplace=True if the network owns its arrays",
        )

    def _leaf(
        self, value: Any, name: str, key: Key | None, holder: Any, layout: list[Parameter]
    ) -> Node:
        if not isinstance(value, (np.ndarray, np.generic, float, complex)):
            return Fixed(value)
        array = np.asarray(value)
        if array.dtype.kind == "c":
            raise ProblemError(
                "complex-params",
                f"{name or WHOLE} is complex ({array.dtype}); check its real and imaginary parts "
                "as two real parameters",
            )
        if array.dtype.kind != "f" or array.size == 0:
            return Fixed(value)
        start = layout[-1].stop if layout else 0
        scalar = not isinstance(value, np.ndarray)
        layout.append(
            Parameter(name or WHOLE, array.shape, start, start + array.size, array.dtype, scalar)
        )
        self._owned.append((holder, key, value))
        return Leaf(len(layout) - 1)

    def _view(self, parameter: Parameter, owned: Owned) -> Any:
        view = self._vector[parameter.slice].reshape(parameter.shape)
        leaf = owned[2]
        if not isinstance(leaf, np.ndarray) or type(leaf) is np.ndarray:
            return view
        own = view.view(type(leaf))
        own.__array_finalize__(leaf)  # what a subclass carries beside its numbers
        return own

    def _build(self, node: Node) -> Any:
        if isinstance(node, Leaf):
            parameter = self.parameters[node.number]
            if not parameter.scalar:
                return self._views[node.number]
            value = self._vector[parameter.start]
            return value if isinstance(self._owned[node.number][2], np.generic) else float(value)
        if isinstance(node, Fixed):
            return node.value
        return node.of([self._build(child) for child in node.children])

    def _cells_of(self, number: int) -> Cells:
        container, key, leaf = self._owned[number]
        if isinstance(leaf, np.ndarray):
            plain = leaf.view(np.ndarray)  # a matrix has no flat view of one axis
            flat: Cells = plain.reshape(-1) if plain.flags.c_contiguous else plain.flat
            return flat
        return _Scalar(container, key or Key(0), type(leaf))

    def _intact(self, number: int, parameter: Parameter, found: Any) -> bool:
        if found is ABSENT:
            return False
        others = number in self.parts_of_others
        if not parameter.scalar and not others:
            kept = self._owned[number][2] if self.inplace else self._views[number]
            if found is not kept:
                return False
        # A structure with scalars is built for every call, so the last one may show a perturbation.
        expected = self._shown if parameter.scalar and self.rebuilt else self.base
        try:
            values = np.asarray(found, np.float64).reshape(-1)
        except (TypeError, ValueError):  # something else stands in a scalar's place
            return False
        there = values.tobytes()
        if others and there == self._shown[parameter.slice].tobytes():
            return True  # rebuilt from copies, when theta was last perturbed
        return bool(there == expected[parameter.slice].tobytes())

    def _check_storage(self) -> None:
        arrays: list[tuple[str, Any]] = []
        for parameter, (container, key, leaf) in zip(self.parameters, self._owned, strict=True):
            if isinstance(leaf, np.ndarray):
                if not leaf.flags.writeable:
                    raise ProblemError(
                        "readonly-params",
                        f"{parameter.name} is read-only and cannot be perturbed in place: hand "
                        "over the array that the network writes to, or leave inplace=True out",
                    )
                for other, array in arrays:
                    if np.shares_memory(leaf, array):
                        raise ProblemError(
                            "tied-params",
                            f"{parameter.name} and {other} share memory, so neither can be "
                            "perturbed alone: hand over one of them",
                        )
                arrays.append((parameter.name, leaf))
            elif key is None or frozen(container):
                raise ProblemError(
                    "readonly-params",
                    f"{parameter.name} is a number in something that cannot be written to "
                    f"({type(container).__name__}): keep it in a dict, a list or an array",
                )


def _leaves_of_others(node: Node) -> set[int]:
    """Return the numbers of the parameters in what only others know."""
    if not isinstance(node, Branch):
        return set()
    if node.rebuild is not None:
        return set(leaves(node))
    return {number for child in node.children for number in _leaves_of_others(child)}


def _bits(vector: FloatArray) -> memoryview:
    """Return a vector as integers, which compare bit by bit."""
    return vector.data.cast("B").cast("q")


def _stacked(node: Node, views: Sequence[FloatArray]) -> Any:
    if isinstance(node, Leaf):
        return views[node.number]
    if isinstance(node, Fixed):
        return node.value
    return node.of([_stacked(child, views) for child in node.children])


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
    """Match a name against a pattern; a name in brackets (``[1]``) is also meant literally."""
    return name == pattern or fnmatchcase(name, pattern)


def _nothing_found(params: Any) -> str:
    what = f"params is {described(params)}"
    if isinstance(params, np.ndarray) and params.dtype.kind in "iub":
        return f"{what}, and integers are held fixed: hand over params.astype(float)"
    if isinstance(params, int):
        return f"{what}, and integers are held fixed: write {params}.0"
    children = children_of(params)
    if children:
        inside = ", ".join(f"{key.text(True)} ({described(item)})" for key, item in children[:5])
        return (
            f"{what} with {inside}: no float array or number among them. "
            "Integers are held fixed: convert what is to be checked with .astype(float); other "
            "types are taken apart by a hook of yours, pytest_gradcheck_flatten"
        )
    return (
        f"{what}: hand over its float arrays in a dict, a list or one array, or let a hook of "
        "yours, pytest_gradcheck_flatten, take it apart"
    )
