"""Homemade scalars and tensors: micrograd's ``Value`` and the like.

They have numbers in ``data``, a gradient in ``grad`` and a method ``backward``; name and module of
the class do not matter.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from pytest_gradcheck.params.frameworks.taken import Taken, digits_of, nothing


def adapter(kind: type) -> Callable[[Any], Taken | None] | None:
    """Return the adapter of a type that has a method ``backward``."""
    return take if callable(getattr(kind, "backward", None)) else None


def take(value: Any) -> Taken | None:
    """Flatten a value that has ``data`` and ``grad``."""
    data = getattr(value, "data", None)
    if not hasattr(value, "grad") or not isinstance(data, (float, int, np.generic, np.ndarray)):
        return None
    if isinstance(data, np.ndarray):
        if data.dtype.kind not in "fc" or not data.size:
            return nothing(value, lambda: data)
        return Taken(data, partial(_like, value), digits_of(data.dtype), array=lambda: value.data)

    def write(number: Any) -> None:
        value.data = float(np.ravel(number)[0])

    return Taken(float(data), partial(_like, value), write=write, array=lambda: np.array(data))


def _like(value: Any, numbers: Any) -> Any:
    """Return a leaf of other numbers, with a zero gradient as in a new one."""
    twin = copy.copy(value)
    twin.data = np.array(numbers) if isinstance(value.data, np.ndarray) else float(numbers)
    grad = value.grad
    twin.grad = None if grad is None else np.zeros_like(grad) if np.ndim(grad) else 0.0
    return twin
