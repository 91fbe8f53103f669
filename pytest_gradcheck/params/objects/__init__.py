"""Objects of unknown classes: their attributes, and whether they hold floats."""

from __future__ import annotations

import array
import collections.abc
import sys
import types
from typing import Any

import numpy as np

from pytest_gradcheck.params.tree import Flattener, PathEntry, children_of, flatten_foreign

CODE = (
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.ModuleType,
    types.GeneratorType,
    np.ufunc,
    np.dtype,
    np.random.Generator,
    np.random.RandomState,
    np.random.BitGenerator,
    np.random.SeedSequence,
)
"""Types of code, which hold no parameters."""

PLAIN = (bool, int, str, bytes, bytearray, type(None), range, slice, np.integer, np.bool_)
"""Types that hold no floats."""

FOREIGN_ARRAYS = ("__array__", "__array_interface__", "__cuda_array_interface__", "__dlpack__")
"""Attributes by which arrays of other libraries are recognized."""

LIBRARIES = sys.stdlib_module_names | {"numpy"}
"""Packages whose objects have no parameters as attributes."""


def attributes_of(value: Any) -> list[tuple[PathEntry, Any]] | None:
    """Return the attributes of an object of a user's class, or None for anything else.

    Examples
    --------
    >>> attributes_of(np.ones(3)), attributes_of(len)
    (None, None)
    """
    kind = type(value)
    if kind is np.ndarray:
        return None  # first: most values have these types
    if isinstance(value, (*CODE, *PLAIN, float, complex, np.ndarray, np.generic)):
        return None
    if kind.__module__.partition(".")[0] in LIBRARIES or _is_array(value):
        return None
    names = [*getattr(value, "__dict__", ()), *_slots(kind)]
    entries = [(name, getattr(value, name)) for name in names if hasattr(value, name)]
    return [(PathEntry(name, "attribute"), item) for name, item in entries] or None


def _slots(kind: type) -> list[str]:
    found: list[str] = []
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        found += [slots] if isinstance(slots, str) else slots
    return [name for name in found if name not in ("__dict__", "__weakref__")]


def _is_array(value: Any) -> bool:
    return any(hasattr(value, name) for name in FOREIGN_ARRAYS)


def holds_floats(value: Any) -> bool:
    """Return whether a value of unknown type holds floats.

    Examples
    --------
    >>> import decimal
    >>> holds_floats(decimal.Decimal("0.5")), holds_floats({1, 2}), holds_floats(np.ones(2, "i8"))
    (True, False, False)
    """
    if isinstance(value, (*CODE, *PLAIN)):
        return False
    if isinstance(value, (float, complex, np.inexact)):
        return True
    if isinstance(value, np.ndarray):
        return _array_holds_floats(value)
    if isinstance(value, (array.array, memoryview)):
        return (value.typecode if isinstance(value, array.array) else value.format) in tuple("efd")
    if _is_array(value):
        dtype = str(getattr(value, "dtype", "float"))
        return not any(kind in dtype for kind in ("int", "bool", "str", "object"))
    kind = type(value)
    if hasattr(kind, "__float__"):
        return not hasattr(kind, "__index__")
    if isinstance(value, collections.abc.Collection):
        return any(map(holds_floats, value))
    hidden = getattr(value, "__dict__", {}).values()
    return any(isinstance(item, np.ndarray) and _array_holds_floats(item) for item in hidden)


def _array_holds_floats(value: np.ndarray[Any, Any]) -> bool:
    if value.dtype == object:
        return any(map(holds_floats, value.reshape(-1).tolist()))
    fields = value.dtype.fields or {}
    kinds = [value.dtype.base.kind, *(field[0].base.kind for field in fields.values())]
    return bool(value.size) and any(kind in "fc" for kind in kinds)


def is_initializer(params: Any, foreign: Flattener | None = None) -> bool:
    """Return whether params is a function ``params(rng)`` that draws them.

    Containers, objects with arrays in them, and values with a hook or an adapter are not, even if
    callable.
    """
    if not callable(params):
        return False
    if isinstance(params, CODE):
        return True
    if flatten_foreign(params, foreign) is not None:
        return False
    return children_of(params) is None and not _holds_arrays(attributes_of(params))


def _holds_arrays(entries: list[tuple[PathEntry, Any]] | None) -> bool:
    """Return whether there is an array of floats in attributes, or below them."""
    seen: set[int] = set()
    open_ = [item for _, item in entries or ()]
    while open_:
        item = open_.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, np.ndarray) and item.dtype != object:
            if _array_holds_floats(item):
                return True
            continue
        taken = flatten_foreign(item, None)
        if taken is not None and not (isinstance(taken.parts, list) and not taken.parts):
            return True
        inside = children_of(item)
        open_ += [one for _, one in (attributes_of(item) if inside is None else inside) or ()]
    return False
