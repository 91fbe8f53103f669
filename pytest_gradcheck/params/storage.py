"""The storage of theta: a vector of our own, or the user's own arrays.

`CopiedStorage` builds the structure for the user's functions once. Its arrays are views into one
vector, so that a perturbation writes one number. `InplaceStorage` writes into the user's own
arrays, because the functions read those, and restores them bit by bit.
"""

from __future__ import annotations

import copy
import operator
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.params.layout import FloatArray, Indices, Layout, Parameter, Selection
from pytest_gradcheck.params.objects.slots import Slots
from pytest_gradcheck.params.tree import (
    MISSING,
    Flattener,
    Leaf,
    Node,
    PathEntry,
    Static,
    assign,
    current_leaves,
    is_immutable,
    restore_container,
)


class FlatStorage(Protocol):
    """The storage of one parameter as a flat, writable sequence."""

    def __getitem__(self, index: Any, /) -> Any: ...

    def __setitem__(self, index: Any, value: Any, /) -> None: ...


class Storage(ABC):
    """The numbers of theta, and the structure in which the user's functions get them.

    Attributes
    ----------
    base : float64 array
        theta at the point of the check.
    """

    def __init__(self, layout: Layout, foreign: Flattener | None) -> None:
        self._layout, self._foreign = layout, foreign
        self.base: FloatArray = np.concatenate(
            [_as_reals(owned.leaf) for owned in layout.owned], dtype=np.float64
        )

    @property
    @abstractmethod
    def tree(self) -> Any:
        """The argument of the functions at the present theta."""

    @abstractmethod
    def cells(self, number: int) -> FlatStorage:
        """Return the storage of a parameter, flat, to write perturbed values into."""

    @abstractmethod
    def homes(self, numbers: Indices) -> tuple[Sequence[FlatStorage], Indices]:
        """Return the cells of each component, and its place in them.

        Cells are memoryviews where possible: writing a single number takes less time than in an
        array.
        """

    @abstractmethod
    def write(self, values: FloatArray) -> None:
        """Move theta to `values`, another vector of the same length."""

    @abstractmethod
    def move(self, place: Selection, weights: FloatArray, distance: float) -> None:
        """Move theta along a vector, from where it stands at the check."""

    @abstractmethod
    def move_back(self, place: Selection) -> None:
        """Move a selection of theta back to the point of the check."""

    def shift(self, place: Selection, weight: FloatArray, distance: float) -> float:
        """Move one component; return the distance that it went, after rounding."""
        start = self.base[place]
        there = self.rounded(start + distance * weight, place)
        self.move(place, weight, distance)
        return float(there[0] - start[0]) / float(weight[0])

    def rounded(self, values: FloatArray, place: Selection) -> FloatArray:
        """Return `values` as they read back after being written into components."""
        if not self._layout.is_coarse:
            return values
        parameters = self._layout.parameters
        pieces = [
            parameters[number].rounded(values[mine])
            for number, _, mine in self._layout.pieces(place)
        ]
        return np.concatenate(pieces) if pieces else values

    @abstractmethod
    def changed(self) -> str | None:
        """Return the name of the first parameter that is not what it was, or None."""

    @abstractmethod
    def restore(self) -> None:
        """Restore the user's own arrays and containers."""

    def _first_changed(self) -> str | None:
        found = current_leaves(self.tree_as_handed_out, self._layout.root, self._foreign)
        for number, value in enumerate(found):
            if value is MISSING or not self._is_intact(number, value):
                return self._layout.parameters[number].name
        return None

    @property
    @abstractmethod
    def tree_as_handed_out(self) -> Any:
        """What the functions were last called with."""

    @abstractmethod
    def _is_intact(self, number: int, found: Any) -> bool:
        """Return whether the present value of a parameter is unchanged."""


