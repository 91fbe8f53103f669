"""Adapters of pandas, xarray, scipy.sparse and lmfit."""

from __future__ import annotations

import copy
import sys
from functools import partial
from typing import Any

import numpy as np

from pytest_gradcheck.params.frameworks.taken import Taken, nothing


def pandas(value: Any) -> Taken | None:
    """Flatten a series or a frame; a frame of several dtypes into its float columns."""
    library = sys.modules["pandas"]
    if isinstance(value, library.DataFrame):
        return _frame(value)
    if not isinstance(value, library.Series):
        return nothing(value, value.to_numpy) if isinstance(value, library.Index) else None
    if value.dtype.kind not in "fc" or not len(value):
        return nothing(value, value.to_numpy)

    def like(numbers: Any) -> Any:
        own = np.array(numbers)
        return value._constructor(own, index=value.index, name=value.name, dtype=own.dtype)

    def write(numbers: Any) -> None:
        value.iloc[:] = numbers

    def entries(answer: Any) -> Any:
        """Return a series in the order of the labels, by which pandas aligns."""
        if isinstance(answer, library.Series) and set(answer.index) == set(value.index):
            return answer if answer.index.equals(value.index) else answer.reindex(value.index)
        return answer

    numbers = np.array(value.to_numpy())
    return Taken(numbers, like, write=write, array=value.to_numpy, entries=entries)


def _frame(value: Any) -> Taken:
    kinds = [dtype.kind for dtype in value.dtypes]
    if not value.size or ("f" not in kinds and "c" not in kinds):
        return nothing(value, value.to_numpy)
    if set(kinds) == {"f"}:

        def like(numbers: Any) -> Any:
            return value._constructor(np.array(numbers), index=value.index, columns=value.columns)

        def write(numbers: Any) -> None:
            value.iloc[:, :] = numbers

        def entries(answer: Any) -> Any:
            """Return a frame in the order of the columns, by whose names pandas aligns."""
            named = set(getattr(answer, "columns", ())) == set(value.columns)
            return answer[list(value.columns)] if named else answer

        numbers = np.array(value.to_numpy())
        return Taken(numbers, like, write=write, array=value.to_numpy, entries=entries)
    places = {name: i for i, name in enumerate(value.columns) if kinds[i] in "fc"}

    def join(parts: dict[Any, Any]) -> Any:
        twin = value.copy()
        for name, part in parts.items():
            twin[name] = part
        return twin

    return Taken({name: value.iloc[:, i] for name, i in places.items()}, join)


def xarray(value: Any) -> Taken | None:
    """Flatten a labelled array, or a dataset by names."""
    library = sys.modules["xarray"]
    if isinstance(value, library.Dataset):
        return Taken(dict(value.data_vars), lambda parts: value.assign(parts))
    if not isinstance(value, (library.DataArray, library.Variable)):
        return None
    numbers = value.values
    if numbers.dtype.kind not in "fc" or not numbers.size:
        return nothing(value, lambda: numbers)

    def entries(answer: Any) -> Any:
        dims = getattr(answer, "dims", None)
        if dims != value.dims and set(dims or ()) == set(value.dims):
            return answer.transpose(*value.dims)
        return answer

    def like(numbers: Any) -> Any:
        return value.copy(data=np.array(numbers))

    return Taken(numbers, like, array=lambda: numbers, entries=entries)


def sparse(value: Any) -> Taken | None:
    """Flatten a sparse matrix into its stored entries; its pattern is fixed."""
    library = sys.modules.get("scipy.sparse")
    if library is None or not library.issparse(value):
        return None
    if value.dtype.kind not in "fc" or not value.nnz:
        return nothing(value, value.toarray)
    shares = value.format in ("csr", "csc", "coo", "bsr")
    held = value if shares else value.tocoo()

    def like(parts: dict[str, Any]) -> Any:
        twin = held.copy()
        twin.data = np.array(parts["data"])
        return twin if shares else twin.asformat(value.format)

    def entries(answer: Any) -> Any:
        if library.issparse(answer):
            answer = answer.toarray()
        if np.shape(answer) != value.shape or value.format == "bsr":
            return answer
        places = _numbered(held).tocoo()
        order = np.argsort(places.data)
        return np.asarray(answer)[tuple(axis[order] for axis in _coordinates(places))]

    return Taken({"data": held.data}, like, array=value.toarray, entries=entries)


def _numbered(matrix: Any) -> Any:
    """Return a matrix of the same pattern whose entries are numbered from 1 in their order."""
    twin = matrix.copy()
    twin.data = np.arange(1.0, matrix.data.size + 1).reshape(matrix.data.shape)
    return twin


def _coordinates(places: Any) -> tuple[Any, ...]:
    return tuple(getattr(places, "coords", (places.row, places.col)))


def lmfit(value: Any) -> Taken | None:
    """Flatten the parameters of a fit into those that vary and are no expressions."""
    library = sys.modules["lmfit"]
    if isinstance(value, library.Parameter):

        def write(number: Any) -> None:
            _set(value, float(np.ravel(number)[0]))

        return Taken(float(value.value), partial(_valued, value), write=write)
    if not isinstance(value, library.Parameters):
        return None
    parts = {name: p for name, p in value.items() if p.vary and not p.expr}

    def like(parts: dict[str, Any]) -> Any:
        twin = copy.deepcopy(value)
        for name, part in parts.items():
            _set(twin[name], part.value)
        return twin

    return Taken(parts, like)


def _valued(parameter: Any, number: Any) -> Any:
    twin = copy.deepcopy(parameter)
    _set(twin, float(number))
    return twin


def _set(parameter: Any, number: float) -> None:
    """Set a value, and widen a bound that would clip it."""
    if number < parameter.min:
        parameter.min = number
    if number > parameter.max:
        parameter.max = number
    parameter.value = number
