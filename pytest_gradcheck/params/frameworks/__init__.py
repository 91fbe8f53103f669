"""Values of other libraries as arrays: one table of adapters, and no library is imported.

A type is recognized by the modules of itself and its bases. Nothing is imported here: a library
that made a value is in ``sys.modules`` already.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from pytest_gradcheck.params.frameworks import homemade, tables, tensors
from pytest_gradcheck.params.frameworks.taken import Taken

__all__ = ["Taken", "numbers_of", "take"]

Take = Callable[[Any], Taken | None]

ADAPTERS: dict[str, Take] = {
    "torch": tensors.torch,
    "jax": tensors.jax,
    "jaxlib": tensors.jax,
    "mygrad": tensors.mygrad,
    "tinygrad": tensors.tinygrad,
    "cupy": tensors.cupy,
    "pandas": tables.pandas,
    "xarray": tables.xarray,
    "scipy": tables.sparse,
    "lmfit": tables.lmfit,
}
"""The adapters, by the top-level package of a value's type or of one of its bases."""

_of_types: WeakKeyDictionary[type, Take | None] = WeakKeyDictionary()


def _adapter(kind: type) -> Take | None:
    """Return the adapter of a type, or None."""
    if kind in _of_types:
        return _of_types[kind]
    found = None
    for base in kind.__mro__[:-1]:
        found = ADAPTERS.get(base.__module__.partition(".")[0])
        if found is not None:
            break
    _of_types[kind] = found = found or homemade.adapter(kind)
    return found


def take(value: Any) -> Taken | None:
    """Flatten a value of a library; None for anything else.

    Examples
    --------
    >>> take("relu") is None
    True
    """
    adapter = _adapter(type(value))
    taken = None if adapter is None else adapter(value)
    if taken is None and "jax" in sys.modules:
        taken = tensors.pytree(value)
    if taken is None and isinstance(value, getattr(sys.modules.get("cupy"), "ndarray", ())):
        taken = tensors.cupy(value)  # of a module that poses as CuPy
    return taken


def numbers_of(value: Any) -> Any:
    """Return a library's array of any dtype as a NumPy array, and anything else unchanged.

    Examples
    --------
    >>> numbers_of(0.5)
    0.5
    """
    if isinstance(value, (np.ndarray, np.generic, float, int, dict, list, tuple, type(None))):
        return value.filled(0) if isinstance(value, np.ma.MaskedArray) else value
    taken = take(value)
    return value if taken is None or taken.array is None else taken.array()