class CopiedStorage(Storage):
    """A vector of our own, and a structure like the user's with views into it."""

    def __init__(self, layout: Layout, foreign: Flattener | None) -> None:
        super().__init__(layout, foreign)
        self._vector = self.base.copy()
        self._views = self._views_of(self._vector)
        self._tree = self._build(layout.root, self._vector, self._views)
        self._shown = self.base
        self.is_rebuilt, self._copies = layout.is_rebuilt, False

    @property
    def tree(self) -> Any:
        """The argument of the functions: a new object each time, if it is rebuilt."""
        if self.is_rebuilt:
            self._shown = self._vector.copy()
            root = self._layout.root
            self._tree = (
                self.copied(self._vector)
                if self._copies
                else self._build(root, self._vector, self._views)
            )
        return self._tree

    def copied(self, values: FloatArray) -> Any:
        """Return a structure like the user's with other numbers, in new arrays."""
        vector = values.copy()
        return self._build(self._layout.root, vector, self._views_of(vector))

    def hand_out_copies(self) -> None:
        """Make `tree` return new arrays each time, for functions that keep their argument."""
        self.is_rebuilt = self._copies = True

    @property
    def tree_as_handed_out(self) -> Any:
        """What the functions were last called with."""
        return self._tree

    @property
    def references(self) -> int:
        """The number of references to the argument of the functions."""
        return sys.getrefcount(self._vector) + sum(map(sys.getrefcount, self._views))

    @property
    def row(self) -> FloatArray:
        """The present theta as an array of one row."""
        row: FloatArray = self._vector.reshape(1, -1)
        return row

    def cells(self, number: int) -> FlatStorage:
        """Return a parameter's part of the vector."""
        part: FlatStorage = self._vector[self._layout.parameters[number].slice]
        return part

    def homes(self, numbers: Indices) -> tuple[Sequence[FlatStorage], Indices]:
        """Return the vector for each of the components."""
        return [self._vector.data] * numbers.size, numbers

    def write(self, values: FloatArray) -> None:
        """Move theta to `values`."""
        np.copyto(self._vector, values)

    def move(self, place: Selection, weights: FloatArray, distance: float) -> None:
        """Move theta along a vector."""
        if isinstance(place, slice):
            part = self._vector[place]  # no temporary array, however large theta is
            np.multiply(weights, distance, out=part)
            part += self.base[place]
        else:
            self._vector[place] = distance * weights + self.base[place]
        if self._layout.is_coarse:
            self._vector[place] = self.rounded(self._vector[place], place)

    def shift(self, place: Selection, weight: FloatArray, distance: float) -> float:
        """Move one component; return the distance that it went, after rounding."""
        if self._layout.is_coarse or not isinstance(place, slice):
            return super().shift(place, weight, distance)
        start, size = self.base.item(place.start), weight.item()  # Python numbers are faster
        there = start + distance * size
        self._vector[place.start] = there
        return float((there - start) / size)

    def move_back(self, place: Selection) -> None:
        """Put theta back in a place."""
        self._vector[place] = self.base[place]

    def changed(self) -> str | None:
        """Return the name of the first parameter that is not what it was, or None."""
        # All at once: some five times as fast as one by one, after every few calls of the cost.
        if not self.is_rebuilt and _bits(self._vector) == _bits(self.base):
            found = current_leaves(self._tree, self._layout.root, self._foreign)
            if all(map(operator.is_, found, self._views)):
                return None
        return self._first_changed()

    def restore(self) -> None:
        """Do nothing: the user's arrays were never written to."""

    def _views_of(self, vector: FloatArray) -> list[Any]:
        return [self._view(vector, number) for number in range(len(self._layout.parameters))]

    def _view(self, vector: FloatArray, number: int) -> Any:
        parameter, leaf = self._layout.parameters[number], self._layout.owned[number].leaf
        view = parameter.shaped(vector[parameter.slice])
        if not isinstance(leaf, np.ndarray) or type(leaf) is np.ndarray:
            return view
        own = view.view(type(leaf))
        own.__array_finalize__(leaf)  # attributes of a subclass
        return own

    def _build(self, node: Node, vector: FloatArray, views: Sequence[Any]) -> Any:
        if isinstance(node, Leaf):
            parameter = self._layout.parameters[node.number]
            if not parameter.scalar:
                return views[node.number]
            value = parameter.shaped(vector[parameter.slice])[()]
            own = self._layout.owned[node.number].leaf
            return value if isinstance(own, np.generic) else value.item()
        if isinstance(node, Static):
            return node.value
        return node.of([self._build(child, vector, views) for child in node.children])

    def _is_intact(self, number: int, found: Any) -> bool:
        layout = self._layout
        part = layout.parameters[number].slice
        if self._copies or number in layout.foreign_numbers:
            # Rebuilt from copies, perhaps when theta was last perturbed.
            return _holds(found, self.base[part]) or _holds(found, self._shown[part])
        if layout.parameters[number].scalar:
            return _holds(found, self._shown[part])
        return found is self._views[number] and _holds(found, self.base[part])


