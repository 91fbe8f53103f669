"""A stand-in for CuPy with its contract, for machines without a GPU.

Arrays never turn into NumPy's by themselves, NumPy's never into theirs, and what a reduction
returns is an array of no axes. Two things cross the border: ``get`` and ``asarray``.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np


class ndarray:
    """An array on a device."""

    __module__ = "cupy"
    __array_priority__ = 100
    __array_ufunc__ = None

    def __init__(self, host: Any) -> None:
        self._host = np.asarray(host)

    def get(self) -> Any:
        """Return a copy on the host."""
        return self._host.copy()

    def __array__(self, *rest: Any, **named: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    dtype = property(lambda self: self._host.dtype)
    shape = property(lambda self: self._host.shape)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    T = property(lambda self: ndarray(self._host.T))

    def __getitem__(self, index: Any) -> ndarray:
        return ndarray(self._host[index])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._host[index] = host(value)

    def __float__(self) -> float:
        return float(self._host)

    def __neg__(self) -> ndarray:
        return ndarray(-self._host)


def host(value: Any) -> Any:
    """Return an operand's numbers; NumPy's arrays are no operands of CuPy."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    return value


def _operator(name: str) -> Callable[[ndarray, Any], ndarray]:
    def apply(self: ndarray, other: Any) -> ndarray:
        return ndarray(getattr(self._host, name)(host(other)))

    return apply


for _name in ("add", "sub", "mul", "truediv", "pow", "matmul"):
    for _side in ("", "r"):
        setattr(ndarray, f"__{_side}{_name}__", _operator(f"__{_side}{_name}__"))


def _function(name: str) -> Callable[..., ndarray]:
    def apply(*values: Any, **named: Any) -> ndarray:
        return ndarray(getattr(np, name)(*map(host, values), **named))

    return apply


def install() -> None:
    """Put the stand-in in the place of CuPy, unless that is there."""
    module = types.ModuleType("cupy")
    module.__dict__["ndarray"] = ndarray
    module.__dict__["asarray"] = module.__dict__["array"] = ndarray
    for name in ("sum", "tanh", "exp", "sin", "cos", "mean"):
        module.__dict__[name] = _function(name)
    sys.modules.setdefault("cupy", module)
