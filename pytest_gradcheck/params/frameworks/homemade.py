"""Scalars and tensors as people write them to learn: micrograd's ``Value`` and its many cousins.

They have numbers in ``data``, a gradient in ``grad`` and a method ``backward``, whatever their
class is called and wherever it was written.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from pytest_gradcheck.params.frameworks.taken import Taken, digits_of, nothing


def adapter(kind: type) -> Callable[[Any], Taken | None] | None:
    """Return what takes values of a type apart, where it has a method ``backward``."""
    return take if callable(getattr(kind, "backward", None)) else None


def take(value: Any) -> Taken | None:
    """Take a value apart that has numbers in ``data`` and room for a gradient in ``grad``."""
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
    """Return a leaf of other numbers, whose gradient begins at zero as in a fresh one."""
    twin = copy.copy(value)
    twin.data = np.array(numbers) if isinstance(value.data, np.ndarray) else float(numbers)
    grad = value.grad
    twin.grad = None if grad is None else np.zeros_like(grad) if np.ndim(grad) else 0.0
    return twin