class InplaceStorage(Storage):
    """The user's own arrays, and the numbers in the user's own containers.

    Raises
    ------
    ProblemError
        ``readonly-params`` or ``tied-params``.
    """

    def __init__(self, layout: Layout, foreign: Flattener | None, params: Any) -> None:
        super().__init__(layout, foreign)
        _refuse_unwritable(layout)
        self._params = params
        self._leaves = [owned.leaf for owned in layout.owned]
        self._saved = [copy.copy(leaf) for leaf in self._leaves]
        self._cells = [self._cells_of(number) for number in range(len(layout.owned))]

    @property
    def tree(self) -> Any:
        """The user's params; the whole object where slots are checked."""
        return self._params.owner if isinstance(self._params, Slots) else self._params

    @property
    def tree_as_handed_out(self) -> Any:
        """What the user handed over."""
        return self._params

    def cells(self, number: int) -> FlatStorage:
        """Return the user's own array, flat, or the cell of a number."""
        return self._cells[number]

    def homes(self, numbers: Indices) -> tuple[Sequence[FlatStorage], Indices]:
        """Return the array that holds each of the components."""
        owners = self._layout.owners(numbers)
        cells = {number: _quickest(self._cells[number]) for number in set(owners.tolist())}
        return [cells[owner] for owner in owners.tolist()], numbers - self._layout.starts[owners]

    def write(self, values: FloatArray) -> None:
        """Move theta to `values`."""
        for parameter, cells in zip(self._layout.parameters, self._cells, strict=True):
            cells[:] = values[parameter.slice]

    def move(self, place: Selection, weights: FloatArray, distance: float) -> None:
        """Move theta along a vector."""
        self._put(self.rounded(distance * weights + self.base[place], place), place)

    def move_back(self, place: Selection) -> None:
        """Put theta back in a place."""
        self._put(self.base[place], place)

    def _put(self, values: FloatArray, place: Selection) -> None:
        for number, there, mine in self._layout.pieces(place):
            self._cells[number][there] = values[mine]

    def changed(self) -> str | None:
        """Return the name of the first parameter that is not what it was, or None."""
        return None if self._all_intact() else self._first_changed()

    def _all_intact(self) -> bool:
        """Return whether all are plain arrays and unchanged, in one comparison."""
        if not self._all_plain:
            return False
        found = current_leaves(self._params, self._layout.root, self._foreign)
        if not all(map(operator.is_, found, self._leaves)):
            return False
        if not all(leaf.flags.writeable for leaf in self._leaves):
            return False
        return _bits(np.concatenate(self._leaves, axis=None)) == _bits(self.base)

    @cached_property
    def _all_plain(self) -> bool:
        """Whether all leaves are float64 arrays, whose own bits tell a change."""
        plain = (type(leaf) is np.ndarray and leaf.dtype == np.float64 for leaf in self._leaves)
        return not self._layout.foreign_numbers and all(plain)

    def restore(self) -> None:
        """Restore the user's own arrays, bit by bit, and their containers.

        An error in one does not prevent the others.
        """
        pairs = zip(self._layout.owned, self._saved, strict=True)
        undos = [
            partial(_put_back, owned.leaf, saved)
            if owned.write is None
            else partial(owned.write, saved)
            for owned, saved in pairs
            if owned.write is not None or isinstance(owned.leaf, np.ndarray)
        ]
        undos += [partial(restore_container, holder) for holder in reversed(self._layout.holders)]
        failed: BaseException | None = None
        for undo in undos:
            try:
                undo()
            except BaseException as error:  # an interrupt as well
                failed = failed or error
        if failed is not None:
            raise failed

    def _cells_of(self, number: int) -> FlatStorage:
        owned, parameter = self._layout.owned[number], self._layout.parameters[number]
        if owned.write is not None:
            return _Elsewhere(parameter, owned.leaf, owned.write)
        if isinstance(owned.leaf, np.ndarray):
            plain = owned.leaf.view(np.ndarray)  # a matrix has no flat view of one axis
            contiguous = plain.flags.c_contiguous
            if parameter.is_complex:
                if not contiguous:
                    return _Elsewhere(parameter, plain, partial(np.copyto, plain))
                plain = plain.reshape(-1).view(plain.real.dtype)
            flat: FlatStorage = plain.reshape(-1) if contiguous else plain.flat
            return flat
        holder, key, like = owned.holder, owned.key or PathEntry(0), type(owned.leaf)
        if parameter.is_complex:
            return _Elsewhere(parameter, owned.leaf, lambda z: assign(holder, key, like(z[()])))
        return _Scalar(holder, key, like)

    def _is_intact(self, number: int, found: Any) -> bool:
        parameter, own = self._layout.parameters[number], self._layout.owned[number].leaf
        replaced = not parameter.scalar and number not in self._layout.foreign_numbers
        if replaced and (found is not own or not getattr(found, "flags", _WRITABLE).writeable):
            return False
        return _holds(found, self.base[parameter.slice])


