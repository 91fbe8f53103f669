"""theta: the parameters of a cost as one flat float64 vector to perturb.

A `Theta` is a `Layout` (names, shapes, slices) and a `Storage` (the numbers).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.errors import first_error_wins
from pytest_gradcheck.params.layout import (
    FloatArray,
    Indices,
    Parameter,
    Selection,
    lay_out,
    scatter,
)
from pytest_gradcheck.params.storage import (
    CopiedStorage,
    FlatStorage,
    InplaceStorage,
    Storage,
    stacked,
)
from pytest_gradcheck.params.tree import Flattener, flatten_foreign

__all__ = ["FlatStorage", "FloatArray", "Indices", "Parameter", "Selection", "Theta", "scatter"]


class Theta:
    """The parameters as a vector that is perturbed and always restored.

    Parameters
    ----------
    params : any nesting of containers
        The user's params. Never written to unless `inplace`.
    inplace : bool
        Perturb the user's own arrays, because the functions read those.
    only, exclude : sequences of str
        Names or glob patterns of the parameters to check; the others are held fixed.
    foreign : callable, optional
        Flattens containers and arrays of unknown types.

    Attributes
    ----------
    params : object
        What the user handed over.
    inplace : bool
        Whether the user's own arrays are perturbed.
    layout : Layout
        Names, shapes and slices; its attributes are here as well.
    storage : Storage
        The numbers.

    Raises
    ------
    ProblemError
        ``no-parameters``, ``bad-setting``, and under `inplace`
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
        foreign: Flattener | None = None,
    ) -> None:
        self.params, self.inplace, self._foreign = params, inplace, foreign
        self.layout = layout = lay_out(params, only, exclude, foreign, inplace=inplace)
        self.storage: Storage = (
            InplaceStorage(layout, foreign, params) if inplace else CopiedStorage(layout, foreign)
        )
        self.parameters, self.selected, self.root = layout.parameters, layout.selected, layout.root
        self.starts, self.sizes = layout.starts, layout.sizes
        self.selected_numbers, self.checked_size = layout.selected_numbers, layout.checked_size

    @property
    def rebuilt(self) -> bool:
        """Whether the functions get a new object each time."""
        return isinstance(self.storage, CopiedStorage) and self.storage.is_rebuilt

    @property
    def references(self) -> int:
        """The number of references to the argument of the functions; 0 under `inplace`."""
        return 0 if self.inplace else self._copy.references

    @property
    def base(self) -> FloatArray:
        """Theta at the point of the check."""
        return self.storage.base

    @property
    def tree(self) -> Any:
        """The argument of the functions at the present theta."""
        return self.storage.tree

    @property
    def is_selected(self) -> npt.NDArray[np.bool_]:
        """Which components of theta are checked."""
        return self.layout.is_selected

    @property
    def needs_hook(self) -> bool:
        """Whether a hook of this process may be needed to flatten the params."""
        return self._foreign is not None and bool(self.layout.foreign_numbers)

    @property
    def row(self) -> FloatArray:
        """The present theta as an array of one row; not under `inplace`."""
        return self._copy.row

    def copied(self, values: FloatArray) -> Any:
        """Return the structure with other numbers, in new arrays; not under `inplace`."""
        return self._copy.copied(values)

    def hand_out_copies(self) -> None:
        """Call the functions with new arrays each time; not under `inplace`."""
        self._copy.hand_out_copies()

    @property
    def _copy(self) -> CopiedStorage:
        assert isinstance(self.storage, CopiedStorage)
        return self.storage

    def stacked(self, rows: FloatArray) -> Any:
        """Return the structure with many thetas, the rows of an array, on a leading axis.

        Its arrays are views into `rows`, scalars among them.
        """
        views = [p.shaped(rows[:, p.slice]) for p in self.parameters]
        return stacked(self.root, views)

    def filled(self, arrays: Sequence[Any]) -> Any:
        """Return the structure with other arrays for its leaves, one for each parameter."""
        return stacked(self.root, arrays)

    def parts(self, value: Any) -> Any:
        """Return the contents of a foreign container or array in a known form."""
        taken = flatten_foreign(value, self._foreign)
        if taken is None:
            return value.filled(0) if isinstance(value, np.ma.MaskedArray) else value
        return taken.parts if taken.array is None else taken.array()

    def owners(self, numbers: Indices) -> Indices:
        """Return the number of the parameter of every component."""
        return self.layout.owners(numbers)

    def owner(self, number: int) -> Parameter:
        """Return the parameter of a component."""
        return self.layout.owner(number)

    def cells(self, parameter: Parameter) -> FlatStorage:
        """Return the storage of a parameter, flat, to write perturbed values into."""
        return self.storage.cells(int(self.owners(np.array(parameter.start))))

    def homes(self, numbers: Indices) -> tuple[Sequence[FlatStorage], Indices]:
        """Return the cells of components; see `Storage.homes`."""
        return self.storage.homes(numbers)

    def stored(self, values: FloatArray, place: Selection) -> FloatArray:
        """Return `values` as they read back after being written into components."""
        return self.storage.rounded(values, place)

    def spacing(self, value: float, parameter: Parameter) -> float:
        """Return the distance from `value` to the next number that the storage can hold."""
        return parameter.spacing(value)

    def write(self, values: FloatArray) -> None:
        """Move theta to `values`, another vector of the same length."""
        self.storage.write(values)

    def move(self, place: Selection, weights: FloatArray, distance: float) -> None:
        """Move theta along a vector, from where it stands at the check; see `moved`."""
        self.storage.move(place, weights, distance)

    @contextmanager
    def at(self, values: FloatArray) -> Iterator[None]:
        """Hold theta at `values` for the length of a ``with`` block."""
        with first_error_wins(lambda: self.write(self.base)):
            self.write(values)
            yield

    @contextmanager
    def moved(self, place: Selection, weights: FloatArray, distance: float) -> Iterator[None]:
        """Hold theta moved along a vector, by a distance, for the length of a ``with`` block.

        Parameters
        ----------
        place : slice or array of int
            The components in which the vector is not zero.
        weights : array
            Its values there.
        distance : float
            In lengths of that vector.
        """
        with self.kept(place):
            self.move(place, weights, distance)
            yield

    def kept(self, place: Selection) -> AbstractContextManager[None]:
        """Restore a selection of theta at the end of a ``with`` block."""
        return first_error_wins(lambda: self.storage.move_back(place))

    def move_base(self, values: FloatArray) -> None:
        """Make `values` the point of the check."""
        self.storage.base = self.storage.rounded(values, slice(0, values.size))
        self.write(self.base)

    def guarded(self) -> AbstractContextManager[None]:
        """Restore the user's arrays bit by bit at the end of a ``with`` block."""
        return first_error_wins(self.storage.restore)

    def changed(self) -> str | None:
        """Return the name of the first parameter that has changed, or None."""
        return self.storage.changed()