_WRITABLE = np.empty(0).flags
"""Cells of a leaf that is no array."""


class _Scalar:
    """The cell of a scalar in the user's own container."""

    def __init__(self, container: Any, key: PathEntry, like: type) -> None:
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


class _Elsewhere:
    """Cells of which NumPy has only a copy: a framework's array, a complex number."""

    def __init__(self, parameter: Parameter, leaf: Any, write: Callable[[Any], None]) -> None:
        self._parameter, self._reals, self._write = parameter, _as_reals(leaf).copy(), write

    def __getitem__(self, index: Any, /) -> Any:
        return self._reals[index]

    def __setitem__(self, index: Any, value: Any, /) -> None:
        self._reals[index] = value
        self._write(self._parameter.shaped(self._reals.copy()))


def _quickest(cells: FlatStorage) -> FlatStorage:
    """Return cells as a memoryview, if single numbers can be written into it."""
    if not isinstance(cells, np.ndarray) or cells.dtype != np.float64:
        return cells
    flags = cells.flags
    is_plain = flags.aligned and cells.dtype.isnative and flags.c_contiguous
    return cells.data if is_plain else cells


def _as_reals(values: Any) -> FloatArray:
    """Return numbers as one vector, complex ones as pairs of their parts."""
    array = np.asarray(values)
    if array.dtype.kind == "c":
        pairs: FloatArray = array.astype(np.complex128).reshape(-1).view(np.float64)
        return pairs
    return np.asarray(array, np.float64).reshape(-1)


def _bits(vector: FloatArray) -> memoryview:
    """Return a vector as integers, which compare bit by bit."""
    return vector.data.cast("B").cast("q")


def _put_back(leaf: npt.NDArray[Any], saved: npt.NDArray[Any]) -> None:
    """Restore the contents of an array, even if it has been made read-only."""
    is_readonly = not leaf.flags.writeable
    if is_readonly:
        leaf.flags.writeable = True
    leaf[...] = saved
    if is_readonly:
        leaf.flags.writeable = False


def _holds(found: Any, expected: FloatArray) -> bool:
    """Return whether an array or a number equals the expected values bit by bit."""
    try:
        values = _as_reals(found)
    except (TypeError, ValueError):  # another type has replaced the parameter
        return False
    return bool(values.tobytes() == expected.tobytes())


def stacked(node: Node, views: Sequence[FloatArray]) -> Any:
    """Return the structure of a node with our arrays for its leaves."""
    if isinstance(node, Leaf):
        return views[node.number]
    if isinstance(node, Static):
        return node.value
    return node.of([stacked(child, views) for child in node.children])


def _refuse_unwritable(layout: Layout) -> None:
    """Refuse arrays that are read-only or overlap, and numbers in immutable containers."""
    arrays: list[tuple[str, Any]] = []
    for parameter, owned in zip(layout.parameters, layout.owned, strict=True):
        if owned.write is not None:
            continue
        if isinstance(owned.leaf, np.ndarray):
            _refuse_overlap(parameter, owned.leaf)
            if not owned.leaf.flags.writeable:
                raise ProblemError(
                    "readonly-params",
                    f"{parameter.name} is read-only and cannot be perturbed in place: hand "
                    "over the array that the network writes to, or leave inplace=True out",
                )
            arrays.append((parameter.name, owned.leaf))
        elif owned.key is None or is_immutable(owned.holder):
            raise ProblemError(
                "readonly-params",
                f"{parameter.name} is a number in something that cannot be written to "
                f"({type(owned.holder).__name__}): keep it in a dict, a list or an array",
            )
    _refuse_shared(arrays)


def _refuse_shared(arrays: Sequence[tuple[str, Any]]) -> None:
    """Refuse arrays that share memory.

    In the order of addresses, an array is compared with those before it that extend into it.
    """
    bounds = [_extent(array) for _, array in arrays]
    reaching: list[int] = []
    for number in sorted(range(len(arrays)), key=bounds.__getitem__):
        low, _ = bounds[number]
        reaching = [other for other in reaching if bounds[other][1] > low]
        for other in reaching:
            if np.shares_memory(arrays[number][1], arrays[other][1]):
                first, second = sorted((number, other))
                raise ProblemError(
                    "tied-params",
                    f"{arrays[second][0]} and {arrays[first][0]} share memory, so neither can be "
                    "perturbed alone: hand over one of them",
                )
        reaching.append(number)


def _extent(array: Any) -> tuple[int, int]:
    """Return the memory bounds of an array."""
    address = array.__array_interface__["data"][0]
    if array.flags.c_contiguous:
        return address, address + array.nbytes
    reaches = [(n - 1) * stride for n, stride in zip(array.shape, array.strides, strict=True)]
    low, high = (sum(r for r in reaches if sign * r > 0) for sign in (-1, 1))
    return address + low, address + high + array.itemsize


def _refuse_overlap(parameter: Parameter, array: Any) -> None:
    """Refuse an array with entries that share memory."""
    if array.flags.c_contiguous or array.flags.f_contiguous:
        return
    offsets = np.zeros((), np.intp)
    for length, stride in zip(array.shape, array.strides, strict=True):
        offsets = offsets[..., None] + stride * np.arange(length)
    ordered = np.sort(offsets, axis=None)
    if ordered.size > 1 and np.diff(ordered).min() < array.itemsize:
        raise ProblemError(
            "tied-params",
            f"entries of {parameter.name} are the same numbers in memory (a broadcast or "
            "overlapping view), so none can be perturbed alone: hand over the array behind it",
        )
